"""The bodies that M-Pesa sends by itself, as Safaricom documents them."""

import random
from datetime import datetime
from hashlib import sha256
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from tests.fakes.daraja_behaviour import Behaviour, MsisdnForm

RESULT_DESCS = {
    0: "The service request is processed successfully.",
    1: "The balance is insufficient for the transaction.",
    17: "Transaction is duplicate, try again after 2 minutes.",
    1019: "Transaction has expired.",
    1032: "Request cancelled by user.",
    1037: "DS timeout user cannot be reached.",
    2001: "The initiator information is invalid.",
}
_NAIROBI = ZoneInfo("Africa/Nairobi")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_numbers = count(random.SystemRandom().randrange(36**6))


def new_receipt() -> str:
    """Ten letters and digits, never twice."""
    number, digits = next(_numbers), ""
    for _ in range(8):
        number, digit = divmod(number, 36)
        digits = _LETTERS[digit] + digits
    return "TK" + digits


def new_request_ids(now: datetime) -> tuple[str, str]:
    """MerchantRequestID and CheckoutRequestID."""
    number = next(_numbers)
    return f"29115-{number}-1", f"ws_CO_{stamp(now)}{number}"


def stamp(now: datetime, form: str = "%Y%m%d%H%M%S") -> str:
    return now.astimezone(_NAIROBI).strftime(form)


def result_desc(code: int) -> str:
    return RESULT_DESCS.get(code, f"The request ended with {code}.")


def written(msisdn: str, form: MsisdnForm) -> str:
    """A phone as C2B tells it: v1 hashes it, v2 masks it."""
    if form == "hashed":
        return sha256(msisdn.encode()).hexdigest()
    return f"{msisdn[:4]} ***** {msisdn[-3:]}" if form == "masked" else msisdn


def stk_callback(
    ids: tuple[str, str], code: int, paid: tuple[str, int, str, datetime] | None, behaviour: Behaviour
) -> dict[str, Any]:
    """`paid`: receipt, shillings, phone, time; None where nothing was paid."""
    callback: dict[str, Any] = {
        "MerchantRequestID": ids[0],
        "CheckoutRequestID": ids[1],
        "ResultCode": code,
        "ResultDesc": result_desc(code),
    }
    if paid is not None:
        receipt, amount_kes, msisdn, at = paid
        balance: dict[str, list[dict[str, Any]]] = {
            "without_value": [{"Name": "Balance"}],
            "with_value": [{"Name": "Balance", "Value": 49_197.0}],
            "absent": [],
        }
        callback["CallbackMetadata"] = {
            "Item": [
                {"Name": "Amount", "Value": float(amount_kes)},
                {"Name": "MpesaReceiptNumber", "Value": receipt},
                *balance[behaviour.balance],
                {"Name": "TransactionDate", "Value": int(stamp(at))},
                {
                    "Name": "PhoneNumber",
                    "Value": f"{msisdn[:5]}****{msisdn[-3:]}" if behaviour.masked_phone else int(msisdn),
                },
            ]
        }
    return {"Body": {"stkCallback": callback}}


def c2b_payload(
    receipt: str, at: datetime, amount_kes: str, shortcode: str, bill_ref: str, msisdn_text: str, *, is_till: bool
) -> dict[str, Any]:
    return {
        "TransactionType": "Buy Goods" if is_till else "Pay Bill",
        "TransID": receipt,
        "TransTime": stamp(at),
        "TransAmount": amount_kes,
        "BusinessShortCode": shortcode,
        "BillRefNumber": bill_ref,
        "InvoiceNumber": "",
        "OrgAccountBalance": "",
        "ThirdPartyTransID": "",
        "MSISDN": msisdn_text,
        "FirstName": "JOHN",
        "MiddleName": "",
        "LastName": "DOE",
    }
