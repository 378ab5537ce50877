"""`python -m tasks.follower`: brings live sessions to what they are entitled to, until SIGTERM.

What it knows is in PostgreSQL, but for which routers answer. It may die at any point: what it had sent comes due again
when its lease is over, and a session is always brought to what it is entitled to then. Any number may run. See
docs/adr/0014-follower.md.
"""

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import structlog
from sqlalchemy import event, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import logs
from db import follow, session_held, session_intent
from db.engine import CONNECT_TIMEOUT_S, make_engine, session_factory
from isp.encryption import EncryptionError, Keyring
from settings import Settings, SettingsError
from tasks import follow_results
from tasks.follow_exchange import Exchange, Result
from tasks.follow_lists import Lists
from tasks.follow_look import look
from tasks.follow_orders import take_orders
from tasks.follow_routers import RouterStates
from tasks.heartbeat import Heartbeat
from tasks.outage import POSTGRES_AWAY, Outage
from tasks.redis_pool import make_redis_pool

BATCH = 400
POLL_S = 0.25
STATEMENT_TIMEOUT_S = 20
NEW_SESSIONS, LATE_SESSIONS = timedelta(seconds=60), timedelta(minutes=15)

log = structlog.get_logger(__name__)


@dataclass
class Chore:
    """Something done again and again in a transaction of its own."""

    every_s: float
    work: Callable[[Session], object]
    next_at: float = 0.0


class Follower:
    """Belongs to the thread that calls `tick`."""

    def __init__(self, settings: Settings, wake: "queue.SimpleQueue[Result | None]") -> None:
        """`wake` gets results, and None from whoever knows of news."""
        self._keyring = Keyring.parse(settings.encryption_keys.reveal())
        engine = make_engine(settings, "worker", pool_size=1)
        event.listen(engine, "connect", _limit_statements)
        self._sessions = session_factory(engine)
        self._wake = wake
        self._states = RouterStates()
        self._exchange = Exchange(wake.put)
        self._results: list[Result] = []
        self._postgres = Outage("PostgreSQL", "sessions are followed when it is back")
        self._lists = Lists(self._exchange, self._keyring, lambda: wake.put(None))
        self._chores = (
            Chore(10, self._states.refresh),
            Chore(0.5, lambda session: follow.discover(session, NEW_SESSIONS, BATCH * 5)),
            Chore(1, follow.notice_use),
            Chore(0.25, lambda session: follow.follow_plans(session, BATCH * 5)),
            Chore(30, lambda session: follow.discover(session, LATE_SESSIONS, BATCH * 50)),
            Chore(300, lambda session: follow.discover_all(session, BATCH * 50)),
            Chore(5, lambda session: follow_results.tell_of_silence(session, self._states, _now(session))),
            Chore(2, self._clear_lists),
            Chore(300, lambda session: session_held.forget(session, BATCH * 50)),
            Chore(3600, lambda session: session_intent.prune(session, BATCH * 50)),
        )

    def close(self) -> None:
        self._exchange.close()

    def tick(self, wait_s: float = POLL_S) -> None:
        """One round, then waits for news. A failure of PostgreSQL is logged and left to the next round."""
        try:
            busy = self._round()
        except POSTGRES_AWAY as error:
            self._postgres.seen(error)
            busy = False
        except SQLAlchemyError:
            log.exception("this round failed")
            busy = False
        else:
            self._postgres.over()
        self._collect(0.0 if busy else wait_s)

    def _round(self) -> bool:
        """Whether there may be more to do at once."""
        self._record()
        for chore in self._chores:
            if time.monotonic() >= chore.next_at:
                chore.next_at = time.monotonic() + chore.every_s
                with self._sessions.begin() as session:
                    chore.work(session)
        with self._sessions.begin() as session:
            now = _now(session)
            looked = look(session, lambda router_id: self._states[router_id].abilities(now), now, BATCH)
        places = self._states.places()
        try:
            with self._sessions.begin() as session:
                orders, due = take_orders(session, self._states, self._keyring, _now(session), BATCH)
        except BaseException:
            self._states.restore(places)
            raise
        for order in orders:
            self._exchange.submit(order)
        return looked == BATCH or due == BATCH or bool(orders)

    def _record(self) -> None:
        """What results say is kept until it is written down."""
        if not self._results:
            return
        with self._sessions.begin() as session:
            now = _now(session)
            results, back = self._results, follow_results.note(self._noted(), self._states, now)
            follow_results.record(session, results, self._states, now)
            if back:
                follow_results.call_back(session, back, now)
        self._results = []

    def _noted(self) -> list[Result]:
        """Those that were not counted yet: a failed transaction is tried again, routers are counted once."""
        fresh = [result for result in self._results if not result.is_noted]
        for result in fresh:
            result.is_noted = True
        return fresh

    def _collect(self, wait_s: float) -> None:
        """Waits for news, and takes all there is."""
        try:
            found = self._wake.get(timeout=wait_s) if wait_s else self._wake.get_nowait()
            while True:
                if found is not None:
                    self._results.append(found)
                found = self._wake.get_nowait()
        except queue.Empty:
            return

    def _clear_lists(self, session: Session) -> None:
        self._lists.clear(session, self._states, _now(session))
        self._exchange.close_idle()


def listen(dsn: str, wake: Callable[[], None], stop: threading.Event) -> None:
    """Calls `wake` whenever something is to be looked at. What it misses is found by polling."""
    while not stop.is_set():
        try:
            with psycopg.connect(
                dsn,
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="kibali-follower listens",
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=2,
            ) as connection:
                connection.execute(f"LISTEN {follow.CHANNEL}")
                wake()
                while not stop.is_set():
                    for _ in connection.notifies(timeout=1, stop_after=1):
                        wake()
        except psycopg.Error:
            stop.wait(1)


def _now(session: Session) -> datetime:
    """PostgreSQL's clock, by which rows come due."""
    return session.scalars(select(func.now())).one()


def _limit_statements(connection: psycopg.Connection[object], _record: object) -> None:
    connection.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'")
    connection.commit()


def main() -> None:
    try:
        settings = Settings.load()
        dsn = settings.database_dsn("worker")
        pool = make_redis_pool(settings)
        Keyring.parse(settings.encryption_keys.reveal())
    except (SettingsError, EncryptionError) as error:
        sys.exit(f"follower: {error}")
    logs.configure(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    news: queue.SimpleQueue[Result | None] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(dsn, lambda: news.put(None), stop), name="listen", daemon=True).start()
    follower = Follower(settings, news)
    heartbeat = Heartbeat("follower", settings, pool)
    while not stop.is_set():
        heartbeat.beat_if_due()
        follower.tick()
    follower.close()


if __name__ == "__main__":
    main()
