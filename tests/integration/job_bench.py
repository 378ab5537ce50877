"""What the tests of jobs work with: the database as a worker sees it, a sweep to be ticked, worker processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from cli.instance.processes import is_alive, parent_of, pids
from db.engine import make_engine, session_factory
from db.job import Job
from settings import CHECKOUT, Settings
from tasks.enqueue import enqueue
from tasks.nudge import Nudger, nudge_after_commit
from tasks.redis_pool import make_redis_pool
from tasks.sweep import Sweep

WITHIN_S = 30.0


def wait_until(condition: Callable[[], bool], what: str, within_s: float = WITHIN_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Bench:
    engine: Engine
    sessions: sessionmaker[Session]
    """Their commits nudge."""
    redis: Redis
    sweep: Sweep
    environ: Mapping[str, str]
    var: Path

    def enqueue(self, function: Callable[..., None], args: Mapping[str, Any] | None = None, **options: Any) -> int:
        with self.sessions.begin() as session:
            return enqueue(session, function, args, **options).id

    def job(self, job_id: int) -> Job:
        with self.sessions() as session:
            return session.get_one(Job, job_id)

    def execute(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def scalars(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.scalars(text(statement), values))

    def marks(self, job_id: int) -> list[str]:
        """What the job left behind, in order."""
        return self.scalars(
            "SELECT data->>'what' FROM event WHERE type = 'test.mark' AND (data->>'job_id')::bigint = :id ORDER BY id",
            id=job_id,
        )

    def nudges(self, queue: str) -> list[int]:
        """Ids on the queue's Redis list, the next to be taken first."""
        return [int(each) for each in reversed(self.redis.lrange(f"huey.redis.kibali.{queue}", 0, -1))]

    def wait_for(self, job_id: int, state: str, within_s: float = WITHIN_S) -> Job:
        wait_until(lambda: self.job(job_id).state == state, f"job {job_id} {state}", within_s)
        return self.job(job_id)

    def wait_for_error(self, job_id: int) -> None:
        wait_until(lambda: bool(self.job(job_id).error), f"an attempt of job {job_id} has failed")

    def make_due(self, job_id: int) -> None:
        """As if its back-off were over."""
        self.execute("UPDATE job SET due_at = now() WHERE id = :id AND state = 'pending'", id=job_id)

    def end_lease(self, job_id: int) -> None:
        """As if the lease had run out."""
        self.execute("UPDATE job SET lease_until = now() - interval '1 s' WHERE id = :id", id=job_id)

    def age_nudges(self) -> None:
        """As if every job had been nudged an hour ago, and had been due before that."""
        self.execute("UPDATE job SET nudged_at = nudged_at - interval '1 h', due_at = due_at - interval '2 h'")

    def gate(self) -> "Gate":
        return Gate(self.var / f"gate{time.monotonic_ns()}")

    @contextmanager
    def worker(self, queue: str) -> Iterator["Part"]:
        with self._part("tasks.worker", queue, "--import", "tests.integration.job_tasks") as worker:
            yield worker

    @contextmanager
    def sweeping(self) -> Iterator["Part"]:
        with self._part("tasks.sweep") as sweep:
            yield sweep

    @contextmanager
    def _part(self, *module: str) -> Iterator["Part"]:
        log = self.var / f"{module[0]}.{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=CHECKOUT,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Part(process, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            print(log.read_text("utf-8", "replace"))  # noqa: T201 - pytest shows it beside a failure


class Gate:
    """Where a `wait_for_gate` job waits."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def wait_for_arrival(self, attempt: int = 1) -> int:
        """The id of the process that runs this attempt."""
        arrived = Path(f"{self.path}.{attempt}")
        wait_until(arrived.exists, f"attempt {attempt} at the gate")
        return int(arrived.read_text())

    def open(self) -> None:
        self.path.touch()


@dataclass(frozen=True)
class Part:
    """A sweep, or the parent of a queue's workers."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def children(self) -> list[int]:
        return [pid for pid in pids() if parent_of(pid) == self.process.pid and is_alive(pid)]


@contextmanager
def make_bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    engine = make_engine(settings, "worker", pool_size=5)
    sessions = session_factory(engine)
    pool = make_redis_pool(settings)
    nudger = Nudger(pool)
    nudge_after_commit(sessions, nudger)
    sweep_engine = make_engine(settings, "worker", pool_size=1)
    sweep = Sweep(sweep_engine, nudger)
    redis = Redis(connection_pool=pool)
    try:
        yield Bench(engine, sessions, redis, sweep, environ, var)
    finally:
        sweep.step_down()
        sweep_engine.dispose()
        engine.dispose()
        pool.disconnect()
