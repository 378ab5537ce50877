"""/api/v1/plans"""

from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.rights import CASHIERS, WRITERS
from api.schemas.base import Listed, given, values_of
from api.schemas.plan import PlanChange, PlanCreate, PlanOut, PlanQuery
from db import plan


@with_query(CASHIERS, PlanQuery, {200: Listed[PlanOut]})
def index(call: Call, query: PlanQuery) -> Reply:
    """Lists plans on sale, or with `archived` those that were."""
    request = page_request(query, plan.SORTS)
    return listing(query, plan.page(call.session, request, service=query.service, archived=query.archived), PlanOut.of)


@with_body(WRITERS, PlanCreate, {201: PlanOut})
def create(call: Call, body: PlanCreate) -> Reply:
    """Makes a plan."""
    created = plan.create(call.session, call.tenant_id, values_of(body))
    return Reply(PlanOut.of(created), 201, {"Location": f"/api/v1/plans/{created.id}"})


@endpoint(CASHIERS, {200: PlanOut})
def read(call: Call) -> Reply:
    """Shows a plan."""
    return Reply(PlanOut.of(plan.by_id(call.session, call.id)))


@with_body(WRITERS, PlanChange, {200: PlanOut})
def change(call: Call, body: PlanCreate) -> Reply:
    """Changes a plan: what is given. Its subscriptions have it from their next login on."""
    return Reply(PlanOut.of(plan.change(call.session, call.id, given(body))))


@endpoint(WRITERS, {204: None})
def archive(call: Call) -> Reply:
    """Takes a plan off sale for good; it stays readable."""
    plan.archive(call.session, call.id, call.now)
    return NO_CONTENT
