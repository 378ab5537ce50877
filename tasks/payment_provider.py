"""The seam to providers of payments. Whoever implements it is asked by tasks; nobody else talks to a provider.

What a provider says comes as the types of isp/payment.py. Nothing is raised for what a provider may do: silence,
nonsense and refusals are outcomes. A provider keeps no state and decides nothing about money.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from isp.payment import C2bPayment, PushOutcome, QueryOutcome, StkResult


class WebhookKind(StrEnum):
    STK = "stk"
    C2B_CONFIRMATION = "c2b_confirmation"


class ValidationRefusal(StrEnum):
    """Why a customer's own payment is not wanted."""

    ACCOUNT = "account"
    AMOUNT = "amount"
    MSISDN = "msisdn"
    OTHER = "other"


class Unreadable(Exception):
    """A body is not what the provider documents; the text says in what."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a customer is asked to confirm on their phone."""

    msisdn: str
    amount_kes: Decimal
    """Whole shillings."""
    account_reference: str
    """At most 12 characters."""
    description: str
    """At most 13 characters."""
    callback_url: str


class PaymentProvider(Protocol):
    """One payment account at its provider, ready to be used."""

    def push(self, prompt: Prompt) -> PushOutcome:
        """Asks the customer's phone, once: it is never repeated here. Rejected only if nobody can have been asked."""

    def query(self, checkout_request_id: str) -> QueryOutcome:
        """What became of a prompt. Safe to repeat."""

    def parse_callback(self, body: bytes) -> StkResult:
        """Raises Unreadable."""

    def parse_confirmation(self, body: bytes) -> C2bPayment:
        """Raises Unreadable."""

    def acknowledgement(self, kind: WebhookKind) -> Mapping[str, Any]:
        """The JSON that tells the provider to stop sending a webhook."""

    def validation_answer(self, refusal: ValidationRefusal | None) -> Mapping[str, Any]:
        """The JSON that accepts (None) or refuses a customer's own payment before it is made."""

    def failure_sentence(self, code: str, language: str) -> str:
        """To the customer, in `en` or `sw`: why nothing was paid. Also for the code of a Rejected."""
