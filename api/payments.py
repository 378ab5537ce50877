"""/api/v1/payments: what customers paid, and who is asked to. Jobs move money; here it is said what they are to do."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
from db import payment, payment_intent, reconciliation, subscriber, subscription_list
from db.job import Job
from db.payment import Payment, Purpose, Receipt
from db.payment_intent import NewIntent
from db.refusal import Conflict, Invalid, NotFound, Refusal, refusal_of
from tasks.enqueue import enqueue
from tasks.payments import apply_received, assign_suspense, push_prompt, record_refund, reverse_payment


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
        intent = payment_intent.create(call.session, call.tenant_id, new, call.now)
    _enqueue(call, push_prompt, {"intent_id": intent.id}, f"push:{intent.id}")
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
    _check_cash(call, body)
    purpose = Purpose(
        subscriber_id=body.subscriber_id,
        subscription_id=body.subscription_id,
        plan_id=body.plan_id,
        admin_id=call.admin_id,
        memo=body.memo,
    )
    receipt = Receipt("cash", body.receipt, body.amount_kes, call.now)
    payment_id, is_new = payment.record(call.session, call.tenant_id, receipt, call.now, purpose)
    paid = payment.by_id(call.session, payment_id)
    if not is_new and (paid.amount_kes, paid.subscriber_id) != (body.amount_kes, body.subscriber_id):
        raise Conflict("This receipt was recorded for another payment.", code="taken", field="receipt")
    if is_new:
        apply_soon(call, payment_id)
    return Reply(PaymentOut.of(paid), 201 if is_new else 200, {"Location": f"/api/v1/payments/{payment_id}"})


@with_body(WRITERS, Assign, {202: JobAccepted})
def assign(call: Call, body: Assign) -> Reply:
    """Says that money in suspense is for a subscription. The job credits it to its holder."""
    paid = _in_suspense(call)
    try:
        subscription_list.by_id(call.session, body.subscription_id)
    except NotFound:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found") from None
    args = {"payment_id": paid.id, "subscription_id": body.subscription_id}
    return _decided(call, assign_suspense, args)


@with_body(WRITERS, Why, {202: JobAccepted})
def refund_recorded(call: Call, body: Why) -> Reply:
    """Records that money in suspense was sent back by hand."""
    return _decided(call, record_refund, {"payment_id": _in_suspense(call).id, "memo": body.memo})


@with_body(WRITERS, Why, {202: JobAccepted})
def reverse(call: Call, body: Why) -> Reply:
    """Reverses a payment: what it gave is taken back."""
    paid = payment.by_id(call.session, call.id)
    if paid.state not in ("applied", "suspense"):
        raise Conflict(f"There is nothing to take back: this payment is {paid.state}.", code="not_applied")
    return _decided(call, reverse_payment, {"payment_id": paid.id, "memo": body.memo})


@with_query(READERS, ReportQuery, {200: ReportOut})
def report(call: Call, query: ReportQuery) -> Reply:
    """Shows the money of a local day, and whether the books agree."""
    return Reply(ReportOut.of(reconciliation.of_day(call.session, call.tenant_id, query.day)))


def apply_soon(call: Call, payment_id: int) -> None:
    """Has the recorded payment credited."""
    _enqueue(call, apply_received, {"payment_id": payment_id}, f"apply:{payment_id}")


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


def _check_cash(call: Call, body: Cash) -> None:
    subscriber.by_id(call.session, body.subscriber_id)
    if body.amount_kes <= 0:
        raise Invalid("It must be above 0.", field="amount_kes")
    if body.subscription_id is None:
        return
    try:
        holder_id = subscription_list.by_id(call.session, body.subscription_id).subscription.subscriber_id
    except NotFound:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found") from None
    if holder_id != body.subscriber_id:
        raise Invalid("This subscription is another subscriber's.", field="subscription_id")


def _in_suspense(call: Call) -> Payment:
    paid = payment.by_id(call.session, call.id)
    if paid.state != "suspense":
        raise Conflict(f"This payment is not in suspense: it is {paid.state}.", code="not_in_suspense")
    return paid


def _decided(call: Call, task: Callable[..., None], args: Mapping[str, Any]) -> Reply:
    """One decision about a payment at a time. Raises Conflict while another is about to be carried out."""
    job = _enqueue(call, task, args, f"decide:{args['payment_id']}")
    if (job.task, job.args) != (task.__name__, dict(args)):
        raise Conflict(f"Job {job.id} is about to do something else with this payment.", code="in_progress")
    return jobs.accepted(job)


def _enqueue(call: Call, task: Callable[..., None], args: Mapping[str, Any], unique_key: str) -> Job:
    return enqueue(call.session, task, args, tenant_id=call.tenant_id, unique_key=unique_key)
