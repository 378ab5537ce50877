"""Tickets: what a web page opens a connection for events with. Good once, for a minute; only the hash is kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ForeignKey, LargeBinary, delete, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, TenantId, Timestamp
from isp import credentials

LIFE = timedelta(seconds=60)


class EventTicket(Base):
    __tablename__ = "event_ticket"

    ticket_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    tenant_id: Mapped[TenantId]
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id"))
    expires_at: Mapped[Timestamp]


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose ticket it was."""

    admin_id: int
    tenant_id: int
    role: str


def create(session: Session, tenant_id: int, admin_id: int, now: datetime) -> str:
    """A new ticket, in clear for the only time. The tenant's old ones are forgotten."""
    session.execute(delete(EventTicket).where(EventTicket.tenant_id == tenant_id, EventTicket.expires_at < now))
    ticket = credentials.new_event_ticket()
    hashed = credentials.api_token_hash(ticket)
    session.add(EventTicket(ticket_hash=hashed, tenant_id=tenant_id, admin_id=admin_id, expires_at=now + LIFE))
    session.flush()
    return ticket


def use(session: Session, ticket: str) -> Holder | None:
    """Who may come in, once; None for a ticket that is unknown, used or old, or whose admin is disabled."""
    statement = text("SELECT admin_id, tenant_id, role FROM use_event_ticket(:hash)")
    row = session.execute(statement, {"hash": credentials.api_token_hash(ticket)}).one_or_none()
    return Holder(*row) if row else None


def role_of(session: Session, admin_id: int, tenant_id: int) -> str | None:
    """The role of an admin of the tenant, or of the platform; None for another, and for one who is disabled."""
    statement = text("SELECT watcher_role(:admin_id, :tenant_id)")
    role: str | None = session.scalar(statement, {"admin_id": admin_id, "tenant_id": tenant_id})
    return role
