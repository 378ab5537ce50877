"""A desk that orders jobs, and what came of them.

They start as soon as the desk's work is committed; with Redis away, about a second later.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from redis import RedisError
from sqlalchemy.orm import Session, sessionmaker

from cli.desk import Desk, at_platform, at_tenant
from cli.failure import Failure
from db import job_list
from db.job import Job
from settings import Settings
from tasks.nudge import Nudger, nudge_after_commit
from tasks.redis_pool import make_redis_pool

WAIT_S = 60
_LOOK_EVERY_S = 0.05


class _QuietNudger(Nudger):
    """A command prints what it was asked for, and not how Redis is."""

    def try_push(self, job_ids: Mapping[str, Sequence[int]], *, ahead: bool = False) -> None:
        with suppress(RedisError):
            self.push(job_ids, ahead=ahead)


@contextmanager
def at_office(settings: Settings, slug: str | None) -> Iterator[Desk]:
    """As `at_tenant`."""
    pool = make_redis_pool(settings)

    def prepare(factory: sessionmaker[Session]) -> None:
        nudge_after_commit(factory, _QuietNudger(pool))

    try:
        with at_tenant(settings, slug, prepare) as desk:
            yield desk
    finally:
        pool.disconnect()


def await_job(settings: Settings, job_id: int, within_s: float = WAIT_S) -> Job:
    """The job when it is done. Raises Failure with what it failed of, or if nobody has done it in time."""
    deadline = time.monotonic() + within_s
    with at_platform(settings) as session:
        while True:
            job = job_list.by_id(session, job_id)
            if job.state == "succeeded":
                return job
            if job.state in ("failed", "cancelled"):
                said = (job.error or "it was cancelled").partition(": ")[2] or job.error or "it was cancelled"
                raise Failure(f"{said} (job {job.id}; again: ./kibali job retry {job.id})")
            if time.monotonic() > deadline:
                why = f"; so far: {job.error}" if job.error else ". Are its workers up? ./kibali status"
                raise Failure(f"job {job.id} is not done yet{why}. Look again: ./kibali job show {job.id}")
            session.rollback()
            session.expire_all()
            time.sleep(_LOOK_EVERY_S)
