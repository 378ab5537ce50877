"""Runs one job: claim, call, and one transaction that holds both the task's effects and the job's end."""

import time
from collections.abc import Callable

import structlog
from psycopg import Connection
from sqlalchemy import event
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session

from db import job_life
from db.engine import make_engine, session_factory
from db.job_life import Claim
from settings import Settings
from tasks import lease
from tasks.interrupts import Interrupts
from tasks.nudge import Nudger, nudge_after_commit
from tasks.outage import POSTGRES_AWAY, Outage
from tasks.queues import Queue
from tasks.redis_pool import make_redis_pool
from tasks.registry import task_named
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost, PermanentFailure, TimeLimitExceeded, UnknownTask

# One for the task, one for its lease, one for its progress.
_POOL_SIZE = 3
_ERROR_CHARS = 1000

log = structlog.get_logger(__name__)


class Runner:
    """For one worker process; made after the fork, in its main thread."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        engine = make_engine(settings, "worker", pool_size=_POOL_SIZE)
        event.listen(engine, "connect", _notice_dead_workers)
        self._sessions = session_factory(engine)
        nudge_after_commit(self._sessions, Nudger(make_redis_pool(settings)))
        self._interrupts = Interrupts()
        self._interrupts.install()
        self._postgres = Outage("PostgreSQL", "this worker waits for it")

    def run(self, job_id: int) -> None:
        """Runs the job if it is pending and due. What happens to it is in its row; nothing a task does is raised."""
        try:
            with self._sessions.begin() as session:
                claim = job_life.claim(session, job_id, self._queue.name, lease.LEASE_S)
        except POSTGRES_AWAY as error:
            self._postgres.seen(error)  # the sweep nudges again
            time.sleep(1)
            return
        self._postgres.over()
        if claim is not None:  # else it was nudged twice, cancelled, or is not due yet
            names = {"job_id": job_id, "queue": claim.queue, "task": claim.task, "attempt": claim.attempt}
            if claim.request_id is not None:
                names["request_id"] = claim.request_id
            with structlog.contextvars.bound_contextvars(**names):
                self._run(claim)

    def _run(self, claim: Claim) -> None:
        began = time.monotonic()
        limit_s: float = self._queue.limit_s
        try:
            task = task_named(claim.task)
            limit_s = task.limit_s
            with (
                lease.kept(self._sessions, claim, limit_s, self._interrupts.lease_lost),
                self._interrupts.allowed(limit_s),
                self._sessions() as session,
            ):
                task.function(session, RunningJob(claim, self._settings, self._sessions), **claim.args)
                if not job_life.succeed(session, claim):
                    raise LeaseLost
                session.commit()
        except LeaseLost:
            log.warning("the job was cancelled or given to another worker meanwhile; what this one did is undone")
        except TimeLimitExceeded:
            self._failed(claim, f"TimeLimitExceeded: it ran for more than {limit_s:g} s", permanent=False)
        except KeyboardInterrupt:
            log.info("shutting down; the job is given back")
            self._end(claim, job_life.give_back)
        except PermanentFailure as error:
            self._failed(claim, error_text(error), permanent=True)
        except UnknownTask as error:
            self._failed(claim, error_text(error), permanent=False)
        except Exception as error:
            log.exception("the task raised")
            self._failed(claim, error_text(error), permanent=False)
        else:
            log.info("done", took_s=round(time.monotonic() - began, 3))

    def _failed(self, claim: Claim, error: str, *, permanent: bool) -> None:
        if permanent or claim.attempt >= claim.max_attempts:
            log.error("the job failed", error=error)
            self._end(claim, lambda session, claim: job_life.fail(session, claim, error))
        else:
            backoff_s = self._queue.backoff_s or (0,)
            after_s = backoff_s[min(claim.attempt, len(backoff_s)) - 1]
            log.warning("the job will be tried again", error=error, after_s=after_s)
            self._end(claim, lambda session, claim: job_life.try_again(session, claim, error, after_s))

    def _end(self, claim: Claim, end: Callable[[Session, Claim], bool]) -> None:
        try:
            with self._sessions.begin() as session:
                if not end(session, claim):
                    log.warning("the job was cancelled or given to another worker meanwhile")
        except POSTGRES_AWAY as error:
            self._postgres.seen(error)  # the lease runs out, and the sweep takes the job back


def error_text(error: Exception) -> str:
    """Type and message, for the job's row. Of a database error only PostgreSQL's own words: the rest holds values."""
    if isinstance(error, StatementError) and error.orig is not None:
        primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
        return f"{type(error.orig).__name__}: {primary or 'the statement failed'}"[:_ERROR_CHARS]
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_ERROR_CHARS]


def _notice_dead_workers(connection: Connection, _record: object) -> None:
    """Without this, PostgreSQL ends the query of a killed worker, and frees its locks, only when the query is done."""
    connection.execute("SET client_connection_check_interval = '2s'")
    connection.commit()
