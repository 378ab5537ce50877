"""Tasks for the tests; workers load them by `--import`. What one did is an event `test.mark` in its transaction."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from db import event
from tasks.queues import DEFAULT, MAINTENANCE, PAYMENTS
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure, RunAlone


def mark(session: Session, job: RunningJob, what: str) -> None:
    event.record(session, "test.mark", {"job_id": job.id, "what": what}, None)
    session.flush()


@task(queue=PAYMENTS)
def leave_mark(session: Session, job: RunningJob, what: str = "done") -> None:
    mark(session, job, what)


@task(queue=DEFAULT)
def mark_default(session: Session, job: RunningJob) -> None:
    mark(session, job, "done")


def _note_all(session: Session, all_args: Sequence[Mapping[str, Any]]) -> None:
    session.info["beside"] = [args["what"] for args in all_args]


@task(queue=PAYMENTS, hold_all=_note_all)
def go_together(session: Session, job: RunningJob, what: str) -> None:
    """Marks who runs with it, itself included; nobody: it runs alone."""
    if what == "asks" and job.together:
        raise RunAlone
    mark(session, job, ",".join(session.info["beside"]) if job.together else "alone")
    if what == "bad":
        raise ValueError("this one can not be done")


@task(queue=PAYMENTS)
def never_twice_at_once(session: Session, job: RunningJob) -> None:
    """Marks `overlap` if another run of the same job is under way."""
    statement = text("SELECT pg_try_advisory_xact_lock(:id)")
    mark(session, job, "done" if session.scalar(statement, {"id": job.id}) else "overlap")
    time.sleep(0.005)


@task(queue=DEFAULT)
def wait_for_gate(session: Session, job: RunningJob, gate: str) -> None:
    """Writes its process id to the file GATE.<attempt>, then waits until the file GATE is there."""
    mark(session, job, "done")
    waiting = Path(f"{gate}.{job.claim.attempt}.{os.getpid()}.new")  # two jobs may wait for one gate
    waiting.write_text(str(os.getpid()))
    waiting.rename(f"{gate}.{job.claim.attempt}")
    while not Path(gate).exists():
        time.sleep(0.02)


@task(queue=DEFAULT)
def raise_error(session: Session, job: RunningJob, message: str) -> None:
    mark(session, job, "must be undone")
    raise ValueError(message)


@task(queue=DEFAULT)
def refuse(session: Session, job: RunningJob) -> None:
    mark(session, job, "must be undone")
    raise PermanentFailure("the router was removed")


@task(queue=DEFAULT)
def break_a_constraint(session: Session, job: RunningJob, secret: str) -> None:
    session.execute(text("INSERT INTO tenant (slug) VALUES (:secret)"), {"secret": secret})


@task(queue=DEFAULT, limit_s=1)
def sleep_too_long(session: Session, job: RunningJob) -> None:
    mark(session, job, "must be undone")
    time.sleep(60)


@task(queue=DEFAULT, limit_s=1)
def query_too_long(session: Session, job: RunningJob) -> None:
    session.execute(text("SELECT pg_sleep(60)"))


@task(queue=MAINTENANCE)
def query_long(session: Session, job: RunningJob) -> None:
    session.execute(text("SELECT pg_sleep(60)"))


@task(queue=DEFAULT, limit_s=1)
def sleep_and_swallow(session: Session, job: RunningJob) -> None:
    """As careless code does: catches every Exception and goes on."""
    for _ in range(60):
        try:
            time.sleep(1)
        except Exception:  # noqa: BLE001 - what this task is for
            continue


@task(queue=MAINTENANCE)
def two_steps(session: Session, job: RunningJob, gate: str) -> None:
    """A step that is committed, then one that waits for the gate."""
    mark(session, job, "first step")
    job.commit_step(session)
    job.progress(50)
    wait_for_gate(session, job, gate)
