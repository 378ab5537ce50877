"""Who asks, and whether the role may."""

from starlette.requests import Request

from api import failure_limit
from api.problem import Problem
from api.services import Services
from db import admin
from db.admin import Identity
from isp import credentials

OWNERS = frozenset({"owner"})
"""Who may say where the money goes."""
WRITERS = frozenset({"owner", "manager"})
READERS = WRITERS | {"support", "read-only"}
CASHIERS = READERS | {"cashier"}
"""Who may look at customers."""
TELLERS = WRITERS | {"cashier"}
"""Who may take money."""
SELLERS = TELLERS | {"support"}
"""Who may ask a customer to pay, or redeem what they bought."""


def authenticate(services: Services, request: Request) -> Identity:
    """The bearer. Raises Problem 401 without a good token, 429 after too many bad ones from the same address."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise _unauthorized("Send an API token: Authorization: Bearer kbl_….")
    who = failure_limit.at(request.client.host if request.client else "unknown")
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


def tenant_of(identity: Identity, roles: frozenset[str]) -> int:
    """The tenant to act in. Raises Problem 403 if the role may not do this."""
    if identity.tenant_id is None:
        raise Problem(403, "forbidden", "This token belongs to no tenant. Use one of the tenant's admins.")
    if identity.role not in roles:
        raise Problem(403, "forbidden", f"The role {identity.role} may not do this.")
    return identity.tenant_id


def _identity(services: Services, token: str) -> Identity | None:
    if not credentials.is_api_token(token):
        return None
    with services.sessions.begin() as session:
        return admin.authenticate(session, credentials.api_token_hash(token))


def _unauthorized(message: str) -> Problem:
    return Problem(401, "unauthorized", message, headers={"WWW-Authenticate": "Bearer"})
