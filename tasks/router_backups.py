"""The jobs that keep routers' configurations: each day of each router, and when somebody asks."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from db import event, job_life, router_backup
from db import router as routers
from db.job import Job
from db.router import Router
from db.router_state import RouterState
from isp.encryption import EncryptionError, Keyring
from isp.watch_plan import phase_s
from tasks import routeros
from tasks.enqueue import enqueue
from tasks.queues import MAINTENANCE, ROUTER_DATA
from tasks.registry import task
from tasks.router_access import target_of
from tasks.router_backup import WITHIN_S, read_configuration
from tasks.routeros_errors import RouterError
from tasks.routeros_facts import read_facts
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost, PermanentFailure

AT_A_TIME = 200
"""Routers whose turn has come that are taken by one run of `back_up_due`."""
OVER_S = 240.0
"""Within which they are read, one after the other."""
BATCH = 500


@task(queue=ROUTER_DATA)
def back_up_due(session: Session, job: RunningJob) -> None:
    """Has those routers backed up whose turn has come and that answer."""
    now = datetime.now(UTC)
    for router_id, tenant_id in router_backup.take_due(session, now, AT_A_TIME):
        _enqueue(session, router_id, tenant_id, due_at=now + timedelta(seconds=phase_s(router_id, OVER_S)))


@task(queue=ROUTER_DATA, limit_s=180)
def back_up_router(session: Session, job: RunningJob, router_id: int) -> None:
    """Reads the router's whole configuration; kept if it differs from the last. Half of one is none."""
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    router = session.get_one(Router, router_id)
    if router.removed_at is not None:
        return
    session.commit()  # nobody waits for us while the router thinks
    try:
        with routeros.connect(target_of(router, keyring)) as connection:
            facts = connection.run(read_facts(router.name))
            found = connection.run(read_configuration(facts), within_s=WITHIN_S)
        state = session.get_one(RouterState, router_id, with_for_update=True, populate_existing=True)
        made, is_new = router_backup.store(session, state, found, str(facts.version), keyring, datetime.now(UTC))
        if is_new:
            _tell(session, made, keyring)
    except (RouterError, EncryptionError) as error:
        session.rollback()
        _note_failure(job, router_id, str(error))
        raise PermanentFailure(str(error)) from None


@task(queue=MAINTENANCE)
def prune_router_backups(session: Session, job: RunningJob) -> None:
    """Deletes versions that were replaced long ago."""
    deleted = BATCH
    while deleted == BATCH:
        deleted = router_backup.prune(session, datetime.now(UTC), BATCH)
        job.commit_step(session)


def request(session: Session, router_id: int) -> Job:
    """A backup at once. Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    return _enqueue(session, router.id, router.tenant_id)


def _enqueue(session: Session, router_id: int, tenant_id: int, due_at: datetime | None = None) -> Job:
    unique_key = f"back-up-router:{router_id}" if due_at is None else f"back-up-router-daily:{router_id}"
    values = {"router_id": router_id}
    return enqueue(session, back_up_router, values, due_at=due_at, unique_key=unique_key, tenant_id=tenant_id)


def _tell(session: Session, made: router_backup.RouterBackup, keyring: Keyring) -> None:
    """How much changed; what did is for those who may see configurations."""
    compared = router_backup.compare(session, made.router_id, made.number, None, keyring)
    counts = {
        name: sum(line.sign == sign for line in compared.lines) for name, sign in (("added", "+"), ("removed", "-"))
    }
    data = {"number": made.number, **counts}
    event.record(session, "router.backed_up", data, made.tenant_id, router_id=made.router_id)


def _note_failure(job: RunningJob, router_id: int, reason: str) -> None:
    with job.sessions.begin() as session:
        if not job_life.hold(session, job.claim):
            raise LeaseLost
        router_backup.note_failure(session, router_id, reason)
