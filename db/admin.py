"""Admins of a tenant (or of the platform, without a tenant) and the API tokens they act with."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Sealed, String, TenantId, Timestamp
from db.refusal import Conflict, NotFound
from isp import credentials

ROLES = ("owner", "manager", "cashier", "support", "read-only", "platform")


class Admin(Base):
    __tablename__ = "admin"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("email = lower(email) AND email LIKE '%_@_%'", name="email"),
        CheckConstraint(f"role IN {ROLES}", name="role"),
        CheckConstraint("(role = 'platform') = (tenant_id IS NULL)", name="platform_has_no_tenant"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId | None]
    email: Mapped[String]
    password_hash: Mapped[String]
    """argon2id."""
    role: Mapped[String]
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[Timestamp | None]


class ApiToken(Base):
    """A bearer token. Only its SHA-256 is kept: 256 random bits need no slow hash."""

    __tablename__ = "api_token"
    __table_args__ = (UniqueConstraint("token_hash"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId | None]
    admin_id: Mapped[BigInt] = mapped_column(ForeignKey("admin.id"), index=True)
    name: Mapped[String]
    token_hash: Mapped[Sealed]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[Timestamp | None]
    last_used_at: Mapped[Timestamp | None]
    revoked_at: Mapped[Timestamp | None]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token stands for; `tenant_id` is None for the platform's own."""

    token_id: int
    admin_id: int
    tenant_id: int | None
    email: str
    role: str


def create(session: Session, *, tenant_id: int | None, email: str, role: str, password: str) -> Admin:
    admin = Admin(tenant_id=tenant_id, email=email, role=role, password_hash=credentials.hash_admin_password(password))
    session.add(admin)
    session.flush()
    return admin


def by_email(session: Session, email: str) -> Admin:
    """Raises NotFound."""
    admin = session.scalar(select(Admin).where(Admin.email == email.lower()))
    if admin is None:
        raise NotFound("admin")
    return admin


def all_admins(session: Session) -> list[Admin]:
    """Of every tenant the session may see, by email."""
    return list(session.scalars(select(Admin).order_by(Admin.email)))


def disable(session: Session, admin: Admin, now: datetime) -> None:
    """Neither the admin's password nor any of the tokens is good from now on."""
    admin.disabled_at = admin.disabled_at or now
    session.flush()


def create_token(session: Session, admin: Admin, name: str, expires_at: datetime | None) -> str:
    """A new token, in clear for the only time. Raises Conflict for an admin who is disabled."""
    if admin.disabled_at is not None:
        raise Conflict("This admin is disabled.", code="disabled")
    token = credentials.new_api_token()
    session.add(
        ApiToken(
            tenant_id=admin.tenant_id,
            admin_id=admin.id,
            name=name,
            token_hash=credentials.api_token_hash(token),
            expires_at=expires_at,
        )
    )
    session.flush()
    return token


def authenticate(session: Session, token_hash: bytes) -> Identity | None:
    """Who the token stands for; None if it is unknown, expired, revoked, or its admin disabled."""
    statement = text("SELECT token_id, admin_id, tenant_id, email, role FROM authenticate_token(:token_hash)")
    row = session.execute(statement, {"token_hash": token_hash}).one_or_none()
    return Identity(*row) if row else None
