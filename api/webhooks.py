"""/webhooks/daraja: what M-Pesa tells. A body is stored as it came, a job is told of it, and the answer goes out.

Nothing is believed or done here. The token in the path says whose it is; it is known by its hash and never logged.
"""

import asyncio
import re
from collections.abc import Mapping

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.address import parsed
from api.answers import Text
from api.endpoint import open_to_all
from api.problem import Problem
from api.schemas.webhook import Acknowledgement
from api.services import Services, services_of
from api.threads import in_thread
from api.webhook_bounds import Verdict, too_many
from db import event, payment_account, webhook_inbox
from db.webhook_inbox import Stored
from isp.daraja_webhooks import C2B_ACKNOWLEDGEMENT, STK_ACKNOWLEDGEMENT
from tasks.enqueue import put
from tasks.payments import process_webhook

log = structlog.get_logger(__name__)

# A sender that is slower than this is none of M-Pesa's.
READ_WITHIN_S = 5
# What is longer is not even cut off.
_MOST_BYTES = 1_000_000
# As db/payment_account.py and db/payment_intent.py make them.
_TOKEN = re.compile(r"[0-9a-f]{40}", re.ASCII)

ANYTHING = Text("*/*")


@open_to_all({200: Acknowledgement}, ANYTHING)
async def stk(request: Request) -> Response:
    """Takes what became of a push. Whether anything is believed is decided later."""
    return await _receive(request, "stk", STK_ACKNOWLEDGEMENT)


@open_to_all({200: Acknowledgement}, ANYTHING)
async def confirmation(request: Request) -> Response:
    """Takes that a customer paid by hand. Whether it is believed is decided later."""
    return await _receive(request, "c2b_confirmation", C2B_ACKNOWLEDGEMENT)


async def _receive(request: Request, kind: str, acknowledgement: Mapping[str, str | int]) -> Response:
    services, token, source = services_of(request), token_of(request), source_of(request)
    content = await read_body(request)
    verdict = services.webhook_bounds.check(kind, token)
    if verdict is not Verdict.FINE:
        if verdict is Verdict.OVER_AND_NEWS:
            await in_thread(_tell_of_too_many, services, kind, services.webhook_bounds.last(kind, token))
        raise too_many()
    async with services.unknown_tokens.turn(source):
        stored = await in_thread(_store, services, kind, token, source, content)
        if stored is None:
            services.unknown_tokens.record(source)
            raise unknown_token()
    services.webhook_bounds.record(kind, token, len(content), stored)
    return JSONResponse(acknowledgement)


def _store(services: Services, kind: str, token: str, source: str, content: bytes) -> Stored | None:
    """None for a token of nobody."""
    address = parsed(source)
    known = services.webhook_sources
    listed = not known or (address is not None and any(address in network for network in known))
    with services.sessions.begin() as session:
        token_hash = payment_account.token_hash(token)
        stored = webhook_inbox.store(
            session, kind, token_hash, None if address is None else str(address), listed, content
        )
        if stored is None:
            return None
        confine(session, stored.tenant_id)
        put(session, process_webhook, {"inbox_id": stored.inbox_id}, tenant_id=stored.tenant_id)
    return stored


def _tell_of_too_many(services: Services, kind: str, last: Stored) -> None:
    """Its operator, once; what was stored last shows which account and prompt it is."""
    log.warning("more webhooks came than M-Pesa ever sends, and are refused", kind=kind, inbox_id=last.inbox_id)
    with services.sessions.begin() as session:
        confine(session, last.tenant_id)
        data = {"kind": kind, "inbox_id": last.inbox_id}
        event.record(session, "payment.webhooks_limited", data, last.tenant_id)


def confine(session: Session, tenant_id: int) -> None:
    """The running transaction, to one tenant."""
    statement = text("SELECT set_config('kibali.tenant_id', :tenant_id, true)")
    session.execute(statement, {"tenant_id": str(tenant_id)})


def token_of(request: Request) -> str:
    """Raises Problem 404 for what no token looks like."""
    token: str = request.path_params["token"]
    if not _TOKEN.fullmatch(token):
        raise unknown_token()
    return token


def unknown_token() -> Problem:
    return Problem(404, "not_found", "Not found.")


def source_of(request: Request) -> str:
    """The sender's address: of the peer, or, behind proxies of ours, the one that they saw."""
    return request.client.host if request.client else "unknown"


async def read_body(request: Request) -> bytes:
    """As much as is kept: what is longer is no callback, and is stored cut off, for the operator to see.

    Raises Problem 408, 413.
    """
    content, size = bytearray(), 0
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            async for chunk in request.stream():
                content += chunk[: webhook_inbox.MAX_BODY_BYTES - len(content)]
                size += len(chunk)
                if size > _MOST_BYTES:
                    raise Problem(413, "too_large", "This is no callback.", headers={"Connection": "close"})
    except TimeoutError:
        raise Problem(408, "too_slow", "The body did not come in time.", headers={"Connection": "close"}) from None
    return bytes(content)
