"""Who watches events: by a token, or by a ticket that was got with one; asked again each minute."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.websockets import WebSocket

from api import auth, failure_limit
from api.address import counted_as
from api.problem import Problem
from api.schemas.event import Hello, watching_role
from api.services import Services
from db import event_ticket
from db.event_ticket import Holder


@dataclass(frozen=True, slots=True)
class Watcher:
    admin_id: int
    tenant_id: int
    role: str
    hello: Hello
    """What it came in with."""
    holder: Holder | None = None
    """Of the ticket, if that was it."""


def admit(services: Services, websocket: WebSocket, hello: Hello) -> Watcher:
    """Raises Problem 401, 403, 422 or 429, and DBAPIError while PostgreSQL is away."""
    if (hello.token is None) == (hello.ticket is None):
        raise Problem(422, "invalid", "Give a token or a ticket, and not both.")
    if hello.token is not None:
        return _by_token(services, websocket, hello, hello.token)
    assert hello.ticket is not None
    return _by_ticket(services, websocket, hello, hello.ticket)


def still_may(services: Services, websocket: WebSocket, watcher: Watcher) -> bool:
    """Whether the watcher would be admitted again, in the same role. Raises DBAPIError while PostgreSQL is away."""
    if watcher.holder is None:
        assert watcher.hello.token is not None
        try:
            return _by_token(services, websocket, watcher.hello, watcher.hello.token) == watcher
        except Problem as problem:
            return problem.status == 429  # too many ask at once: nothing is known against this one
    with services.sessions.begin() as session:
        role = event_ticket.role_of(session, watcher.holder)
    return role is not None and watching_role(role) == watcher.role


def _by_token(services: Services, websocket: WebSocket, hello: Hello, token: str) -> Watcher:
    headers = [(b"authorization", b"Bearer " + token.encode("utf-8", "replace"))]
    if hello.tenant is not None:
        headers.append((auth.TENANT_HEADER.lower().encode(), hello.tenant.encode("utf-8", "replace")))
    request = Request({**websocket.scope, "type": "http", "method": "GET", "headers": headers})
    caller = auth.admit(services, request, auth.CASHIERS)
    assert caller.tenant_id is not None
    return Watcher(caller.identity.admin_id, caller.tenant_id, watching_role(caller.identity.role), hello)


def _by_ticket(services: Services, websocket: WebSocket, hello: Hello, ticket: str) -> Watcher:
    who = counted_as(websocket.client.host if websocket.client else "unknown")
    if failure_limit.is_over(services.redis, who):
        raise Problem(429, "too_many_failures", "Too many wrong tickets came from this address. Wait a minute.")
    with services.sessions.begin() as session:
        holder = event_ticket.use(session, ticket)
    if holder is None:
        services.limit.failed(who)
        raise Problem(401, "unauthorized", "This ticket is unknown, used or too old. Get another.")
    return Watcher(holder.admin_id, holder.tenant_id, watching_role(holder.role), hello, holder)
