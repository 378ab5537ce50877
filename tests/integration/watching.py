"""Fake routers known to a database, and watchers of them: in this process, or as processes that can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from db import router, router_life, tenant
from db.engine import make_engine, session_factory
from db.router import Router
from db.router_state import RouterState
from isp.encryption import Keyring
from settings import CHECKOUT, Settings
from tasks.routeros_target import Patience
from tasks.watcher import Store, Watching
from tests.fakes.routeros import USERNAME, RunningRouter

PERIOD_S = 1.0
HASTY = Patience(connect_s=1.0, login_s=1.0, talk_s=1.0)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Site:
    """A tenant, and the database as the workers see it."""

    tenant_id: int
    keyring: Keyring
    engine: Engine
    sessions: sessionmaker[Session]
    settings: Settings

    def know(self, fake: RunningRouter, *, probe: bool = True, **changes: Any) -> int:
        """The fake as a router of ours, with the password it is given; its id."""
        number = next(_numbers)
        values = {
            "name": f"router {number}",
            "nas_address": f"10.8.{number // 250}.{number % 250 + 1}",
            "api_address": "127.0.0.1",
            "api_port": fake.ports["api"] or 1,
            "api_ssl_port": fake.ports["api-ssl"] or 1,
            "api_username": USERNAME,
            **changes,
        }
        with self.sessions.begin() as session:
            made = router.create(session, self.tenant_id, values, radius_secret="secret-12", keyring=self.keyring)
            password = router.api_password(made, self.keyring)
            assert password is not None
            for user in fake.machine.tables.find("/user", name=USERNAME):
                user["password"] = password
            if probe:
                router_life.begin_probing(session, made.id, datetime.now(UTC))
            return made.id

    def router(self, router_id: int) -> Router:
        with self.sessions() as session:
            return session.get_one(Router, router_id)

    def state(self, router_id: int) -> RouterState:
        with self.sessions() as session:
            return session.get_one(RouterState, router_id)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.execute(text(statement), values).all())

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def events(self, router_id: int, type_: str = "router.status") -> list[dict[str, Any]]:
        return [
            row.data
            for row in self.rows(
                "SELECT data FROM event WHERE router_id = :id AND type = :type ORDER BY id", id=router_id, type=type_
            )
        ]

    def wait_for(self, router_id: int, status: str, within_s: float = 15) -> Router:
        wait_until(lambda: self.router(router_id).status == status, f"router {router_id} {status}", within_s)
        return self.router(router_id)


def wait_until(is_so: Callable[[], bool], what: str, within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)


@contextmanager
def site_of(settings: Settings, slug: str = "acme") -> Iterator[Site]:
    platform = make_engine(settings, "platform", pool_size=1)
    with session_factory(platform).begin() as session:
        made = tenant.create(session, slug=slug, name=slug, language="en", timezone="Africa/Nairobi")
    platform.dispose()
    engine = make_engine(settings, "worker", pool_size=3)
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    try:
        yield Site(made.id, keyring, engine, session_factory(engine), settings)
    finally:
        engine.dispose()


@dataclass(slots=True)
class RunningWatcher:
    store: Store
    watching: Watching
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    thread: threading.Thread

    def watched(self) -> set[int]:
        return set(self.watching._watched)


@contextmanager
def watching(site: Site, *, period_s: float = PERIOD_S, patience: Patience = HASTY) -> Iterator[RunningWatcher]:
    """A watcher in a thread of this process, which reads each second."""
    engine = make_engine(site.settings, "worker", pool_size=1)
    store = Store(session_factory(engine), site.keyring)
    ready = threading.Event()
    running: list[RunningWatcher] = []
    failures: list[BaseException] = []

    async def run() -> None:
        stop = asyncio.Event()
        watching = Watching(store, period_s=period_s, patience=patience)
        running.append(RunningWatcher(store, watching, asyncio.get_running_loop(), stop, threading.current_thread()))
        ready.set()
        await watching.run(stop)

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    thread = threading.Thread(target=main, name="watcher", daemon=True)
    thread.start()
    assert ready.wait(5)
    try:
        yield running[0]
    finally:
        running[0].loop.call_soon_threadsafe(running[0].stop.set)
        thread.join(20)
        engine.dispose()
        assert not failures, failures


@contextmanager
def watcher_process(environ: Mapping[str, str], directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m tasks.watcher`, killed in the end."""
    log = directory / f"watcher.{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.watcher"],
            cwd=CHECKOUT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(log.read_text("utf-8", "replace"))  # noqa: T201 - pytest shows it beside a failure
