"""/api/v1/admins: the people who run a tenant; without a tenant, the platform's own."""

from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.rights import AUDITORS, HEADS
from api.schemas.base import Listed, given
from api.schemas.tenant import (
    AdminChange,
    AdminCreate,
    AdminMade,
    AdminOut,
    AdminQuery,
    AdminTerms,
    PasswordMade,
    PasswordReset,
)
from db import admin, admin_session, admin_totp
from db.refusal import Conflict, Invalid
from isp import credentials


@with_query(AUDITORS, AdminQuery, {200: Listed[AdminOut]})
def index(call: Call, query: AdminQuery) -> Reply:
    """Lists admins."""
    page = admin.page(call.session, page_request(query, admin.SORTS), role=query.role, disabled=query.disabled)
    return listing(query, page, AdminOut.of)


@with_body(HEADS, AdminCreate, {201: AdminMade})
def create(call: Call, body: AdminCreate) -> Reply:
    """Makes an admin. A password that was made up is in this answer and in no other; it is good for changing it."""
    _check_role(call, body.role)
    password = body.password or credentials.new_admin_password()
    made = admin.create(
        call.session,
        tenant_id=call.caller.tenant_id,
        email=body.email,
        role=body.role,
        password=password,
        must_change_password=True,
    )
    said = {} if body.password else {"password": password}
    return Reply(AdminMade.beside(AdminOut.of(made), **said), 201, {"Location": f"/api/v1/admins/{made.id}"})


@endpoint(AUDITORS, {200: AdminOut})
def read(call: Call) -> Reply:
    """Shows an admin."""
    return Reply(AdminOut.of(admin.by_id(call.session, call.id)))


@with_body(HEADS, AdminChange, {200: AdminOut})
def change(call: Call, body: AdminTerms) -> Reply:
    """Changes an admin: email, role, or whether they are shut out. The last owner stays one."""
    values = given(body)
    disabled = values.pop("disabled", None)
    if "role" in values:
        _check_role(call, values["role"])
    found = admin.by_id(call.session, call.id, for_update=True)
    admin.change(call.session, found, values)
    if disabled:
        admin.disable(call.session, found, call.now)
        admin_session.end_all(call.session, found.id, call.now)
    elif disabled is not None:
        admin.enable(call.session, found)
    return Reply(AdminOut.of(found))


@endpoint(HEADS, {204: None})
def disable(call: Call) -> Reply:
    """Shuts an admin out, with every session and API token. The record stays; the last owner can not be shut out."""
    found = admin.by_id(call.session, call.id, for_update=True)
    admin.disable(call.session, found, call.now)
    admin_session.end_all(call.session, found.id, call.now)
    return NO_CONTENT


@with_body(HEADS, PasswordReset, {200: PasswordMade})
def reset_password(call: Call, body: PasswordReset) -> Reply:
    """Gives an admin another password, to be changed at the next login, and ends their sessions. API tokens stay."""
    if call.id == call.admin_id:
        raise Conflict("Change your own password: POST /api/v1/auth/password.", code="oneself")
    found = admin.by_id(call.session, call.id, for_update=True)
    password = body.password or credentials.new_admin_password()
    admin.set_password(call.session, found, password, call.now, must_change_password=True)
    admin_session.end_all(call.session, found.id, call.now)
    return Reply(PasswordMade(**({} if body.password else {"password": password})))


@endpoint(HEADS, {204: None})
def reset_totp(call: Call) -> Reply:
    """Turns an admin's one-time passwords off: the phone was lost, and the recovery codes with it."""
    if call.id == call.admin_id:
        raise Conflict("Turn off your own: POST /api/v1/auth/totp/disable.", code="oneself")
    found = admin.by_id(call.session, call.id)
    if not admin_totp.turn_off(call.session, found.id):
        raise Conflict("This admin has no one-time passwords.", code="totp_off")
    return NO_CONTENT


def _check_role(call: Call, role: str) -> None:
    """Raises Invalid: the role platform, and only it, is the platform's."""
    if (role == "platform") != (call.caller.tenant_id is None):
        raise Invalid("The role platform, and only it, belongs to no tenant.", field="role")
