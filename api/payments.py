"""/api/v1/payments: what customers paid, and who is asked to. Jobs move money; here it is said what they are to do."""

from decimal import Decimal

from api.auth import CASHIERS, READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.schemas.payment import (
    Assign,
    Cash,
    Initiate,
    IntentOut,
    IntentQuery,
    JobOut,
    PaymentOut,
    PaymentQuery,
    ReportOut,
    ReportQuery,
    Why,
)
from db import ledger, payment, payment_intent, reconciliation, subscriber
from db.job import Job
from db.payment import Purpose, Receipt
from db.payment_intent import NewIntent
from db.refusal import Conflict, Invalid
from tasks.enqueue import enqueue
from tasks.payments import apply_received, assign_suspense, push_prompt, record_refund, reverse_payment

TAKE_MONEY = WRITERS | {"cashier"}


@with_query(READERS | TAKE_MONEY, PaymentQuery)
def index(call: Call, query: PaymentQuery) -> Reply:
    filters = query.model_dump(exclude={"limit", "cursor", "sort"})
    page = payment.page(call.session, page_request(query, payment.SORTS), **filters)
    return listing(query, page, PaymentOut.of)


@endpoint(READERS | TAKE_MONEY)
def read(call: Call) -> Reply:
    return Reply(PaymentOut.of(payment.by_id(call.session, call.id)))


@with_body(TAKE_MONEY | {"support"}, Initiate)
def initiate(call: Call, body: Initiate) -> Reply:
    """Answers before the customer is asked; how it went is told by the intent."""
    values = body.model_dump(exclude={"phone"})
    intent = payment_intent.create(call.session, call.tenant_id, NewIntent(msisdn=body.phone, **values), call.now)
    unique_key = f"push:{intent.id}"
    args = {"intent_id": intent.id}
    enqueue(call.session, push_prompt, args, tenant_id=call.tenant_id, unique_key=unique_key)
    return Reply(IntentOut.of(intent), 202, {"Location": f"/api/v1/payments/intents/{intent.id}"})


@with_query(READERS | TAKE_MONEY, IntentQuery)
def intents(call: Call, query: IntentQuery) -> Reply:
    request = page_request(query, payment_intent.SORTS)
    page = payment_intent.page(call.session, request, state=query.state, msisdn=query.phone)
    return listing(query, page, IntentOut.of)


@endpoint(READERS | TAKE_MONEY)
def intent(call: Call) -> Reply:
    return Reply(IntentOut.of(payment_intent.by_id(call.session, call.id)))


@with_body(TAKE_MONEY, Cash)
def cash(call: Call, body: Cash) -> Reply:
    """The same receipt again is answered with the payment that has it; with another amount it is refused."""
    subscriber.by_id(call.session, body.subscriber_id)
    if body.amount_kes <= 0:
        raise Invalid("It must be above 0.", field="amount_kes")
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
        enqueue(
            call.session,
            apply_received,
            {"payment_id": payment_id},
            tenant_id=call.tenant_id,
            unique_key=f"apply:{payment_id}",
        )
    return Reply(PaymentOut.of(paid), 201 if is_new else 200, {"Location": f"/api/v1/payments/{payment_id}"})


@with_body(WRITERS, Assign)
def assign(call: Call, body: Assign) -> Reply:
    """Money in suspense goes to a subscription's holder."""
    paid = payment.by_id(call.session, call.id)
    if paid.state != "suspense":
        raise Conflict(f"This payment is not in suspense: it is {paid.state}.", code="not_in_suspense")
    args = {"payment_id": paid.id, "subscription_id": body.subscription_id}
    job = enqueue(call.session, assign_suspense, args, tenant_id=call.tenant_id, unique_key=f"assign:{paid.id}")
    return _accepted(job)


@with_body(WRITERS, Why)
def refund_recorded(call: Call, body: Why) -> Reply:
    """Money in suspense was sent back by hand."""
    paid = payment.by_id(call.session, call.id)
    if paid.state != "suspense":
        raise Conflict(f"This payment is not in suspense: it is {paid.state}.", code="not_in_suspense")
    args = {"payment_id": paid.id, "memo": body.memo}
    job = enqueue(call.session, record_refund, args, tenant_id=call.tenant_id, unique_key=f"refund:{paid.id}")
    return _accepted(job)


@with_body(WRITERS, Why)
def reverse(call: Call, body: Why) -> Reply:
    """What the payment gave is taken back."""
    paid = payment.by_id(call.session, call.id)
    if paid.state not in ("applied", "suspense"):
        raise Conflict(f"There is nothing to take back: this payment is {paid.state}.", code="not_applied")
    args = {"payment_id": paid.id, "memo": body.memo}
    job = enqueue(call.session, reverse_payment, args, tenant_id=call.tenant_id, unique_key=f"reverse:{paid.id}")
    return _accepted(job)


@with_query(READERS | TAKE_MONEY, ReportQuery)
def report(call: Call, query: ReportQuery) -> Reply:
    return Reply(ReportOut.of(reconciliation.of_day(call.session, call.tenant_id, query.day)))


@endpoint(CASHIERS)
def wallet(call: Call) -> Reply:
    """A subscriber's balance; below 0 after a reversal of what was spent."""
    subscriber.by_id(call.session, call.id)
    balance_kes: Decimal = ledger.balance(call.session, call.id)
    return Reply({"subscriber_id": call.id, "balance_kes": str(balance_kes)})


def _accepted(job: Job) -> Reply:
    return Reply(JobOut.model_construct(job_id=job.id), 202)
