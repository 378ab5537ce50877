"""Money as providers tell of it: by callback, by C2B, by a query, in any order and any number of times.

The same money is known by its receipt. A query tells that a prompt was paid but gives no receipt: that payment is
provisional until its receipt comes. Each function is one transaction's work and commits nothing.
"""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from db import ledger, payment, payment_intent, payment_match
from db.payment import Payment, Purpose, Receipt
from db.payment_account import PaymentAccount
from db.payment_intent import PaymentIntent
from db.payment_match import NOBODY, Match
from isp.encryption import Keyring
from isp.ledger import SOURCES, PostingKind, credited, reversed_entries
from isp.msisdn import parse_msisdn
from isp.payment import C2bPayment, IntentState
from tasks.apply_payment import apply_payment, suspend
from tasks.payment_decisions import reverse

PROVIDER = "daraja"


class Outcome(StrEnum):
    """What became of news of money."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    """Told before."""
    COMPLETED = "completed"
    """Credited before, by a query; now its receipt is known."""
    LINKED = "linked"
    """Credited before without its intent, which is known now."""
    SUSPENSE = "suspense"
    CONFLICT = "conflict"
    """The receipt belongs to another intent: somebody has to look at it."""


def credit_intent(session: Session, intent: PaymentIntent, told: Receipt, keyring: Keyring, now: datetime) -> Outcome:
    """The locked intent was paid, `told` says what is known of it. Credits it unless that was done."""
    was_paid = intent.state == IntentState.PAID
    payment_intent.settle(intent, IntentState.PAID, now)
    purpose = Purpose(intent_id=intent.id, plan_id=intent.plan_id, mac=intent.mac)
    if told.receipt is None:
        if payment.is_paid(session, intent.id):
            return Outcome.DUPLICATE
    elif was_paid:  # else there is no payment of it that waits for its receipt
        there, provisional = payment.of_receipt_or_waiting(session, intent.tenant_id, PROVIDER, told.receipt, intent.id)
        if there is not None:
            return _known_receipt(session, intent, there, keyring, now)
        if provisional is not None:
            _complete(session, provisional, told, now)
            return Outcome.COMPLETED
    with session.no_autoflush:
        payment_id, is_new = payment.record(session, intent.tenant_id, told, now, purpose)
    if not is_new:  # told before: by a C2B that nobody could match, or for another intent
        return _known_receipt(session, intent, payment.lock(session, payment_id), keyring, now)
    apply_payment(session, payment_id, keyring, now, held=intent)
    return Outcome.APPLIED


def receive_c2b(
    session: Session, account: PaymentAccount, told: C2bPayment, source_listed: bool, keyring: Keyring, now: datetime
) -> Outcome:
    """Money that a customer sent, or a prompt's money told once more. Whose it is nobody knows, goes to suspense."""
    msisdn = parse_msisdn(told.msisdn_text)
    receipt = Receipt(
        PROVIDER,
        told.receipt,
        told.amount_kes,
        told.paid_at,
        payment_account_id=account.id,
        msisdn_text=told.msisdn_text,
        msisdn=msisdn,
        bill_ref=told.bill_ref,
        payer_name=told.payer_name or None,
    )
    match = _match(session, account.tenant_id, told.bill_ref, msisdn) if source_listed else NOBODY
    if match.intent_id is not None:
        return credit_intent(session, payment_intent.lock(session, match.intent_id), receipt, keyring, now)
    purpose = Purpose(subscription_id=match.subscription_id, subscriber_id=match.subscriber_id)
    payment_id, is_new = payment.record(session, account.tenant_id, receipt, now, purpose)
    if not is_new:
        return Outcome.DUPLICATE
    if match:
        apply_payment(session, payment_id, keyring, now)
        return Outcome.APPLIED
    reason = "unknown_account" if source_listed else "unlisted_source"
    suspend(session, payment.lock(session, payment_id), reason, now)
    return Outcome.SUSPENSE


def _match(session: Session, tenant_id: int, bill_ref: str, msisdn: str | None) -> Match:
    """At a till there is no account to give: then a phone that is certain says who paid."""
    if bill_ref.strip():
        return payment_match.of_bill_ref(session, tenant_id, bill_ref)
    return NOBODY if msisdn is None else payment_match.of_phone(session, tenant_id, msisdn)


def _known_receipt(session: Session, intent: PaymentIntent, there: Payment, keyring: Keyring, now: datetime) -> Outcome:
    if there.intent_id == intent.id:
        return Outcome.DUPLICATE
    if there.intent_id is not None:
        return Outcome.CONFLICT
    there.intent_id, there.plan_id, there.mac = intent.id, there.plan_id or intent.plan_id, there.mac or intent.mac
    session.flush()
    provisional = payment.provisional_of(session, intent.id)
    if there.state in ("suspense", "received"):
        if provisional is not None:
            _merge(session, there, provisional, now)
            return Outcome.COMPLETED
        apply_payment(session, there.id, keyring, now)
        return Outcome.APPLIED
    # Somebody has credited it already, to whom it may concern; the same money is not credited twice.
    if provisional is not None:
        if provisional.state == "applied":
            reverse(session, provisional.id, f"the same money as payment {there.id}", now)
        # It waits for a receipt no more: the next one is of other money.
        provisional.state, provisional.receipt = "merged", there.receipt
    intent.fulfilled_at = intent.fulfilled_at or now
    session.flush()
    return Outcome.LINKED


def _complete(session: Session, provisional: Payment, told: Receipt, now: datetime) -> None:
    """The locked provisional payment gets its receipt. One that was reversed meanwhile stays so."""
    difference_kes = told.amount_kes - provisional.amount_kes
    if difference_kes and provisional.state == "applied":
        provisional.provisional_kes = provisional.amount_kes
        assert provisional.subscriber_id is not None
        entries = credited(SOURCES[provisional.provider], difference_kes, provisional.subscriber_id)
        ledger.post(session, provisional.tenant_id, PostingKind.ADJUSTMENT, entries, now, payment_id=provisional.id)
        provisional.amount_kes = told.amount_kes
    for name in ("receipt", "paid_at", "msisdn_text", "msisdn", "bill_ref", "payer_name"):
        value = getattr(told, name)
        if value is not None:
            setattr(provisional, name, value)
    session.flush()


def _merge(session: Session, waiting: Payment, provisional: Payment, now: datetime) -> None:
    """What waited in suspense is the money of the provisional payment: it leaves the books, and leaves its receipt."""
    told = replace(
        Receipt(PROVIDER, waiting.receipt, waiting.amount_kes, waiting.paid_at),
        **{name: getattr(waiting, name) for name in ("msisdn_text", "msisdn", "bill_ref", "payer_name")},
    )
    entries = reversed_entries(ledger.entries_of_payment(session, waiting.id))
    ledger.post(
        session,
        waiting.tenant_id,
        PostingKind.REVERSAL,
        entries,
        now,
        payment_id=waiting.id,
        memo=f"the same money as payment {provisional.id}",
    )
    waiting.state, waiting.reversed_at = "merged", now
    waiting.memo = f"the same money as payment {provisional.id}"
    session.flush()  # the receipt is free
    _complete(session, provisional, told, now)
