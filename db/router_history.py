"""What routers did, for graphs: sums over 5 minutes, kept for 30 days, and over an hour, kept for 400."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, DateTime, ForeignKeyConstraint, Index, Integer, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, TenantId

KEPT_DAYS = {300: 30, 3600: 400}


class RouterHistory(Base):
    """One period of one router."""

    __tablename__ = "router_history"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        Index("router_history_period_s_began_at_idx", "period_s", "began_at"),
        {"postgresql_with": {"fillfactor": "70"}},
    )

    router_id: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    period_s: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    began_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    tenant_id: Mapped[TenantId]
    readings: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    """How often it did not answer."""
    cpu_load_sum: Mapped[BigInt]
    cpu_load_max: Mapped[int] = mapped_column(Integer)
    free_memory_min_bytes: Mapped[BigInt | None]
    hotspot_sessions_sum: Mapped[BigInt]
    hotspot_sessions_max: Mapped[int] = mapped_column(Integer)
    ppp_sessions_sum: Mapped[BigInt]
    ppp_sessions_max: Mapped[int] = mapped_column(Integer)
    rx_bytes: Mapped[BigInt]
    """Of all interfaces that are no bridge's port."""
    tx_bytes: Mapped[BigInt]


_ADD = text("""
INSERT INTO router_history AS h (router_id, period_s, began_at, tenant_id, readings, failures, cpu_load_sum,
       cpu_load_max, free_memory_min_bytes, hotspot_sessions_sum, hotspot_sessions_max, ppp_sessions_sum,
       ppp_sessions_max, rx_bytes, tx_bytes)
SELECT r.router_id, p.period_s, to_timestamp(floor(extract(epoch FROM r.at) / p.period_s) * p.period_s), s.tenant_id,
       CASE WHEN r.failed THEN 0 ELSE 1 END, CASE WHEN r.failed THEN 1 ELSE 0 END,
       coalesce(r.cpu_load_percent, 0), coalesce(r.cpu_load_percent, 0), r.free_memory_bytes,
       coalesce(r.hotspot_sessions, 0), coalesce(r.hotspot_sessions, 0), coalesce(r.ppp_sessions, 0),
       coalesce(r.ppp_sessions, 0), coalesce(r.rx_bytes, 0), coalesce(r.tx_bytes, 0)
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
       router_id int8, at timestamptz, failed bool, cpu_load_percent int4, free_memory_bytes int8,
       hotspot_sessions int4, ppp_sessions int4, rx_bytes int8, tx_bytes int8)
  JOIN router_state s ON s.router_id = r.router_id AND s.watcher_id = :me
 CROSS JOIN (VALUES (300), (3600)) AS p (period_s)
 ORDER BY 1, 2
ON CONFLICT (router_id, period_s, began_at) DO UPDATE
   SET readings = h.readings + excluded.readings, failures = h.failures + excluded.failures,
       cpu_load_sum = h.cpu_load_sum + excluded.cpu_load_sum,
       cpu_load_max = greatest(h.cpu_load_max, excluded.cpu_load_max),
       free_memory_min_bytes = least(h.free_memory_min_bytes, excluded.free_memory_min_bytes),
       hotspot_sessions_sum = h.hotspot_sessions_sum + excluded.hotspot_sessions_sum,
       hotspot_sessions_max = greatest(h.hotspot_sessions_max, excluded.hotspot_sessions_max),
       ppp_sessions_sum = h.ppp_sessions_sum + excluded.ppp_sessions_sum,
       ppp_sessions_max = greatest(h.ppp_sessions_max, excluded.ppp_sessions_max),
       rx_bytes = h.rx_bytes + excluded.rx_bytes, tx_bytes = h.tx_bytes + excluded.tx_bytes
""")


def add(session: Session, watcher_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    """At most one row of each router; those of routers that are not the watcher's any more are left out."""
    session.execute(_ADD, {"me": watcher_id, "rows": json.dumps(list(rows))})


def of(session: Session, router_id: int, period_s: int, since: datetime, limit: int) -> Sequence[RouterHistory]:
    """The oldest first."""
    statement = (
        select(RouterHistory)
        .where(
            RouterHistory.router_id == router_id,
            RouterHistory.period_s == period_s,
            RouterHistory.began_at >= since,
        )
        .order_by(RouterHistory.began_at)
        .limit(limit)
    )
    return session.scalars(statement).all()


def prune(session: Session, period_s: int, before: datetime, limit: int) -> int:
    """Deletes what is older, at most `limit` rows; how many."""
    result = session.execute(
        text(
            "DELETE FROM router_history WHERE ctid = ANY (ARRAY(SELECT ctid FROM router_history"
            " WHERE period_s = :period_s AND began_at < :before LIMIT :limit))"
        ),
        {"period_s": period_s, "before": before, "limit": limit},
    )
    assert isinstance(result, CursorResult)
    return result.rowcount
