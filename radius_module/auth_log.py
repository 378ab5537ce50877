"""The log of answered logins: collected in memory, written in the background, never waited for.

Bounded: while PostgreSQL is away the oldest entries give way, and how many were lost is logged.
"""

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from threading import Event, Thread
from typing import Any

import psycopg

from radius_module.arrays import text
from radius_module.connection import BoundedConnection, DatabaseAway, Link, Statement

MAX_WAITING = 50_000
# Few at a time: while rows become JSON no login is decided.
MAX_BATCH = 100
FLUSH_S = 0.05

# The tenant is the router's; an entry of a router that is gone by now is left out. One JSON document is the cheapest
# way for many rows that hold documents themselves. As jsonb it is parsed once; of json each ->> parses its row again,
# which took PostgreSQL twice as long.
_INSERT = Statement("""
INSERT INTO auth_log (logged_at, tenant_id, router_id, subscription_id, username, calling_station_id, service,
                      result, reason, detail)
SELECT to_timestamp((e ->> 0)::float8), r.tenant_id, r.id, (e ->> 2)::int8, e ->> 3, (e ->> 4)::macaddr, e ->> 5,
       e ->> 6, e ->> 7, e -> 8
  FROM jsonb_array_elements(%(rows)b::text::jsonb) e
  JOIN router r ON r.id = (e ->> 1)::int8
""")


@dataclass(slots=True)
class Entry:
    """Made for each login, and not frozen, since that takes three times as long."""

    logged_at: datetime
    router_id: int
    subscription_id: int | None
    user_name: str
    calling_station_id: str | None
    service: str
    result: str
    """`accept` or `reject`."""
    reason: str
    detail: dict[str, Any]


class AuthLog:
    def __init__(self, link: Link, log: Callable[[str], None]) -> None:
        self._link = link
        self._log = log
        self._waiting: deque[Entry] = deque(maxlen=MAX_WAITING)
        self._lost = 0
        self.answers: Counter[str] = Counter()
        """How many of each result and reason were logged, as `reject:expired`. Counted here, beside the logins."""
        self._closing = Event()
        self._thread = Thread(target=self._run, name="auth-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Writes what waits, if PostgreSQL takes it now."""
        self._closing.set()
        self._thread.join(timeout=3)

    def add(self, entry: Entry) -> None:
        if len(self._waiting) == MAX_WAITING:
            self._lost += 1
        self._waiting.append(entry)

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
            try:
                self._link.use(lambda connection, batch=batch: _insert(connection, batch))  # type: ignore[misc]
            except DatabaseAway:
                self._put_back(batch)
                return
            except psycopg.Error as error:
                self._log(f"{len(batch)} entries of the login log were refused by PostgreSQL: {type(error).__name__}")
            self.answers.update(f"{entry.result}:{entry.reason}" for entry in batch)
        if self._lost:
            self._log(f"{self._lost} entries of the login log were lost while PostgreSQL was away")
            self._lost = 0

    def _put_back(self, batch: list[Entry]) -> None:
        room = MAX_WAITING - len(self._waiting)
        self._lost += max(0, len(batch) - room)
        self._waiting.extendleft(reversed(batch[-room:] if room else []))


def _insert(connection: BoundedConnection, batch: list[Entry]) -> None:
    rows = [
        (
            entry.logged_at.timestamp(),
            entry.router_id,
            entry.subscription_id,
            entry.user_name,
            entry.calling_station_id,
            entry.service,
            entry.result,
            entry.reason,
            entry.detail,
        )
        for entry in batch
    ]
    connection.ask(_INSERT, {"rows": text(json.dumps(rows, separators=(",", ":")))})
