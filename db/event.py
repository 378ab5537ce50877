"""Events: facts for people and programs that watch, written in the transaction of the fact. Partitioned by month.

Their ids are in the order of their commits: a row gets its final id as its transaction commits (publish_event()). So
whoever remembers the last id they saw misses nothing by asking for what is above it, and gets nothing twice.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, PrimaryKeyConstraint, func, text
from sqlalchemy.event import listens_for
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, Json, String
from db.per_transaction import kept, taken


class Event(Base):
    __tablename__ = "event"
    __table_args__ = (
        PrimaryKeyConstraint("id", "created_at"),
        Index("event_tenant_id_id_idx", "tenant_id", "id"),
        # Of a type, or of all that begin with one's subject (event_list.py).
        Index("event_tenant_id_type_id_idx", "tenant_id", "type", "id", postgresql_ops={"type": "text_pattern_ops"}),
        Index(
            "event_subscription_id_created_at_idx",
            "subscription_id",
            "created_at",
            postgresql_where="subscription_id IS NOT NULL",
        ),
        Index("event_router_id_created_at_idx", "router_id", "created_at", postgresql_where="router_id IS NOT NULL"),
        # Of those that say how something is at the moment, which are pruned sooner.
        Index(
            "event_passing_idx",
            "created_at",
            postgresql_where="type IN ('dashboard.stats', 'router.live', 'job.progress', 'router.progress')",
        ),
        {"postgresql_partition_by": "RANGE (created_at)"},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    tenant_id: Mapped[BigInt | None]
    subscription_id: Mapped[BigInt | None]
    """Whose story it belongs to."""
    router_id: Mapped[BigInt | None]
    type: Mapped[String]
    data: Mapped[Json]


def record(
    session: Session,
    type_: str,
    data: dict[str, Any],
    tenant_id: int | None,
    *,
    subscription_id: int | None = None,
    router_id: int | None = None,
) -> None:
    """Adds an event to the running transaction. As it commits, `kibali_event` is notified of the tenant's id."""
    if session.in_nested_transaction():  # what is undone with a savepoint must be in it
        session.execute(_RECORD, _columns([(tenant_id, subscription_id, router_id, type_, json.dumps(data))]))
        return
    row = (tenant_id, subscription_id, router_id, type_, json.dumps(data))
    kept(session, _WAITING, list[_Row]).append(row)


@listens_for(Session, "before_commit")
def _record_now(session: Session) -> None:
    """All events of a transaction are one statement."""
    if rows := taken(session, _WAITING, list[_Row]):
        session.execute(_RECORD, _columns(rows))


_Row = tuple[int | None, int | None, int | None, str, str]
_WAITING = "kibali_events"
_RECORD = text("""
INSERT INTO event (tenant_id, subscription_id, router_id, type, data)
SELECT tenant_id, subscription_id, router_id, type, CAST(data AS jsonb)
  FROM unnest(CAST(:tenant_ids AS bigint[]), CAST(:subscription_ids AS bigint[]), CAST(:router_ids AS bigint[]),
              CAST(:types AS text[]), CAST(:data AS text[]))
       WITH ORDINALITY AS new (tenant_id, subscription_id, router_id, type, data, number)
 ORDER BY number""")


def _columns(rows: Sequence[_Row]) -> dict[str, list[Any]]:
    names = ("tenant_ids", "subscription_ids", "router_ids", "types", "data")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
