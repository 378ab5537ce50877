"""Events: facts for people and programs that watch, written in the transaction of the fact. Partitioned by month.

Their ids are in the order of their commits: a row gets its final id as its transaction commits (publish_event()). So
whoever remembers the last id they saw misses nothing by asking for what is above it, and gets nothing twice.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Index, PrimaryKeyConstraint, func
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, Json, String


class Event(Base):
    __tablename__ = "event"
    __table_args__ = (
        PrimaryKeyConstraint("id", "created_at"),
        Index("event_tenant_id_id_idx", "tenant_id", "id"),
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
    session.add(Event(type=type_, data=data, tenant_id=tenant_id, subscription_id=subscription_id, router_id=router_id))
