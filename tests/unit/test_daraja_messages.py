"""M-Pesa's messages: what we send is checked, what it sends is read in every shape it is known to have."""

import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.daraja import (
    FORBIDDEN_IN_URLS,
    NAIROBI,
    DarajaFieldError,
    Merchant,
    StkPush,
    checked_url,
    register_url_body,
    stk_push_body,
    stk_query_body,
    timestamp,
)
from isp.daraja_answers import is_token_refused, parse_register_url, parse_stk_push, parse_stk_query
from isp.daraja_json import BadMessage
from isp.daraja_results import REFUSAL_SENTENCES, RESULT_SENTENCES, failure_sentence, outcome_of
from isp.daraja_webhooks import C2bMessage, C2bRejection, c2b_rejected, parse_c2b, parse_stk_callback
from isp.payment import Accepted, Failed, Paid, Pending, Rejected, StkResult, Unanswered, Unknown

NOW = datetime(2026, 3, 1, 21, 30, 5, tzinfo=UTC)  # half past midnight of the next day in Nairobi
PAYBILL = Merchant("paybill", "174379", "secret-passkey")
TILL = Merchant("till", "300584", "secret-passkey", till_number="5123456")
PUSH = StkPush("254712345678", Decimal("50.00"), "K7QWXM2P9A", "Internet", "https://isp.example/webhooks/stk/1f0e")


def changed(**changes: Any) -> StkPush:
    values = {name: getattr(PUSH, name) for name in StkPush.__slots__}
    return StkPush(**{**values, **changes})


class TestWhatWeSend:
    def test_a_push_to_a_paybill_has_the_documented_fields(self) -> None:
        assert stk_push_body(PAYBILL, PUSH, NOW) == {
            "BusinessShortCode": "174379",
            "Password": base64.b64encode(b"174379secret-passkey20260302003005").decode(),
            "Timestamp": "20260302003005",
            "TransactionType": "CustomerPayBillOnline",
            "Amount": 50,
            "PartyA": "254712345678",
            "PartyB": "174379",
            "PhoneNumber": "254712345678",
            "CallBackURL": "https://isp.example/webhooks/stk/1f0e",
            "AccountReference": "K7QWXM2P9A",
            "TransactionDesc": "Internet",
        }

    def test_a_push_to_a_till_is_signed_by_the_store_and_pays_the_till(self) -> None:
        body = stk_push_body(TILL, PUSH, NOW)
        assert body["TransactionType"] == "CustomerBuyGoodsOnline"
        assert (body["BusinessShortCode"], body["PartyB"]) == ("300584", "5123456")
        assert base64.b64decode(str(body["Password"])).startswith(b"300584secret-passkey")

    def test_a_query_is_signed_as_a_push_is(self) -> None:
        body = stk_query_body(PAYBILL, "ws_CO_1", NOW)
        push = stk_push_body(PAYBILL, PUSH, NOW)
        assert body == {**{name: push[name] for name in body if name in push}, "CheckoutRequestID": "ws_CO_1"}

    @pytest.mark.parametrize("zone", [UTC, NAIROBI])
    def test_the_timestamp_is_nairobis_whatever_zone_the_clock_has(self, zone: Any) -> None:
        assert timestamp(NOW.astimezone(zone)) == "20260302003005"

    def test_a_clock_without_a_zone_is_refused(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            timestamp(NOW.replace(tzinfo=None))

    @pytest.mark.parametrize(
        ("push", "field"),
        [
            (changed(amount_kes=Decimal("0")), "Amount"),
            (changed(amount_kes=Decimal("0.99")), "Amount"),
            (changed(amount_kes=Decimal("50.50")), "Amount"),
            (changed(amount_kes=Decimal("250001")), "Amount"),
            (changed(amount_kes=Decimal("-5")), "Amount"),
            (changed(amount_kes=Decimal("NaN")), "Amount"),
            (changed(amount_kes=Decimal("Infinity")), "Amount"),
            (changed(msisdn="0712345678"), "PartyA"),
            (changed(msisdn="254812345678"), "PartyA"),
            (changed(msisdn="+254712345678"), "PartyA"),
            (changed(msisdn="25471234567٨"), "PartyA"),
            (changed(msisdn="254712345678\n"), "PartyA"),
            (changed(account_reference=""), "AccountReference"),
            (changed(account_reference="THIRTEEN-CHAR"), "AccountReference"),
            (changed(account_reference="Ünïcödé"), "AccountReference"),
            (changed(transaction_desc="fourteen chars"), "TransactionDesc"),
            (changed(transaction_desc=""), "TransactionDesc"),
            (changed(callback_url="http://isp.example/"), "CallBackURL"),
            (changed(callback_url="https:///path"), "CallBackURL"),
            (changed(callback_url="https://isp.example/\x00"), "CallBackURL"),
            (changed(callback_url="https://isp.example:99999/"), "CallBackURL"),
            (changed(callback_url="https://[isp.example/"), "CallBackURL"),
            (changed(callback_url="https://isp.example/" + "a" * 240), "CallBackURL"),
            (changed(callback_url="https://me:password@isp.example/"), "CallBackURL"),
            (changed(callback_url="https://isp.example/mpesa"), "CallBackURL"),
        ],
    )
    def test_a_push_that_daraja_would_refuse_is_not_made(self, push: StkPush, field: str) -> None:
        with pytest.raises(DarajaFieldError, match=field) as refused:
            stk_push_body(PAYBILL, push, NOW)
        assert refused.value.field == field

    @pytest.mark.parametrize("amount_kes", ["1", "250000", "1E+3", "99.00"])
    def test_whole_shillings_up_to_the_limits_are_sent_as_an_integer(self, amount_kes: str) -> None:
        sent = stk_push_body(PAYBILL, changed(amount_kes=Decimal(amount_kes)), NOW)["Amount"]
        assert isinstance(sent, int)
        assert sent == Decimal(amount_kes)

    @pytest.mark.parametrize(
        ("merchant", "field"),
        [
            (Merchant("paybill", "1234", "secret"), "BusinessShortCode"),
            (Merchant("paybill", "12345678", "secret"), "BusinessShortCode"),
            (Merchant("paybill", "17437x", "secret"), "BusinessShortCode"),
            (Merchant("paybill", "174379", ""), "Password"),
            (Merchant("till", "300584", "secret", till_number="51"), "PartyB"),
        ],
    )
    def test_an_account_that_is_set_up_wrongly_is_said_so(self, merchant: Merchant, field: str) -> None:
        with pytest.raises(DarajaFieldError, match=field):
            stk_push_body(merchant, PUSH, NOW)

    def test_a_merchant_does_not_show_its_passkey(self) -> None:
        assert "secret" not in repr(PAYBILL)

    @pytest.mark.parametrize("word", FORBIDDEN_IN_URLS)
    @pytest.mark.parametrize(
        "url", ["https://{}.example/c2b", "https://isp.example/{}/c2b", "https://isp.example/?x={}"]
    )
    def test_a_url_with_a_word_that_mpesa_refuses_is_not_registered(self, url: str, word: str) -> None:
        with pytest.raises(DarajaFieldError, match=word):
            register_url_body("174379", url.format(word.upper()), "https://isp.example/v", if_unanswered="Completed")

    def test_the_registration_has_the_documented_fields(self) -> None:
        urls = ("https://isp.example/c2b/confirmation", "https://isp.example/c2b/validation")
        assert register_url_body("174379", *urls, if_unanswered="Cancelled") == {
            "ShortCode": "174379",
            "ResponseType": "Cancelled",
            "ConfirmationURL": urls[0],
            "ValidationURL": urls[1],
        }

    def test_plain_http_is_for_a_gateway_on_this_machine_alone(self) -> None:
        assert checked_url("CallBackURL", "http://127.0.0.1:8080/x", https_only=False)
        with pytest.raises(DarajaFieldError, match="https"):
            checked_url("CallBackURL", "http://127.0.0.1:8080/x")


def callback(code: object, items: object = None, **more: object) -> bytes:
    told: dict[str, object] = {
        "MerchantRequestID": "29115-34620561-1",
        "CheckoutRequestID": "ws_CO_191220191020363925",
        "ResultCode": code,
        "ResultDesc": "…",
        **more,
    }
    if items is not None:
        told["CallbackMetadata"] = {"Item": items}
    return json.dumps({"Body": {"stkCallback": told}}).encode()


ITEMS: list[dict[str, object]] = [
    {"Name": "Amount", "Value": 50.00},
    {"Name": "MpesaReceiptNumber", "Value": "NLJ7RT61SV"},
    {"Name": "Balance"},
    {"Name": "TransactionDate", "Value": 20260302003005},
    {"Name": "PhoneNumber", "Value": 254712345678},
]
IDS = ("29115-34620561-1", "ws_CO_191220191020363925")
PAID = StkResult(*IDS, Paid(), "NLJ7RT61SV", Decimal("50.00"), "254712345678", NOW)


def with_item(name: str, **value: object) -> list[dict[str, object]]:
    return [{"Name": name, **value} if item["Name"] == name else item for item in ITEMS]


class TestStkCallbacks:
    @pytest.mark.parametrize(
        ("items", "changes"),
        [
            (ITEMS, {}),
            (with_item("Balance", Value=49197.0), {}),
            (with_item("Balance", Value=None), {}),
            ([item for item in ITEMS if item["Name"] != "Balance"], {}),
            (list(reversed(ITEMS)), {}),
            (with_item("Amount", Value=50), {}),
            (with_item("Amount", Value="50"), {}),
            (with_item("Amount", Value="50.00"), {}),
            (with_item("Amount", Value=50.5), {"amount_kes": Decimal("50.50")}),
            (with_item("PhoneNumber", Value="254712345678"), {}),
            (with_item("PhoneNumber", Value=254712345678.0), {}),
            (with_item("PhoneNumber", Value="25471****678"), {"msisdn_text": "25471****678"}),
            (with_item("PhoneNumber"), {"msisdn_text": None}),
            (with_item("TransactionDate", Value="20260302003005"), {}),
            (with_item("TransactionDate", Value="yesterday"), {"paid_at": None}),
            (with_item("TransactionDate", Value=20261340999999), {"paid_at": None}),
            (with_item("MpesaReceiptNumber", Value="nlj7rt61sv "), {}),
            (with_item("MpesaReceiptNumber"), {"receipt": None}),
            (with_item("Amount"), {"amount_kes": None}),
            ([*ITEMS, {"Name": "Something", "Value": {"new": 1}}], {}),
        ],
    )
    def test_a_payment_is_read_in_every_shape_it_has(self, items: object, changes: dict[str, Any]) -> None:
        expected = {name: getattr(PAID, name) for name in StkResult.__slots__} | changes
        assert parse_stk_callback(callback(0, items)) == StkResult(**expected)

    @pytest.mark.parametrize("code", [0, "0", 0.0, "00"])
    def test_success_is_zero_however_it_is_written(self, code: object) -> None:
        assert parse_stk_callback(callback(code, ITEMS)) == PAID

    def test_a_payment_without_metadata_tells_no_more_than_a_query_does(self) -> None:
        assert parse_stk_callback(callback(0)) == StkResult(*IDS, Paid())

    @pytest.mark.parametrize("code", [1032, "1032"])
    @pytest.mark.parametrize("items", [None, [], ITEMS])
    def test_a_failure_has_its_code_and_no_money(self, code: object, items: object) -> None:
        assert parse_stk_callback(callback(code, items)) == StkResult(*IDS, Failed("1032"))

    @pytest.mark.parametrize("code", [31337, -1, "SFC_IC0003", 4999])
    def test_a_code_we_do_not_know_is_unknown_and_never_failed(self, code: object) -> None:
        assert isinstance(parse_stk_callback(callback(code)).verdict, Unknown)

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            (b"", "empty"),
            (b" \r\n ", "empty"),
            (b"<html>", "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b'{"Body": NaN}', "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b'{"Body": ' + b"9" * 5000 + b"}", "not JSON"),
            (b"[]", "not an object"),
            (b"null", "not an object"),
            (b"{}", "Body is missing"),
            (b'{"Body": []}', "Body is missing, or not an object"),
            (b'{"Body": {"stkCallback": null}}', "stkCallback is missing"),
            (callback(None), "ResultCode"),
            (callback(""), "ResultCode"),
            (callback(True), "ResultCode"),
            (callback(0.5), None),
            (callback([0]), "ResultCode"),
            (callback(0, ITEMS, CheckoutRequestID=None), "CheckoutRequestID"),
            (callback(0, ITEMS, CheckoutRequestID="x" * 101), "CheckoutRequestID"),
            (callback(0, ITEMS, CheckoutRequestID="a\u0000b"), "CheckoutRequestID"),
            (callback(0, ITEMS, MerchantRequestID=7), "MerchantRequestID"),
            (callback(0, "paid"), "CallbackMetadata"),
            (callback(0, ["paid"]), "CallbackMetadata"),
            (callback(0, [{"Value": 1}]), "no Name"),
            (callback(0, [*ITEMS, {"Name": "Amount", "Value": 5000}]), "two values"),
            (callback(0, with_item("Amount", Value="fifty")), "Amount"),
            (callback(0, with_item("Amount", Value=-50)), "Amount"),
            (callback(0, with_item("Amount", Value=0)), "Amount"),
            (callback(0, with_item("Amount", Value=0.001)), "Amount"),
            (callback(0, with_item("Amount", Value=10**12)), "Amount"),
            (callback(0, with_item("Amount", Value="5e3")), "Amount"),
            (callback(0, with_item("Amount", Value=True)), "Amount"),
            (callback(0, with_item("MpesaReceiptNumber", Value="NLJ7 RT61")), "MpesaReceiptNumber"),
            (callback(0, with_item("MpesaReceiptNumber", Value="../../etc")), "MpesaReceiptNumber"),
            (callback(0, with_item("MpesaReceiptNumber", Value="N" * 30)), "MpesaReceiptNumber"),
        ],
    )
    def test_what_is_no_callback_is_refused_with_the_reason(self, body: bytes, reason: str | None) -> None:
        if reason is None:  # readable, but no code of M-Pesa's
            assert isinstance(parse_stk_callback(body).verdict, Unknown)
            return
        with pytest.raises(BadMessage, match=reason):
            parse_stk_callback(body)

    @given(
        st.binary(max_size=200)
        | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(lambda x: repr(x).encode())
    )
    def test_whatever_is_posted_nothing_but_bad_message_is_raised(self, body: bytes) -> None:
        for parse in (parse_stk_callback, parse_c2b):
            with pytest.raises(BadMessage):
                parse(body)

    _json = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )

    @given(code=_json, name=st.sampled_from([str(item["Name"]) for item in ITEMS]), value=_json, desc=_json)
    def test_whatever_the_fields_are_it_is_read_or_refused(self, code: Any, name: str, value: Any, desc: Any) -> None:
        for told in (code, 0):
            try:
                result = parse_stk_callback(callback(told, with_item(name, Value=value), ResultDesc=desc))
            except BadMessage:
                continue
            texts = [result.msisdn_text or "", result.receipt or ""]
            assert all("\0" not in text and text.encode() is not None for text in texts)
            assert result.amount_kes is None or result.amount_kes > 0


C2B = {
    "TransactionType": "Pay Bill",
    "TransID": "RKTQDM7W6S",
    "TransTime": "20260302003005",
    "TransAmount": "5.00",
    "BusinessShortCode": "600638",
    "BillRefNumber": "K7QWXM2P9A",
    "InvoiceNumber": "",
    "OrgAccountBalance": "49197.00",
    "ThirdPartyTransID": "",
    "MSISDN": "2547 ***** 126",
    "FirstName": "JOHN",
    "MiddleName": "",
    "LastName": "DOE",
}
READ = C2bMessage("RKTQDM7W6S", Decimal("5.00"), "600638", "K7QWXM2P9A", "2547 ***** 126", "JOHN DOE", NOW)
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class TestC2b:
    @pytest.mark.parametrize(
        ("told", "changes"),
        [
            ({}, {}),
            ({"TransAmount": 5}, {}),
            ({"TransAmount": 5.0}, {}),
            ({"TransAmount": "1500"}, {"amount_kes": Decimal("1500.00")}),
            ({"BusinessShortCode": 600638}, {}),
            ({"BillRefNumber": None}, {"bill_ref": ""}),
            ({"BillRefNumber": "  my  account\u0000 "}, {"bill_ref": "my account"}),
            ({"BillRefNumber": "\ud800x"}, {"bill_ref": "x"}),
            ({"BillRefNumber": "x" * 500}, {"bill_ref": "x" * 64}),
            ({"BillRefNumber": 712345678}, {"bill_ref": "712345678"}),
            ({"MSISDN": SHA256}, {"msisdn_text": SHA256}),
            ({"MSISDN": 254712345126}, {"msisdn_text": "254712345126"}),
            ({"MSISDN": None}, {"msisdn_text": ""}),
            ({"FirstName": None, "LastName": None}, {"payer_name": ""}),
            ({"MiddleName": "NJOROGE"}, {"payer_name": "JOHN NJOROGE DOE"}),
            ({"TransTime": ""}, {"paid_at": None}),
            ({"TransTime": 20260302003005}, {}),
        ],
    )
    def test_a_payment_is_read_in_every_shape_it_has(self, told: dict[str, Any], changes: dict[str, Any]) -> None:
        expected = {name: getattr(READ, name) for name in C2bMessage.__slots__} | changes
        assert parse_c2b(json.dumps({**C2B, **told}).encode()) == C2bMessage(**expected)

    def test_a_byte_order_mark_is_no_harm(self) -> None:
        assert parse_c2b(b"\xef\xbb\xbf" + json.dumps(C2B).encode()) == READ

    @pytest.mark.parametrize(
        ("told", "reason"),
        [
            ({"TransID": ""}, "TransID"),
            ({"TransID": None}, "TransID"),
            ({"TransAmount": "0.00"}, "TransAmount"),
            ({"TransAmount": "-5.00"}, "TransAmount"),
            ({"TransAmount": "5,000.00"}, "TransAmount"),
            ({"TransAmount": "٥"}, "TransAmount"),
            ({"TransAmount": "1.2.3"}, "TransAmount"),
            ({"BusinessShortCode": ""}, "BusinessShortCode"),
            ({"BusinessShortCode": "6006x8"}, "BusinessShortCode"),
        ],
    )
    def test_a_payment_without_what_decides_is_refused(self, told: dict[str, Any], reason: str) -> None:
        with pytest.raises(BadMessage, match=reason):
            parse_c2b(json.dumps({**C2B, **told}).encode())

    def test_a_validation_is_turned_away_by_the_documented_codes(self) -> None:
        assert [code.value for code in C2bRejection] == [f"C2B000{number}" for number in range(11, 17)]
        told = c2b_rejected(C2bRejection.INVALID_AMOUNT)
        assert told == {"ResultCode": "C2B00013", "ResultDesc": "Rejected"}


DOCUMENTED = [
    "1",
    "2",
    "3",
    "4",
    "8",
    "17",
    "26",
    "1001",
    "1019",
    "1025",
    "1032",
    "1037",
    "2001",
    "2028",
    "8006",
    "9999",
]


class TestResultCodes:
    def test_every_documented_failure_has_its_sentences(self) -> None:
        assert sorted(RESULT_SENTENCES) == sorted(DOCUMENTED)
        for code in DOCUMENTED:
            assert outcome_of(code) == Failed(code)

    @pytest.mark.parametrize("code", [*RESULT_SENTENCES, *REFUSAL_SENTENCES, "400.002.02"])
    def test_the_customer_reads_two_languages_on_one_line(self, code: str) -> None:
        english, swahili = failure_sentence(code, "en"), failure_sentence(code, "sw")
        assert english != swahili
        assert failure_sentence(code, "fr") == english
        assert all(text.endswith(".") and len(text) <= 120 for text in (english, swahili))

    def test_zero_is_paid_and_4999_still_pending(self) -> None:
        assert (outcome_of("0"), outcome_of("4999")) == (Paid(), Pending())


def error(code: str, message: str) -> bytes:
    return json.dumps({"requestId": "1", "errorCode": code, "errorMessage": message}).encode()


ACCEPTED = {
    "MerchantRequestID": IDS[0],
    "CheckoutRequestID": IDS[1],
    "ResponseCode": "0",
    "ResponseDescription": "Success. Request accepted for processing",
    "CustomerMessage": "Success. Request accepted for processing",
}
LOCKED = "[STK] - Unable to lock subscriber, a transaction is already in process for the current subscriber"


class TestAnswersToAPush:
    def test_accepted(self) -> None:
        for response_code in ("0", 0):
            body = json.dumps({**ACCEPTED, "ResponseCode": response_code}).encode()
            assert parse_stk_push(200, body) == Accepted(*IDS)

    @pytest.mark.parametrize(
        ("status", "body", "code", "permanent"),
        [
            (400, error("400.002.02", "Bad Request - Invalid PhoneNumber"), "400.002.02", True),
            (404, error("404.001.03", "Invalid Access Token"), "404.001.03", False),
            (401, b"", "401", False),
            (403, b"<html>Forbidden", "403", True),
            (429, b"", "429", False),
            (500, error("500.001.1001", LOCKED), "1001", False),
            (500, error("500.001.1001", "Wrong credentials"), "500.001.1001", True),
            (500, error("500.001.1001", "Merchant does not exist"), "500.001.1001", True),
            (500, error("500.001.1001", "[CBS - ] No ICCID found"), "1025", True),
            (500, error("500.003.02", "System is busy. Please try again in few minutes."), "500.003.02", False),
            (503, error("500.003.03", "Error Occurred: Quota Violation"), "500.003.03", False),
            (200, json.dumps({**ACCEPTED, "ResponseCode": "1"}).encode(), "1", True),
            (200, b'{"ResponseCode": "1", "ResponseDescription": "Unable to lock subscriber"}', "1001", False),
        ],
    )
    def test_a_clear_no_is_a_rejection(self, status: int, body: bytes, code: str, permanent: bool) -> None:
        outcome = parse_stk_push(status, body)
        assert isinstance(outcome, Rejected)
        assert (outcome.code, outcome.permanent) == (code, permanent)
        assert outcome.message

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, b""),
            (200, b"<html>"),
            (200, b"[]"),
            (200, b"{}"),
            (200, json.dumps({**ACCEPTED, "CheckoutRequestID": None}).encode()),
            (200, json.dumps({**ACCEPTED, "ResponseCode": None}).encode()),
            (202, json.dumps(ACCEPTED).encode()),
            (302, b""),
            (408, b""),
            (500, b""),
            (500, b"Internal Server Error"),
            (500, error("500.001.1001", "The transaction is being processed")),
            (500, error("500.001.1001", "Internal Server Error")),
            (500, error("500.003.1001", "Internal Server Error")),
            (502, b"<html>Bad Gateway"),
            (504, b""),
        ],
    )
    def test_anything_else_may_have_prompted_the_customer(self, status: int, body: bytes) -> None:
        outcome = parse_stk_push(status, body)
        assert isinstance(outcome, Unanswered)
        assert outcome.reason

    @pytest.mark.parametrize(
        ("status", "body", "refused"),
        [
            (404, error("404.001.03", "Invalid Access Token"), True),
            (400, error("400.003.01", "Invalid Access Token"), True),
            (401, b"", True),
            (404, error("404.001.01", "Resource not found"), False),
            (404, b"", False),
            (400, error("400.002.02", "Bad Request"), False),
            (500, error("404.001.03", "?"), False),
        ],
    )
    def test_a_refused_token_is_known_by_status_and_code(self, status: int, body: bytes, refused: bool) -> None:
        assert is_token_refused(status, body) is refused


def queried(**changes: object) -> bytes:
    told = {"ResponseCode": "0", "CheckoutRequestID": IDS[1], "ResultCode": "0", "ResultDesc": "…", **changes}
    return json.dumps(told).encode()


class TestAnswersToAQuery:
    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (200, queried(), Paid()),
            (200, queried(ResultCode=0), Paid()),
            (200, queried(ResultCode="1032"), Failed("1032")),
            (200, queried(ResultCode=1), Failed("1")),
            (200, queried(ResultCode="4999"), Pending()),
            (500, error("500.001.1001", "The transaction is being processed"), Pending()),
        ],
    )
    def test_what_is_clear_is_said(self, status: int, body: bytes, outcome: object) -> None:
        assert parse_stk_query(status, body, IDS[1]) == outcome

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            (200, queried(ResultCode="31337")),
            (200, queried(ResultCode=None)),
            (200, queried(ResultCode="")),
            (200, queried(ResponseCode="1")),
            (200, queried(CheckoutRequestID="ws_CO_of_somebody_else")),
            (200, b""),
            (200, b"<html>"),
            (500, queried()),
            (500, error("500.001.1001", "Wrong credentials")),
            (400, error("400.002.02", "Bad Request - Invalid CheckoutRequestID")),
            (503, b"The transaction is being processed"),
        ],
    )
    def test_what_is_not_clear_is_unknown(self, status: int, body: bytes) -> None:
        outcome = parse_stk_query(status, body, IDS[1])
        assert isinstance(outcome, Unknown)
        assert outcome.reason


@pytest.mark.parametrize(
    ("status", "body", "permanent"),
    [
        (200, b'{"ResponseCode": "0", "ResponseDescription": "Success"}', None),
        (200, b'{"ResponseCode": "00000000", "ResponseDescription": "success"}', None),
        (200, b'{"ResponseCode": "1", "ResponseDescription": "failure"}', True),
        (200, b"<html>", False),
        (400, error("400.003.02", "Bad Request"), True),
        (500, error("500.003.1001", "Urls are already registered"), False),
    ],
)
def test_a_registration_is_done_or_refused(status: int, body: bytes, permanent: bool | None) -> None:
    refusal = parse_register_url(status, body)
    assert (refusal.permanent if refusal else None) == permanent


def test_nairobi_is_three_hours_ahead_all_year() -> None:
    assert NAIROBI.utcoffset(NOW) == timedelta(hours=3)
