"""/api/v1/vouchers"""

from api.auth import READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.payments import TAKE_MONEY
from api.schemas.base import values_of
from api.schemas.payment import PaymentOut
from api.schemas.voucher import BatchCreate, BatchOut, BatchQuery, Redeem
from db import payment, voucher
from db.voucher import NewBatch, Redeemer
from tasks.enqueue import enqueue
from tasks.payments import apply_received


@with_query(READERS | TAKE_MONEY, BatchQuery)
def index(call: Call, query: BatchQuery) -> Reply:
    return listing(query, voucher.batches(call.session, page_request(query, voucher.SORTS)), BatchOut.of)


@with_body(WRITERS, BatchCreate)
def create(call: Call, body: BatchCreate) -> Reply:
    batch = voucher.create_batch(call.session, call.tenant_id, NewBatch(**values_of(body)), call.keyring, call.now)
    return Reply(BatchOut.of(batch), 201, {"Location": f"/api/v1/vouchers/{batch.id}"})


@endpoint(READERS | TAKE_MONEY)
def read(call: Call) -> Reply:
    """With how many of its codes are unused, redeemed and revoked."""
    batch = voucher.batch_by_id(call.session, call.id)
    counts = voucher.counts(call.session, batch.id)
    return Reply({**BatchOut.of(batch).model_dump(mode="json"), "vouchers": counts})


@endpoint(WRITERS)
def codes(call: Call) -> Reply:
    """For printing: whoever has a code can use it."""
    batch = voucher.batch_by_id(call.session, call.id)
    printed = voucher.sheet(call.session, batch.id, call.keyring)
    return Reply({"items": [{"id": each.voucher_id, "code": each.code, "state": each.state} for each in printed]})


@endpoint(WRITERS)
def revoke(call: Call) -> Reply:
    """What is unused of the batch is worth nothing any more."""
    return Reply({"revoked": voucher.revoke_batch(call.session, call.id, call.now)})


@with_body(TAKE_MONEY | {"support"}, Redeem)
def redeem(call: Call, body: Redeem) -> Reply:
    """Uses the code up; what it is worth is credited in a moment."""
    redeemer = Redeemer(body.subscription_id, body.phone, body.mac)
    payment_id = voucher.redeem(call.session, call.tenant_id, body.code, redeemer, call.keyring, call.now)
    args = {"payment_id": payment_id}
    enqueue(call.session, apply_received, args, tenant_id=call.tenant_id, unique_key=f"apply:{payment_id}")
    return Reply(PaymentOut.of(payment.by_id(call.session, payment_id)), 201)
