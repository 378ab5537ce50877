"""/api/v1/payments: what customers paid, and who is asked to. Jobs move money; here it is said what they are to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from api import jobs
from api.auth import CASHIERS, READERS, SELLERS, TELLERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.payment_accounts import public_url
from api.schemas.base import Listed, values_of
from api.schemas.job import JobAccepted
from api.schemas.payment import (
    Assign,
    Cash,
    Initiate,
    IntentOut,
    IntentQuery,
    PaymentOut,
    PaymentQuery,
    ReportOut,
    ReportQuery,
    Why,
)
from db import payment, payment_intent, reconciliation
from db.payment_intent import NewIntent
from db.refusal import Refusal, refusal_of
from tasks import payment_orders


@with_query(CASHIERS, PaymentQuery, {200: Listed[PaymentOut]})
def index(call: Call, query: PaymentQuery) -> Reply:
    """Lists payments, newest first."""
    filters = query.model_dump(exclude={"limit", "cursor", "sort"})
    page = payment.page(call.session, page_request(query, payment.SORTS), **filters)
    return listing(query, page, PaymentOut.of)


@endpoint(CASHIERS, {200: PaymentOut})
def read(call: Call) -> Reply:
    """Shows a payment."""
    return Reply(PaymentOut.of(payment.by_id(call.session, call.id)))


@with_body(SELLERS, Initiate, {202: IntentOut})
def initiate(call: Call, body: Initiate) -> Reply:
    """Asks a customer to pay. It answers before they are asked; the intent at Location tells how it went."""
    public_url(call)
    values = dict(values_of(body))
    new = NewIntent(msisdn=values.pop("phone"), **values)
    with phone_named_as_sent():
        intent = payment_orders.initiate(call.session, call.tenant_id, new, call.now)
    return Reply(IntentOut.of(intent), 202, {"Location": f"/api/v1/payments/intents/{intent.id}"})


@with_query(CASHIERS, IntentQuery, {200: Listed[IntentOut]})
def intents(call: Call, query: IntentQuery) -> Reply:
    """Lists intents: who was asked to pay, newest first."""
    request = page_request(query, payment_intent.SORTS)
    page = payment_intent.page(call.session, request, state=query.state, msisdn=query.phone)
    return listing(query, page, IntentOut.of)


@endpoint(CASHIERS, {200: IntentOut})
def intent(call: Call) -> Reply:
    """Shows an intent."""
    return Reply(IntentOut.of(payment_intent.by_id(call.session, call.id)))


@with_body(TELLERS, Cash, {201: PaymentOut, 200: PaymentOut})
def cash(call: Call, body: Cash) -> Reply:
    """Records cash that was taken.

    The same receipt again is answered, with 200, with the payment that has it; for other money it is refused.
    """
    taken = payment_orders.Cash(**values_of(body))
    paid, is_new = payment_orders.take_cash(call.session, call.tenant_id, taken, call.now, admin_id=call.admin_id)
    return Reply(PaymentOut.of(paid), 201 if is_new else 200, {"Location": f"/api/v1/payments/{paid.id}"})


@with_body(WRITERS, Assign, {202: JobAccepted})
def assign(call: Call, body: Assign) -> Reply:
    """Says that money in suspense is for a subscription. The job credits it to its holder."""
    return jobs.accepted(payment_orders.assign(call.session, call.tenant_id, call.id, body.subscription_id))


@with_body(WRITERS, Why, {202: JobAccepted})
def refund_recorded(call: Call, body: Why) -> Reply:
    """Records that money in suspense was sent back by hand."""
    return jobs.accepted(payment_orders.note_refund(call.session, call.tenant_id, call.id, body.memo))


@with_body(WRITERS, Why, {202: JobAccepted})
def reverse(call: Call, body: Why) -> Reply:
    """Reverses a payment: what it gave is taken back."""
    return jobs.accepted(payment_orders.reverse(call.session, call.tenant_id, call.id, body.memo))


@with_query(READERS, ReportQuery, {200: ReportOut})
def report(call: Call, query: ReportQuery) -> Reply:
    """Shows the money of a local day, and whether the books agree."""
    return Reply(ReportOut.of(reconciliation.of_day(call.session, call.tenant_id, query.day)))


@contextmanager
def phone_named_as_sent() -> Iterator[None]:
    """What is refused about the msisdn is refused about the field that the caller knows, `phone`."""
    try:
        yield
    except (Refusal, IntegrityError) as error:
        refusal = refusal_of(error) if isinstance(error, IntegrityError) else error
        if refusal is None:
            raise
        if refusal.field == "msisdn":
            refusal.field = "phone"
        raise refusal from None
