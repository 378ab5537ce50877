"""What operators order about payments: recorded, and handed to the jobs that do it. For the API and the commands alike.

Each is a part of the caller's transaction and raises what refuses it; jobs move money, here it is said what they do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from db import payment, payment_account, payment_intent, subscriber, subscription_list, voucher
from db.job import Job
from db.payment import Payment, Purpose, Receipt
from db.payment_intent import NewIntent, PaymentIntent
from db.refusal import Conflict, Invalid, NotFound
from db.voucher import Redeemer
from isp.encryption import Keyring
from tasks import pull_payments
from tasks.enqueue import enqueue
from tasks.payment_accounts import check_credentials, register_c2b_urls
from tasks.payments import apply_received, assign_suspense, push_prompt, record_refund, reverse_payment


@dataclass(frozen=True, slots=True)
class Cash:
    """Cash that was taken, under its number in the receipt book."""

    receipt: str
    amount_kes: Decimal
    subscriber_id: int
    subscription_id: int | None = None
    plan_id: int | None = None
    memo: str | None = None


def initiate(session: Session, tenant_id: int, new: NewIntent, now: datetime) -> PaymentIntent:
    """The intent, whose customer is about to be asked. Raises what `payment_intent.create` raises."""
    intent = payment_intent.create(session, tenant_id, new, now)
    enqueue(session, push_prompt, {"intent_id": intent.id}, tenant_id=tenant_id, unique_key=f"push:{intent.id}")
    return intent


def take_cash(
    session: Session, tenant_id: int, cash: Cash, now: datetime, *, admin_id: int | None = None
) -> tuple[Payment, bool]:
    """The payment, about to be credited, and True; or the one that has this receipt already, and False.

    Raises NotFound, Invalid, and Conflict `taken` where the receipt is of other money.
    """
    _check_cash(session, cash)
    purpose = Purpose(
        subscriber_id=cash.subscriber_id,
        subscription_id=cash.subscription_id,
        plan_id=cash.plan_id,
        admin_id=admin_id,
        memo=cash.memo,
    )
    receipt = Receipt("cash", cash.receipt, cash.amount_kes, now)
    payment_id, is_new = payment.record(session, tenant_id, receipt, now, purpose)
    paid = payment.by_id(session, payment_id)
    if not is_new and (paid.amount_kes, paid.subscriber_id) != (cash.amount_kes, cash.subscriber_id):
        raise Conflict("This receipt was recorded for another payment.", code="taken", field="receipt")
    if is_new:
        _apply_soon(session, tenant_id, payment_id)
    return paid, is_new


def redeem(session: Session, tenant_id: int, code: str, redeemer: Redeemer, keyring: Keyring, now: datetime) -> Payment:
    """Uses the voucher up; its payment, about to be credited. Raises what `voucher.redeem` raises."""
    payment_id = voucher.redeem(session, tenant_id, code, redeemer, keyring, now)
    _apply_soon(session, tenant_id, payment_id)
    return payment.by_id(session, payment_id)


def assign(session: Session, tenant_id: int, payment_id: int, subscription_id: int) -> Job:
    """Money in suspense goes to a subscription's holder. Raises NotFound, Invalid, Conflict."""
    paid = _in_suspense(session, payment_id)
    try:
        subscription_list.by_id(session, subscription_id)
    except NotFound:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found") from None
    return _decided(session, tenant_id, assign_suspense, {"payment_id": paid.id, "subscription_id": subscription_id})


def note_refund(session: Session, tenant_id: int, payment_id: int, memo: str) -> Job:
    """Money in suspense was sent back by hand. Raises NotFound, Conflict."""
    paid = _in_suspense(session, payment_id)
    return _decided(session, tenant_id, record_refund, {"payment_id": paid.id, "memo": memo})


def reverse(session: Session, tenant_id: int, payment_id: int, memo: str) -> Job:
    """What the payment gave is taken back. Raises NotFound, Conflict."""
    paid = payment.by_id(session, payment_id)
    if paid.state not in ("applied", "suspense"):
        raise Conflict(f"There is nothing to take back: this payment is {paid.state}.", code="not_applied")
    return _decided(session, tenant_id, reverse_payment, {"payment_id": paid.id, "memo": memo})


def try_account(session: Session, tenant_id: int, account_id: int) -> Job:
    """Its credentials are tried out. Raises NotFound."""
    account = payment_account.by_id(session, account_id)
    args, unique_key = {"account_id": account.id}, f"test-account:{account.id}"
    return enqueue(session, check_credentials, args, tenant_id=tenant_id, unique_key=unique_key)


def register_c2b(session: Session, tenant_id: int, account_id: int) -> Job:
    """M-Pesa is told where to send what customers pay by hand. Raises NotFound, Conflict."""
    account = payment_account.by_id(session, account_id)
    if account.disabled_at is not None:
        raise Conflict("This payment account is disabled.", code="disabled")
    args, unique_key = {"account_id": account.id}, f"register-c2b:{account.id}"
    return enqueue(session, register_c2b_urls, args, tenant_id=tenant_id, unique_key=unique_key)


def register_pull(session: Session, tenant_id: int, account_id: int, msisdn: str) -> Job:
    """M-Pesa is to keep what is paid to the account, so that it can be asked for. Raises NotFound, Conflict."""
    account = payment_account.by_id(session, account_id)
    if account.disabled_at is not None:
        raise Conflict("This payment account is disabled.", code="disabled")
    args, unique_key = {"account_id": account.id, "msisdn": msisdn}, f"register-pull:{account.id}"
    return enqueue(session, pull_payments.register_pull, args, tenant_id=tenant_id, unique_key=unique_key)


def pull(session: Session, tenant_id: int, account_id: int) -> Job:
    """Payments that nobody told of are looked for, now. Raises NotFound, Conflict."""
    account = payment_account.by_id(session, account_id)
    if account.pull_registered_at is None:
        message = "This account is not registered for that. Register it first: POST …/register-pull."
        raise Conflict(message, code="not_registered")
    args, unique_key = {"account_id": account.id}, f"pull:{account.id}"
    return enqueue(session, pull_payments.pull_payments, args, tenant_id=tenant_id, unique_key=unique_key)


def _apply_soon(session: Session, tenant_id: int, payment_id: int) -> None:
    args, unique_key = {"payment_id": payment_id}, f"apply:{payment_id}"
    enqueue(session, apply_received, args, tenant_id=tenant_id, unique_key=unique_key)


def _check_cash(session: Session, cash: Cash) -> None:
    subscriber.by_id(session, cash.subscriber_id)
    if cash.amount_kes <= 0:
        raise Invalid("It must be above 0.", field="amount_kes")
    if cash.subscription_id is None:
        return
    try:
        holder_id = subscription_list.by_id(session, cash.subscription_id).subscription.subscriber_id
    except NotFound:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found") from None
    if holder_id != cash.subscriber_id:
        raise Invalid("This subscription is another subscriber's.", field="subscription_id")


def _in_suspense(session: Session, payment_id: int) -> Payment:
    paid = payment.by_id(session, payment_id)
    if paid.state != "suspense":
        raise Conflict(f"This payment is not in suspense: it is {paid.state}.", code="not_in_suspense")
    return paid


def _decided(session: Session, tenant_id: int, task: Callable[..., None], args: Mapping[str, Any]) -> Job:
    """One decision about a payment at a time. Raises Conflict while another is about to be carried out."""
    job = enqueue(session, task, args, tenant_id=tenant_id, unique_key=f"decide:{args['payment_id']}")
    if (job.task, job.args) != (task.__name__, dict(args)):
        raise Conflict(f"Job {job.id} is about to do something else with this payment.", code="in_progress")
    return job
