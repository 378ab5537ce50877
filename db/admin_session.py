"""Sessions of admins who logged in with a password: what a browser's cookie stands for."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, ForeignKey, LargeBinary, UniqueConstraint, delete, select, update
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.admin import Admin, Identity
from db.base import Base, BigInt, CreatedAt, Id, String, TenantId, Timestamp
from db.refusal import NotFound
from db.round_trip import ask
from isp import credentials

LIFETIME = timedelta(hours=24)
"""However much it is used."""
IDLE = timedelta(hours=2)
KEEP = timedelta(days=90)
"""Of ended ones: where an admin logged in from is known for so long (claim_login)."""


class AdminSession(Base):
    __tablename__ = "admin_session"
    __table_args__ = (UniqueConstraint("token_hash"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId | None]
    admin_id: Mapped[BigInt] = mapped_column(ForeignKey("admin.id"), index=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, deferred=True, deferred_raiseload=True)
    source: Mapped[String]
    """Who is behind the address, as failures are counted."""
    address: Mapped[str | None] = mapped_column(INET)
    user_agent: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[CreatedAt]
    expires_at: Mapped[Timestamp]
    ended_at: Mapped[Timestamp | None]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where somebody logs in from."""

    source: str
    address: str | None
    user_agent: str | None


def begin(session: Session, admin: Admin, origin: Origin, now: datetime) -> tuple[AdminSession, str]:
    """A new session, and its token, in clear for the only time."""
    token = credentials.new_session_token()
    begun = AdminSession(
        tenant_id=admin.tenant_id,
        admin_id=admin.id,
        token_hash=credentials.api_token_hash(token),
        source=origin.source,
        address=origin.address,
        user_agent=origin.user_agent,
        expires_at=now + LIFETIME,
    )
    session.add(begun)
    admin.last_login_at = now
    session.flush()
    return begun, token


_AUTHENTICATE = b"SELECT to_json(found) FROM authenticate_session(decode($1, 'hex'), $2::int) found"


def authenticate(engine: Engine, token_hash: bytes) -> tuple[Identity, bool] | None:
    """Who a session's token stands for, and whether the session is over; None for a token that never was one."""
    found = ask(engine, _AUTHENTICATE, [token_hash.hex().encode(), b"%d" % IDLE.total_seconds()])
    if not found or found[0] is None:
        return None
    row = json.loads(found[0])
    identity = Identity(
        None,
        row["admin_id"],
        row["tenant_id"],
        row["email"],
        row["role"],
        session_id=row["session_id"],
        must_change_password=row["must_change_password"],
    )
    return identity, row["is_over"]


def open_ones(session: Session, admin_id: int, now: datetime) -> Sequence[AdminSession]:
    """Newest first."""
    statement = select(AdminSession).where(
        AdminSession.admin_id == admin_id,
        AdminSession.ended_at.is_(None),
        AdminSession.expires_at > now,
        AdminSession.last_used_at > now - IDLE,
    )
    return session.scalars(statement.order_by(AdminSession.id.desc())).all()


def end(session: Session, session_id: int, admin_id: int, now: datetime) -> None:
    """Raises NotFound."""
    found = session.get(AdminSession, session_id, with_for_update=True)
    if found is None or found.admin_id != admin_id:
        raise NotFound("session")
    found.ended_at = found.ended_at or now
    session.flush()


def end_all(session: Session, admin_id: int, now: datetime, *, but: int | None = None) -> int:
    """How many were open."""
    statement = update(AdminSession).where(AdminSession.admin_id == admin_id, AdminSession.ended_at.is_(None))
    if but is not None:
        statement = statement.where(AdminSession.id != but)
    return len(session.scalars(statement.values(ended_at=now).returning(AdminSession.id)).all())


def prune(session: Session, now: datetime, *, limit: int) -> int:
    """Deletes those that are long over; how many."""
    old = select(AdminSession.id).where(AdminSession.expires_at < now - KEEP).limit(limit)
    return len(session.scalars(delete(AdminSession).where(AdminSession.id.in_(old)).returning(AdminSession.id)).all())
