"""/webhooks/daraja: what M-Pesa tells. A body is stored as it came, a job is told, and the answer goes out.

Nothing is believed or done here. The token in the path says whose it is; it is never logged.
"""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import structlog
from sqlalchemy import text
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from api.problem import Problem, problem_of
from api.services import Services, services_of
from db import payment_account, payment_match, webhook_inbox
from isp.daraja_json import BadMessage
from isp.daraja_webhooks import (
    C2B_ACCEPTED,
    C2B_ACKNOWLEDGEMENT,
    STK_ACKNOWLEDGEMENT,
    C2bRejection,
    c2b_rejected,
    parse_c2b,
)
from tasks.enqueue import enqueue
from tasks.payments import process_webhook

# A sender that is slower than this is none of M-Pesa's.
_READ_WITHIN_S = 10
# M-Pesa gives up on a validation after 8 s, and then does what the account was registered with.
_VALIDATE_WITHIN_S = 3.0

log = structlog.get_logger(__name__)

Answer = Callable[[Request], Awaitable[Response]]


def _answered(handler: Answer) -> Answer:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception as error:  # noqa: BLE001 - every failure becomes an answer; problem_of logs those that are ours
            return problem_of(error).response()

    return answer


@_answered
async def stk(request: Request) -> Response:
    return await _receive(request, "stk", STK_ACKNOWLEDGEMENT)


@_answered
async def confirmation(request: Request) -> Response:
    return await _receive(request, "c2b_confirmation", C2B_ACKNOWLEDGEMENT)


@_answered
async def validation(request: Request) -> Response:
    """Whether M-Pesa is to take a customer's money. While PostgreSQL does not say whose it is, yes: what can not be
    matched is kept in suspense, and a customer who paid is better served than one who is turned away."""
    services = services_of(request)
    content = await _body(request)
    try:
        bill_ref = parse_c2b(content).bill_ref
    except BadMessage as error:
        log.warning("a validation could not be read", reason=str(error))
        return JSONResponse(C2B_ACCEPTED)
    looking = run_in_threadpool(_is_known, services, request.path_params["token"], bill_ref)
    try:
        known = await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(looking)), _VALIDATE_WITHIN_S)
    except Problem:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with PostgreSQL, the customer may pay
        log.warning("a validation was accepted without a look", error=type(error).__name__)
        known = True
    return JSONResponse(C2B_ACCEPTED if known else c2b_rejected(C2bRejection.INVALID_ACCOUNT_NUMBER))


async def _receive(request: Request, kind: str, acknowledgement: object) -> Response:
    services = services_of(request)
    content = await _body(request)
    await run_in_threadpool(_store, services, kind, request.path_params["token"], _source(services, request), content)
    return JSONResponse(acknowledgement)


def _store(services: Services, kind: str, token: str, source: str | None, content: bytes) -> None:
    """Raises Problem 404 for a token of nobody."""
    listed = _is_listed(services, source)
    with services.sessions.begin() as session:
        stored = webhook_inbox.store(session, kind, payment_account.token_hash(token), source, listed, content)
        if stored is None:
            raise Problem(404, "not_found", "Not found.")
        confine = text("SELECT set_config('kibali.tenant_id', :tenant_id, true)")
        session.execute(confine, {"tenant_id": str(stored.tenant_id)})
        args = {"inbox_id": stored.inbox_id}
        enqueue(session, process_webhook, args, tenant_id=stored.tenant_id)


def _is_known(services: Services, token: str, bill_ref: str) -> bool:
    """Raises Problem 404 for a token of nobody."""
    with services.sessions.begin() as session:
        session.execute(text(f"SET LOCAL statement_timeout = {int(_VALIDATE_WITHIN_S * 1000)}"))
        of_token = text("SELECT tenant_id FROM payment_account_of_token(:hash)")
        tenant_id = session.scalar(of_token, {"hash": payment_account.token_hash(token)})
        if tenant_id is None:
            raise Problem(404, "not_found", "Not found.")
        confine = text("SELECT set_config('kibali.tenant_id', :tenant_id, true)")
        session.execute(confine, {"tenant_id": str(tenant_id)})
        # A till has no account numbers; whose money it is, its confirmation tells.
        return not bill_ref.strip() or bool(payment_match.of_bill_ref(session, tenant_id, bill_ref))


async def _body(request: Request) -> bytes:
    """As much as is kept; what is longer is no callback, and is stored cut off, for the operator to see."""
    content = b""
    try:
        async with asyncio.timeout(_READ_WITHIN_S):
            async for chunk in request.stream():
                content += chunk[: webhook_inbox.MAX_BODY_BYTES - len(content)]
    except TimeoutError:
        raise Problem(408, "too_slow", "The body did not come in time.", headers={"Connection": "close"}) from None
    return content


def _source(services: Services, request: Request) -> str | None:
    """The sender's address; behind proxies of ours, the one that the first of them saw."""
    address = _address(request.client.host if request.client else "")
    forwarded = [part.strip() for part in request.headers.get("x-forwarded-for", "").split(",") if part.strip()]
    while forwarded and address is not None and any(address in proxy for proxy in services.trusted_proxies):
        address = _address(forwarded.pop())
    return None if address is None else str(address)


def _is_listed(services: Services, source: str | None) -> bool:
    if not services.webhook_sources:
        return True
    address = _address(source or "")
    return address is not None and any(address in network for network in services.webhook_sources)


def _address(text_: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text_)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
