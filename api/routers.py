"""/api/v1/routers"""

from api.auth import READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import Listed, given, values_of
from api.schemas.router import RouterChange, RouterCreate, RouterCreated, RouterOut, RouterQuery, RouterTerms
from db import router
from isp import credentials


@with_query(READERS, RouterQuery, {200: Listed[RouterOut]})
def index(call: Call, query: RouterQuery) -> Reply:
    """Lists routers in service, or with `removed` those that were."""
    request = page_request(query, router.SORTS)
    return listing(query, router.page(call.session, request, status=query.status, removed=query.removed), RouterOut.of)


@with_body(WRITERS, RouterCreate, {201: RouterCreated})
def create(call: Call, body: RouterCreate) -> Reply:
    """Makes a router. A RADIUS secret that was made up is in this answer and in no other."""
    values = dict(values_of(body))
    secret = values.pop("radius_secret") or credentials.new_radius_secret()
    created = router.create(call.session, call.tenant_id, values, radius_secret=secret, keyring=call.keyring)
    made_up = {"radius_secret": secret} if body.radius_secret is None else {}
    return Reply(
        RouterCreated.beside(RouterOut.of(created), **made_up), 201, {"Location": f"/api/v1/routers/{created.id}"}
    )


@endpoint(READERS, {200: RouterOut})
def read(call: Call) -> Reply:
    """Shows a router."""
    return Reply(RouterOut.of(router.by_id(call.session, call.id)))


@with_body(WRITERS, RouterChange, {200: RouterOut})
def change(call: Call, body: RouterTerms) -> Reply:
    """Changes a router: what is given."""
    values = given(body)
    secret = values.pop("radius_secret", None)
    changed = router.change(call.session, call.id, values, radius_secret=secret, keyring=call.keyring, now=call.now)
    return Reply(RouterOut.of(changed))


@endpoint(WRITERS, {204: None})
def remove(call: Call) -> Reply:
    """Removes a router. The record stays; its address is free for another."""
    router.remove(call.session, call.id, call.now)
    return NO_CONTENT
