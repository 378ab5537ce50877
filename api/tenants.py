"""/api/v1/tenants: the operators that the installation serves, as whoever runs the platform keeps them."""

from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.rights import PLATFORM
from api.schemas.base import Listed, given, values_of
from api.schemas.tenant import TenantChange, TenantCreate, TenantOut, TenantQuery
from db import tenant


@with_query(PLATFORM, TenantQuery, {200: Listed[TenantOut]})
def index(call: Call, query: TenantQuery) -> Reply:
    """Lists tenants."""
    return listing(query, tenant.page(call.session, page_request(query, tenant.SORTS)), TenantOut.of)


@with_body(PLATFORM, TenantCreate, {201: TenantOut})
def create(call: Call, body: TenantCreate) -> Reply:
    """Makes a tenant. Its first owner is made by POST /api/v1/admins with the header `Kibali-Tenant`."""
    made = tenant.create(call.session, **values_of(body))
    return Reply(TenantOut.of(made), 201, {"Location": f"/api/v1/tenants/{made.id}"})


@endpoint(PLATFORM, {200: TenantOut})
def read(call: Call) -> Reply:
    """Shows a tenant."""
    return Reply(TenantOut.of(tenant.by_id(call.session, call.id)))


@with_body(PLATFORM, TenantChange, {200: TenantOut})
def change(call: Call, body: TenantCreate) -> Reply:
    """Changes a tenant: what is given. `closed` shuts its admins out, or lets them in again."""
    values = given(body)
    closed = values.pop("closed", None)
    if closed:
        tenant.close(call.session, call.id, call.now)
    elif closed is not None:
        values["closed_at"] = None
    return Reply(TenantOut.of(tenant.change(call.session, call.id, values)))


@endpoint(PLATFORM, {204: None})
def close(call: Call) -> Reply:
    """Closes a tenant: its admins and their API tokens are shut out. Its subscribers go on; nothing is deleted."""
    tenant.close(call.session, call.id, call.now)
    return NO_CONTENT
