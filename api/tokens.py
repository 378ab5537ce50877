"""/api/v1/tokens: what programs authenticate with. Everybody has their own; an owner sees and revokes all."""

from api import scopes
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.problem import Problem
from api.rights import ONESELF
from api.schemas.api_token import ApiTokenCreate, ApiTokenMade, ApiTokenOut, ApiTokenQuery
from api.schemas.base import Listed
from db import admin, api_token
from db.refusal import Invalid


@with_query(ONESELF, ApiTokenQuery, {200: Listed[ApiTokenOut]})
def index(call: Call, query: ApiTokenQuery) -> Reply:
    """Lists one's API tokens; an owner's list has everybody's."""
    admin_id = query.admin_id
    if not _sees_all(call):
        if admin_id not in (None, call.admin_id):
            raise Problem(403, "forbidden", "Only an owner sees the tokens of others.")
        admin_id = call.admin_id
    request = page_request(query, api_token.SORTS)
    return listing(
        query, api_token.page(call.session, request, admin_id=admin_id, revoked=query.revoked), ApiTokenOut.of
    )


@with_body(ONESELF, ApiTokenCreate, {201: ApiTokenMade})
def create(call: Call, body: ApiTokenCreate) -> Reply:
    """Makes an API token for oneself. A token makes none that may do more, or longer, than itself."""
    if body.expires_at is not None and body.expires_at <= call.now:
        raise Invalid("It must be in the future.", field="expires_at")
    identity = call.caller.identity
    if identity.scopes is not None and not all(
        scopes.covers(identity.scopes, each) for each in body.scopes or ("*:write",)
    ):
        raise Invalid("A token can not make one that may do more than itself.", field="scopes")
    if identity.expires_at is not None and (body.expires_at is None or body.expires_at > identity.expires_at):
        raise Invalid("A token can not make one that lasts longer than itself.", field="expires_at")
    who = admin.by_id(call.session, call.admin_id)
    made, token = admin.issue_token(call.session, who, body.name, body.expires_at, body.scopes)
    return Reply(ApiTokenMade.beside(ApiTokenOut.of(made), token=token), 201)


@endpoint(ONESELF, {204: None})
def revoke(call: Call) -> Reply:
    """Revokes an API token. The record stays."""
    api_token.revoke(call.session, call.id, call.now, of_admin=None if _sees_all(call) else call.admin_id)
    return NO_CONTENT


def _sees_all(call: Call) -> bool:
    return call.caller.identity.role in admin.HEADS
