"""What keeps jobs going whoever dies: lost leases, forgotten nudges, periodic jobs. For the sweep, each second."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlalchemy.orm import Session

from db.job import Job, in_state
from db.job_life import record_failed


@dataclass(frozen=True, slots=True)
class LostJob:
    """A job whose worker let the lease run out, and what became of it: `pending` or `failed`."""

    job_id: int
    queue: str
    task: str
    state: str
    attempts: int


def take_back_lost(session: Session) -> list[LostJob]:
    """Jobs whose lease is over become pending, due now; with no attempt left, failed."""
    statement = text("""
        UPDATE job
           SET state = CASE WHEN attempts < max_attempts THEN 'pending' ELSE 'failed' END,
               finished_at = CASE WHEN attempts < max_attempts THEN NULL ELSE now() END,
               error = format('WorkerDied: the worker died at attempt %s of %s', attempts, max_attempts),
               claim = NULL, lease_until = NULL, due_at = now(), nudged_at = NULL
         WHERE id IN (SELECT id FROM job WHERE state = 'running' AND lease_until < now() FOR UPDATE SKIP LOCKED)
        RETURNING id, queue, task, state, attempts, error, tenant_id""")
    lost = []
    for row in session.execute(statement).all():
        lost.append(LostJob(row.id, row.queue, row.task, row.state, row.attempts))
        if row.state == "failed":
            record_failed(session, row.id, row.queue, row.task, row.error, row.tenant_id)
    return lost


def take_new(session: Session, limit: int) -> dict[str, list[int]]:
    """Due jobs that nobody put on Redis since they are due, oldest first, marked as nudged: queue → ids."""
    return _mark_nudged(session, or_(Job.nudged_at.is_(None), Job.nudged_at < Job.due_at), Job.due_at, limit)


def waiting(session: Session, nudged_before_s: float) -> dict[str, int]:
    """Due jobs that were put on Redis at least that long ago and are not claimed yet: queue → how many."""
    statement = (
        select(Job.queue, func.count().label("jobs")).where(_due(), _nudged_before(nudged_before_s)).group_by(Job.queue)
    )
    return {row.queue: row.jobs for row in session.execute(statement)}


def take_forgotten(session: Session, queue: str, nudged_before_s: float, limit: int) -> dict[str, list[int]]:
    """Of the queue's `waiting` jobs those that were nudged the longest ago, marked as nudged anew."""
    return _mark_nudged(session, (Job.queue == queue) & _nudged_before(nudged_before_s), Job.nudged_at, limit)


def create_periodic(
    session: Session, *, name: str, queue: str, task: str, args: Mapping[str, Any], max_attempts: int, every_s: int
) -> int | None:
    """The id of a new job if the last of that name was created `every_s` seconds ago and is finished, else None."""
    statement = text("""
        INSERT INTO job (queue, task, args, max_attempts, unique_key)
        SELECT :queue, :task, CAST(:args AS jsonb), :max_attempts, CAST(:unique_key AS text)
         WHERE NOT EXISTS (SELECT FROM job
                            WHERE unique_key = :unique_key AND unique_key LIKE 'periodic:%'
                              AND created_at > now() - make_interval(secs => :every_s))
        ON CONFLICT (unique_key) WHERE state IN ('pending', 'running') DO NOTHING
        RETURNING id""")
    values = {
        "queue": queue,
        "task": task,
        "args": json.dumps(args),
        "max_attempts": max_attempts,
        "unique_key": f"periodic:{name}",
        "every_s": every_s,
    }
    made: int | None = session.scalar(statement, values)
    return made


def _mark_nudged(session: Session, which: ColumnElement[bool], order: Any, limit: int) -> dict[str, list[int]]:
    due = select(Job.id).where(_due(), which).order_by(order).limit(limit).with_for_update(skip_locked=True)
    chosen = due.cte("chosen")  # as a subquery of IN it might be run once per row, each time with a new LIMIT
    statement = (
        update(Job).where(Job.id == chosen.c.id).values(nudged_at=func.now()).returning(Job.queue, Job.id, Job.due_at)
    )
    rows = session.execute(statement.execution_options(synchronize_session=False)).all()
    return _by_queue((row.queue, row.id) for row in sorted(rows, key=lambda row: (row.due_at, row.id)))


def _by_queue(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    ids: dict[str, list[int]] = {}
    for queue, job_id in pairs:
        ids.setdefault(queue, []).append(job_id)
    return ids


def _due() -> ColumnElement[bool]:
    return in_state("pending") & (Job.due_at <= func.now())


def _nudged_before(seconds: float) -> ColumnElement[bool]:
    return Job.nudged_at < func.now() - timedelta(seconds=seconds)
