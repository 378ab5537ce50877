"""Housekeeping of the database: partitions, closed sessions, old jobs."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from db import admin_session, job_list, login, metrics, partitions, session_archive, session_ghosts, usage_period
from tasks.queues import MAINTENANCE
from tasks.registry import task
from tasks.running_job import RunningJob

BATCH = 5_000
# Accounting waits while closed sessions are moved, so it is a few at a time.
ARCHIVE_BATCH = 500
# Accounting of these subscriptions waits while their periods are noted.
PERIOD_BATCH = 200
# Making or dropping a partition locks its table; logins and accounting must not queue up behind that.
_LOCK_TIMEOUT_S = 2

log = structlog.get_logger(__name__)


@task(queue=MAINTENANCE)
def maintain_partitions(session: Session, job: RunningJob) -> None:
    """Makes the partitions of the coming months, drops those that are outlived, warns of rows that fit in none."""
    now = datetime.now(UTC)
    _limit_lock_waits(session)
    made = partitions.create_coming(session.connection(), now)
    job.commit_step(session)
    _limit_lock_waits(session)
    settings = job.settings
    keep_months = {
        "session_history": settings.keep_sessions_months,
        "usage_day": settings.keep_usage_months,
        "auth_log": settings.keep_auth_log_months,
        "event": settings.keep_events_months,
        "audit": settings.keep_audit_months,
    }
    dropped = partitions.drop_outlived(session.connection(), now, keep_months)
    job.commit_step(session)
    if made or dropped:
        log.info("partitions", made=made, dropped=dropped)
    for table, months in partitions.months_in_default(session.connection()).items():
        log.warning("rows lie outside the prepared months: is a clock wrong?", table=table, months=months)


@task(queue=MAINTENANCE)
def close_ghosts(session: Session, job: RunningJob) -> None:
    """Ends sessions that have been silent for three intervals, at their last known time."""
    closed = BATCH
    while closed == BATCH:
        closed = session_ghosts.close(session, limit=BATCH)
        job.commit_step(session)


@task(queue=MAINTENANCE)
def archive_sessions(session: Session, job: RunningJob) -> None:
    """Moves sessions that stopped more than an hour ago from the hot table to the history."""
    moved = ARCHIVE_BATCH
    while moved == ARCHIVE_BATCH:
        moved = session_archive.archive(session, limit=ARCHIVE_BATCH)
        job.commit_step(session)


@task(queue=MAINTENANCE)
def note_periods(session: Session, job: RunningJob) -> None:
    """Notes what was used before the running periods of plans began, where that is not noted yet."""
    last: int | None = 0
    while last is not None:
        last = usage_period.note(session, after=last, limit=PERIOD_BATCH)
        job.commit_step(session)


@task(queue=MAINTENANCE)
def prune_jobs(session: Session, job: RunningJob) -> None:
    """Deletes the rows of jobs that ended long ago."""
    kept = (
        (("succeeded", "cancelled"), job.settings.keep_jobs_days),
        (("failed",), job.settings.keep_failed_jobs_days),
    )
    for states, days in kept:
        deleted = BATCH
        while deleted == BATCH:
            deleted = job_list.prune(session, states=states, older_than_days=days, limit=BATCH)
            job.commit_step(session)


@task(queue=MAINTENANCE)
def prune_logins(session: Session, job: RunningJob) -> None:
    """Deletes attempts to log in that do not count any more, and admins' sessions that are long over."""
    now = datetime.now(UTC)
    for prune in (login.prune, admin_session.prune):
        deleted = BATCH
        while deleted == BATCH:
            deleted = prune(session, now, limit=BATCH)
            job.commit_step(session)


@task(queue=MAINTENANCE)
def prune_passing_events(session: Session, job: RunningJob) -> None:
    """Deletes events that only said how something was, a day or so later."""
    older_than = timedelta(hours=job.settings.keep_passing_events_hours)
    deleted = BATCH
    while deleted == BATCH:
        deleted = metrics.prune_passing(session, datetime.now(UTC), older_than, BATCH)
        job.commit_step(session)


def _limit_lock_waits(session: Session) -> None:
    session.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_S}s'"))
