"""What is asked to be done to routers: checked, written down, put on the queue, in the caller's transaction."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db import router as routers
from db import router_deployment, router_discovery, router_service
from db.job import Job
from db.refusal import Conflict, Invalid
from db.router import Router
from db.router_deployment import RouterDeployment
from isp.router_service import ServiceFault, service_config
from isp.router_service_check import check
from tasks.deployments import discover_router, run_accounts_deployment, run_deployment
from tasks.enqueue import enqueue


def discover(session: Session, router_id: int) -> Job:
    """Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    unique_key = f"discover-router:{router.id}"
    return enqueue(
        session, discover_router, {"router_id": router.id}, unique_key=unique_key, tenant_id=router.tenant_id
    )


def deploy(session: Session, router_id: int) -> RouterDeployment:
    """Of the newest configuration. Raises NotFound, Invalid, Conflict."""
    router = routers.in_service(session, router_id)
    return _of_config(session, router, "deploy", router_service.of(session, router.id))


def reprovision(session: Session, router_id: int) -> RouterDeployment:
    """Once more of what was deployed last, with the addresses and secrets of today. Raises as `deploy`."""
    router = routers.in_service(session, router_id)
    standing = router_deployment.standing(session, router.id)
    if standing is None:
        raise Conflict("Nothing was deployed to this router yet: deploy first.", code="not_deployed")
    stored = session.get_one(router_service.RouterServiceConfig, standing.service_config_id)
    return _of_config(session, router, "reprovision", stored)


def undo(session: Session, router_id: int) -> RouterDeployment:
    """Of the last deployment that stands. Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    undone = router_deployment.to_undo(session, router.id, "service")
    return _begin(session, router, "undo", undoes_id=undone.id)


def disable_accounts(session: Session, router_id: int) -> RouterDeployment:
    """Of the router itself, those that Kibali knows: RADIUS decides then. Raises NotFound, Conflict."""
    return _begin(session, routers.in_service(session, router_id), "disable-accounts")


def enable_accounts(session: Session, router_id: int) -> RouterDeployment:
    """Those that were disabled last. Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    undone = router_deployment.to_undo(session, router.id, "accounts")
    return _begin(session, router, "enable-accounts", undoes_id=undone.id)


def check_config(session: Session, router: Router, config: Mapping[str, Any]) -> None:
    """Raises Invalid for the first thing that this router can not be, Conflict if it was not discovered yet."""
    contents, _ = router_discovery.of(session, router.id)
    try:
        check(service_config(config), contents)
    except ServiceFault as fault:
        raise Invalid(str(fault), field=fault.field) from None


def _of_config(
    session: Session, router: Router, kind: str, stored: router_service.RouterServiceConfig
) -> RouterDeployment:
    check_config(session, router, stored.config)
    return _begin(session, router, kind, service_config_id=stored.id)


def _begin(
    session: Session,
    router: Router,
    kind: str,
    *,
    service_config_id: int | None = None,
    undoes_id: int | None = None,
) -> RouterDeployment:
    begun = router_deployment.begin(
        session, router.tenant_id, router.id, kind, service_config_id=service_config_id, undoes_id=undoes_id
    )
    function = run_accounts_deployment if begun.family == "accounts" else run_deployment
    job = enqueue(session, function, {"deployment_id": begun.id}, tenant_id=router.tenant_id)
    begun.job_id = job.id
    session.flush()
    return begun
