"""Payments taken back, and money in suspense: what an operator decides. Each is one transaction's work, uncommitted.

A reversal gives back to where the money came from all that was posted for the payment. The validity that it bought is
taken off the subscription's expiry, which may then be over; the subscription itself stays, and nobody is suspended by
it. What the subscriber has spent otherwise is owed: the wallet goes below 0, and the next payment goes to that first.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import event, ledger, payment, payment_intent, renewal
from db.payment import Payment
from db.payment_intent import PaymentIntent
from db.refusal import Conflict, Invalid
from db.subscription import Subscription
from isp.encryption import Keyring
from isp.ledger import PostingKind, refunded, reversed_entries
from tasks import follow_up
from tasks.apply_payment import Applied, apply_payment


def reverse(session: Session, payment_id: int, memo: str, now: datetime) -> bool:
    """Takes back what the payment gave. False if that was done before. Raises Conflict where it gave nothing yet."""
    intent, paid = lock_payment(session, payment_id)
    if paid.state == "reversed":
        return False
    if paid.state not in ("applied", "suspense"):
        raise Conflict(f"This payment is {paid.state}.", code=paid.state)
    renewals = renewal.of_payment(session, payment_id)
    entries = reversed_entries(ledger.entries_of_payment(session, payment_id))
    ledger.post(
        session,
        paid.tenant_id,
        PostingKind.REVERSAL,
        entries,
        now,
        payment_id=payment_id,
        subscription_id=paid.subscription_id,
        memo=memo,
    )
    for each in renewals:
        if renewal.take_back(session, each, now) is not None:
            follow_up.subscription_changed(session, each.subscription_id, "reversal")
    if intent is not None and renewals:
        intent.fulfilled_at = None
    paid.state, paid.reversed_at, paid.memo = "reversed", now, memo
    data = {
        "payment_id": payment_id,
        "receipt": paid.receipt,
        "amount_kes": str(paid.amount_kes),
        "memo": memo,
        "renewals_taken_back": len(renewals),
    }
    event.record(session, "payment.reversed", data, paid.tenant_id, subscription_id=paid.subscription_id)
    session.flush()
    return True


def assign(session: Session, payment_id: int, subscription_id: int, keyring: Keyring, now: datetime) -> Applied | None:
    """Credits money in suspense to a subscription's subscriber and, if it is enough, renews the subscription.

    None if it was assigned before. Raises Conflict unless it is in suspense, Invalid without such a subscription.
    """
    _, paid = lock_payment(session, payment_id)
    if paid.state == "applied":
        return None
    if paid.state != "suspense":
        raise Conflict(f"This payment is {paid.state}, not in suspense.", code=paid.state)
    subscription = session.get(Subscription, subscription_id)
    if subscription is None or subscription.tenant_id != paid.tenant_id:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found")
    paid.subscription_id, paid.subscriber_id = subscription.id, subscription.subscriber_id
    session.flush()
    return apply_payment(session, payment_id, keyring, now)


def record_refund(session: Session, payment_id: int, memo: str, now: datetime) -> bool:
    """Says that money in suspense was sent back by other ways. False if that was said before. Raises Conflict unless it
    is in suspense."""
    _, paid = lock_payment(session, payment_id)
    if paid.state == "refunded":
        return False
    if paid.state != "suspense":
        raise Conflict(f"This payment is {paid.state}, not in suspense.", code=paid.state)
    ledger.post(
        session, paid.tenant_id, PostingKind.REFUND, refunded(paid.amount_kes), now, payment_id=payment_id, memo=memo
    )
    paid.state, paid.memo = "refunded", memo
    data = {"payment_id": payment_id, "receipt": paid.receipt, "amount_kes": str(paid.amount_kes), "memo": memo}
    event.record(session, "payment.refunded", data, paid.tenant_id)
    session.flush()
    return True


def lock_payment(session: Session, payment_id: int) -> tuple[PaymentIntent | None, Payment]:
    """The payment and its intent, locked in the order in which all lock them. Raises NotFound."""
    intent_id = session.scalar(select(Payment.intent_id).where(Payment.id == payment_id))
    intent = payment_intent.lock(session, intent_id) if intent_id is not None else None
    return intent, payment.lock(session, payment_id)
