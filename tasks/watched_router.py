"""One router being watched: its connection, its turn, what was read last. Results go to whoever stores them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isp.watch_plan import first_due_s, next_due_s, pause_s
from tasks.router_reading import Reading, read
from tasks.routeros_async import AsyncConnection, connect
from tasks.routeros_errors import CertificateChanged, ConnectionLost, RouterError, Unreachable
from tasks.routeros_facts import RouterFacts, read_facts
from tasks.routeros_target import Patience, Target

# Facts are read when a connection is made, and again each hour.
_FACTS_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Reached:
    router_id: int
    at: datetime
    reading: Reading
    facts: RouterFacts | None
    """None: they were not read this time."""
    certificate_sha256: str | None
    is_back: bool
    """After it was not reached, or for the first time."""
    rx_bytes: int
    """Since the last reading; 0 for the first one."""
    tx_bytes: int
    over_s: float | None
    """Since the last reading."""


@dataclass(frozen=True, slots=True)
class Unreached:
    router_id: int
    at: datetime
    reason: str
    permanent: bool
    offered_sha256: str | None


Result = Reached | Unreached


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections are made at a time; those to routers that did not answer last are counted by themselves."""

    healthy: asyncio.Semaphore
    failing: asyncio.Semaphore


class WatchedRouter:
    def __init__(
        self, router_id: int, limits: Limits, report: Callable[[Result], None], period_s: float, patience: Patience
    ) -> None:
        self.router_id = router_id
        self.version = ""
        """Of the row that it was configured with."""
        self.latest_s = 0.0
        """By how much a turn of it was late at most."""
        self._limits = limits
        self._report = report
        self._period_s = period_s
        self._patience = patience
        self._target: Target | RouterError | None = None
        self._has_tunnel = False
        self._connection: AsyncConnection | None = None
        self._failures = 0
        self._answered = False
        """Since it was configured."""
        self._facts_at = 0.0
        self._last: tuple[float, Reading] | None = None
        self._probing = False
        self._due = first_due_s(router_id, time.monotonic(), period_s)
        self._changed = asyncio.Event()
        self._looking = False
        self._unstored = 0

    def stored(self) -> None:
        """A result of it was, or was given up."""
        self._unstored -= 1

    def configure(self, version: str, target: Target | RouterError, *, has_tunnel: bool) -> None:
        """Its row is another. A connection is kept if it would be made in the same way."""
        self.version, self._has_tunnel = version, has_tunnel
        if target != self._target:
            pinned = isinstance(target, Target) and isinstance(self._target, Target) and self._is_pinned(target)
            if not pinned:
                self._drop()
                self._answered = False
            self._target = target

    def _is_pinned(self, target: Target) -> bool:
        """Whether all that changed is that the certificate of the connection is the known one now."""
        assert isinstance(self._target, Target)
        return (
            self._connection is not None
            and target.certificate_sha256 == self._connection.certificate_sha256
            and self._target.certificate_sha256 is None
            and (target.host, target.api_port, target.api_ssl_port, target.username, target.password, target.plain)
            == (
                self._target.host,
                self._target.api_port,
                self._target.api_ssl_port,
                self._target.username,
                self._target.password,
                self._target.plain,
            )
        )

    def probe_in(self, seconds: float | None) -> None:
        """When it is to be tried while it is being probed; None: it has its usual turns.

        Of no effect before what it comes to now is known to who says so.
        """
        if self._looking or self._unstored:
            return
        if seconds is not None:
            self._probing = True
            self._due = time.monotonic() + max(0.0, seconds)
            self._changed.set()
        elif self._probing:
            self._probing = False
            if self._failures:
                self._due = time.monotonic() + pause_s(self._failures, self.router_id, self._period_s)
                self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self._turn_comes()
                self.latest_s = max(self.latest_s, time.monotonic() - self._due)
                self._looking = True
                result = await self._look()
                self._looking = False
                self._unstored += 1
                self._report(result)
        finally:
            self._drop()

    async def _turn_comes(self) -> None:
        while (wait_s := self._due - time.monotonic()) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                return

    async def _look(self) -> Result:
        due = self._due
        try:
            reached = await self._read()
        except RouterError as error:
            self._drop()
            self._failures += 1
            self._answered = False
            # Whoever probes says when it is tried next.
            self._due = time.monotonic() + pause_s(self._failures, self.router_id, self._period_s)
            offered = error.found if isinstance(error, CertificateChanged) else None
            return Unreached(self.router_id, datetime.now(UTC), self._words(error), error.permanent, offered)
        else:
            if self._failures or self._probing or not self._answered:
                self._due = first_due_s(self.router_id, time.monotonic(), self._period_s)
            else:
                self._due = next_due_s(due, time.monotonic(), self._period_s)
            self._failures, self._probing, self._answered = 0, False, True
            return reached

    async def _read(self) -> Reached:
        if isinstance(self._target, RouterError):
            raise self._target
        target = self._target
        assert target is not None
        if self._connection is not None:
            try:
                return await self._ask(self._connection)
            except ConnectionLost:
                self._drop()  # it may have restarted: one more try, with a new connection
        limit = self._limits.failing if self._failures else self._limits.healthy
        async with limit:
            self._connection = await connect(target, self._patience)
            self._facts_at = 0.0
            return await self._ask(self._connection)

    async def _ask(self, connection: AsyncConnection) -> Reached:
        now = time.monotonic()
        facts = None
        if not self._facts_at or now - self._facts_at > _FACTS_EVERY_S:
            facts = await connection.run(read_facts(connection.host))
            self._facts_at = now
        reading = await connection.run(read(connection.host))
        rx, tx, over_s = self._traffic(now, reading)
        self._last = now, reading
        is_back = bool(self._failures) or self._probing or not self._answered
        return Reached(
            self.router_id, datetime.now(UTC), reading, facts, connection.certificate_sha256, is_back, rx, tx, over_s
        )

    def _traffic(self, now: float, reading: Reading) -> tuple[int, int, float | None]:
        if self._last is None:
            return 0, 0, None
        then, last = self._last
        before = {each.name: each for each in last.interfaces}
        rx = tx = 0
        for each in reading.interfaces:
            known = before.get(each.name)
            if known is None or each.slave:
                continue
            # Counters begin anew when a router restarts.
            rx += each.rx_bytes - known.rx_bytes if each.rx_bytes >= known.rx_bytes else each.rx_bytes
            tx += each.tx_bytes - known.tx_bytes if each.tx_bytes >= known.tx_bytes else each.tx_bytes
        return rx, tx, now - then

    def _words(self, error: RouterError) -> str:
        if isinstance(error, Unreachable) and self._has_tunnel:
            return f"{error} Look at its interface kibali-hub, and at the hub: ./kibali router tunnel hub"
        if isinstance(error, Unreachable):
            return (
                f"{error} If it is behind carrier NAT, give it a tunnel: ./kibali router tunnel set {self.router_id} "
                "--kind wireguard"
            )
        return str(error)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def as_rows(result: Reached) -> tuple[dict[str, Any], dict[str, Any]]:
    """For db.watcher.store and db.router_history.add."""
    load, reading = result.reading.load, result.reading
    at = result.at.isoformat()
    live = {
        "read_at": at,
        "cpu_load_percent": load.cpu_load_percent,
        "free_memory_bytes": load.free_memory_bytes,
        "total_memory_bytes": load.total_memory_bytes,
        "free_hdd_bytes": load.free_hdd_bytes,
        "total_hdd_bytes": load.total_hdd_bytes,
        "hotspot_sessions": reading.hotspot_sessions,
        "ppp_sessions": reading.ppp_sessions,
    }
    speeds = {
        "rx_bps": int(result.rx_bytes * 8 / result.over_s) if result.over_s else None,
        "tx_bps": int(result.tx_bytes * 8 / result.over_s) if result.over_s else None,
        "uptime_s": int(load.uptime.total_seconds()),
    }
    row = {
        "router_id": result.router_id,
        **live,
        "booted_at": (result.at - load.uptime).isoformat(),
        "interfaces": [
            {name: getattr(each, name) for name in ("name", "type", "running", "slave", "rx_bytes", "tx_bytes")}
            for each in reading.interfaces
        ],
        "live": {**live, **speeds},
    }
    history = {
        "router_id": result.router_id,
        "at": at,
        "failed": False,
        "cpu_load_percent": load.cpu_load_percent,
        "free_memory_bytes": load.free_memory_bytes,
        "hotspot_sessions": reading.hotspot_sessions,
        "ppp_sessions": reading.ppp_sessions,
        "rx_bytes": result.rx_bytes,
        "tx_bytes": result.tx_bytes,
    }
    return row, history


def as_failure(result: Unreached) -> dict[str, Any]:
    """For db.router_history.add."""
    return {"router_id": result.router_id, "at": result.at.isoformat(), "failed": True}
