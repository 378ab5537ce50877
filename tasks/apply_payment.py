"""The one door for money: all that credits a subscriber or extends a subscription goes through here.

Each function is one transaction's work and commits nothing: what it does happens whole, or not at all, whenever the
process dies. Locks are taken in one order: intent, payment, wallet, subscription, usage.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import event, ledger, payment, payment_intent, renewal, voucher
from db.held import once
from db.payment import Payment
from db.payment_intent import PaymentIntent
from db.plan import Plan
from db.subscriber import Subscriber
from db.subscription import Subscription
from isp.encryption import Keyring
from isp.ledger import SOURCES, Account, PostingKind, covers, credited, price_due, redeemed, renewed, suspended
from isp.subscription import Status
from tasks import buyers, follow_up, sms


class Kept(StrEnum):
    """Why money stayed in the wallet instead of buying a validity."""

    NOT_ENOUGH = "not_enough"
    FULFILLED = "fulfilled"
    """What the intent is for was given before."""
    NO_CHOICE = "no_choice"
    """Nobody said for which of several subscriptions, or there is none."""
    SUSPENDED = "suspended"
    NOTHING_TO_EXTEND = "nothing_to_extend"
    """It never expires, or waits for its first login; or it was cancelled."""
    ARCHIVED = "archived"
    """The plan or the subscriber is."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a payment. `kept` None: it bought a validity of the subscription."""

    payment_id: int
    subscriber_id: int | None
    subscription_id: int | None
    kept: Kept | None
    balance_kes: Decimal


@dataclass(frozen=True, slots=True)
class _Purchase:
    """One validity of a plan: for a subscription, or for a new one."""

    plan: Plan
    subscription: Subscription | None
    price_kes: Decimal


def apply_payment(
    session: Session, payment_id: int, keyring: Keyring, now: datetime, *, held: PaymentIntent | None = None
) -> Applied | None:
    """Credits the payment to whom it is from and, if the wallet then covers it, gives what it is for; once.

    None if that was done before, or if somebody else does it. A payment of nobody goes to suspense. `held`: its intent,
    where the caller has locked it.
    """
    with session.no_autoflush:  # what is changed is written once
        return _apply(session, payment_id, keyring, now, held or _hold_intent(session, payment_id))


def _apply(
    session: Session, payment_id: int, keyring: Keyring, now: datetime, intent: PaymentIntent | None
) -> Applied | None:
    paid = payment.claim(session, payment_id, now)
    if paid is None:
        return None
    subscriber = buyers.buyer_of(session, paid, intent)
    if subscriber is None:
        paid.applied_at = None
        suspend(session, paid, "unknown_account", now)
        return Applied(paid.id, None, None, Kept.NO_CHOICE, Decimal(0))
    if paid.provider != "voucher":
        _credit(session, paid, subscriber, now)
    bought = _buy(session, paid, intent, subscriber, keyring, now)
    if paid.provider == "voucher" and isinstance(bought, Kept):
        _credit(session, paid, subscriber, now)  # it could not be had; what the voucher is worth is not lost
    paid.state, paid.booked_at, paid.subscriber_id = "applied", paid.booked_at or now, subscriber.id
    if isinstance(bought, Subscription):
        paid.subscription_id = bought.id
        if intent is not None:
            intent.subscriber_id, intent.subscription_id = subscriber.id, bought.id
            intent.fulfilled_at = intent.fulfilled_at or now
        if paid.provider == "voucher":
            session.flush()
            voucher.note_subscription(session, paid)
    applied = Applied(
        paid.id,
        subscriber.id,
        paid.subscription_id,
        None if isinstance(bought, Subscription) else bought,
        ledger.lock_wallet(session, paid.tenant_id, subscriber.id),
    )
    _tell(session, paid, applied)
    return applied


def _hold_intent(session: Session, payment_id: int) -> PaymentIntent | None:
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    return payment_intent.lock(session, intent_id) if intent_id is not None else None


def suspend(session: Session, paid: Payment, reason: str, now: datetime) -> None:
    """Books the locked payment as money of nobody known. One that was booked before stays as it is."""
    if paid.state != "received":
        return
    paid.state, paid.suspense_reason, paid.booked_at = "suspense", reason, now
    session.flush()
    entries = suspended(SOURCES[paid.provider], paid.amount_kes)
    ledger.post(session, paid.tenant_id, PostingKind.PAYMENT, entries, now, payment_id=paid.id)
    event.record(session, "payment.suspense", {**_described(paid), "reason": reason}, paid.tenant_id)


def renew_from_wallet(session: Session, subscription_id: int, now: datetime) -> bool:
    """Renews an expired subscription from its subscriber's wallet, at most once per expiry. Whether it did."""
    subscriber_id, tenant_id = session.execute(
        select(Subscription.subscriber_id, Subscription.tenant_id).where(Subscription.id == subscription_id)
    ).one()
    balance_kes = ledger.lock_wallet(session, tenant_id, subscriber_id)
    subscription = renewal.hold(session, subscription_id)
    plan = session.get_one(Plan, subscription.plan_id)
    is_due = (
        subscription.status == Status.ACTIVE
        and subscription.auto_renew
        and subscription.expires_at is not None
        and subscription.expires_at <= now
    )
    if not is_due or not plan.price_kes or not covers(balance_kes, plan.price_kes):
        return False
    posting_id = ledger.post(
        session,
        tenant_id,
        PostingKind.RENEWAL,
        renewed(plan.price_kes, subscriber_id),
        now,
        subscription_id=subscription_id,
    )
    renewal.extend(session, subscription, plan, now, price_kes=plan.price_kes, posting_id=posting_id, automatic=True)
    follow_up.subscription_changed(session, subscription_id, "auto_renew")
    session.flush()
    return True


def renew_at_once(session: Session, subscription_id: int, plan_id: int, now: datetime) -> None:
    """One more validity of the plan from the subscriber's wallet, though the old one may run still.

    Raises Conflict if the wallet does not hold the price, or it would be of no use.
    """
    subscription = session.get_one(Subscription, subscription_id)
    tenant_id, subscriber_id = subscription.tenant_id, subscription.subscriber_id
    balance_kes = ledger.lock_wallet(session, tenant_id, subscriber_id)
    subscription = renewal.hold(session, subscription_id)
    plan = session.get_one(Plan, plan_id)
    renewal.check_renewable(subscription, plan, balance_kes)
    posting_id = ledger.post(
        session,
        tenant_id,
        PostingKind.RENEWAL,
        renewed(plan.price_kes, subscriber_id),
        now,
        subscription_id=subscription_id,
    )
    renewal.extend(session, subscription, plan, now, price_kes=plan.price_kes, posting_id=posting_id)
    follow_up.subscription_changed(session, subscription_id, "wallet")
    session.flush()


def _credit(session: Session, paid: Payment, subscriber: Subscriber, now: datetime) -> None:
    waited = paid.state == "suspense"
    ledger.post(
        session,
        paid.tenant_id,
        PostingKind.SUSPENSE_ASSIGNED if waited else PostingKind.PAYMENT,
        credited(Account.SUSPENSE if waited else SOURCES[paid.provider], paid.amount_kes, subscriber.id),
        now,
        payment_id=paid.id,
        subscription_id=paid.subscription_id,
    )


def _buy(
    session: Session,
    paid: Payment,
    intent: PaymentIntent | None,
    subscriber: Subscriber,
    keyring: Keyring,
    now: datetime,
) -> Subscription | Kept:
    """The subscription that has one validity more, or why there is none."""
    # Of two payments for one subscriber, the second sees what the first made.
    balance_kes = ledger.lock_wallet(session, paid.tenant_id, subscriber.id)
    purchase = _purchase(session, paid, intent, subscriber, now)
    if isinstance(purchase, Kept):
        return purchase
    plan, subscription = purchase.plan, purchase.subscription
    if subscription is not None and not renewal.can_extend(subscription, plan):
        return Kept.SUSPENDED if subscription.status == Status.SUSPENDED else Kept.NOTHING_TO_EXTEND
    is_sold = plan.archived_at is None or (subscription is not None and subscription.plan_id == plan.id)
    if not is_sold or subscriber.archived_at is not None:
        return Kept.ARCHIVED
    is_voucher = paid.provider == "voucher"
    if not is_voucher and not covers(balance_kes, purchase.price_kes):
        return Kept.NOT_ENOUGH
    is_new = subscription is None
    if subscription is None:
        subscription = buyers.new_subscription(session, subscriber, plan, keyring, now)
    posting_id = ledger.post(
        session,
        paid.tenant_id,
        PostingKind.VOUCHER if is_voucher else PostingKind.RENEWAL,
        redeemed(purchase.price_kes) if is_voucher else renewed(purchase.price_kes, subscriber.id),
        now,
        payment_id=paid.id,
        subscription_id=subscription.id,
    )
    mac = paid.mac or (intent.mac if intent is not None else None)
    if mac is not None:
        buyers.remember_device(session, subscription, mac)
    if is_new:
        renewal.first(
            session, subscription, now, price_kes=purchase.price_kes, posting_id=posting_id, payment_id=paid.id
        )
        data = {"subscriber_id": subscriber.id, "subscription_id": subscription.id, "username": subscription.username}
        event.record(session, "subscriber.provisioned", data, subscriber.tenant_id, subscription_id=subscription.id)
    else:
        renewal.extend(
            session, subscription, plan, now, price_kes=purchase.price_kes, posting_id=posting_id, payment_id=paid.id
        )
    where = intent.router_id if intent is not None else None
    follow_up.subscription_changed(session, subscription.id, "payment", mac=mac, router_id=where)
    phone = paid.msisdn or (intent.msisdn if intent is not None else None)
    sms.tell_paid(session, subscription, phone, keyring, now, is_new=is_new)
    return subscription


def _purchase(
    session: Session, paid: Payment, intent: PaymentIntent | None, subscriber: Subscriber, now: datetime
) -> _Purchase | Kept:
    if intent is not None and intent.fulfilled_at is not None:
        return Kept.FULFILLED
    plan_id = paid.plan_id or (intent.plan_id if intent is not None else None)
    named_id = paid.subscription_id or (intent.subscription_id if intent is not None else None)
    if named_id is None and plan_id is None:
        named_id = buyers.only_subscription_of(session, subscriber)
        if named_id is None:
            return Kept.NO_CHOICE
    subscription = None if named_id is None else renewal.hold(session, named_id)
    if subscription is not None and subscription.subscriber_id != subscriber.id:
        return Kept.NO_CHOICE
    wanted_id = plan_id or (subscription.plan_id if subscription is not None else 0)
    plan = once(session, (Plan, wanted_id), lambda: session.get_one(Plan, wanted_id))
    if subscription is None:
        subscription = buyers.subscription_for(session, subscriber, plan, now)
    if paid.provider == "voucher":
        return _Purchase(plan, subscription, paid.amount_kes)
    quoted_kes = intent.price_kes if intent is not None and intent.plan_id == plan.id else None
    return _Purchase(plan, subscription, price_due(plan.price_kes, quoted_kes))


def _described(paid: Payment) -> dict[str, Any]:
    return {
        "payment_id": paid.id,
        "intent_id": paid.intent_id,
        "provider": paid.provider,
        "receipt": paid.receipt,
        "amount_kes": str(paid.amount_kes),
    }


def _tell(session: Session, paid: Payment, applied: Applied) -> None:
    data = {
        **_described(paid),
        "subscriber_id": applied.subscriber_id,
        "subscription_id": applied.subscription_id,
        "kept": applied.kept.value if applied.kept else None,
        "balance_kes": str(applied.balance_kes),
    }
    event.record(session, "payment.processed", data, paid.tenant_id, subscription_id=applied.subscription_id)
