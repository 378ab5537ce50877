"""Jobs as an operator sees them, and what an operator may do: try again, cancel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, CursorResult, delete, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db import event
from db.job import UNFINISHED, Job, in_state
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Conflict, NotFound

Row = TypeVar("Row")

SORTS = {"id": Sort(Job.id, int)}
STATES = ("pending", "running", "succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class QueueCounts:
    due: int = 0
    """Pending jobs that could run now."""
    later: int = 0
    """Pending jobs whose time has not come."""
    running: int = 0
    failed: int = 0
    oldest_due_s: int | None = None
    """How long the first of the due jobs has been waiting."""


def counts_by_queue(session: Session) -> dict[str, QueueCounts]:
    """Queues that have unfinished or failed jobs."""
    due = in_state("pending") & (Job.due_at <= func.now())
    statement = (
        select(
            Job.queue,
            func.count().filter(due),
            func.count().filter(in_state("pending"), Job.due_at > func.now()),
            func.count().filter(in_state("running")),
            func.count().filter(in_state("failed")),
            func.extract("epoch", func.now() - func.min(Job.due_at).filter(due)),
        )
        .where(in_state("pending", "running", "failed"))
        .group_by(Job.queue)
    )
    return {
        queue: QueueCounts(due, later, running, failed, None if waited_s is None else int(waited_s))
        for queue, due, later, running, failed, waited_s in session.execute(statement)
    }


def abandoned(session: Session, of: type[Row], is_open: ColumnElement[bool]) -> list[tuple[Row, str]]:
    """Rows, with a `job_id`, that are open though their job is over, locked; and why it ended without a word to them:
    its worker was killed, it ran too long, somebody cancelled it.
    """
    statement = (
        select(of, Job.state, Job.error)
        .join(Job, Job.id == of.job_id)  # type: ignore[attr-defined]
        .where(is_open, in_state("failed", "cancelled", "succeeded"))
        .with_for_update(of=of)
    )
    return [
        (row, "It was cancelled." if state == "cancelled" else error or "Its job ended before it did.")
        for row, state, error in session.execute(statement).all()
    ]


def page(
    session: Session,
    request: PageRequest,
    *,
    tenant_id: int | None = None,
    queue: str | None = None,
    states: Sequence[str] = (),
    task: str | None = None,
) -> Page[Job]:
    """Of one tenant, or of all in sight. No state means all."""
    statement = select(Job)
    for column, value in ((Job.tenant_id, tenant_id), (Job.queue, queue), (Job.task, task)):
        if value is not None:
            statement = statement.where(column == value)
    if states:
        statement = statement.where(in_state(*states))
    return one_page(session, statement, Job.id, SORTS, request, lambda row: row.Job)


def by_id(session: Session, job_id: int) -> Job:
    """Raises NotFound."""
    job = session.scalar(select(Job).where(Job.id == job_id).execution_options(populate_existing=True))
    if job is None:
        raise NotFound("job")
    return job


def retry(session: Session, job_id: int) -> Job:
    """The failed job, pending again with all its attempts. Raises NotFound, Conflict."""
    statement = update(Job).where(Job.id == job_id, Job.state == "failed").values(_AFRESH).returning(Job.id)
    try:
        with session.begin_nested():
            retried = session.scalar(statement.execution_options(synchronize_session=False))
    except IntegrityError:
        raise Conflict("Another job does the same already.", code="duplicate") from None
    job = by_id(session, job_id)
    if retried is None:
        raise Conflict(f"Only a failed job can be tried again; this one is {job.state}.", code="not_failed")
    return job


def retry_failed(session: Session, queue: str | None = None, task: str | None = None) -> int:
    """Every failed job of the queue and the task (None: of all) becomes pending; returns how many.

    Of those with the same unique key only the newest, and none while another is unfinished. Raises Conflict.
    """
    newest_of_key = text("""
        SELECT DISTINCT ON (coalesce(unique_key, id::text)) id FROM job failed
         WHERE state = 'failed' AND (CAST(:queue AS text) IS NULL OR queue = :queue)
           AND (CAST(:task AS text) IS NULL OR task = :task)
           AND NOT EXISTS (SELECT FROM job other WHERE other.unique_key = failed.unique_key
                              AND other.state IN ('pending', 'running'))
         ORDER BY coalesce(unique_key, id::text), id DESC""")
    ids = session.scalars(newest_of_key, {"queue": queue, "task": task}).all()
    statement = update(Job).where(Job.id.in_(ids), Job.state == "failed").values(_AFRESH)
    try:
        with session.begin_nested():
            return _count(session.execute(statement.execution_options(synchronize_session=False)))
    except IntegrityError:
        raise Conflict("Jobs that do the same were just made. Try again.", code="duplicate") from None


def cancel(session: Session, job_id: int) -> Job:
    """The job, cancelled. One that runs is stopped by its worker within seconds. Raises NotFound, Conflict."""
    end = {"state": "cancelled", "finished_at": func.now(), "claim": None, "lease_until": None}
    statement = update(Job).where(Job.id == job_id, in_state(*UNFINISHED)).values(end).returning(Job.id)
    cancelled = session.scalar(statement.execution_options(synchronize_session=False))
    job = by_id(session, job_id)
    if cancelled is None:
        raise Conflict(f"The job is over: {job.state}.", code="finished")
    data = {"job_id": job.id, "queue": job.queue, "task": job.task}
    event.record(session, "job.cancelled", data, job.tenant_id)
    return job


def prune(session: Session, *, states: Sequence[str], older_than_days: int, limit: int) -> int:
    """Deletes finished jobs, at most `limit`; returns how many."""
    over = Job.finished_at < func.now() - timedelta(days=older_than_days)
    chosen = select(Job.id).where(in_state(*states), over).limit(limit).cte("chosen")
    statement = delete(Job).where(Job.id == chosen.c.id)
    return _count(session.execute(statement.execution_options(synchronize_session=False)))


_AFRESH = {
    "state": "pending",
    "attempts": 0,
    "progress": 0,
    "due_at": func.now(),
    "nudged_at": None,
    "finished_at": None,
    "error": None,
}


def _count(result: object) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
