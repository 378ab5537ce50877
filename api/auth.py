"""Who asks, and whether the role may."""

import re
from dataclasses import dataclass

from starlette.requests import Request

from api import failure_limit
from api.address import counted_as, parsed
from api.problem import Problem
from api.rights import CASHIERS, OWNERS, READERS, SELLERS, TELLERS, WRITERS, Right
from api.services import Services
from db import admin, tenant
from db.actor import Actor
from db.admin import Identity
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
    "authenticate",
]

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
    "authenticate",
]

TENANT_HEADER = "Kibali-Tenant"
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the tenant to act in; None is the platform itself."""

    identity: Identity
    tenant_id: int | None


def admit(services: Services, request: Request, right: Right) -> Caller:
    """Raises Problem 401 and 429 as `authenticate`, 403 if the role may not do this or no tenant is chosen, 422."""
    identity = authenticate(services, request)
    if identity.tenant_id is not None:
        if TENANT_HEADER in request.headers:
            raise _forbidden(f"Only the platform's admins choose a tenant. Leave {TENANT_HEADER} out.")
        if identity.role not in right:
            raise _forbidden(f"The role {identity.role} may not do this.")
        return Caller(identity, identity.tenant_id)
    chosen = _chosen_tenant(services, request)
    if chosen is None and not right.in_no_tenant:
        raise _forbidden(f"This token belongs to no tenant. Choose one: {TENANT_HEADER}: SLUG.")
    if chosen is not None and "owner" not in right:
        raise _forbidden(f"This is the platform's own. Leave {TENANT_HEADER} out.")
    return Caller(identity, chosen)


def authenticate(services: Services, request: Request) -> Identity:
    """The bearer. Raises Problem 401 without a good token, 429 after too many bad ones from the same address."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized("Send an API token: Authorization: Bearer kbl_….")
    who = counted_as(request.client.host if request.client else "unknown")
    if failure_limit.is_over(services.redis, who):
        raise Problem(
            429,
            "too_many_failures",
            "Too many wrong tokens came from this address. Wait a minute.",
            headers={"Retry-After": str(failure_limit.WINDOW_S)},
        )
    identity = _identity(services, token.strip())
    if identity is None:
        failure_limit.record(services.redis, who)
        raise _unauthorized("This API token is unknown, expired or revoked, or its admin is disabled.")
    return identity


def actor_of(identity: Identity, request: Request) -> Actor:
    """Who the audit log names for what this request changes."""
    route = request.scope.get("route")
    address = parsed(request.client.host) if request.client else None
    return Actor(
        who=identity.email,
        via="api",
        action=f"{request.method} {route.path if route else request.url.path}",
        admin_id=identity.admin_id,
        credential=f"token:{identity.token_id}",
        address=str(address) if address else None,
        request_id=request.state.request_id,
    )


def _identity(services: Services, token: str) -> Identity | None:
    if not credentials.is_api_token(token):
        return None
    with services.lookups.begin() as session:
        return admin.authenticate(session, credentials.api_token_hash(token))


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
