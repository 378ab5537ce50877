"""Payments that nobody told us of: asked for at 20 s, 60 s, 2, 5 and 15 minutes, then left to a person to look at.

Each function is one transaction's work and commits nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db import payment_intent
from db.payment import Receipt
from db.payment_intent import PaymentIntent
from isp.encryption import Keyring
from isp.payment import (
    QUERY_AFTER_S,
    Failed,
    IntentState,
    Paid,
    Pending,
    QueryOutcome,
    Unknown,
    after_query,
    next_query_at,
)
from tasks import prompting
from tasks.payment_provider import PaymentProvider
from tasks.receive_payment import PROVIDER, credit_intent

NEVER_ANSWERED = Unknown("M-Pesa never said what it would do; only its callback can tell")

# A query that is this late has lost its job; one that is later by far can not be asked.
LATE = timedelta(minutes=2)
TOO_LATE = timedelta(hours=1)
# Nobody was asked: its job failed for good.
STALE = timedelta(minutes=15)
BATCH = 100


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask the provider, and how many questions there were before."""

    intent_id: int
    payment_account_id: int
    checkout_request_id: str | None
    queries: int


def question(session: Session, intent_id: int, now: datetime) -> Question | None:
    """None if there is nothing to ask, or not yet."""
    intent = payment_intent.by_id(session, intent_id)
    if intent.next_query_at is None or intent.next_query_at > now + timedelta(seconds=1):
        return None
    return Question(intent.id, intent.payment_account_id, intent.checkout_request_id, intent.queries)


def note_answer(
    session: Session,
    asked: Question,
    outcome: QueryOutcome,
    provider: PaymentProvider,
    keyring: Keyring,
    now: datetime,
    query_after_s: Sequence[int] = QUERY_AFTER_S,
) -> datetime | None:
    """Acts upon the answer; when to ask again. None for never: it is settled, or somebody else asked the same."""
    intent = payment_intent.lock(session, asked.intent_id)
    if intent.queries != asked.queries or intent.next_query_at is None:
        return None
    intent.queries += 1
    assert intent.prompted_at is not None
    intent.next_query_at = next_query_at(intent.prompted_at, intent.queries, query_after_s)
    state = after_query(IntentState(intent.state), outcome, is_last=intent.next_query_at is None)
    match outcome:
        case Paid():
            credit_intent(session, intent, _without_receipt(intent, now), keyring, now)
        case Failed(code):
            prompting.fail(session, intent, code, provider, now)
        case Pending() | Unknown() if state is IntentState.UNKNOWN:
            reason = outcome.reason if isinstance(outcome, Unknown) else "M-Pesa still says that it is pending"
            prompting.leave_unknown(session, intent, reason, now)
        case Unknown(reason):
            intent.note = reason
    session.flush()
    return intent.next_query_at


def lost_queries(session: Session, now: datetime) -> list[PaymentIntent]:
    """Intents whose query is late, though it can still be asked."""
    late = payment_intent.unasked(session, now - LATE, BATCH)
    return [intent for intent in late if not _is_too_late(intent, now)]


def give_up(session: Session, now: datetime) -> int:
    """Settles intents that could not be asked about, and those for which nobody was asked. How many."""
    settled = 0
    for late in payment_intent.unasked(session, now - TOO_LATE, BATCH):
        intent = payment_intent.lock(session, late.id)
        if intent.next_query_at is not None and _is_too_late(intent, now):
            intent.next_query_at = None
            if intent.state in (IntentState.PROMPTING, IntentState.PROMPTED):
                prompting.leave_unknown(session, intent, "the provider could not be asked: see the failed jobs", now)
            settled += 1
    for waiting in payment_intent.unpushed(session, now - STALE, BATCH):
        intent = payment_intent.lock(session, waiting.id)
        if intent.state == IntentState.INITIATED:
            prompting.fail(session, intent, prompting.NOT_SENT, None, now)
            settled += 1
    session.flush()
    return settled


def _is_too_late(intent: PaymentIntent, now: datetime) -> bool:
    return intent.next_query_at is not None and intent.next_query_at < now - TOO_LATE


def _without_receipt(intent: PaymentIntent, now: datetime) -> Receipt:
    return Receipt(
        PROVIDER,
        None,
        intent.amount_kes,
        now,
        payment_account_id=intent.payment_account_id,
        msisdn_text=intent.msisdn,
        msisdn=intent.msisdn,
    )
