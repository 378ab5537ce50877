"""/api/v1/vouchers"""

from api import failure_limit, voucher_sheet
from api.address import counted_as
from api.answers import Text
from api.auth import CASHIERS, SELLERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.payments import phone_named_as_sent
from api.problem import Problem
from api.schemas.base import Listed, values_of
from api.schemas.payment import PaymentOut
from api.schemas.voucher import (
    BatchCreate,
    BatchOut,
    BatchQuery,
    BatchStanding,
    Code,
    Codes,
    Redeem,
    Revoked,
    SheetQuery,
    VoucherCounts,
)
from db import audit, voucher
from db.refusal import Refusal
from db.voucher import NewBatch, Redeemer
from isp.voucher import printed
from tasks import payment_orders

FAILURES = failure_limit.FAILURES
# Several desks, or all customers of a portal, may stand behind one.
FAILURES_PER_ADDRESS = 5 * FAILURES


@with_query(CASHIERS, BatchQuery, {200: Listed[BatchOut]})
def index(call: Call, query: BatchQuery) -> Reply:
    """Lists batches of vouchers, newest first."""
    return listing(query, voucher.batches(call.session, page_request(query, voucher.SORTS)), BatchOut.of)


@with_body(WRITERS, BatchCreate, {201: BatchOut})
def create(call: Call, body: BatchCreate) -> Reply:
    """Makes a batch of vouchers for a plan."""
    batch = voucher.create_batch(call.session, call.tenant_id, NewBatch(**values_of(body)), call.keyring, call.now)
    return Reply(BatchOut.of(batch), 201, {"Location": f"/api/v1/vouchers/{batch.id}"})


@endpoint(CASHIERS, {200: BatchStanding})
def read(call: Call) -> Reply:
    """Shows a batch, with how many of its codes are unused, redeemed and revoked."""
    batch = voucher.batch_by_id(call.session, call.id)
    counts = VoucherCounts(**voucher.counts(call.session, batch.id))
    return Reply(BatchStanding.beside(BatchOut.of(batch), vouchers=counts))


@endpoint(WRITERS, {200: Codes})
def codes(call: Call) -> Reply:
    """Shows the codes of a batch, for printing: whoever has a code can use it."""
    batch = voucher.batch_by_id(call.session, call.id)
    audit.note(call.session, "voucher_batch", batch.id)
    sheet = voucher.sheet(call.session, batch.id, call.keyring)
    return Reply(Codes(items=[Code(id=each.voucher_id, code=printed(each.code), state=each.state) for each in sheet]))


@with_query(WRITERS, SheetQuery, {200: Text("application/pdf")})
def sheet(call: Call, query: SheetQuery) -> Reply:
    """Prints what is unused of a batch: A4, 21 slips a page, each with its code to read and to scan."""
    url = query.login_url or call.voucher_url or None
    content = voucher_sheet.pdf(call.session, call.id, url, call.keyring, call.now)
    name = f'attachment; filename="vouchers-{call.id}.pdf"'
    return Reply(content, headers={"Content-Disposition": name, "Cache-Control": "no-store"})


@endpoint(WRITERS, {200: Revoked})
def revoke(call: Call) -> Reply:
    """Revokes a batch: what is unused of it is worth nothing any more."""
    return Reply(Revoked(revoked=voucher.revoke_batch(call.session, call.id, call.now)))


@with_body(SELLERS, Redeem, {201: PaymentOut})
def redeem(call: Call, body: Redeem) -> Reply:
    """Redeems a voucher. What it is worth is credited in a moment. Who tries many wrong codes has to wait."""
    host = call.request.client.host if call.request.client else "unknown"
    guessers = {f"voucher:{call.admin_id}": FAILURES, f"voucher:{counted_as(host)}": FAILURES_PER_ADDRESS}
    if any(failure_limit.is_over(call.redis, who, most) for who, most in guessers.items()):
        message = "Too many wrong codes. Wait a minute."
        raise Problem(429, "too_many_failures", message, headers={"Retry-After": str(failure_limit.WINDOW_S)})
    redeemer = Redeemer(body.subscription_id, body.phone, body.mac)
    try:
        with phone_named_as_sent():
            paid = payment_orders.redeem(call.session, call.tenant_id, body.code, redeemer, call.keyring, call.now)
    except Refusal as refusal:
        if refusal.field == "code":
            for who in guessers:
                failure_limit.record(call.redis, who)
        raise
    return Reply(PaymentOut.of(paid), 201, {"Location": f"/api/v1/payments/{paid.id}"})
