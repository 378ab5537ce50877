"""/webhooks/daraja/c2b/{token}/validation: whether M-Pesa is to take money that a customer is about to pay.

M-Pesa gives up after 8 s, and then does what the account was registered with. While PostgreSQL does not say whose money
it would be, the answer is yes: what nobody can be found for is kept in suspense, and a customer who paid is better
served than one who was turned away.
"""

import asyncio
import time

import structlog
from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.endpoint import open_to_all
from api.schemas.webhook import Acknowledgement
from api.services import Services, services_of
from api.threads import in_thread
from api.webhooks import ANYTHING, confine, read_body, source_of, token_of, unknown_token
from db import payment_account, payment_match
from isp.daraja_json import BadMessage
from isp.daraja_webhooks import C2B_ACCEPTED, C2bRejection, c2b_rejected, parse_c2b

LOOK_WITHIN_S = 2.5
"""With the time that a body may take, less than 8 s."""

log = structlog.get_logger(__name__)


class _TooLate(Exception):
    """The answer went out already."""


@open_to_all({200: Acknowledgement}, ANYTHING)
async def validation(request: Request) -> Response:
    """Says whether M-Pesa is to take a payment: 0, or the code of why not."""
    services, token, source = services_of(request), token_of(request), source_of(request)
    content = await read_body(request)
    try:
        bill_ref = parse_c2b(content).bill_ref
    except BadMessage as error:
        log.warning("a validation could not be read, and was accepted", reason=error.reason)
        return JSONResponse(C2B_ACCEPTED)
    # Not cancelled when it is late: a thread can not be, and would be counted as free.
    look = asyncio.ensure_future(_look(services, token, source, bill_ref, time.monotonic() + LOOK_WITHIN_S))
    await asyncio.wait({look}, timeout=LOOK_WITHIN_S)
    if not look.done() or look.exception() is not None:
        look.add_done_callback(_note)
        return JSONResponse(C2B_ACCEPTED)
    if look.result() is None:
        raise unknown_token()
    return JSONResponse(C2B_ACCEPTED if look.result() else c2b_rejected(C2bRejection.INVALID_ACCOUNT_NUMBER))


async def _look(services: Services, token: str, source: str, bill_ref: str, until: float) -> bool | None:
    """Whether anybody has that account number; None for a token of nobody."""
    async with services.unknown_tokens.turn(source):
        known = await in_thread(_is_known, services, token, bill_ref, until)
        if known is None:
            services.unknown_tokens.record(source)
    return known


def _is_known(services: Services, token: str, bill_ref: str, until: float) -> bool | None:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise _TooLate  # it waited for a free thread
    with services.sessions.begin() as session:
        session.execute(text(f"SET LOCAL statement_timeout = {max(1, int(left_s * 1000))}"))
        of_token = text("SELECT tenant_id FROM payment_account_of_token(:hash)")
        tenant_id = session.scalar(of_token, {"hash": payment_account.token_hash(token)})
        if tenant_id is None:
            return None
        confine(session, tenant_id)
        # A till has no account numbers: whose money it is, is found out later.
        return not bill_ref.strip() or bool(payment_match.of_bill_ref(session, tenant_id, bill_ref))


def _note(look: asyncio.Future[bool | None]) -> None:
    error = look.exception()
    log.warning("a validation was accepted without a look", error="late" if error is None else type(error).__name__)
