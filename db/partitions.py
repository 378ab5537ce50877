"""Monthly partitions: made ahead of time, dropped when their retention is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy import Connection, text

MONTHS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table partitioned by month (UTC); `keep_months` whole months stay readable behind the running one."""

    table: str
    column: str
    keep_months: int


PARTITIONED = (
    Partitioned("session_history", "stopped_at", keep_months=24),
    Partitioned("usage_day", "day", keep_months=25),
    Partitioned("auth_log", "logged_at", keep_months=3),
    Partitioned("event", "created_at", keep_months=3),
    Partitioned("audit", "created_at", keep_months=24),
)


def create_coming(connection: Connection, now: datetime) -> list[str]:
    """Makes the partitions of the running month and the next; returns the names of the new ones."""
    made = []
    for partitioned in PARTITIONED:
        for ahead in range(MONTHS_AHEAD + 1):
            month = _month(now, ahead)
            statement = text("SELECT create_month_partition(:table, :month)")
            if connection.scalar(statement, {"table": partitioned.table, "month": month}):
                made.append(f"{partitioned.table}_{month:%Y_%m}")
    return made


def drop_outlived(connection: Connection, now: datetime, keep_months: Mapping[str, int] | None = None) -> list[str]:
    """Drops the partitions that are older than their retention, or `keep_months` by table; returns their names."""
    dropped: list[str] = []
    for partitioned in PARTITIONED:
        statement = text("SELECT drop_month_partitions(:table, :before)")
        before = _month(now, -(keep_months or {}).get(partitioned.table, partitioned.keep_months))
        dropped += connection.scalars(statement, {"table": partitioned.table, "before": before})
    return dropped


def months_in_default(connection: Connection) -> dict[str, list[str]]:
    """Table → the months (YYYY-MM, UTC) of the rows in its default partition; tables without such rows are left out."""
    found = {}
    for partitioned in PARTITIONED:
        statement = text(f"""
            SELECT DISTINCT to_char({partitioned.column} AT TIME ZONE 'UTC', 'YYYY-MM') AS month
              FROM {partitioned.table}_default ORDER BY month""")  # noqa: S608 - names of our own
        if months := list(connection.scalars(statement)):
            found[partitioned.table] = months
    return found


def _month(now: datetime, offset: int) -> date:
    now = now.astimezone(UTC)
    year, month = divmod(now.year * 12 + now.month - 1 + offset, 12)
    return date(year, month + 1, 1)
