"""Events for those who wait for them: one connection that reads for a whole process, in one tenant at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow

from db.engine import CONNECT_TIMEOUT_S

CHANNEL = "kibali_event"
LIVE_CHANNEL = "kibali_live"
PAGE = 500
_ANSWER_WITHIN_S = 8
# Whatever stands between us and PostgreSQL: a connection that is gone is noticed in half a minute.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

_NEWEST = "SELECT coalesce(max(id), 0) FROM event WHERE tenant_id = %s"
_SPAN = """
SELECT (SELECT coalesce(min(id), 0) FROM event WHERE tenant_id = %(tenant_id)s),
       (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM event_id_seq)
"""
_AFTER = """
SELECT id, type, created_at, subscription_id, router_id, data
  FROM event WHERE tenant_id = %s AND id > %s ORDER BY id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    type: str
    created_at: datetime
    subscription_id: int | None
    router_id: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """The oldest event of a tenant that is kept, and the last id that any event was given."""

    oldest: int
    last: int


@dataclass(frozen=True, slots=True)
class LiveRow:
    """How something is just now. Told to who listens, and kept nowhere."""

    type: str
    router_id: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Notification:
    tenant_id: int | None
    """None: no tenant's."""
    live: LiveRow | None = None
    """None: there are new events."""


class EventReader:
    """Connects when it is first asked, and again when its connection broke. Raises psycopg.Error, TimeoutError."""

    def __init__(self, dsn: str, name: str) -> None:
        self._dsn = dsn
        self._name = name
        self._turn = asyncio.Lock()
        self._connection: AsyncConnection[TupleRow] | None = None

    async def newest(self, tenant_id: int) -> int:
        """The id of the tenant's newest event; 0 if there is none."""
        rows = await self._read(tenant_id, _NEWEST, (tenant_id,))
        return int(rows[0][0])

    async def span(self, tenant_id: int) -> Span:
        rows = await self._read(tenant_id, _SPAN, {"tenant_id": tenant_id})
        return Span(*rows[0])

    async def after(self, tenant_id: int, event_id: int, limit: int = PAGE) -> list[EventRow]:
        """The tenant's events behind that id, in order, at most `limit`."""
        return [EventRow(*row) for row in await self._read(tenant_id, _AFTER, (tenant_id, event_id, limit))]

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _read(self, tenant_id: int, statement: str, values: Any) -> Sequence[TupleRow]:
        async with self._turn, asyncio.timeout(_ANSWER_WITHIN_S):
            try:
                return await self._read_once(tenant_id, statement, values)
            except OperationalError:
                # It may have died long ago, unseen.
                return await self._read_once(tenant_id, statement, values)
            except BaseException:
                await self.close()  # cancelled in the middle: what it is at is not known
                raise

    async def _read_once(self, tenant_id: int, statement: str, values: Any) -> Sequence[TupleRow]:
        if self._connection is None:
            self._connection = await connect(self._dsn, self._name)
        try:
            await self._connection.execute("SELECT set_config('kibali.tenant_id', %s, false)", (str(tenant_id),))
            cursor = await self._connection.execute(statement, values)
            return await cursor.fetchall()
        except OperationalError:
            await self.close()
            raise


async def connect(dsn: str, name: str) -> AsyncConnection[TupleRow]:
    return await AsyncConnection.connect(
        dsn,
        autocommit=True,
        options=f"-c statement_timeout={_ANSWER_WITHIN_S}s",
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=name,
        **_KEEPALIVE,
    )


@asynccontextmanager
async def notifications(dsn: str, name: str) -> AsyncIterator[AsyncIterator[Notification]]:
    """What is told as it is committed: that there are new events, and what is live."""
    connection = await connect(dsn, name)
    try:
        for channel in (CHANNEL, LIVE_CHANNEL):
            await connection.execute(f"LISTEN {channel}")

        async def heard() -> AsyncIterator[Notification]:
            async for notify in connection.notifies():
                found = _live(notify.payload) if notify.channel == LIVE_CHANNEL else _news(notify.payload)
                if found is not None:
                    yield found

        yield heard()
    finally:
        await connection.close()


# Whoever may connect may notify: what is none of ours is passed over.


def _news(payload: str) -> Notification | None:
    try:
        return Notification(int(payload) if payload else None)
    except ValueError:
        return None


def _live(payload: str) -> Notification | None:
    try:
        told = json.loads(payload)
        row = LiveRow(str(told["type"]), told["router_id"], dict(told["data"]))
        return Notification(int(told["tenant_id"]), row)
    except (ValueError, TypeError, KeyError):
        return None
