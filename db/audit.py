"""The audit log: who changed what, from where, with its values before and after. Partitioned by month.

Triggers write it, in the transaction of the change (db/migrations/sql/*_audit.sql): no code can forget it, and no
process may write or delete a row of it by itself. Values of secrets are shown as "…".
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, PrimaryKeyConstraint, func, select, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, String
from db.page import Page, PageRequest, Sort, one_page


class Audit(Base):
    __tablename__ = "audit"
    __table_args__ = (
        PrimaryKeyConstraint("id", "created_at"),
        Index("audit_tenant_id_id_idx", "tenant_id", "id"),
        Index("audit_tenant_id_what_what_id_id_idx", "tenant_id", "what", "what_id", "id"),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    tenant_id: Mapped[BigInt | None]
    """Whose thing was changed; None for the platform's own."""
    admin_id: Mapped[BigInt | None]
    who: Mapped[String]
    via: Mapped[String]
    """`api`, `cli`, or the name of a database role that changed something without saying for whom."""
    address: Mapped[str | None] = mapped_column(INET)
    credential: Mapped[String | None]
    request_id: Mapped[String | None]
    action: Mapped[String]
    operation: Mapped[String]
    """`insert`, `update`, `delete` of one row, or `note`: what changes nothing and is still to be known."""
    what: Mapped[String]
    """The table."""
    what_id: Mapped[String | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


SORTS = {"id": Sort(Audit.id, int)}


@dataclass(frozen=True, slots=True)
class Filters:
    """None is any. `since` is included, `until` is not."""

    admin_id: int | None = None
    who: str | None = None
    via: str | None = None
    operation: str | None = None
    what: str | None = None
    what_id: str | None = None
    request_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(session: Session, request: PageRequest, filters: Filters, *, tenant_id: int | None = None) -> Page[Audit]:
    """Of every tenant that the session may see, or of one."""
    statement = select(Audit)
    for name in ("admin_id", "who", "via", "operation", "what", "what_id", "request_id"):
        value = getattr(filters, name)
        if value is not None:
            statement = statement.where(getattr(Audit, name) == value)
    if filters.since is not None:
        statement = statement.where(Audit.created_at >= filters.since)
    if filters.until is not None:
        statement = statement.where(Audit.created_at < filters.until)
    if tenant_id is not None:
        statement = statement.where(Audit.tenant_id == tenant_id)
    return one_page(session, statement, Audit.id, SORTS, request, lambda row: row.Audit)


def note(session: Session, what: str, what_id: object) -> None:
    """Adds what changes nothing and is still to be known: that somebody looked at secrets."""
    session.execute(text("SELECT audit_note(:what, :what_id)"), {"what": what, "what_id": str(what_id)})
