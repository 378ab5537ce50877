"""`python -m tasks.watcher`: watches all routers and probes new ones, until SIGTERM.

Hundreds of connections wait in one event loop, so no router delays another. Any number of watchers may run: they hold
leases in PostgreSQL and share the routers, each of which has one watcher and one connection at a time. All that is to
be remembered is in PostgreSQL, so a watcher can die at any point.
"""

import asyncio
import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

import logs
from db import router_history, router_life, watcher
from db.engine import make_engine, session_factory
from db.router import Router
from isp.encryption import EncryptionError, Keyring
from isp.router_obstacles import obstacles
from isp.watch_plan import READ_EVERY_S
from settings import Settings, SettingsError
from tasks.heartbeat import Heartbeat
from tasks.outage import POSTGRES_AWAY, Outage
from tasks.redis_pool import make_redis_pool
from tasks.router_access import target_of
from tasks.router_reading import columns
from tasks.routeros_errors import NoAccess, RouterError
from tasks.routeros_target import Patience, Target
from tasks.watched_router import Limits, Reached, Result, Unreached, WatchedRouter, as_failure, as_rows

_TICK_S = 1.0
_ASSIGN_EVERY_S = 2.0
# Results that wait for PostgreSQL; more are not worth having when it is back.
_MOST_RESULTS = 20_000
_AT_A_TIME = 500
_CONNECTING = 128
_PATIENCE = Patience(connect_s=5.0, login_s=5.0, talk_s=8.0)

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Configured:
    router_id: int
    version: str
    target: Target | RouterError
    has_tunnel: bool


@dataclass(slots=True)
class Round:
    """What came of one visit to PostgreSQL."""

    assigned: list[watcher.Assigned] | None = None
    """None: not asked this time."""
    configured: list[Configured] = field(default_factory=list)
    surplus: list[int] = field(default_factory=list)


class Store:
    """A watcher's dealings with PostgreSQL, in a thread of their own."""

    def __init__(self, sessions: sessionmaker[Session], keyring: Keyring) -> None:
        self.me: UUID = uuid4()
        self._sessions = sessions
        self._keyring = keyring

    def record(self, results: list[Result]) -> None:
        """Statuses first, a transaction each: it waits for nobody while it holds more than one router's row."""
        for result in results:
            if isinstance(result, Unreached):
                with self._sessions.begin() as session:
                    if watcher.has(session, self.me, result.router_id):
                        router_life.unreached(
                            session,
                            result.router_id,
                            reason=result.reason,
                            permanent=result.permanent,
                            offered_sha256=result.offered_sha256,
                            now=result.at,
                        )
            elif result.is_back or result.facts is not None:
                with self._sessions.begin() as session:
                    if watcher.has(session, self.me, result.router_id):
                        self._reached(session, result)
        for once in _once_each(results):
            rows = [as_rows(each) for each in once if isinstance(each, Reached)]
            history = [row for _, row in rows] + [as_failure(each) for each in once if isinstance(each, Unreached)]
            with self._sessions.begin() as session:
                watcher.store(session, self.me, [row for row, _ in rows])
                router_history.add(session, self.me, history)

    def _reached(self, session: Session, result: Reached) -> None:
        facts = result.facts
        router_life.reached(
            session,
            result.router_id,
            facts=columns(facts) if facts else None,
            certificate_sha256=result.certificate_sha256,
            obstacles=obstacles(facts.device_mode, facts.disabled_packages) if facts else None,
            now=result.at,
        )

    def assign(self, known: dict[int, str], let_go: list[int]) -> Round:
        """Renews the lease, gives `let_go` back, takes what is free; `known`: router → version of its row."""
        with self._sessions.begin() as session:
            watcher.renew(session, self.me)
            if let_go:
                watcher.let_go(session, self.me, let_go)
            watcher.take(session, self.me)
            assigned = watcher.assigned(session, self.me)
            surplus = watcher.surplus(session, self.me)
            new = [each for each in assigned if known.get(each.router_id) != each.version]
            configured = []
            for each in new:
                router = session.get(Router, each.router_id, populate_existing=True)
                if router is not None:
                    configured.append(self._configured(session, router, each.version))
        for each in assigned:
            if each.status == "pending" and each.probe_in_s is not None:
                with self._sessions.begin() as session:
                    router_life.probing(session, each.router_id, datetime.now(UTC))
        return Round(assigned, configured, surplus)

    def leave(self) -> None:
        with self._sessions.begin() as session:
            watcher.leave(session, self.me)

    def _configured(self, session: Session, router: Router, version: str) -> Configured:
        target: Target | RouterError
        try:
            target = target_of(router, self._keyring)
        except RouterError as error:
            target = error
        except EncryptionError as error:
            target = NoAccess(f"The password of {router.name} cannot be opened: {error}")
        return Configured(router.id, version, target, router_life.has_tunnel(session, router.id))


class Watching:
    def __init__(self, store: Store, *, period_s: float = READ_EVERY_S, patience: Patience = _PATIENCE) -> None:
        self._store = store
        self._period_s = period_s
        self._patience = patience
        self._limits = Limits(asyncio.Semaphore(_CONNECTING), asyncio.Semaphore(_CONNECTING))
        self._watched: dict[int, WatchedRouter] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._results: deque[Result] = deque()
        self._let_go: list[int] = []
        self._assign_at = 0.0
        self._lease_until = 0.0
        self._postgres = Outage("PostgreSQL", "routers are not watched until it is back")
        self._thread = ThreadPoolExecutor(1, "postgres")

    @property
    def latest_s(self) -> float:
        """By how much a turn was late at most, so far."""
        return max((each.latest_s for each in self._watched.values()), default=0.0)

    async def run(self, stop: asyncio.Event, beat: Heartbeat | None = None) -> None:
        """Until `stop`; gives the routers back then."""
        try:
            while not stop.is_set():
                began = time.monotonic()
                if beat is not None:
                    await self._in_thread(beat.beat_if_due)
                await self._tick()
                try:
                    async with asyncio.timeout(max(0.05, _TICK_S - (time.monotonic() - began))):
                        await stop.wait()
                except TimeoutError:
                    pass
        finally:
            self._drop(list(self._watched))
            try:
                await self._in_thread(self._store.leave)
            except SQLAlchemyError:
                log.info("the lease runs out by itself")
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _tick(self) -> None:
        results = [self._results.popleft() for _ in range(min(len(self._results), _AT_A_TIME))]
        try:
            if results:
                await self._in_thread(self._store.record, results)
            self._stored(results)
            results = []
            if time.monotonic() >= self._assign_at:
                await self._assign()
        except POSTGRES_AWAY as error:
            self._postgres.seen(error)
            self._results.extendleft(reversed(results))
            while len(self._results) > _MOST_RESULTS:
                self._stored([self._results.popleft()])
            if time.monotonic() > self._lease_until and self._watched:
                # Somebody else may have them by now.
                self._drop(list(self._watched))
                self._results.clear()
        except SQLAlchemyError:
            log.exception("this round failed")
            self._stored(results)
        else:
            self._postgres.over()

    async def _assign(self) -> None:
        now = time.monotonic()
        let_go, known = self._let_go, {router_id: each.version for router_id, each in self._watched.items()}
        came = await self._in_thread(self._store.assign, known, let_go)
        self._lease_until, self._assign_at, self._let_go = now + watcher.LEASE_S, now + _ASSIGN_EVERY_S, []
        assigned = {each.router_id: each for each in came.assigned or ()}
        self._drop([router_id for router_id in self._watched if router_id not in assigned])
        for configured in came.configured:
            self._watch(configured)
        for router_id, each in assigned.items():
            if router_id in self._watched:
                self._watched[router_id].probe_in(each.probe_in_s)
        self._drop(came.surplus)
        self._let_go = came.surplus

    def _watch(self, configured: Configured) -> None:
        router_id = configured.router_id
        watched = self._watched.get(router_id)
        if watched is None:
            watched = WatchedRouter(router_id, self._limits, self._results.append, self._period_s, self._patience)
            self._watched[router_id] = watched
        watched.configure(configured.version, configured.target, has_tunnel=configured.has_tunnel)
        if router_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(watched.run(), name=f"router-{router_id}")
            self._tasks[router_id] = task
            task.add_done_callback(lambda done: self._ended(router_id, done))

    def _ended(self, router_id: int, task: "asyncio.Task[None]") -> None:
        """A router's watching ends when it is cancelled. A fault of ours must not end it for good."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("watching a router failed; it begins anew", router_id=router_id, exc_info=error)
        if self._tasks.get(router_id) is task:
            self._drop([router_id])

    def _drop(self, router_ids: list[int]) -> None:
        for router_id in router_ids:
            self._watched.pop(router_id, None)
            task = self._tasks.pop(router_id, None)
            if task is not None:
                task.cancel()

    def _stored(self, results: list[Result]) -> None:
        for result in results:
            watched = self._watched.get(result.router_id)
            if watched is not None:
                watched.stored()

    async def _in_thread(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        assert not named
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


def _once_each(results: list[Result]) -> list[list[Result]]:
    """In groups with at most one result of each router."""
    groups: list[dict[int, Result]] = []
    for result in results:
        group = next((group for group in groups if result.router_id not in group), None)
        if group is None:
            group = {}
            groups.append(group)
        group[result.router_id] = result
    return [list(group.values()) for group in groups]


async def _main(settings: Settings, keyring: Keyring) -> None:
    engine = make_engine(settings, "worker", pool_size=1)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watching = Watching(Store(session_factory(engine), keyring))
    await watching.run(stop, Heartbeat("watcher", settings, make_redis_pool(settings)))
    engine.dispose()


def main() -> None:
    try:
        settings = Settings.load()
        settings.database_dsn("worker")
        settings.redis_dsn()
        keyring = Keyring.parse(settings.encryption_keys.reveal())
    except (SettingsError, EncryptionError) as error:
        sys.exit(f"watcher: {error}")
    logs.configure(settings)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    asyncio.run(_main(settings, keyring))


if __name__ == "__main__":
    main()
