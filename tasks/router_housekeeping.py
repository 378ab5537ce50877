"""Housekeeping of what is known of routers: histories that are outlived."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from db import router_history
from tasks.queues import MAINTENANCE
from tasks.registry import task
from tasks.running_job import RunningJob

BATCH = 5_000


@task(queue=MAINTENANCE)
def prune_router_history(session: Session, job: RunningJob) -> None:
    """Deletes periods that are older than they are kept."""
    prune(session, datetime.now(UTC), commit=lambda: job.commit_step(session))


def prune(session: Session, now: datetime, *, commit: Callable[[], None]) -> None:
    for period_s, days in router_history.KEPT_DAYS.items():
        deleted = BATCH
        while deleted == BATCH:
            deleted = router_history.prune(session, period_s, now - timedelta(days=days), BATCH)
            commit()
