"""Asking a customer's phone for money, once.

`begin` is committed before the question leaves: whoever finds the intent `prompting` does not ask, for it may have been
asked. What the provider said is committed after it. In between anything may die; then the callback, which finds the
intent by its token, or the queries, tell what became of it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from db import event, payment_intent, tenant
from db.payment_intent import PaymentIntent
from db.plan import Plan
from isp.encryption import Keyring
from isp.payment import (
    QUERY_AFTER_S,
    Accepted,
    IntentState,
    PushOutcome,
    Rejected,
    Unanswered,
    after_push,
    description_of,
    next_query_at,
)
from tasks.payment_provider import PaymentProvider, Prompt

NO_PUBLIC_URL = "no_public_url"
NOT_SENT = "not_sent"


def begin(
    session: Session,
    intent_id: int,
    public_url: str,
    keyring: Keyring,
    now: datetime,
    query_after_s: Sequence[int] = QUERY_AFTER_S,
) -> Prompt | None:
    """What to ask, once this is committed; None if it was asked, or may have been. Raises EncryptionError."""
    token = payment_intent.callback_token(intent_id, keyring)
    if not payment_intent.begin_prompting(session, intent_id, token, now, next_query_at(now, 0, query_after_s)):
        return None
    intent = session.get_one(PaymentIntent, intent_id, populate_existing=True)
    return Prompt(
        msisdn=intent.msisdn,
        amount_kes=intent.amount_kes,
        account_reference=intent.account_reference,
        description=description_of(session.get_one(Plan, intent.plan_id).name),
        callback_url=f"{public_url.rstrip('/')}/webhooks/daraja/stk/{token}",
    )


def note_outcome(
    session: Session,
    intent_id: int,
    outcome: PushOutcome,
    provider: PaymentProvider,
    now: datetime,
    *,
    is_last_attempt: bool,
) -> IntentState:
    """What the intent is now. INITIATED: nobody was asked, and it is to be tried again."""
    intent = payment_intent.lock(session, intent_id)
    state = after_push(IntentState(intent.state), outcome, is_last_attempt=is_last_attempt)
    match outcome:
        case Accepted():
            intent.merchant_request_id = intent.merchant_request_id or outcome.merchant_request_id
            intent.checkout_request_id = intent.checkout_request_id or outcome.checkout_request_id
        case Unanswered():
            intent.note = outcome.reason
        case Rejected():
            intent.note = f"{outcome.code}: {outcome.message}"
    if isinstance(outcome, Rejected) and state is IntentState.FAILED:
        fail(session, intent, outcome.code, provider, now)
    elif state is IntentState.INITIATED:
        intent.next_query_at = None
    payment_intent.settle(intent, state, now)
    session.flush()
    return state


def fail(session: Session, intent: PaymentIntent, code: str, provider: PaymentProvider | None, now: datetime) -> None:
    """The locked intent failed, unless it is paid: for watchers, and for the customer in the tenant's language.

    `provider` None: it had no part in it. Queries that are still to come are asked: a success may follow.
    """
    is_news = payment_intent.settle(intent, IntentState.FAILED, now) or intent.failure_code != code
    if intent.state == IntentState.PAID or not is_news:
        return
    intent.failure_code = code
    if provider is not None:
        language = session.get_one(tenant.Tenant, intent.tenant_id).language
        intent.failure_reason = provider.failure_sentence(code, language)
    data = {"intent_id": intent.id, "code": code, "reason": intent.failure_reason, "msisdn": intent.msisdn}
    event.record(session, "payment.failed", data, intent.tenant_id, subscription_id=intent.subscription_id)


def leave_unknown(session: Session, intent: PaymentIntent, note: str, now: datetime) -> None:
    """Nobody knows what became of the locked intent: an operator has to look."""
    intent.note = note
    if payment_intent.settle(intent, IntentState.UNKNOWN, now):
        data = {"intent_id": intent.id, "note": note, "msisdn": intent.msisdn}
        event.record(session, "payment.unknown", data, intent.tenant_id, subscription_id=intent.subscription_id)
