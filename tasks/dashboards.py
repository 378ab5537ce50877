"""The dashboards' figures, each half minute."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db import dashboard, tenant
from tasks.queues import DEFAULT, MAINTENANCE
from tasks.registry import task
from tasks.running_job import RunningJob

EVERY_S = 30


@task(queue=DEFAULT)
def refresh_dashboards(session: Session, job: RunningJob) -> None:
    """Of every tenant, one after the other, each kept as soon as it is computed."""
    dashboard.count_logins(session, datetime.now(UTC))
    job.commit_step(session)
    for each in tenant.all_tenants(session):
        dashboard.refresh(session, each.id, datetime.now(UTC))
        job.commit_step(session)


@task(queue=MAINTENANCE)
def prune_figures(session: Session, job: RunningJob) -> None:
    """Forgets what no dashboard needs any more."""
    dashboard.prune(session, datetime.now(UTC))
