"""What M-Pesa sends by itself, STK callbacks and C2B payments, and what it is answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from isp import daraja_json
from isp.daraja_json import BadMessage, JsonObject
from isp.daraja_results import outcome_of
from isp.payment import Paid, Pending, StkResult, Unknown

Json = Mapping[str, str | int]

STK_ACKNOWLEDGEMENT: Json = {"ResultCode": 0, "ResultDesc": "Accepted"}
C2B_ACKNOWLEDGEMENT: Json = {"ResultCode": 0, "ResultDesc": "Success"}
C2B_ACCEPTED: Json = {"ResultCode": "0", "ResultDesc": "Accepted"}


class C2bRejection(StrEnum):
    """Why a payment is turned away, in the answer to its validation."""

    INVALID_MSISDN = "C2B00011"
    INVALID_ACCOUNT_NUMBER = "C2B00012"
    INVALID_AMOUNT = "C2B00013"
    INVALID_KYC_DETAILS = "C2B00014"
    INVALID_SHORTCODE = "C2B00015"
    OTHER_ERROR = "C2B00016"


def c2b_rejected(why: C2bRejection) -> Json:
    return {"ResultCode": why.value, "ResultDesc": "Rejected"}


def parse_stk_callback(body: bytes) -> StkResult:
    """The end of one push. Raises BadMessage.

    Of a payment receipt and amount may be None: M-Pesa then told no more than a query does.
    """
    callback = daraja_json.inner_object(daraja_json.inner_object(daraja_json.read_object(body), "Body"), "stkCallback")
    merchant_request_id = daraja_json.identifier(callback, "MerchantRequestID")
    checkout_request_id = daraja_json.identifier(callback, "CheckoutRequestID")
    verdict = outcome_of(daraja_json.code(callback, "ResultCode"))
    if isinstance(verdict, Pending):
        verdict = Unknown("a callback came while M-Pesa was still processing the payment")
    if not isinstance(verdict, Paid):
        return StkResult(merchant_request_id, checkout_request_id, verdict)
    items = _items(callback)
    receipt, amount = items.get("MpesaReceiptNumber"), items.get("Amount")
    return StkResult(
        merchant_request_id,
        checkout_request_id,
        verdict,
        receipt=None if receipt is None else daraja_json.receipt(receipt, "MpesaReceiptNumber"),
        amount_kes=None if amount is None else daraja_json.amount_kes(amount, "Amount"),
        msisdn_text=daraja_json.description(items.get("PhoneNumber"), 100) or None,
        paid_at=daraja_json.nairobi_time(items.get("TransactionDate")),
    )


def _items(callback: JsonObject) -> dict[str, object]:
    """CallbackMetadata by name; an item without a Value (Balance, often) is left out."""
    metadata = callback.get("CallbackMetadata")
    if metadata is None:
        return {}
    listed = metadata.get("Item") if isinstance(metadata, dict) else None
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise BadMessage("CallbackMetadata is not a list of items")
    found: dict[str, object] = {}
    for item in listed:
        name, value = item.get("Name"), item.get("Value")
        if not isinstance(name, str):
            raise BadMessage("an item of CallbackMetadata has no Name")
        if value is None:
            continue
        if found.setdefault(name, value) != value:
            raise BadMessage("CallbackMetadata has two values of one name")
    return found


@dataclass(frozen=True, slots=True)
class C2bMessage:
    """A payment to a paybill or till: asked about in a validation, told in a confirmation."""

    receipt: str
    amount_kes: Decimal
    shortcode: str
    bill_ref: str
    """What the customer typed as account number; "" at a till."""
    msisdn_text: str
    """Opaque: masked, hashed, sometimes a number."""
    payer_name: str
    paid_at: datetime | None
    """None where M-Pesa's time can not be read."""


def parse_c2b(body: bytes) -> C2bMessage:
    """The payload of a validation and of a confirmation. Raises BadMessage."""
    fields = daraja_json.read_object(body)
    shortcode = daraja_json.as_text(fields.get("BusinessShortCode"))
    if shortcode is None or not shortcode.isascii() or not shortcode.isdigit() or len(shortcode) > 10:
        raise BadMessage("BusinessShortCode is missing or malformed")
    names = (daraja_json.description(fields.get(name), 60) for name in ("FirstName", "MiddleName", "LastName"))
    return C2bMessage(
        receipt=daraja_json.receipt(fields.get("TransID"), "TransID"),
        amount_kes=daraja_json.amount_kes(fields.get("TransAmount"), "TransAmount"),
        shortcode=shortcode,
        bill_ref=daraja_json.description(fields.get("BillRefNumber"), 64),
        msisdn_text=daraja_json.description(fields.get("MSISDN"), 100),
        payer_name=" ".join(filter(None, names)),
        paid_at=daraja_json.nairobi_time(fields.get("TransTime")),
    )
