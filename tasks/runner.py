"""Runs one job: claim, call, and one transaction that holds both the task's effects and the job's end."""

import time
from collections.abc import Callable, Sequence
from typing import Any

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
from tasks.registry import can_run_together, task_named
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost, PermanentFailure, RunAlone, TimeLimitExceeded, UnknownTask

# One for the task, one for its lease, one for its progress.
_POOL_SIZE = 3
_ERROR_CHARS = 1000
# Of jobs that can run together: few enough that what they hold is free again in a tenth of a second.
_TOGETHER = 20

log = structlog.get_logger(__name__)


class Runner:
    """For one worker process; made after the fork, in its main thread."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        engine = make_engine(settings, "worker", pool_size=_POOL_SIZE)
        event.listen(engine, "connect", _notice_dead_workers)
        self._sessions = session_factory(engine)
        self._nudger = Nudger(make_redis_pool(settings))
        nudge_after_commit(self._sessions, self._nudger)
        self._interrupts = Interrupts()
        self._interrupts.install()
        self._postgres = Outage("PostgreSQL", "this worker waits for it")

    def run(self, job_id: int) -> None:
        """Runs the job if it is pending and due. What happens to it is in its row; nothing a task does is raised.

        Of a task that can (`hold_all`), jobs that wait beside it are run with it.
        """
        try:
            with self._sessions.begin() as session:
                claim = job_life.claim(session, job_id, self._queue.name, lease.LEASE_S)
                beside = self._claim_beside(session, claim) if claim is not None else []
        except POSTGRES_AWAY as error:
            self._postgres.seen(error)  # the sweep nudges again
            time.sleep(1)
            return
        self._postgres.over()
        if claim is None:  # it was nudged twice, cancelled, or is not due yet
            return
        if beside and not self._run_together([claim, *beside]):
            for each in (claim, *beside):
                self._run_alone(each)
        elif not beside:
            self._run_alone(claim)

    def _claim_beside(self, session: Session, claim: Claim) -> list[Claim]:
        """Of those that wait. What was tried before runs alone: if it kills its worker, it kills no other job."""
        if claim.attempt > 1 or not can_run_together(claim.task):
            return []
        ids = self._nudger.take(self._queue.name, _TOGETHER - 1)
        claims = job_life.claim_beside(session, claim, ids, lease.LEASE_S) if ids else []
        taken = {each.job_id for each in claims}
        if rest := [each for each in ids if each not in taken]:
            self._nudger.put_back(self._queue.name, rest)
        return claims

    def _run_together(self, claims: Sequence[Claim]) -> bool:
        """In one transaction; or, and then it returns False, none of them."""
        began = time.monotonic()
        task = task_named(claims[0].task)
        assert task.hold_all is not None
        alone = []
        try:
            with (
                lease.kept(self._sessions, claims[0], task.limit_s, self._interrupts.lease_lost, claims[1:]),
                self._interrupts.allowed(task.limit_s),
                self._sessions() as session,
            ):
                task.hold_all(session, [claim.args for claim in claims])
                for claim in claims:
                    with structlog.contextvars.bound_contextvars(**_names(claim)):
                        try:
                            task.function(
                                session, RunningJob(claim, self._settings, self._sessions, True), **claim.args
                            )
                        except RunAlone:
                            alone.append(claim)
                done = [claim for claim in claims if claim not in alone]
                if done and not job_life.succeed_together(session, done):
                    raise LeaseLost
                session.commit()
        except (LeaseLost, TimeLimitExceeded):
            return False
        except KeyboardInterrupt:
            log.info("shutting down; the jobs are given back")
            for claim in claims:
                self._end(claim, job_life.give_back)
            return True
        except Exception as error:  # noqa: BLE001 - whose it is shows when each runs alone
            log.warning("jobs that ran together are run one by one", jobs=len(claims), error=error_text(error))
            return False
        log.info("done", jobs=[claim.job_id for claim in done], took_s=round(time.monotonic() - began, 3))
        for claim in alone:
            self._run_alone(claim)
        return True

    def _run_alone(self, claim: Claim) -> None:
        with structlog.contextvars.bound_contextvars(**_names(claim)):
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


def _names(claim: Claim) -> dict[str, Any]:
    names = {"job_id": claim.job_id, "queue": claim.queue, "task": claim.task, "attempt": claim.attempt}
    return names if claim.request_id is None else {**names, "request_id": claim.request_id}


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
