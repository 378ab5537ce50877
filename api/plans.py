"""/api/v1/plans"""

from api.auth import READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import given, values_of
from api.schemas.plan import PlanChange, PlanCreate, PlanOut, PlanQuery
from db import plan


@with_query(READERS, PlanQuery)
def index(call: Call, query: PlanQuery) -> Reply:
    """Those on sale, or with `archived` those that were."""
    request = page_request(query, plan.SORTS)
    return listing(query, plan.page(call.session, request, service=query.service, archived=query.archived), PlanOut.of)


@with_body(WRITERS, PlanCreate)
def create(call: Call, body: PlanCreate) -> Reply:
    created = plan.create(call.session, call.tenant_id, values_of(body))
    return Reply(PlanOut.of(created), 201, {"Location": f"/api/v1/plans/{created.id}"})


@endpoint(READERS)
def read(call: Call) -> Reply:
    return Reply(PlanOut.of(plan.by_id(call.session, call.id)))


@with_body(WRITERS, PlanChange)
def change(call: Call, body: PlanCreate) -> Reply:
    return Reply(PlanOut.of(plan.change(call.session, call.id, given(body))))


@endpoint(WRITERS)
def archive(call: Call) -> Reply:
    """Off sale for good; it stays readable."""
    plan.archive(call.session, call.id, call.now)
    return NO_CONTENT
