"""/api/v1/routers/ID/…: what was found on a router, what it is to serve, and deployments to it."""

from api.answers import Text
from api.auth import READERS, WRITERS
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.jobs import accepted
from api.schemas.job import JobAccepted
from api.schemas.router_service import (
    ChangeOut,
    DeploymentAccepted,
    DeploymentOut,
    DeploymentsOut,
    DeploymentWithSteps,
    DiffOut,
    DiscoveryOut,
    FindingOut,
    InterfaceOut,
    ServiceConfigIn,
    ServiceConfigOut,
    StepOut,
    VersionQuery,
)
from db import router as routers
from db import router_deployment, router_discovery, router_service
from db.router_deployment import RouterDeployment
from isp.router_contents import RouterContents, interfaces, wan_interfaces
from isp.router_diff import Change
from isp.router_service_check import findings
from tasks import deployment_requests, router_preview


@endpoint(WRITERS, {202: JobAccepted})
def discover(call: Call) -> Reply:
    """Looks at what the router has: a job reads its interfaces, pools, servers and RADIUS entries."""
    return accepted(deployment_requests.discover(call.session, call.id))


@endpoint(READERS, {200: DiscoveryOut})
def show_interfaces(call: Call) -> Reply:
    """Shows what was found on the router last: interfaces, pools, and what will be in the way."""
    routers.by_id(call.session, call.id)
    contents, discovered_at = router_discovery.of(call.session, call.id)
    return Reply(discovery_out(contents, discovered_at))


@with_query(READERS, VersionQuery, {200: ServiceConfigOut})
def read_config(call: Call, query: VersionQuery) -> Reply:
    """Shows what the router is to serve."""
    return Reply(ServiceConfigOut.of(router_service.of(call.session, call.id, query.version)))


@with_body(WRITERS, ServiceConfigIn, {200: ServiceConfigOut})
def put_config(call: Call, body: ServiceConfigIn) -> Reply:
    """Says what the router is to serve: a new version, if it differs from the last. Deploy it afterwards."""
    router = routers.in_service(call.session, call.id)
    config = body.model_dump(mode="json")
    deployment_requests.check_config(call.session, router, config)
    return Reply(ServiceConfigOut.of(router_service.put(call.session, router, config, call.admin_id)))


@with_query(READERS, VersionQuery, {200: Text("text/plain")})
def script(call: Call, query: VersionQuery) -> Reply:
    """Writes the configuration as a script for RouterOS, without secrets."""
    return Reply(router_preview.script(call.session, call.id, query.version, call.site))


@with_query(READERS, VersionQuery, {200: DiffOut})
def diff(call: Call, query: VersionQuery) -> Reply:
    """Shows what a deployment would change on the router."""
    preview = router_preview.preview(call.session, call.id, query.version, call.site)
    return Reply(
        DiffOut.model_construct(
            version=preview.version,
            discovered_at=preview.discovered_at,
            changes=[change_out(change) for change in preview.changes],
            by_hand=preview.by_hand,
        )
    )


@endpoint(WRITERS, {202: DeploymentAccepted})
def deploy(call: Call) -> Reply:
    """Deploys the newest configuration; one that failed is taken up where it ended."""
    return _accepted(call, deployment_requests.deploy(call.session, call.id))


@endpoint(WRITERS, {202: DeploymentAccepted})
def reprovision(call: Call) -> Reply:
    """Deploys once more what was deployed last, with the addresses and secrets of today."""
    return _accepted(call, deployment_requests.reprovision(call.session, call.id))


@endpoint(WRITERS, {202: DeploymentAccepted})
def undo(call: Call) -> Reply:
    """Undoes the last deployment that stands: the router gets back what it had."""
    return _accepted(call, deployment_requests.undo(call.session, call.id))


@endpoint(READERS, {200: DeploymentsOut})
def deployments(call: Call) -> Reply:
    """Lists deployments to the router."""
    routers.by_id(call.session, call.id)
    found = router_deployment.newest(call.session, call.id)
    return Reply(DeploymentsOut.model_construct(items=[DeploymentOut.of(each) for each in found]))


@endpoint(READERS, {200: DeploymentWithSteps})
def read_deployment(call: Call) -> Reply:
    """Shows a deployment with what was done sentence by sentence."""
    found = router_deployment.by_id(call.session, call.id, int(call.path["deployment_id"]))
    steps = [StepOut.of(step) for step in router_deployment.steps(call.session, found.id)]
    return Reply(DeploymentWithSteps.beside(DeploymentOut.of(found), steps=steps))


def discovery_out(contents: RouterContents, discovered_at: object) -> DiscoveryOut:
    return DiscoveryOut.model_construct(
        discovered_at=discovered_at,
        routeros_version=str(contents.version),
        wan_interfaces=wan_interfaces(contents),
        interfaces=[InterfaceOut.of(each) for each in interfaces(contents)],
        pools={row.get("name", ""): row.get("ranges", "") for row in contents.rows("/ip pool")},
        findings=[FindingOut.of(each) for each in findings(contents)],
    )


def change_out(change: Change) -> ChangeOut:
    return ChangeOut.model_construct(
        action=change.action,
        menu=change.menu,
        name=" ".join(change.found_by.values()),
        before=change.shown(change.before),
        after=change.shown(change.after),
    )


def _accepted(call: Call, begun: RouterDeployment) -> Reply:
    content = DeploymentAccepted.model_construct(deployment_id=begun.id, job_id=begun.job_id)
    return Reply(content, 202, {"Location": f"/api/v1/routers/{call.id}/deployments/{begun.id}"})
