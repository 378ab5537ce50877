"""Reading what M-Pesa sends: JSON whose numbers may be strings and whose strings may be numbers.

What decides over money is read strictly, or not at all (BadMessage); what only describes it never makes a payment
unreadable.
"""

import json
import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from isp.daraja import NAIROBI

JsonObject = dict[str, Any]

_MOST_KES = Decimal("9999999999.99")
_CODE = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", re.ASCII)
_RECEIPT = re.compile(r"[A-Z0-9]{5,20}", re.ASCII)


class BadMessage(Exception):
    """A body that is not what M-Pesa sends. `reason` is one line for the operator, without what the body says."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_object(body: bytes) -> JsonObject:
    """The JSON object in `body`, numbers with a point as Decimal. Raises BadMessage."""
    if not body.strip():
        raise BadMessage("the body is empty")
    try:
        # utf-8-sig: some gateways begin with a byte order mark.
        found = json.loads(body.decode("utf-8-sig"), parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadMessage("the body is not JSON") from None
    if not isinstance(found, dict):
        raise BadMessage("the body is JSON, but not an object")
    return found


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity are no JSON


def inner_object(outer: JsonObject, name: str) -> JsonObject:
    inner = outer.get(name)
    if not isinstance(inner, dict):
        raise BadMessage(f"{name} is missing, or not an object")
    return inner


def identifier(fields: JsonObject, name: str) -> str:
    """An identifier as it stands. Raises BadMessage where it is missing, not text, or longer than 100 characters."""
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 100 or not value.isascii() or not value.isprintable():
        raise BadMessage(f"{name} is missing or malformed")
    return value


def code(fields: JsonObject, name: str) -> str:
    """A result code, which is a number in one message and text in another: `0` and `"0"` are "0"."""
    text = as_text(fields.get(name))
    if text is None or not _CODE.fullmatch(text):
        raise BadMessage(f"{name} is missing or malformed")
    return str(int(text)) if text.isdigit() else text


def amount_kes(value: object, name: str) -> Decimal:
    """An amount of money that was paid: 5, 5.0, "5.00". Raises BadMessage for what is no such thing."""
    text = as_text(value)
    try:
        amount = Decimal(text) if text is not None and re.fullmatch(r"[0-9.]{1,16}", text, re.ASCII) else Decimal(0)
    except InvalidOperation:
        amount = Decimal(0)
    if not 0 < amount <= _MOST_KES or amount != amount.quantize(Decimal("0.01")):
        raise BadMessage(f"{name} is not an amount of shillings above zero")
    return amount.quantize(Decimal("0.01"))


def receipt(value: object, name: str) -> str:
    """M-Pesa's receipt (NLJ7RT61SV), in capitals: one payment has one, however it is told. Raises BadMessage."""
    text = (as_text(value) or "").upper()
    if not _RECEIPT.fullmatch(text):
        raise BadMessage(f"{name} is missing or not a receipt")
    return text


def as_text(value: object) -> str | None:
    """Text or a number as stripped text, 254712345678.0 without its point; None for anything else and for nothing."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Decimal):
        if value.adjusted() > 30 or value.adjusted() < -30:
            return None
        return format(value.to_integral_value() if value == value.to_integral_value() else value, "f")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        return str(value)
    return None


def description(value: object, length: int) -> str:
    """What somebody wrote, fit for a table: no control characters, at most `length` characters, "" for nothing."""
    text = as_text(value) or ""
    # PostgreSQL takes neither NUL nor half a surrogate pair.
    kept = "".join(" " if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)
    return " ".join(kept.split())[:length].rstrip()


def nairobi_time(value: object) -> datetime | None:
    """`YYYYMMDDHHmmss` in Nairobi, as UTC; None if it is no such thing."""
    text = as_text(value)
    if text is None or not re.fullmatch(r"[0-9]{14}", text, re.ASCII):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=NAIROBI).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
