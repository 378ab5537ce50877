"""The jobs that take over what running routers know of their customers."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db import event, job_life, job_list
from db import router as routers
from db import router_import as imports
from db.job import Job
from db.router import Router
from db.router_import import RouterImport
from isp.encryption import Keyring
from tasks import routeros
from tasks.enqueue import enqueue
from tasks.queues import MAINTENANCE, PROVISIONING
from tasks.registry import task
from tasks.router_access import target_of
from tasks.router_import import Importer, read
from tasks.routeros_errors import RouterError
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost, PermanentFailure

READ_WITHIN_S = 120.0
"""For one menu, of a router with thousands of accounts and little processor."""


@task(queue=PROVISIONING, limit_s=600)
def import_router(session: Session, job: RunningJob, import_id: int) -> None:
    """Reads the router, and writes all that is new in one transaction."""
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    asked = session.get_one(RouterImport, import_id)
    if asked.state == "completed":
        return
    router = session.get_one(Router, asked.router_id)
    try:
        with routeros.connect(target_of(router, keyring)) as connection:
            job.progress(10)
            found = connection.run(read(), within_s=READ_WITHIN_S)
    except RouterError as error:
        if error.permanent or job.is_last_attempt:
            _fail(job, import_id, str(error))
        if error.permanent:
            raise PermanentFailure(str(error)) from None
        raise
    job.progress(40)
    Importer(session, asked, router, keyring, datetime.now(UTC)).run(found)
    job.progress(90)
    data = {"import_id": asked.id, "dry_run": asked.dry_run, "counts": asked.counts}
    event.record(session, "router.imported", data, router.tenant_id, router_id=router.id)


@task(queue=MAINTENANCE)
def settle_imports(session: Session, job: RunningJob) -> None:
    """Ends those whose job ended without a word. They wrote nothing."""
    for asked, reason in job_list.abandoned(session, RouterImport, RouterImport.state.in_(imports.OPEN)):
        words = f"{reason.rstrip('.')}. Nothing was taken over: import it again."
        imports.fail(asked, words, datetime.now(UTC))


def request(
    session: Session, router_id: int, *, dry_run: bool, plans: dict[str, int], confirmed: dict[str, object]
) -> tuple[RouterImport, Job]:
    """One import of a router at a time: a second waits for the first. Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    asked = imports.create(session, router.tenant_id, router.id, dry_run=dry_run, plans=plans, confirmed=confirmed)
    job = enqueue(session, import_router, {"import_id": asked.id}, tenant_id=router.tenant_id)
    asked.job_id = job.id
    session.flush()
    return asked, job


def _fail(job: RunningJob, import_id: int, reason: str) -> None:
    with job.sessions.begin() as session:
        if not job_life.hold(session, job.claim):
            raise LeaseLost
        imports.fail(session.get_one(RouterImport, import_id), reason, datetime.now(UTC))
