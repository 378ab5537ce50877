"""Tickets: what a web page opens a connection for events with. Good once, for a minute; only the hash is kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, delete, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.admin import Identity
from db.base import Base, BigInt, TenantId, Timestamp
from isp import credentials

LIFE = timedelta(seconds=60)


class EventTicket(Base):
    __tablename__ = "event_ticket"
    __table_args__ = (CheckConstraint("num_nonnulls(token_id, session_id) = 1", name="credential"),)

    ticket_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    tenant_id: Mapped[TenantId]
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id"))
    token_id: Mapped[BigInt | None] = mapped_column(ForeignKey("api_token.id", ondelete="CASCADE"))
    """What it was got with, or `session_id`: when that is over, so is what the ticket opened."""
    session_id: Mapped[BigInt | None] = mapped_column(ForeignKey("admin_session.id", ondelete="CASCADE"))
    expires_at: Mapped[Timestamp]


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose ticket it was, and what it was got with."""

    admin_id: int
    tenant_id: int
    token_id: int | None
    session_id: int | None
    role: str


def create(session: Session, tenant_id: int, identity: Identity, now: datetime) -> str:
    """A new ticket, in clear for the only time. The tenant's old ones are forgotten."""
    session.execute(delete(EventTicket).where(EventTicket.tenant_id == tenant_id, EventTicket.expires_at < now))
    ticket = credentials.new_event_ticket()
    made = EventTicket(
        ticket_hash=credentials.api_token_hash(ticket),
        tenant_id=tenant_id,
        admin_id=identity.admin_id,
        token_id=identity.token_id,
        session_id=identity.session_id,
        expires_at=now + LIFE,
    )
    session.add(made)
    session.flush()
    return ticket


def use(session: Session, ticket: str) -> Holder | None:
    """Who may come in, once; None for a ticket that is unknown, used or old, or whose holder may not any more."""
    statement = text("SELECT admin_id, tenant_id, token_id, session_id, role FROM use_event_ticket(:hash)")
    row = session.execute(statement, {"hash": credentials.api_token_hash(ticket)}).one_or_none()
    return Holder(*row) if row else None


def role_of(session: Session, holder: Holder) -> str | None:
    """The holder's role as it is now; None for who may not watch any more: disabled, logged out, revoked, closed."""
    statement = text("SELECT watcher_role(:admin_id, :tenant_id, :token_id, :session_id)")
    values = {
        "admin_id": holder.admin_id,
        "tenant_id": holder.tenant_id,
        "token_id": holder.token_id,
        "session_id": holder.session_id,
    }
    role: str | None = session.scalar(statement, values)
    return role
