"""What Daraja's documentation demands of a request, told apart from how Kibali reads it: nothing of ours is imported.

A request that breaks a rule gets the documented error body.
"""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

PULL_REACHES_BACK = timedelta(hours=48)
TIMESTAMP_MAY_DIFFER = timedelta(minutes=5)
_NAIROBI = ZoneInfo("Africa/Nairobi")


@dataclass(frozen=True, slots=True)
class Fault:
    """An error answer."""

    status: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Account:
    """A paybill, or a store with its tills."""

    passkey: str
    tills: frozenset[str] = field(default_factory=frozenset)


TOKEN_FAULTS = {
    404: Fault(404, "404.001.03", "Invalid Access Token"),
    400: Fault(400, "400.003.01", "Invalid Access Token"),
    401: Fault(401, "401.002.01", "Error Occurred - Invalid Access Token"),
}
UNKNOWN_MERCHANT = Fault(500, "500.001.1001", "Merchant does not exist")
WRONG_PASSWORD = Fault(500, "500.001.1001", "Wrong credentials")
SUBSCRIBER_LOCKED = Fault(
    500, "500.001.1001", "Unable to lock subscriber, a transaction is already in process for the current subscriber"
)
STILL_PROCESSING = Fault(500, "500.001.1001", "The transaction is being processed")
SPIKE_ARREST = Fault(500, "500.003.02", "System is busy. Please try again in few minutes.")
QUOTA = Fault(500, "500.003.03", "Error Occurred: Quota Violation")


def invalid(name: str) -> Fault:
    return Fault(400, "400.002.02", f"Bad Request - Invalid {name}")


def broken_by_push(body: Mapping[str, Any], accounts: Mapping[str, Account], now: datetime) -> Fault | None:
    """The first rule that an STK push breaks."""
    if fault := broken_by_signature(body, accounts, now):
        return fault
    shortcode = str(body["BusinessShortCode"])
    kind, party_b = body.get("TransactionType"), str(body.get("PartyB"))
    rules = {
        "TransactionType": kind in ("CustomerPayBillOnline", "CustomerBuyGoodsOnline"),
        "Amount": _is_whole(body.get("Amount")) and 1 <= int(body["Amount"]) <= 250_000,
        "PartyA": _is_phone(body.get("PartyA")),
        "PhoneNumber": _is_phone(body.get("PhoneNumber")),
        "PartyB": party_b == shortcode if kind == "CustomerPayBillOnline" else party_b in accounts[shortcode].tills,
        "CallBackURL": is_secure_url(body.get("CallBackURL")),
        "AccountReference": _is_text(body.get("AccountReference"), 12),
        "TransactionDesc": _is_text(body.get("TransactionDesc"), 13),
    }
    return next((invalid(name) for name, kept in rules.items() if not kept), None)


def broken_by_signature(body: Mapping[str, Any], accounts: Mapping[str, Account], now: datetime) -> Fault | None:
    """The rules of the fields that prove who asks; the same in a push and a query."""
    shortcode, stamp = str(body.get("BusinessShortCode")), str(body.get("Timestamp"))
    if not re.fullmatch(r"[0-9]{5,7}", shortcode):
        return invalid("BusinessShortCode")
    if not _is_timestamp(stamp, now):
        return invalid("Timestamp")
    if shortcode not in accounts:
        return UNKNOWN_MERCHANT
    expected = base64.b64encode((shortcode + accounts[shortcode].passkey + stamp).encode()).decode()
    return None if body.get("Password") == expected else WRONG_PASSWORD


def broken_by_registration(body: Mapping[str, Any], accounts: Mapping[str, Account]) -> Fault | None:
    if str(body.get("ShortCode")) not in accounts:
        return invalid("ShortCode")
    if body.get("ResponseType") not in ("Completed", "Cancelled"):
        return invalid("ResponseType")
    for name in ("ConfirmationURL", "ValidationURL"):
        words = ("mpesa", "m-pesa", "safaricom", "exe", "exec", "cmd", "sql", "query")
        if not is_secure_url(body.get(name)) or any(word in body[name].lower() for word in words):
            return invalid(name)
    return None


def broken_by_pull_registration(body: Mapping[str, Any], accounts: Mapping[str, Account]) -> Fault | None:
    rules = {
        "ShortCode": _is_shortcode(body.get("ShortCode"), accounts),
        "RequestType": body.get("RequestType") == "Pull",
        "NominatedNumber": _is_phone(body.get("NominatedNumber")),
        "CallBackURL": is_secure_url(body.get("CallBackURL")),
    }
    return next((invalid(name) for name, kept in rules.items() if not kept), None)


def broken_by_pull(body: Mapping[str, Any], registered: Collection[str], now: datetime) -> Fault | None:
    """Of a shortcode that is registered, within the last 48 hours, from a row on."""
    if str(body.get("ShortCode")) not in registered:
        return Fault(400, "400.003.02", "ShortCode is not registered for pull transactions")
    try:
        since, until = pull_window(body)
    except (KeyError, ValueError):
        return invalid("StartDate")
    if not now - PULL_REACHES_BACK <= since <= until:
        return invalid("StartDate")
    return None if re.fullmatch(r"[0-9]+", str(body.get("OffSetValue"))) else invalid("OffSetValue")


def pull_window(body: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """Raises KeyError, ValueError."""
    since, until = (
        datetime.strptime(body[name], "%Y-%m-%d %H:%M:%S").replace(tzinfo=_NAIROBI) for name in ("StartDate", "EndDate")
    )
    return since, until


def is_secure_url(value: object) -> bool:
    """https; on loopback, where no certificate can be had, http too."""
    if not isinstance(value, str):
        return False
    parts = urlsplit(value)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost"))
    )


def _is_timestamp(stamp: str, now: datetime) -> bool:
    if not re.fullmatch(r"[0-9]{14}", stamp):
        return False
    try:
        told = datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=_NAIROBI)
    except ValueError:
        return False
    return abs(told - now) <= TIMESTAMP_MAY_DIFFER


def _is_whole(value: object) -> bool:
    return (
        not isinstance(value, bool) and isinstance(value, int | str) and re.fullmatch(r"[0-9]+", str(value)) is not None
    )


def _is_shortcode(value: object, accounts: Mapping[str, Account]) -> bool:
    """Of a paybill, a store or a till."""
    return str(value) in accounts or any(str(value) in account.tills for account in accounts.values())


def _is_phone(value: object) -> bool:
    return re.fullmatch(r"254[17][0-9]{8}", str(value)) is not None


def _is_text(value: object, length: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= length
