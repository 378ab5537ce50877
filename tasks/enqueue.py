"""Enqueueing: a row in the caller's transaction, a nudge after its commit."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from db import job as jobs
from db.job import Job
from tasks import nudge
from tasks.registry import task_of


def enqueue(
    session: Session,
    function: Callable[..., None],
    args: Mapping[str, Any] | None = None,
    *,
    due_at: datetime | None = None,
    unique_key: str | None = None,
    tenant_id: int | None = None,
) -> Job:
    """Has `function(session, job, **args)` run by a worker after the running transaction is committed.

    `args` are ids and plain values, never secrets. `due_at` None is at once. While a job with the same `unique_key` is
    unfinished there is no second one: that job is returned. Redis being away delays the job and raises nothing.

    Raises TypeError for a function that is no task or does not take `args`.
    """
    job_id = put(session, function, args, due_at=due_at, unique_key=unique_key, tenant_id=tenant_id)
    return session.get_one(Job, job_id, populate_existing=True)


def put(
    session: Session,
    function: Callable[..., None],
    args: Mapping[str, Any] | None = None,
    *,
    due_at: datetime | None = None,
    unique_key: str | None = None,
    tenant_id: int | None = None,
) -> int:
    """Like `enqueue`, but only the job's id: one statement."""
    task = task_of(function)
    args = args or {}
    task.check_args(args)
    nudged = due_at is None and nudge.will_nudge(session)
    job_id, is_new = jobs.add(
        session,
        queue=task.queue.name,
        task=task.name,
        args=args,
        max_attempts=task.queue.max_attempts,
        due_at=due_at,
        unique_key=unique_key,
        tenant_id=tenant_id,
        nudged=nudged,
        # Of a request, or of the job that runs and was itself caused by one.
        request_id=structlog.contextvars.get_contextvars().get("request_id"),
    )
    if nudged and is_new:
        nudge.after_commit(session, task.queue.name, job_id, ahead=task.ahead)
    return job_id
