"""/api/v1/routers/ID/import and what follows it."""

from api.auth import READERS, WRITERS
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.schemas.router_import import (
    ImportAccepted,
    ImportIn,
    ImportOut,
    ImportQuery,
    ImportRowOut,
    ImportWithRows,
    PoolOut,
    PoolsOut,
)
from api.schemas.router_service import DeploymentAccepted
from db import router as routers
from db import router_import as imports
from db.router_deployment import RouterDeployment
from tasks import deployment_requests
from tasks import imports as import_jobs


@with_body(WRITERS, ImportIn, {202: ImportAccepted})
def start(call: Call, body: ImportIn) -> Reply:
    """Takes over pools and accounts of a running router; as a dry run it only says what it would do."""
    confirmed: dict[str, object] = {"all": True} if body.confirm_all else {"profiles": body.confirm}
    asked, job = import_jobs.request(
        call.session, call.id, dry_run=body.dry_run, plans=dict(body.plans), confirmed=confirmed
    )
    content = ImportAccepted.model_construct(import_id=asked.id, job_id=job.id)
    return Reply(content, 202, {"Location": f"/api/v1/routers/{call.id}/imports/{asked.id}"})


@with_query(READERS, ImportQuery, {200: ImportWithRows})
def read(call: Call, query: ImportQuery) -> Reply:
    """Shows an import: how many, which, and why not."""
    found = imports.by_id(call.session, call.id, int(call.path["import_id"]))
    rows = [ImportRowOut.of(row) for row in imports.rows(call.session, found.id, outcome=query.outcome)]
    return Reply(ImportWithRows.beside(ImportOut.of(found), items=rows))


@endpoint(READERS, {200: PoolsOut})
def pools(call: Call) -> Reply:
    """Lists the router's pools that were imported."""
    routers.by_id(call.session, call.id)
    found = [PoolOut.of(pool) for pool in imports.pools(call.session, call.id)]
    return Reply(PoolsOut.model_construct(items=found))


@endpoint(WRITERS, {202: DeploymentAccepted})
def disable_accounts(call: Call) -> Reply:
    """Disables the router's own accounts that Kibali knows, so that RADIUS decides."""
    return _accepted(call, deployment_requests.disable_accounts(call.session, call.id))


@endpoint(WRITERS, {202: DeploymentAccepted})
def enable_accounts(call: Call) -> Reply:
    """Gives the router back its own accounts, as far as Kibali disabled them."""
    return _accepted(call, deployment_requests.enable_accounts(call.session, call.id))


def _accepted(call: Call, begun: RouterDeployment) -> Reply:
    content = DeploymentAccepted.model_construct(deployment_id=begun.id, job_id=begun.job_id)
    return Reply(content, 202, {"Location": f"/api/v1/routers/{call.id}/deployments/{begun.id}"})
