"""M-Pesa's Pull Transactions: what customers paid to a shortcode in the last 48 hours, told or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from isp import daraja_json
from isp.daraja import NAIROBI, checked_msisdn, checked_shortcode, checked_url
from isp.daraja_answers import error_body
from isp.daraja_json import BadMessage
from isp.payment import C2bPayment, Rejected

REACHES_BACK = timedelta(hours=48)

_SUCCESS = ("1000", "0")
_REGISTERED = (*_SUCCESS, "1001")  # "ShortCode already Registered"


@dataclass(frozen=True, slots=True)
class PulledPage:
    """`rows`: how many there were, those that could not be read among them: the next page begins after them."""

    payments: tuple[C2bPayment, ...]
    rows: int
    unreadable: tuple[str, ...] = ()
    """Why, one for each row that could not be read."""


def pull_register_body(
    shortcode: str, nominated_msisdn: str, callback_url: str, *, https_only: bool = True
) -> dict[str, object]:
    """The body of POST /pulltransactions/v1/register. Raises DarajaFieldError.

    `nominated_msisdn` is a Safaricom number that the merchant's account knows.
    """
    return {
        "ShortCode": checked_shortcode(shortcode, "ShortCode"),
        "RequestType": "Pull",
        "NominatedNumber": checked_msisdn(nominated_msisdn, "NominatedNumber"),
        "CallBackURL": checked_url("CallBackURL", callback_url, https_only=https_only),
    }


def parse_pull_registered(status: int, body: bytes) -> Rejected | None:
    """Why the shortcode is not registered; None if it is."""
    error = error_body(body)
    if status != 200:
        return Rejected(error.code or str(status), error.described(status), permanent=400 <= status < 500)
    try:
        fields = daraja_json.read_object(body)
    except BadMessage as bad:
        return Rejected("200", f"HTTP 200, but {bad.reason}", permanent=False)
    told = {name.replace(" ", ""): value for name, value in fields.items()}  # "Response Status" in Daraja's example
    code = daraja_json.as_text(told.get("ResponseStatus") or told.get("ResponseCode")) or "200"
    if code in _REGISTERED:
        return None
    return Rejected(code, daraja_json.description(told.get("ResponseDescription"), 200) or code, permanent=True)


def pull_query_body(shortcode: str, since: datetime, until: datetime, offset: int) -> dict[str, object]:
    """The body of POST /pulltransactions/v1/query: the rows from `offset` on. Raises DarajaFieldError."""
    return {
        "ShortCode": checked_shortcode(shortcode, "ShortCode"),
        "StartDate": _written(since),
        "EndDate": _written(until),
        "OffSetValue": str(offset),
    }


def parse_pulled(status: int, body: bytes, now: datetime) -> PulledPage:
    """Raises BadMessage where it is no answer to a pull. A row that can not be read costs no other."""
    if status != 200:
        raise BadMessage(error_body(body).described(status))
    fields = daraja_json.read_object(body)
    listed = fields.get("Response")
    code = daraja_json.as_text(fields.get("ResponseCode")) or ""
    if not isinstance(listed, list):
        if code in _SUCCESS and listed is None:
            return PulledPage((), 0)
        said = daraja_json.description(fields.get("ResponseMessage"), 200)
        raise BadMessage(" ".join(filter(None, (f"ResponseCode {code or 'is missing'}", said))))
    payments, unreadable, rows = [], [], 0
    for row in _flat(listed):
        rows += 1
        try:
            payments.append(_payment(row, now))
        except BadMessage as bad:
            unreadable.append(bad.reason)
    return PulledPage(tuple(payments), rows, tuple(unreadable))


def _flat(listed: list[object]) -> Iterator[object]:
    """Daraja's own example has a list of rows within the list."""
    for each in listed:
        if isinstance(each, list):
            yield from each
        else:
            yield each


def _payment(row: object, now: datetime) -> C2bPayment:
    if not isinstance(row, dict):
        raise BadMessage("a row is no object")
    return C2bPayment(
        receipt=daraja_json.receipt(row.get("transactionId"), "transactionId"),
        amount_kes=daraja_json.amount_kes(row.get("amount"), "amount"),
        bill_ref=daraja_json.description(row.get("billreference"), 64),
        msisdn_text=daraja_json.description(row.get("msisdn"), 100),
        payer_name="",
        paid_at=_time(row.get("trxDate")) or now,
    )


def _time(value: object) -> datetime | None:
    text = daraja_json.as_text(value)
    try:
        told = datetime.fromisoformat(text or "")
    except ValueError:
        return daraja_json.nairobi_time(value)
    return (told if told.tzinfo else told.replace(tzinfo=NAIROBI)).astimezone(UTC)


def _written(moment: datetime) -> str:
    return moment.astimezone(NAIROBI).strftime("%Y-%m-%d %H:%M:%S")
