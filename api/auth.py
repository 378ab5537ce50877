"""Who asks, and whether the role may."""

import re
from dataclasses import dataclass

from starlette.requests import HTTPConnection, Request

from api import scopes, session_cookie
from api.address import counted_as, parsed
from api.failure_limit import WINDOW_S
from api.problem import Problem
from api.request_limit import Verdict
from api.rights import CASHIERS, OWNERS, READERS, SELLERS, TELLERS, WRITERS, Right
from api.services import Services
from db import admin_session, bearer, tenant
from db.actor import Actor
from db.admin import Identity
from db.bearer import Bearer
from db.engine import use_tenant
from isp import credentials

__all__ = [
    "CASHIERS",
    "OWNERS",
    "READERS",
    "SELLERS",
    "TELLERS",
    "WRITERS",
    "Caller",
    "actor_of",
    "admit",
    "allowed",
    "authenticate",
    "remembered",
]

TENANT_HEADER = "Kibali-Tenant"
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the tenant to act in; None is the platform itself."""

    identity: Identity
    tenant_id: int | None


def admit(services: Services, request: Request, right: Right) -> Caller:
    """Raises Problem 401 and 429 as `authenticate`, 403 if they may not do this or no tenant is chosen, 422."""
    return allowed(services, request, right, authenticate(services, request))


def allowed(services: Services, request: Request, right: Right, identity: Identity) -> Caller:
    """As `admit`, of whoever asks."""
    if identity.must_change_password and not right.at_first:
        message = "Change your password first: POST /api/v1/auth/password."
        raise Problem(403, "password_change_required", message)
    check_scope(identity, request)
    if identity.tenant_id is not None:
        if TENANT_HEADER in request.headers:
            raise _forbidden(f"Only the platform's admins choose a tenant. Leave {TENANT_HEADER} out.")
        if identity.role not in right:
            raise _forbidden(f"The role {identity.role} may not do this.")
        return Caller(identity, identity.tenant_id)
    chosen = _chosen_tenant(services, request)
    if chosen is None and not right.in_no_tenant:
        raise _forbidden(f"You belong to no tenant. Choose one: {TENANT_HEADER}: SLUG.")
    if chosen is not None and (right.of_oneself or "owner" not in right):
        raise _forbidden(f"This is not about a tenant. Leave {TENANT_HEADER} out.")
    return Caller(identity, chosen)


def remembered(services: Services, request: Request) -> Bearer | None:
    """Who bore the request's API token the last time, to be confirmed by PostgreSQL. Raises Problem 429.

    None for any other credential, for who chooses a tenant, and for a token that was not seen yet.
    """
    token = _token_in(request.headers.get("authorization", ""))
    if token is None or TENANT_HEADER in request.headers:
        return None
    hashed = credentials.api_token_hash(token)
    known = services.bearers.get(hashed)
    if known is not None:
        _check_limits(services, request, hashed)
        request.state.is_counted = True
    return known


def authenticate(services: Services, request: HTTPConnection) -> Identity:
    """Whoever sends an API token, a session's token, or a session's cookie.

    Raises Problem 401 without a good one, 403 for a cookie that another site may have sent, 429 after too many bad ones
    from the same address.
    """
    token, from_cookie = _presented(request)
    hashed = credentials.api_token_hash(token)
    if not getattr(request.state, "is_counted", False):
        _check_limits(services, request, hashed)
    if credentials.is_session_token(token):
        found = admin_session.authenticate(services.engine, hashed)
        if found is not None:
            identity, is_over = found
            if is_over:  # no failure: a page that was left open asks on and on
                raise _unauthorized("This session is over. Log in again.")
            if from_cookie:
                session_cookie.check(request, token)
            return identity
    elif credentials.is_api_token(token) and not from_cookie:
        known = bearer.authenticate(services.engine, hashed)
        if known is not None:
            if known.identity.tenant_id is not None:
                services.bearers.remember(known)
            return known.identity
    services.limit.failed(_address(request))
    raise _unauthorized("This token is unknown, expired or revoked, or its admin is disabled.")


def _address(request: HTTPConnection) -> str:
    return counted_as(request.client.host if request.client else "unknown")


def _check_limits(services: Services, request: HTTPConnection, token_hash: bytes) -> None:
    """Raises Problem 429."""
    headers = {"Retry-After": str(WINDOW_S)}
    match services.limit.check(_address(request), token_hash.hex()):
        case Verdict.TOO_MANY_FAILURES:
            message = "Too many wrong tokens came from this address. Wait a minute."
            raise Problem(429, "too_many_failures", message, headers=headers)
        case Verdict.TOO_MANY_REQUESTS:
            message = f"More than {services.limit.allowed} requests came within a minute. Wait until it is over."
            raise Problem(429, "too_many_requests", message, headers=headers)


def check_scope(identity: Identity, request: HTTPConnection) -> None:
    """Raises Problem 403 for what the token is not for."""
    needed = scopes.needed(request.scope.get("method", "GET"), request.scope["path"])
    if not scopes.covers(identity.scopes, needed):
        raise Problem(403, "scope", f"This token was made without the scope {needed}.")


def _presented(request: HTTPConnection) -> tuple[str, bool]:
    """A token, and whether it comes from a cookie. Raises Problem 401 if there is none."""
    header = request.headers.get("authorization")
    if header is None:
        cookie = session_cookie.token_in(request)
        if cookie is None:
            raise _unauthorized("Send an API token: Authorization: Bearer kbl_….")
        return cookie, True
    token = _token_in(header)
    if token is None:
        raise _unauthorized("Send an API token: Authorization: Bearer kbl_….")
    return token, False


def _token_in(header: str) -> str | None:
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def actor_of(identity: Identity, request: Request) -> Actor:
    """Who the audit log names for what this request changes."""
    route = request.scope.get("route")
    address = parsed(request.client.host) if request.client else None
    return Actor(
        who=identity.email,
        via="api",
        action=f"{request.method} {route.path if route else request.url.path}",
        admin_id=identity.admin_id,
        credential=identity.credential,
        address=str(address) if address else None,
        request_id=request.state.request_id,
    )


def _chosen_tenant(services: Services, request: Request) -> int | None:
    slugs = request.headers.getlist(TENANT_HEADER)
    if not slugs:
        return None
    found = None
    if len(slugs) == 1 and _SLUG.fullmatch(slugs[0]):
        with services.sessions() as session:
            found = tenant.by_slug(use_tenant(session, None), slugs[0])
    if found is None:
        raise Problem(422, "not_found", "There is no such tenant.", field=TENANT_HEADER)
    return found.id


def _forbidden(message: str) -> Problem:
    return Problem(403, "forbidden", message)


def _unauthorized(message: str) -> Problem:
    return Problem(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
