"""Counts over all tenants, for /metrics; and the totals of events, which only grow."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, CursorResult, Engine, Integer, delete, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, Counter, String
from db.event import Event

# What says how something is at the moment; a day later nobody asks for it.
PASSING_TYPES = ("dashboard.stats", "router.live", "job.progress", "router.progress")


class EventTotal(Base):
    """How many events of a type there were in all; how many are kept is another matter."""

    __tablename__ = "event_total"

    type: Mapped[String] = mapped_column(primary_key=True)
    total: Mapped[Counter]


class EventCount(Base):
    """One row: up to which id events were counted."""

    __tablename__ = "event_count"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    after_event_id: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True, slots=True)
class Measured:
    name: str
    labels: dict[str, str]
    value: float


def measure(engine: Engine) -> list[Measured]:
    """In bounded time: open things and totals, never history. Raises DBAPIError."""
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL statement_timeout = '5s'"))
        rows = connection.execute(text("SELECT name, labels, value FROM platform_metrics()"))
        return [Measured(row.name, row.labels, row.value) for row in rows]


def count_events(session: Session, limit: int = 5_000) -> int:
    """Adds events that were not counted yet to the totals, in the order of their ids; how many."""
    statement = text("""
        WITH at AS MATERIALIZED (SELECT after_event_id FROM event_count WHERE id = 1 FOR UPDATE),
             new AS MATERIALIZED (SELECT id, type FROM event
                                   WHERE id > (SELECT after_event_id FROM at) ORDER BY id LIMIT :limit),
             counted AS (INSERT INTO event_total (type, total) SELECT type, count(*) FROM new GROUP BY type
                         ON CONFLICT (type) DO UPDATE SET total = event_total.total + excluded.total),
             moved AS (UPDATE event_count SET after_event_id = (SELECT max(id) FROM new)
                        WHERE id = 1 AND EXISTS (SELECT FROM new))
        SELECT count(*) FROM new""")
    return session.scalar(statement, {"limit": limit}) or 0


def prune_passing(session: Session, now: datetime, older_than: timedelta, limit: int) -> int:
    """Deletes events that only said how something was; how many."""
    literal_types = ", ".join(f"'{each}'" for each in PASSING_TYPES)
    old = (
        select(Event.id, Event.created_at)
        .where(text(f"event.type IN ({literal_types})"), Event.created_at < now - older_than)
        .limit(limit)
        .cte("old")
    )
    statement = delete(Event).where(Event.id == old.c.id, Event.created_at == old.c.created_at)
    result: Any = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount
