"""Who watches which router: watchers hold leases and share the routers, each of which has one watcher at a time.

A watcher renews one row; its routers hang on that. When the row is gone, because its lease ran out and another watcher
swept it away, its routers are free to be taken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, DateTime, Uuid, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base

LEASE_S = 15.0
_WATCHED = ["online", "active", "offline", "failed", "provisioning"]


class Watcher(Base):
    __tablename__ = "watcher"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    lease_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True, slots=True)
class Assigned:
    """A router that a watcher has."""

    router_id: int
    version: str
    """Another one when the router's own row has changed."""
    status: str
    probe_in_s: float | None
    """None: it is not being probed."""


def renew(session: Session, me: UUID) -> None:
    """Prolongs the lease, or begins one; those that ran out are swept away, and their routers are free."""
    session.execute(
        text(
            "INSERT INTO watcher (id, lease_until) VALUES (:me, now() + make_interval(secs => :lease))"
            " ON CONFLICT (id) DO UPDATE SET lease_until = excluded.lease_until"
        ),
        {"me": me, "lease": LEASE_S},
    )
    session.execute(
        text(
            "DELETE FROM watcher WHERE id IN"
            " (SELECT id FROM watcher WHERE lease_until < now() ORDER BY id FOR UPDATE SKIP LOCKED)"
        )
    )


def leave(session: Session, me: UUID) -> None:
    """Gives back the lease, and with it all routers."""
    session.execute(text("DELETE FROM watcher WHERE id = :me"), {"me": me})


def surplus(session: Session, me: UUID) -> list[int]:
    """The routers to be let go, because they are not to be watched any more or others have fewer."""
    rows = session.execute(
        text("""
            WITH mine AS (
                SELECT s.router_id,
                       r.removed_at IS NULL AND (r.status = ANY (:watched) OR s.probe_due_at IS NOT NULL) AS ok
                  FROM router_state s JOIN router r ON r.id = s.router_id WHERE s.watcher_id = :me),
            share AS (SELECT ceil(count(*)::numeric / (SELECT count(*) FROM watcher)) AS most
                        FROM router_state s JOIN router r ON r.id = s.router_id
                       WHERE r.removed_at IS NULL AND (r.status = ANY (:watched) OR s.probe_due_at IS NOT NULL)),
            ranked AS (SELECT router_id, ok, row_number() OVER (PARTITION BY ok ORDER BY router_id) AS rank FROM mine)
            SELECT router_id FROM ranked, share WHERE NOT ok OR rank > most"""),
        {"me": me, "watched": _WATCHED},
    )
    return [row.router_id for row in rows]


def let_go(session: Session, me: UUID, router_ids: Sequence[int]) -> None:
    session.execute(
        text("UPDATE router_state SET watcher_id = NULL WHERE watcher_id = :me AND router_id = ANY (:ids)"),
        {"me": me, "ids": list(router_ids)},
    )


def take(session: Session, me: UUID) -> int:
    """Takes routers that nobody watches, up to a fair share of all; how many."""
    result = session.execute(
        text("""
            WITH wanted AS (
                SELECT s.router_id, s.watcher_id FROM router_state s JOIN router r ON r.id = s.router_id
                 WHERE r.removed_at IS NULL AND (r.status = ANY (:watched) OR s.probe_due_at IS NOT NULL)),
            room AS (SELECT ceil(count(*)::numeric / (SELECT count(*) FROM watcher))::int
                            - count(*) FILTER (WHERE watcher_id = :me) AS left FROM wanted)
            UPDATE router_state SET watcher_id = :me
             WHERE router_id IN (
                SELECT s.router_id FROM router_state s JOIN wanted w USING (router_id)
                 WHERE s.watcher_id IS NULL ORDER BY s.router_id
                 LIMIT (SELECT greatest("left", 0) FROM room) FOR UPDATE OF s SKIP LOCKED)"""),
        {"me": me, "watched": _WATCHED},
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def has(session: Session, me: UUID, router_id: int) -> bool:
    statement = text("SELECT EXISTS (SELECT FROM router_state WHERE router_id = :router_id AND watcher_id = :me)")
    return bool(session.scalar(statement, {"router_id": router_id, "me": me}))


def assigned(session: Session, me: UUID) -> list[Assigned]:
    rows = session.execute(
        text("""
            SELECT r.id, r.xmin::text AS version, r.status,
                   extract(epoch FROM s.probe_due_at - now())::float8 AS probe_in_s
              FROM router_state s JOIN router r ON r.id = s.router_id WHERE s.watcher_id = :me"""),
        {"me": me},
    )
    return [Assigned(row.id, row.version, row.status, row.probe_in_s) for row in rows]


_STORE = text("""
UPDATE router_state s
   SET last_seen_at = r.read_at, read_at = r.read_at, failures = 0,
       booted_at = CASE WHEN abs(extract(epoch FROM s.booted_at - r.booted_at)) < 90 THEN s.booted_at
                        ELSE r.booted_at END,
       cpu_load_percent = r.cpu_load_percent, free_memory_bytes = r.free_memory_bytes,
       total_memory_bytes = r.total_memory_bytes, free_hdd_bytes = r.free_hdd_bytes,
       total_hdd_bytes = r.total_hdd_bytes, hotspot_sessions = r.hotspot_sessions, ppp_sessions = r.ppp_sessions,
       interfaces = r.interfaces
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (
       router_id int8, read_at timestamptz, booted_at timestamptz, cpu_load_percent int4, free_memory_bytes int8,
       total_memory_bytes int8, free_hdd_bytes int8, total_hdd_bytes int8, hotspot_sessions int4, ppp_sessions int4,
       interfaces jsonb)
 WHERE s.router_id = r.router_id AND s.watcher_id = :me
""")
_TELL = text("""
SELECT pg_notify('kibali_live', jsonb_build_object(
           'type', 'router.live', 'tenant_id', s.tenant_id, 'router_id', s.router_id, 'data', r.data)::text)
  FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (router_id int8, data jsonb)
  JOIN router_state s ON s.router_id = r.router_id AND s.watcher_id = :me
""")


def store(session: Session, me: UUID, readings: Sequence[Mapping[str, Any]]) -> None:
    """Readings of routers that are still ours, at most one of each; watchers of events are told."""
    rows = [{name: value for name, value in reading.items() if name != "live"} for reading in readings]
    session.execute(_STORE, {"me": me, "rows": json.dumps(rows)})
    live = [{"router_id": reading["router_id"], "data": reading["live"]} for reading in readings]
    session.execute(_TELL, {"me": me, "rows": json.dumps(live)})
