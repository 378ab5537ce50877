"""Housekeeping of idempotency keys."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from db import idempotency_key
from tasks.queues import MAINTENANCE
from tasks.registry import task
from tasks.running_job import RunningJob

BATCH = 5_000
KEPT = timedelta(days=2)
"""Nobody sends a request again after that."""


@task(queue=MAINTENANCE)
def prune_idempotency_keys(session: Session, job: RunningJob) -> None:
    deleted = BATCH
    while deleted == BATCH:
        deleted = idempotency_key.prune(session, datetime.now(UTC), KEPT, BATCH)
        job.commit_step(session)
