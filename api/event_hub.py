"""Events from PostgreSQL to the clients of this process: one connection that listens, one that reads for all of them.

Being woken is only a hint. What there is to send is always read from the table, behind the last id that was read, so
that a notification that got lost, or a PostgreSQL that was away, costs time and no event.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
import structlog

from api.event_feed import Batch, Feed
from db.event_feed import PAGE, EventReader, LiveRow, Notification, Span, notifications

# Should nobody wake us: a network that swallows notifications.
LOOK_EVERY_S = 5.0
HEARTBEAT_S = 15.0
# Events that come this close together travel in one message: at most 50 messages a second to each client.
GATHER_S = 0.02
# Likewise what is live, of which only the newest counts.
LIVE_EVERY_S = 1.0
_TRY_AGAIN_S = 0.5

AWAY = (psycopg.Error, OSError, TimeoutError)

log = structlog.get_logger(__name__)


class Hub:
    """Of one process, used by its event loop alone. Connects when the first client comes."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._live = EventReader(dsn, "kibali-api-events")
        self._missed = EventReader(dsn, "kibali-api-events")
        self._feeds: dict[int, Feed] = {}
        self._opening = asyncio.Lock()
        self._news: set[int] = set()
        self._live_rows: dict[int, dict[tuple[str, int | None], LiveRow]] = {}
        """By tenant, the newest of each: what comes too often for `_pass_on_live` replaces what came before."""
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_away = False
        self.is_listening = False

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        await self._live.close()
        await self._missed.close()

    @property
    def is_well(self) -> bool:
        """Whether events are heard of, if anybody ever watched."""
        return self.is_listening or not self._tasks

    @property
    def clients(self) -> int:
        return sum(feed.clients for feed in self._feeds.values())

    @asynccontextmanager
    async def feed(self, tenant_id: int) -> AsyncIterator[Feed]:
        """What is new in a tenant, from now on. Raises one of AWAY."""
        async with self._opening:
            self._start()
            feed = self._feeds.get(tenant_id)
            if feed is None:
                feed = self._feeds[tenant_id] = Feed(tenant_id, await self._live.newest(tenant_id))
            feed.clients += 1
        try:
            yield feed
        finally:
            feed.clients -= 1
            if not feed.clients and self._feeds.get(tenant_id) is feed:
                del self._feeds[tenant_id]

    async def span(self, tenant_id: int) -> Span:
        """Raises one of AWAY."""
        return await self._missed.span(tenant_id)

    async def missed(self, tenant_id: int, after: int) -> Batch | None:
        """The next events behind that id, from the table; None if there are none. Raises one of AWAY."""
        rows = await self._missed.after(tenant_id, after)
        return Batch(after, rows) if rows else None

    def _start(self) -> None:
        if not self._tasks:
            works = (self._listen, self._fan_out, self._pass_on_live, self._beat)
            self._tasks = [asyncio.create_task(work()) for work in works]

    async def _listen(self) -> None:
        while True:
            try:
                async with notifications(self._dsn, "kibali-api-listen") as notified:
                    self.is_listening = True
                    self._look_at_all()  # for what was committed while nobody listened
                    async for told in notified:
                        self._heard(told)
            except AWAY as error:
                self._seen_away(error)
            self.is_listening = False
            await asyncio.sleep(_TRY_AGAIN_S)

    def _heard(self, told: Notification) -> None:
        tenant_id, row = told.tenant_id, told.live
        if tenant_id is None or tenant_id not in self._feeds:
            return
        if row is None:
            self._news.add(tenant_id)
            self._wake.set()
        else:
            self._live_rows.setdefault(tenant_id, {})[row.type, row.router_id] = row

    async def _fan_out(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_S)
            if not self._wake.is_set():
                self._look_at_all()
            self._wake.clear()
            news, self._news = self._news, set()
            try:
                for tenant_id in news:
                    await self._publish(tenant_id)
                self._seen_back()
            except AWAY as error:
                self._seen_away(error)
                self._news |= news
                await asyncio.sleep(_TRY_AGAIN_S)
                self._wake.set()
            await asyncio.sleep(GATHER_S)

    async def _publish(self, tenant_id: int) -> None:
        feed = self._feeds.get(tenant_id)
        while feed is not None:
            rows = await self._live.after(tenant_id, feed.newest)
            if rows:
                feed.publish(rows)
            if len(rows) < PAGE:
                return
            await asyncio.sleep(0)  # let what there is be sent

    async def _pass_on_live(self) -> None:
        while True:
            await asyncio.sleep(LIVE_EVERY_S)
            gathered, self._live_rows = self._live_rows, {}
            for tenant_id, rows in gathered.items():
                if feed := self._feeds.get(tenant_id):
                    feed.publish_live(list(rows.values()))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for feed in self._feeds.values():
                feed.wake()

    def _look_at_all(self) -> None:
        self._news |= self._feeds.keys()
        self._wake.set()

    def _seen_away(self, error: BaseException) -> None:
        if not self._is_away:
            self._is_away = True
            reason = " ".join(str(error).split())
            log.warning("PostgreSQL is away: events wait", error=f"{type(error).__name__}: {reason}"[:300])

    def _seen_back(self) -> None:
        if self._is_away:
            self._is_away = False
            log.info("PostgreSQL is back: events go on")
