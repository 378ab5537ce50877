"""Pull Transactions: what is asked, and Daraja's answers as rows."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from isp.daraja import DarajaFieldError
from isp.daraja_json import BadMessage
from isp.daraja_pull import parse_pull_registered, parse_pulled, pull_query_body, pull_register_body
from isp.payment import C2bPayment

NOW = datetime(2026, 3, 1, 21, 30, tzinfo=UTC)
ROW: dict[str, Any] = {
    "transactionId": "yzlyrEsuMg",
    "trxDate": "2026-03-01T20:13:00+03:00",
    "msisdn": 722000000,
    "sender": "MPESA",
    "transactiontype": "c2b-pay-bill-debit",
    "billreference": "37207636392",
    "amount": "168.00",
    "organizationname": "Daraja Pull API Test",
}
PAYMENT = C2bPayment(
    "YZLYRESUMG", Decimal("168.00"), "37207636392", "722000000", "", datetime(2026, 3, 1, 17, 13, tzinfo=UTC)
)


def answer(rows: Any, **fields: Any) -> bytes:
    return json.dumps({"ResponseCode": "1000", "ResponseMessage": "Success", "Response": rows, **fields}).encode()


def test_the_times_of_a_question_are_nairobis() -> None:
    assert pull_query_body("600000", NOW - timedelta(hours=48), NOW, 100) == {
        "ShortCode": "600000",
        "StartDate": "2026-02-28 00:30:00",
        "EndDate": "2026-03-02 00:30:00",
        "OffSetValue": "100",
    }


def test_a_shortcode_is_registered_with_a_number_and_a_url() -> None:
    assert pull_register_body("600000", "254722000000", "https://pay.example.net/x") == {
        "ShortCode": "600000",
        "RequestType": "Pull",
        "NominatedNumber": "254722000000",
        "CallBackURL": "https://pay.example.net/x",
    }
    with pytest.raises(DarajaFieldError, match="NominatedNumber"):
        pull_register_body("600000", "0722000000", "https://pay.example.net/x")


@pytest.mark.parametrize("rows", [[[ROW]], [ROW], [[], [ROW]]])
def test_rows_are_read_however_they_are_nested(rows: Any) -> None:
    page = parse_pulled(200, answer(rows), NOW)
    assert (page.payments, page.rows, page.unreadable) == ((PAYMENT,), 1, ())


@pytest.mark.parametrize("rows", [[], [[]], None])
def test_nothing_was_paid(rows: Any) -> None:
    assert parse_pulled(200, answer(rows), NOW).rows == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"transactionId": None}, "transactionId is missing or not a receipt"),
        ({"amount": "-5"}, "amount is not an amount of shillings above zero"),
        ({"amount": None}, "amount is not an amount of shillings above zero"),
    ],
)
def test_a_row_that_can_not_be_read_costs_no_other(changes: dict[str, Any], reason: str) -> None:
    page = parse_pulled(200, answer([[{**ROW, **changes}, ROW, "?"]]), NOW)
    assert (page.payments, page.rows, page.unreadable) == ((PAYMENT,), 3, (reason, "a row is no object"))


@pytest.mark.parametrize(
    ("date", "paid_at"),
    [
        ("2026-03-01 20:13:00", PAYMENT.paid_at),
        ("2026-03-01T17:13:00Z", PAYMENT.paid_at),
        ("20260301201300", PAYMENT.paid_at),
        ("yesterday", NOW),
        (None, NOW),
    ],
)
def test_a_time_that_can_not_be_read_is_now(date: str | None, paid_at: datetime) -> None:
    (payment,) = parse_pulled(200, answer([[{**ROW, "trxDate": date}]]), NOW).payments
    assert payment.paid_at == paid_at


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>", "not JSON"),
        (200, b"", "empty"),
        (200, b'{"ResponseCode": "1001", "ResponseMessage": "Failed"}', "ResponseCode 1001 Failed"),
        (200, b"{}", "ResponseCode is missing"),
        (500, b'{"errorCode": "500.003.02", "errorMessage": "System is busy"}', "HTTP 500 500.003.02 System is busy"),
        (404, b"", "HTTP 404"),
    ],
)
def test_what_is_no_answer_says_so(status: int, body: bytes, says: str) -> None:
    with pytest.raises(BadMessage, match=says):
        parse_pulled(status, body, NOW)


@pytest.mark.parametrize(
    ("status", "told", "is_refused", "permanent"),
    [
        (200, {"Response Status": "1000", "Response Description": "ShortCode Registered Successfully"}, False, None),
        (200, {"ResponseStatus": "1001", "ResponseDescription": "ShortCode already Registered"}, False, None),
        (200, {"ResponseCode": "0"}, False, None),
        (200, {"ResponseStatus": "1002", "ResponseDescription": "No"}, True, True),
        (200, {}, True, True),
        (400, {"errorCode": "400.003.02", "errorMessage": "Bad Request"}, True, True),
        (500, {"errorCode": "500.003.02", "errorMessage": "busy"}, True, False),
    ],
)
def test_whether_a_shortcode_is_registered(
    status: int, told: dict[str, str], is_refused: bool, permanent: bool | None
) -> None:
    refusal = parse_pull_registered(status, json.dumps(told).encode())
    assert (refusal is not None) == is_refused
    assert (refusal.permanent if refusal else None) == permanent
