"""How one job is run: claimed, kept, ended. Each change names the claim, and changes nothing if that is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CursorResult, Update, func, select, update
from sqlalchemy.orm import Session

from db import event
from db.job import Job


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is ours as long as its row still has this `claim`."""

    job_id: int
    claim: UUID
    tenant_id: int | None
    queue: str
    task: str
    args: dict[str, Any]
    attempt: int
    """1 for the first try."""
    max_attempts: int
    request_id: str | None = None
    """Of the request that caused it."""


def claim(session: Session, job_id: int, queue: str, lease_s: float) -> Claim | None:
    """Takes a job of the queue that is pending and due; None if it is not, or if someone got there first."""
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.queue == queue, Job.state == "pending", Job.due_at <= func.now())
        .where(Job.attempts < Job.max_attempts)
        .values(
            state="running",
            claim=uuid4(),
            lease_until=_from_now(lease_s),
            attempts=Job.attempts + 1,
            started_at=func.now(),
            progress=0,
        )
        .returning(
            Job.id.label("job_id"),
            Job.claim,
            Job.tenant_id,
            Job.queue,
            Job.task,
            Job.args,
            Job.attempts.label("attempt"),
            Job.max_attempts,
            Job.request_id,
        )
    )
    row = session.execute(statement.execution_options(synchronize_session=False)).one_or_none()
    return Claim(**row._mapping) if row else None


def claim_beside(session: Session, first: Claim, job_ids: Sequence[int], lease_s: float) -> list[Claim]:
    """Takes those of the jobs that are of the same task and were never tried, under the same claim, in their order."""
    waiting = (
        select(Job.id)
        .where(Job.id.in_(job_ids), Job.queue == first.queue, Job.task == first.task, Job.state == "pending")
        .where(Job.due_at <= func.now(), Job.attempts == 0)
        .order_by(Job.id)
        .with_for_update(skip_locked=True)
        .cte("waiting")
    )
    statement = (
        update(Job)
        .where(Job.id == waiting.c.id)
        .values(state="running", claim=first.claim, lease_until=_from_now(lease_s), attempts=1, started_at=func.now())
        .returning(Job.id, Job.tenant_id, Job.args, Job.max_attempts, Job.request_id)
    )
    rows = session.execute(statement.execution_options(synchronize_session=False)).all()
    return [
        Claim(
            row.id, first.claim, row.tenant_id, first.queue, first.task, row.args, 1, row.max_attempts, row.request_id
        )
        for row in sorted(rows, key=lambda row: job_ids.index(row.id))
    ]


def renew(session: Session, claim: Claim, lease_s: float, beside: Sequence[Claim] = ()) -> bool:
    """Whether the job, and those that were claimed beside it, are still ours; if so, for `lease_s` seconds more."""
    return _all_changed(session, [claim, *beside], {"lease_until": _from_now(lease_s)})


def hold(session: Session, claim: Claim) -> bool:
    """Whether the job is still ours; if so, it stays so until the running transaction ends."""
    ours = select(Job.id).where(Job.id == claim.job_id, Job.claim == claim.claim, Job.state == "running")
    return session.scalar(ours.with_for_update()) is not None


def report_progress(session: Session, claim: Claim, percent: int) -> bool:
    """Writes it down and tells the watchers. Whether the job is still ours."""
    if not _changed(session, _ours(claim).values(progress=percent)):
        return False
    _record_progress(session, claim, percent)
    return True


def succeed(session: Session, claim: Claim) -> bool:
    """Whether it was still ours to end; if not, nothing that this transaction did may be committed."""
    end = {"state": "succeeded", "finished_at": func.now(), "progress": 100, "error": None, **_NOBODYS}
    before = select(Job.id, Job.progress).where(Job.id == claim.job_id).cte("before")
    statement = _ours(claim).where(Job.id == before.c.id).values(end).returning(before.c.progress)
    progress = session.scalar(statement.execution_options(synchronize_session=False))
    if progress is None:
        return False
    if 0 < progress < 100:  # who watches it learns that it is over
        _record_progress(session, claim, 100)
    return True


def succeed_together(session: Session, claims: Sequence[Claim]) -> bool:
    """The same for all that were claimed beside each other, and show no progress."""
    end = {"state": "succeeded", "finished_at": func.now(), "progress": 100, "error": None, **_NOBODYS}
    return _all_changed(session, claims, end)


def try_again(session: Session, claim: Claim, error: str, after_s: float) -> bool:
    """Puts the job back, due in `after_s` seconds. Whether it was still ours."""
    again = {"state": "pending", "due_at": _from_now(after_s), "nudged_at": None, "error": error, **_NOBODYS}
    return _changed(session, _ours(claim).values(again))


def fail(session: Session, claim: Claim, error: str) -> bool:
    """Ends the job as failed and says so in an event. Whether it was still ours."""
    end = {"state": "failed", "finished_at": func.now(), "error": error, **_NOBODYS}
    if not _changed(session, _ours(claim).values(end)):
        return False
    record_failed(session, claim.job_id, claim.queue, claim.task, error, claim.tenant_id)
    return True


def give_back(session: Session, claim: Claim) -> bool:
    """As if it had not been claimed: due now, the attempt not counted. Whether it was still ours."""
    back = {
        "state": "pending",
        "due_at": func.now(),
        "nudged_at": None,
        "attempts": Job.attempts - 1,
        "progress": 0,
        **_NOBODYS,
    }
    return _changed(session, _ours(claim).values(back))


def record_failed(session: Session, job_id: int, queue: str, task: str, error: str, tenant_id: int | None) -> None:
    data = {"job_id": job_id, "queue": queue, "task": task, "error": error}
    event.record(session, "job.failed", data, tenant_id)


def _record_progress(session: Session, claim: Claim, percent: int) -> None:
    data = {"job_id": claim.job_id, "queue": claim.queue, "task": claim.task, "percent": percent}
    event.record(session, "job.progress", data, claim.tenant_id)


_NOBODYS = {"claim": None, "lease_until": None}


def _ours(claim: Claim) -> Update:
    return update(Job).where(Job.id == claim.job_id, Job.claim == claim.claim, Job.state == "running")


def _all_changed(session: Session, claims: Sequence[Claim], values: Mapping[str, Any]) -> bool:
    job_ids = [claim.job_id for claim in claims]
    ours = update(Job).where(Job.id.in_(job_ids), Job.claim == claims[0].claim, Job.state == "running")
    result = session.execute(ours.values(values).execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == len(job_ids)


def _from_now(seconds: float) -> Any:
    return func.now() + timedelta(seconds=seconds)


def _changed(session: Session, statement: Update) -> bool:
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount == 1
