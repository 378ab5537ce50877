"""M-Pesa Daraja behind the seam of payment_provider.py."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from isp.daraja import StkPush
from isp.daraja_json import BadMessage
from isp.daraja_results import failure_sentence
from isp.daraja_webhooks import (
    C2B_ACCEPTED,
    C2B_ACKNOWLEDGEMENT,
    STK_ACKNOWLEDGEMENT,
    C2bRejection,
    c2b_rejected,
    parse_c2b,
    parse_stk_callback,
)
from isp.payment import C2bPayment, PushOutcome, QueryOutcome, StkResult
from tasks.daraja import Daraja
from tasks.payment_provider import Prompt, Unreadable, ValidationRefusal, WebhookKind

_ACKNOWLEDGEMENTS = {WebhookKind.STK: STK_ACKNOWLEDGEMENT, WebhookKind.C2B_CONFIRMATION: C2B_ACKNOWLEDGEMENT}
_REJECTIONS = {
    ValidationRefusal.ACCOUNT: C2bRejection.INVALID_ACCOUNT_NUMBER,
    ValidationRefusal.AMOUNT: C2bRejection.INVALID_AMOUNT,
    ValidationRefusal.MSISDN: C2bRejection.INVALID_MSISDN,
    ValidationRefusal.OTHER: C2bRejection.OTHER_ERROR,
}


class DarajaProvider:
    """A PaymentProvider."""

    def __init__(self, daraja: Daraja, clock: Callable[[], datetime]) -> None:
        """`clock` gives the present, with a time zone."""
        self._daraja = daraja
        self._clock = clock

    def push(self, prompt: Prompt) -> PushOutcome:
        push = StkPush(
            msisdn=prompt.msisdn,
            amount_kes=prompt.amount_kes,
            account_reference=prompt.account_reference,
            transaction_desc=prompt.description,
            callback_url=prompt.callback_url,
        )
        return self._daraja.stk_push(push, self._clock())

    def query(self, checkout_request_id: str) -> QueryOutcome:
        return self._daraja.stk_query(checkout_request_id, self._clock())

    def parse_callback(self, body: bytes) -> StkResult:
        try:
            return parse_stk_callback(body)
        except BadMessage as bad:
            raise Unreadable(bad.reason) from None

    def parse_confirmation(self, body: bytes) -> C2bPayment:
        """A payment whose time can not be read is one of now."""
        try:
            message = parse_c2b(body)
        except BadMessage as bad:
            raise Unreadable(bad.reason) from None
        return C2bPayment(
            receipt=message.receipt,
            amount_kes=message.amount_kes,
            bill_ref=message.bill_ref,
            msisdn_text=message.msisdn_text,
            payer_name=message.payer_name,
            paid_at=message.paid_at or self._clock(),
        )

    def acknowledgement(self, kind: WebhookKind) -> Mapping[str, Any]:
        return _ACKNOWLEDGEMENTS[kind]

    def validation_answer(self, refusal: ValidationRefusal | None) -> Mapping[str, Any]:
        return C2B_ACCEPTED if refusal is None else c2b_rejected(_REJECTIONS[refusal])

    def failure_sentence(self, code: str, language: str) -> str:
        return failure_sentence(code, language)
