"""M-Pesa Daraja: what Kibali sends. Bodies of STK push, STK query and C2B registration, their fields checked first.

Fields are checked here, because Daraja's answer to a wrong one ("Bad Request - Invalid …") comes after the customer has
waited, and its answer to a right one cannot be taken back.
"""

import base64
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Literal
from urllib.parse import urlsplit

# Kenya's time, without summer time.
NAIROBI = timezone(timedelta(hours=3), "EAT")

TRANSACTION_TYPES = {"paybill": "CustomerPayBillOnline", "till": "CustomerBuyGoodsOnline"}
LEAST_KES, MOST_KES = 1, 250_000
ACCOUNT_REFERENCE_LENGTH = 12
TRANSACTION_DESC_LENGTH = 13

# Daraja registers no URL with one of these in it, in whatever part or case. A random token of letters may well have
# "cmd" in it; one in hexadecimal can not.
FORBIDDEN_IN_URLS = ("mpesa", "m-pesa", "safaricom", "sql", "query", "cmd", "exec")
_URL_LENGTH = 255

_SHORTCODE = re.compile(r"[0-9]{5,7}", re.ASCII)
_MSISDN = re.compile(r"254[17][0-9]{8}", re.ASCII)
_WORDS = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*", re.ASCII)
_CHECKOUT_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


class DarajaFieldError(ValueError):
    """A value Daraja would refuse. `field` is Daraja's name of it; the text says what it should be, not what it is."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field} must be {expected}.")
        self.field = field


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is paid. Of a till, `shortcode` is the store or head office and `till_number` the till."""

    kind: Literal["paybill", "till"]
    shortcode: str
    passkey: str = field(repr=False)
    till_number: str | None = None

    @property
    def party_b(self) -> str:
        """Where the money goes."""
        return (self.till_number or self.shortcode) if self.kind == "till" else self.shortcode


@dataclass(frozen=True, slots=True)
class StkPush:
    """One request for money on one phone."""

    msisdn: str
    amount_kes: Decimal
    account_reference: str
    transaction_desc: str
    callback_url: str


def timestamp(now: datetime) -> str:
    """`YYYYMMDDHHmmss` in Nairobi, of an aware `now`."""
    if now.tzinfo is None:
        raise ValueError("a time zone is missing")
    return now.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")


def password(merchant: Merchant, stamp: str) -> str:
    """base64(shortcode + passkey + timestamp): it proves the passkey, and is as secret."""
    return base64.b64encode(f"{merchant.shortcode}{merchant.passkey}{stamp}".encode()).decode()


def stk_push_body(merchant: Merchant, push: StkPush, now: datetime, *, https_only: bool = True) -> dict[str, object]:
    """The body of POST /mpesa/stkpush/v1/processrequest. Raises DarajaFieldError."""
    return {
        **_signed(merchant, now),
        "TransactionType": TRANSACTION_TYPES[merchant.kind],
        "Amount": whole_shillings(push.amount_kes),
        "PartyA": checked_msisdn(push.msisdn, "PartyA"),
        "PartyB": checked_shortcode(merchant.party_b, "PartyB"),
        "PhoneNumber": push.msisdn,
        "CallBackURL": checked_url("CallBackURL", push.callback_url, https_only=https_only),
        "AccountReference": _words(push.account_reference, "AccountReference", ACCOUNT_REFERENCE_LENGTH),
        "TransactionDesc": _words(push.transaction_desc, "TransactionDesc", TRANSACTION_DESC_LENGTH),
    }


def stk_query_body(merchant: Merchant, checkout_request_id: str, now: datetime) -> dict[str, object]:
    """The body of POST /mpesa/stkpushquery/v1/query. Raises DarajaFieldError."""
    expected = "the identifier that Daraja gave to the push"
    return {
        **_signed(merchant, now),
        "CheckoutRequestID": _matching(_CHECKOUT_REQUEST_ID, checkout_request_id, "CheckoutRequestID", expected),
    }


def register_url_body(
    shortcode: str,
    confirmation_url: str,
    validation_url: str,
    *,
    if_unanswered: Literal["Completed", "Cancelled"],
    https_only: bool = True,
) -> dict[str, object]:
    """The body of POST /mpesa/c2b/v2/registerurl. Raises DarajaFieldError.

    `if_unanswered` is what M-Pesa does with a payment whose validation is not answered within 8 s.
    """
    return {
        "ShortCode": checked_shortcode(shortcode, "ShortCode"),
        "ResponseType": if_unanswered,
        "ConfirmationURL": checked_url("ConfirmationURL", confirmation_url, https_only=https_only),
        "ValidationURL": checked_url("ValidationURL", validation_url, https_only=https_only),
    }


def whole_shillings(amount_kes: Decimal) -> int:
    """The amount of an STK push. Raises DarajaFieldError where it has cents or is out of bounds."""
    if not amount_kes.is_finite() or amount_kes != int(amount_kes) or not LEAST_KES <= amount_kes <= MOST_KES:
        raise DarajaFieldError("Amount", f"whole shillings from {LEAST_KES} to {MOST_KES}")
    return int(amount_kes)


def checked_url(field: str, url: str, *, https_only: bool = True) -> str:
    """The URL, if M-Pesa would call it. Raises DarajaFieldError.

    Plain http is for a gateway that is itself reached that way: a fake on this machine.
    """
    schemes = ("https",) if https_only else ("https", "http")
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or not url.isascii() or not url.isprintable() or " " in url or len(url) > _URL_LENGTH:
        raise DarajaFieldError(field, f"a public {schemes[0]}:// URL of at most {_URL_LENGTH} characters")
    if parts.username is not None or parts.fragment:
        raise DarajaFieldError(field, "a URL without a user name and without a #fragment")
    for word in FORBIDDEN_IN_URLS:
        if word in url.lower():
            raise DarajaFieldError(field, f'a URL without "{word}" in it: M-Pesa refuses that word, in any part')
    return url


def _signed(merchant: Merchant, now: datetime) -> dict[str, object]:
    checked_shortcode(merchant.shortcode, "BusinessShortCode")
    if not merchant.passkey:
        raise DarajaFieldError("Password", "made with a passkey; the payment account has none")
    stamp = timestamp(now)
    return {"BusinessShortCode": merchant.shortcode, "Password": password(merchant, stamp), "Timestamp": stamp}


def checked_msisdn(text: str, field: str) -> str:
    """Raises DarajaFieldError."""
    return _matching(_MSISDN, text, field, "a mobile number of Kenya such as 254712345678")


def checked_shortcode(text: str, field: str) -> str:
    """Raises DarajaFieldError."""
    return _matching(_SHORTCODE, text, field, "5 to 7 digits")


def _words(text: str, field: str, length: int) -> str:
    expected = f"1 to {length} letters, digits, spaces, dots, dashes or underscores"
    if len(text) > length:
        raise DarajaFieldError(field, expected)
    return _matching(_WORDS, text, field, expected)


def _matching(pattern: re.Pattern[str], text: str, field: str, expected: str) -> str:
    if not pattern.fullmatch(text):
        raise DarajaFieldError(field, expected)
    return text
