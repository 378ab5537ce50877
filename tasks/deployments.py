"""The jobs that configure routers."""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db import (
    event,
    job_life,
    job_list,
    router_deployment,
    router_discovery,
    router_life,
    router_service,
    subscription_list,
)
from db.router import Router
from db.router_deployment import OPEN, UNDOES, RouterDeployment
from isp.encryption import EncryptionError, Keyring
from isp.router_service import ServiceFault, service_config
from tasks import routeros
from tasks.queues import MAINTENANCE, PROVISIONING
from tasks.registry import task
from tasks.router_access import target_of
from tasks.router_deploy import Deployer, NotDeployed
from tasks.router_radius import RadiusFails
from tasks.router_radius_client import radius_client
from tasks.routeros_contents import read_contents
from tasks.routeros_errors import NoSuchItem, RouterError
from tasks.routeros_facts import read_facts
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost, PermanentFailure


@task(queue=PROVISIONING)
def run_deployment(session: Session, job: RunningJob, deployment_id: int) -> None:
    """Deploys or undoes; whatever ends it, the deployment's row says why."""
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    try:
        _run(session, job, deployment_id, keyring)
    except (RouterError, ServiceFault, NotDeployed, RadiusFails, EncryptionError) as error:
        session.rollback()
        permanent = _is_permanent(error)
        _note_failure(job, deployment_id, _in_words(error), permanent=permanent)
        if permanent:
            raise PermanentFailure(_in_words(error)) from None
        raise


@task(queue=PROVISIONING, limit_s=600)
def run_accounts_deployment(session: Session, job: RunningJob, deployment_id: int) -> None:
    """Disables a router's own accounts, or gives them back: thousands of sentences, each of its own."""
    run_deployment(session, job, deployment_id)


@task(queue=PROVISIONING)
def discover_router(session: Session, job: RunningJob, router_id: int) -> None:
    """Reads what the router has, and stores it."""
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    router = session.get_one(Router, router_id)
    try:
        with routeros.connect(target_of(router, keyring)) as connection:
            facts = connection.run(read_facts(router.name))
            contents = connection.run(read_contents(facts))
    except RouterError as error:
        if _is_permanent(error):
            raise PermanentFailure(str(error)) from None
        raise
    router_discovery.store(session, router.tenant_id, router.id, contents, _now())
    data = {"interfaces": len(contents.rows("/interface"))}
    event.record(session, "router.discovered", data, router.tenant_id, router_id=router.id)


@task(queue=MAINTENANCE)
def settle_deployments(session: Session, job: RunningJob) -> None:
    """Ends those whose job ended without a word: its worker was killed, it ran too long, somebody cancelled it."""
    for deployment, reason in job_list.abandoned(session, RouterDeployment, RouterDeployment.state.in_(OPEN)):
        _fail(session, deployment, reason)


@task(queue=MAINTENANCE)
def prove_radius(session: Session, job: RunningJob) -> None:
    """Where a customer came online since a deployment, RADIUS works: that of which nobody could tell is told then."""
    for deployment in router_deployment.prove_waiting(session):
        _tell(session, deployment, {"stage": "completed", "percent": 100, "radius": deployment.radius})


def _run(session: Session, job: RunningJob, deployment_id: int, keyring: Keyring) -> None:
    deployment = session.get_one(RouterDeployment, deployment_id, with_for_update=True)
    router = session.get_one(Router, deployment.router_id)
    if deployment.state in ("completed", "undone"):
        return
    if router.removed_at is not None:
        raise NotDeployed(f"{router.name} was removed from Kibali.")
    now = _now()
    deployment.state, deployment.job_id = "running", job.id
    deployment.started_at = deployment.started_at or now
    deployment.error = deployment.finished_at = None
    router_life.provisioning(session, router.id, now)
    job.commit_step(session)
    deployer = Deployer(session, job, deployment, router, keyring, _now)
    if deployment.kind in UNDOES:
        assert deployment.undoes_id is not None
        deployer.undo(session.get_one(RouterDeployment, deployment.undoes_id))
    elif deployment.family == "accounts":
        deployer.disable_accounts(subscription_list.usernames(session, router.tenant_id))
    else:
        assert deployment.service_config_id is not None
        stored = session.get_one(router_service.RouterServiceConfig, deployment.service_config_id)
        deployer.deploy(service_config(stored.config), radius_client(session, router, job.settings, keyring))
    _complete(session, deployment, router)


def _complete(session: Session, deployment: RouterDeployment, router: Router) -> None:
    now = _now()
    deployment.state, deployment.stage, deployment.percent = "completed", "completed", 100
    deployment.finished_at = now
    session.flush()
    serves = router_deployment.standing(session, router.id) is not None
    router_life.provisioned(session, router.id, "active" if serves else "online", None, now)
    _tell(session, deployment, {"stage": "completed", "percent": 100, "radius": deployment.radius})


def _note_failure(job: RunningJob, deployment_id: int, reason: str, *, permanent: bool) -> None:
    with job.sessions.begin() as session:
        if not job_life.hold(session, job.claim):
            raise LeaseLost
        deployment = session.get_one(RouterDeployment, deployment_id, with_for_update=True)
        if permanent or job.is_last_attempt:
            _fail(session, deployment, reason)
        else:
            deployment.state, deployment.error = "retrying", reason
            _tell(session, deployment, {"stage": "retrying", "percent": deployment.percent, "reason": reason})


def _fail(session: Session, deployment: RouterDeployment, reason: str) -> None:
    """With what was and was not applied."""
    now = _now()
    deployment.state, deployment.error, deployment.finished_at = "failed", reason, now
    router_life.provisioned(session, deployment.router_id, "failed", reason, now)
    steps = router_deployment.summary(session, deployment.id)
    told = {"stage": "failed", "percent": deployment.percent, "reason": reason, **steps}
    _tell(session, deployment, told)
    _tell(session, deployment, told, type_="provisioning.failed")


def _tell(
    session: Session, deployment: RouterDeployment, told: dict[str, object], type_: str = "router.progress"
) -> None:
    data = {"deployment_id": deployment.id, "kind": deployment.kind, **told}
    event.record(session, type_, data, deployment.tenant_id, router_id=deployment.router_id)


def _is_permanent(error: Exception) -> bool:
    if isinstance(error, RouterError):
        # Somebody changed the router meanwhile: the next try looks again.
        return error.permanent and not isinstance(error, NoSuchItem)
    return isinstance(error, ServiceFault | EncryptionError)


def _in_words(error: Exception) -> str:
    return f"{error.field}: {error}" if isinstance(error, ServiceFault) else str(error)


_now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731 - tests put another clock here
