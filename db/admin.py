"""Admins: of a tenant, or of the platform, without one. How they log in: db/login.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Text, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held
from db.api_token import ApiToken
from db.base import Base, CreatedAt, Id, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Conflict, NotFound
from isp import credentials

ROLES = ("owner", "manager", "cashier", "support", "read-only", "platform")
HEADS = ("owner", "platform")
"""Of whom there must stay one."""


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
    password_hash: Mapped[str] = mapped_column(Text, deferred=True, deferred_raiseload=True)
    """argon2id. Written and never read: only `login_of` (db/login.py) sees it."""
    role: Mapped[String]
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[Timestamp | None]
    must_change_password: Mapped[bool] = mapped_column(Boolean, server_default="false")
    """It was chosen by somebody else; until it is changed, a login is good for that alone."""
    password_changed_at: Mapped[Timestamp | None]
    last_login_at: Mapped[Timestamp | None]


SORTS = {
    "id": Sort(Admin.id, int),
    "email": Sort(Admin.email, str),
    "created_at": Sort(Admin.created_at, datetime),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token or a session stands for; `tenant_id` is None for the platform's own."""

    token_id: int | None
    admin_id: int
    tenant_id: int | None
    email: str
    role: str
    scopes: tuple[str, ...] | None = None
    """What the token is limited to; None is nothing."""
    expires_at: datetime | None = None
    session_id: int | None = None
    must_change_password: bool = False

    @property
    def credential(self) -> str:
        """For the audit log."""
        return f"token:{self.token_id}" if self.session_id is None else f"session:{self.session_id}"


def create(
    session: Session, *, tenant_id: int | None, email: str, role: str, password: str, must_change_password: bool = False
) -> Admin:
    admin = Admin(
        tenant_id=tenant_id,
        email=email,
        role=role,
        password_hash=credentials.hash_admin_password(password),
        must_change_password=must_change_password,
    )
    session.add(admin)
    session.flush()
    return admin


def by_email(session: Session, email: str) -> Admin:
    """Raises NotFound."""
    return _found(session.scalar(select(Admin).where(Admin.email == email.lower())))


def by_id(session: Session, admin_id: int, *, for_update: bool = False) -> Admin:
    """Raises NotFound."""
    return _found(session.get(Admin, admin_id, with_for_update=for_update))


def page(
    session: Session, request: PageRequest, *, role: str | None = None, disabled: bool | None = None
) -> Page[Admin]:
    statement = select(Admin).where(Admin.disabled_at.is_not(None) if disabled else Admin.disabled_at.is_(None))
    if role is not None:
        statement = statement.where(Admin.role == role)
    return one_page(session, statement, Admin.id, SORTS, request, lambda row: row.Admin)


def all_admins(session: Session) -> list[Admin]:
    """Of every tenant the session may see, by email."""
    return list(session.scalars(select(Admin).order_by(Admin.email)))


def change(session: Session, admin: Admin, values: Mapping[str, Any]) -> Admin:
    """Sets `email` and `role`. Raises Conflict `last_owner`."""
    if admin.role in HEADS and values.get("role", admin.role) != admin.role:
        _keep_one(session, admin)
    for name, value in values.items():
        setattr(admin, name, value)
    session.flush()
    return admin


def disable(session: Session, admin: Admin, now: datetime) -> None:
    """Neither the admin's password nor any of the tokens is good from now on. Raises Conflict `last_owner`."""
    if admin.role in HEADS:
        _keep_one(session, admin)
    admin.disabled_at = admin.disabled_at or now
    session.flush()


def enable(session: Session, admin: Admin) -> None:
    admin.disabled_at = None
    session.flush()


def set_password(session: Session, admin: Admin, password: str, now: datetime, *, must_change_password: bool) -> None:
    admin.password_hash = credentials.hash_admin_password(password)
    admin.password_changed_at = now
    admin.must_change_password = must_change_password
    session.flush()


def issue_token(
    session: Session, admin: Admin, name: str, expires_at: datetime | None, scopes: list[str] | None = None
) -> tuple[ApiToken, str]:
    """A new token, and itself in clear for the only time. Raises Conflict for an admin who is disabled."""
    if admin.disabled_at is not None:
        raise Conflict("This admin is disabled.", code="disabled")
    token = credentials.new_api_token()
    made = ApiToken(
        tenant_id=admin.tenant_id,
        admin_id=admin.id,
        name=name,
        token_hash=credentials.api_token_hash(token),
        expires_at=expires_at,
        scopes=scopes,
    )
    session.add(made)
    session.flush()
    return made, token


def create_token(session: Session, admin: Admin, name: str, expires_at: datetime | None) -> str:
    """As issue_token: the token alone, which may do what its admin may."""
    return issue_token(session, admin, name, expires_at)[1]


def _keep_one(session: Session, admin: Admin) -> None:
    """Raises Conflict if nobody else could say who the admins are. Of two at once that leave, the second is refused."""
    held.take_turn(session, "admin.heads", admin.tenant_id or 0)
    others = (
        select(func.count())
        .select_from(Admin)
        .where(
            Admin.tenant_id.is_not_distinct_from(admin.tenant_id),
            Admin.role == admin.role,
            Admin.disabled_at.is_(None),
            Admin.id != admin.id,
        )
    )
    if admin.disabled_at is None and not session.scalar(others):
        raise Conflict(f"This is the last {admin.role} there is. Make another first.", code="last_owner")


def _found(admin: Admin | None) -> Admin:
    if admin is None:
        raise NotFound("admin")
    return admin
