"""The life of a payment that we ask for: what is known of it, and what each piece of evidence makes of that.

A provider's answers are what it said, not what we make of it. Money is certain once anybody says that it was paid;
nothing takes that back but a reversal.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from itertools import pairwise


class IntentState(StrEnum):
    """`prompting`: the request to prompt the customer may have gone out, or not. Money may still come in any state."""

    INITIATED = "initiated"
    PROMPTING = "prompting"
    PROMPTED = "prompted"
    PAID = "paid"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider will prompt the customer. Nothing is paid yet."""

    merchant_request_id: str
    checkout_request_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider said no, so nobody was or will be prompted. `permanent`: asking again would not help."""

    code: str
    message: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A time-out, a broken connection, an answer that makes no sense: the customer may have been prompted."""

    reason: str


@dataclass(frozen=True, slots=True)
class Paid:
    """The customer paid."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The customer did not pay, for the reason that the provider's `code` stands for."""

    code: str


@dataclass(frozen=True, slots=True)
class Pending:
    """The customer has not decided yet."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No answer, or one whose meaning we do not know: neither paid nor failed."""

    reason: str


PushOutcome = Accepted | Rejected | Unanswered
QueryOutcome = Paid | Failed | Pending | Unknown
Verdict = Paid | Failed | Unknown


@dataclass(frozen=True, slots=True)
class StkResult:
    """What a callback says of one prompt. Only of a payment are receipt, amount, phone and time known, as a rule."""

    merchant_request_id: str
    checkout_request_id: str
    verdict: Verdict
    receipt: str | None = None
    amount_kes: Decimal | None = None
    msisdn_text: str | None = None
    """As sent: perhaps masked or hashed."""
    paid_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class C2bPayment:
    """Money that a customer sent without being asked; or the money of a prompt, told once more."""

    receipt: str
    amount_kes: Decimal
    bill_ref: str
    """What the customer gave as account; empty at a till."""
    msisdn_text: str
    payer_name: str
    paid_at: datetime


# Seconds after the prompt at which we ask the provider, as long as nobody told us; unless the settings say otherwise.
QUERY_AFTER_S = (20, 60, 120, 300, 900)

# M-Pesa refuses a second prompt to a phone within a minute, and one of the same amount within two.
PROMPT_AGAIN_AFTER = timedelta(seconds=60)
SAME_AMOUNT_AGAIN_AFTER = timedelta(seconds=120)

# Read to a friend, typed as an account: no letter that looks like a digit, none that sounds like another.
_REFERENCE = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
REFERENCE_LENGTH = 10

Evidence = PushOutcome | QueryOutcome


def after_push(state: IntentState, outcome: PushOutcome, *, is_last_attempt: bool) -> IntentState:
    """What a prompt's outcome makes of the intent. It may come after the callback, and then changes nothing.

    INITIATED: nobody was prompted, and it may be tried once more.
    """
    if state is not IntentState.PROMPTING:
        return state
    match outcome:
        case Accepted():
            return IntentState.PROMPTED
        case Rejected():
            return IntentState.FAILED if outcome.permanent or is_last_attempt else IntentState.INITIATED
        case Unanswered():
            return IntentState.PROMPTING


def after_callback(state: IntentState, verdict: Verdict) -> IntentState:
    """Success may follow failure; nothing follows success."""
    match verdict:
        case Paid():
            return IntentState.PAID
        case Failed():
            return state if state is IntentState.PAID else IntentState.FAILED
        case Unknown():
            return state if state in (IntentState.PAID, IntentState.FAILED) else IntentState.UNKNOWN


def after_query(state: IntentState, outcome: QueryOutcome, *, is_last: bool) -> IntentState:
    """`is_last`: we shall not ask again, so what is still open needs a person to look at it."""
    match outcome:
        case Paid():
            return IntentState.PAID
        case Failed():
            return state if state is IntentState.PAID else IntentState.FAILED
        case Pending() | Unknown():
            open_ = (IntentState.PROMPTING, IntentState.PROMPTED)
            return IntentState.UNKNOWN if is_last and state in open_ else state


def next_query_at(prompted_at: datetime, queries: int, after_s: Sequence[int] = QUERY_AFTER_S) -> datetime | None:
    """When to ask after `queries` questions; None when it was the last."""
    return prompted_at + timedelta(seconds=after_s[queries]) if queries < len(after_s) else None


def prompt_again_at(prompted_at: datetime, same_amount: bool) -> datetime:
    """When a phone may be prompted once more; `same_amount`: of a prompt that did not fail."""
    return prompted_at + (SAME_AMOUNT_AGAIN_AFTER if same_amount else PROMPT_AGAIN_AFTER)


def amount_to_ask_for(price_kes: Decimal) -> Decimal:
    """M-Pesa moves whole shillings: the price, rounded up. What is too much stays the customer's."""
    return price_kes.to_integral_value(ROUND_CEILING)


def description_of(plan_name: str) -> str:
    """What a prompt says is bought: 13 plain characters at most."""
    plain = " ".join(re.sub(r"[^A-Za-z0-9 .-]", "", plan_name).split()).strip(" .-")[:13].rstrip()
    return plain or "Internet"


def new_account_reference() -> str:
    """Ten letters and digits, 49 bits: an account that one intent has and nobody guesses."""
    return "".join(secrets.choice(_REFERENCE) for _ in range(REFERENCE_LENGTH))


def normal_account_reference(text: str) -> str | None:
    """The reference as we made it, however it was typed; None for what can not be one."""
    bare = re.sub(r"[^0-9A-Z]", "", text.upper())
    return bare if len(bare) == REFERENCE_LENGTH and set(bare) <= set(_REFERENCE) else None


assert all(earlier < later for earlier, later in pairwise(QUERY_AFTER_S))
