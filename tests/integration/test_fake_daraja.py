"""The fake Daraja itself, asked in plain HTTP: what it demands, what it tells, and that its truth is kept."""

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from settings import CHECKOUT
from tests.fakes.daraja import fake_daraja
from tests.fakes.daraja_behaviour import PRESETS, phone_of
from tests.fakes.daraja_control import (
    CONSUMER_KEY,
    CONSUMER_SECRET,
    PASSKEY,
    PAYBILL,
    STORE,
    TILL,
    DarajaControl,
)
from tests.fakes.daraja_receiver import Receiver, receiving

PUSH, QUERY = "/mpesa/stkpush/v1/processrequest", "/mpesa/stkpushquery/v1/query"
PHONE = "254712345678"


@pytest.fixture(scope="module")
def running() -> Iterator[DarajaControl]:
    with fake_daraja(duplicate_window_s=0) as daraja:
        yield daraja


@pytest.fixture
def daraja(running: DarajaControl) -> Iterator[DarajaControl]:
    running.behave(decides_after_s=0.01)
    yield running
    running.wait_until_idle()
    running.rules(duplicate_window_s=0, one_prompt_per_phone=True, token_fault=404, token_life_s=3599)
    running.behave(phone=PHONE, decides_after_s=0.01)


@pytest.fixture(scope="module")
def webhooks() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def here(webhooks: Receiver) -> Receiver:
    webhooks.bodies.clear()
    webhooks.answers.clear()
    return webhooks


def get_token(daraja: DarajaControl, secret: str = CONSUMER_SECRET) -> httpx.Response:
    return httpx.get(
        f"{daraja.url}/oauth/v1/generate",
        params={"grant_type": "client_credentials"},
        auth=(CONSUMER_KEY, secret),
        trust_env=False,
    )


def signed(shortcode: str = PAYBILL, passkey: str = PASSKEY, late_s: float = 0) -> dict[str, Any]:
    stamp = (datetime.now(ZoneInfo("Africa/Nairobi")) + timedelta(seconds=late_s)).strftime("%Y%m%d%H%M%S")
    password = base64.b64encode(f"{shortcode}{passkey}{stamp}".encode()).decode()
    return {"BusinessShortCode": shortcode, "Password": password, "Timestamp": stamp}


def push_of(here: Receiver, **changes: Any) -> dict[str, Any]:
    phone = changes.pop("phone", PHONE)
    return {
        **signed(),
        "TransactionType": "CustomerPayBillOnline",
        "Amount": 10,
        "PartyA": phone,
        "PartyB": PAYBILL,
        "PhoneNumber": phone,
        "CallBackURL": f"{here.url}/stk",
        "AccountReference": "REF",
        "TransactionDesc": "Internet",
        **changes,
    }


def post(daraja: DarajaControl, path: str, body: Any, token: str | None = None, **options: Any) -> httpx.Response:
    token = get_token(daraja).json()["access_token"] if token is None else token
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(daraja.url + path, json=body, headers=headers, trust_env=False, **options)


def callbacks(here: Receiver, number: int = 1) -> list[dict[str, Any]]:
    return [json.loads(body)["Body"]["stkCallback"] for body in here.wait_for("/stk", number)]


def items(callback: dict[str, Any]) -> dict[str, Any]:
    return {item["Name"]: item.get("Value") for item in callback["CallbackMetadata"]["Item"]}


def ask(daraja: DarajaControl, checkout_request_id: str) -> httpx.Response:
    return post(daraja, QUERY, {**signed(), "CheckoutRequestID": checkout_request_id})


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["errorCode"]


class TestTokens:
    def test_each_request_ends_the_token_before(self, daraja: DarajaControl, here: Receiver) -> None:
        first, second = (get_token(daraja).json()["access_token"] for _ in range(2))
        assert error_of(post(daraja, PUSH, push_of(here), first)) == (404, "404.001.03")
        assert post(daraja, PUSH, push_of(here), second).status_code == 200

    def test_a_wrong_secret_gets_none(self, daraja: DarajaControl) -> None:
        assert error_of(get_token(daraja, "wrong")) == (400, "400.008.01")

    def test_it_ends_with_its_time(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.rules(token_life_s=0)
        assert error_of(post(daraja, PUSH, push_of(here))) == (404, "404.001.03")

    @pytest.mark.parametrize(("status", "code"), [(404, "404.001.03"), (400, "400.003.01"), (401, "401.002.01")])
    def test_it_is_refused_in_each_documented_way(self, daraja: DarajaControl, status: int, code: str) -> None:
        daraja.rules(token_fault=status)
        assert error_of(post(daraja, PUSH, {}, "no token")) == (status, code)


class TestRules:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"Amount": 10.5}, "Invalid Amount"),
            ({"Amount": "10.00"}, "Invalid Amount"),
            ({"Amount": 0}, "Invalid Amount"),
            ({"Amount": 250_001}, "Invalid Amount"),
            ({"Amount": True}, "Invalid Amount"),
            ({"PhoneNumber": "0712345678"}, "Invalid PhoneNumber"),
            ({"PartyA": "254812345678"}, "Invalid PartyA"),
            ({"PartyB": TILL}, "Invalid PartyB"),
            ({"TransactionType": "PayBill"}, "Invalid TransactionType"),
            ({"CallBackURL": "http://isp.example/stk"}, "Invalid CallBackURL"),
            ({"CallBackURL": "isp.example"}, "Invalid CallBackURL"),
            ({"AccountReference": "thirteen-char"}, "Invalid AccountReference"),
            ({"AccountReference": ""}, "Invalid AccountReference"),
            ({"TransactionDesc": "fourteen chars"}, "Invalid TransactionDesc"),
            ({"Timestamp": "2026-03-01"}, "Invalid Timestamp"),
            (lambda: signed(late_s=-3 * 3600), "Invalid Timestamp"),  # UTC, taken for Nairobi's time
            ({"BusinessShortCode": "17"}, "Invalid BusinessShortCode"),
            ({"Password": "wrong"}, "Wrong credentials"),
            (lambda: signed(passkey="another"), "Wrong credentials"),
            (lambda: signed(shortcode="999999"), "Merchant does not exist"),
        ],
    )
    def test_a_push_that_breaks_one_is_refused(
        self, daraja: DarajaControl, here: Receiver, changes: dict[str, Any] | Callable[[], dict[str, Any]], error: str
    ) -> None:
        prompts = len(daraja.state()["prompts"])
        # What is signed carries the time, and is out of date some minutes later.
        answer = post(daraja, PUSH, push_of(here, **(changes() if callable(changes) else changes)))
        assert answer.status_code in (400, 500)
        assert answer.json().keys() == {"requestId", "errorCode", "errorMessage"}
        assert answer.json()["errorMessage"].endswith(error)
        assert len(daraja.state()["prompts"]) == prompts

    def test_a_till_is_paid_through_its_store(self, daraja: DarajaControl, here: Receiver) -> None:
        changes = {**signed(shortcode=STORE), "TransactionType": "CustomerBuyGoodsOnline", "PartyB": TILL}
        assert post(daraja, PUSH, push_of(here, **changes)).status_code == 200

    def test_a_second_prompt_to_a_phone_has_to_wait_for_the_first(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.behave(phone=PHONE, decides_after_s=0.5)
        assert post(daraja, PUSH, push_of(here)).status_code == 200
        answer = post(daraja, PUSH, push_of(here, Amount=11))
        assert error_of(answer) == (500, "500.001.1001")
        assert answer.json()["errorMessage"].startswith("Unable to lock subscriber")

    def test_the_same_payment_within_two_minutes_ends_with_17(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.rules(duplicate_window_s=120, one_prompt_per_phone=False)
        for amount in (20, 20, 21):
            post(daraja, PUSH, push_of(here, Amount=amount))
            daraja.wait_until_idle()
        assert [told["ResultCode"] for told in callbacks(here, 3)] == [0, 17, 0]

    @pytest.mark.parametrize("word", ["mpesa", "SQL", "cmd"])
    def test_urls_with_forbidden_words_are_not_registered(self, daraja: DarajaControl, word: str) -> None:
        body = {"ShortCode": PAYBILL, "ResponseType": "Completed", "ConfirmationURL": "https://isp.example/a"}
        answer = post(daraja, "/mpesa/c2b/v2/registerurl", {**body, "ValidationURL": f"https://isp.example/{word}"})
        assert error_of(answer) == (400, "400.002.02")


class TestPushes:
    def test_a_payment_is_told_as_documented(self, daraja: DarajaControl, here: Receiver) -> None:
        answer = post(daraja, PUSH, push_of(here, AccountReference="K7QW")).json()
        assert answer["ResponseCode"] == "0"
        (told,) = callbacks(here)
        assert (told["MerchantRequestID"], told["CheckoutRequestID"]) == (
            answer["MerchantRequestID"],
            answer["CheckoutRequestID"],
        )
        daraja.wait_until_idle()
        truth = daraja.payments()[-1]
        assert items(told)["MpesaReceiptNumber"] == truth["receipt"]
        assert (items(told)["Amount"], items(told)["PhoneNumber"]) == (10.0, int(PHONE))
        assert {"Name": "Balance"} in told["CallbackMetadata"]["Item"]
        assert (truth["amount_kes"], truth["msisdn"], truth["account_reference"]) == (10, PHONE, "K7QW")
        assert daraja.state()["deliveries"][-1]["status"] == 200

    @pytest.mark.parametrize(
        ("preset", "codes", "payments"),
        [
            ("paid", [0], 1),
            ("insufficient_balance", [1], 0),
            ("cancelled", [1032], 0),
            ("unknown_code", [31337], 0),
            ("never_calls_back", [], 1),
            ("five_times", [0] * 5, 1),
            ("paid_after_1037", [1037, 0], 1),
            ("failed_after_paid", [0, 1032], 1),
        ],
    )
    def test_a_phone_behaves_as_its_number_says(
        self, daraja: DarajaControl, here: Receiver, preset: str, codes: list[int], payments: int
    ) -> None:
        before = len(daraja.payments())
        assert post(daraja, PUSH, push_of(here, phone=phone_of(preset))).status_code == 200
        daraja.wait_until_idle()
        told = callbacks(here, len(codes))
        assert [callback["ResultCode"] for callback in told] == codes
        assert [callback["ResultCode"] for callback in told if "CallbackMetadata" in callback] == [0] * codes.count(0)
        assert len(here.bodies) == len(codes)
        assert len(daraja.payments()) == before + payments

    def test_an_amount_can_have_its_behaviour_too(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.behave(amount_kes=77, preset="cancelled", decides_after_s=0)
        post(daraja, PUSH, push_of(here, Amount=77, phone="254799000077"))
        assert callbacks(here)[0]["ResultCode"] == 1032

    def test_the_callback_can_come_before_the_answer(self, daraja: DarajaControl, here: Receiver) -> None:
        answer = post(daraja, PUSH, push_of(here, phone=phone_of("calls_back_before_the_answer")))
        assert len(here.bodies) == 1
        assert (
            json.loads(here.bodies[0][1])["Body"]["stkCallback"]["CheckoutRequestID"]
            == (answer.json()["CheckoutRequestID"])
        )

    def test_the_customer_can_pay_another_amount(self, daraja: DarajaControl, here: Receiver) -> None:
        post(daraja, PUSH, push_of(here, phone=phone_of("pays_less"), Amount=50))
        assert items(callbacks(here)[0])["Amount"] == 1.0
        assert daraja.payments()[-1]["amount_kes"] == 1

    def test_a_phone_can_be_masked_and_the_balance_told(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.behave(phone=PHONE, masked_phone=True, balance="with_value")
        post(daraja, PUSH, push_of(here))
        told = items(callbacks(here)[0])
        assert (told["PhoneNumber"], told["Balance"]) == ("25471****678", 49_197.0)

    @pytest.mark.parametrize(
        ("preset", "status", "code"),
        [("busy", 500, "500.003.02"), ("quota", 500, "500.003.03"), ("locked", 500, "500.001.1001")],
    )
    def test_the_gateway_can_refuse(
        self, daraja: DarajaControl, here: Receiver, preset: str, status: int, code: str
    ) -> None:
        assert error_of(post(daraja, PUSH, push_of(here, phone=phone_of(preset)))) == (status, code)

    @pytest.mark.parametrize(
        ("preset", "status", "start", "payments"),
        [
            ("server_error", 500, "Internal", 0),
            ("server_error_but_paid", 500, "Internal", 1),
            ("html", 200, "<html>", 0),
            ("empty", 200, "", 0),
        ],
    )
    def test_the_answer_can_be_nonsense_whether_the_customer_paid_or_not(
        self, daraja: DarajaControl, here: Receiver, preset: str, status: int, start: str, payments: int
    ) -> None:
        before = len(daraja.payments())
        answer = post(daraja, PUSH, push_of(here, phone=phone_of(preset)))
        assert answer.status_code == status
        assert answer.text.startswith(start)
        daraja.wait_until_idle()
        assert len(daraja.payments()) == before + payments == before + len(here.bodies)

    @pytest.mark.parametrize(
        ("preset", "error"), [("silence_but_paid", httpx.ReadTimeout), ("hang_up_but_paid", httpx.RemoteProtocolError)]
    )
    def test_the_answer_can_be_missing_although_the_customer_paid(
        self, daraja: DarajaControl, here: Receiver, preset: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            post(daraja, PUSH, push_of(here, phone=phone_of(preset)), timeout=0.3)
        assert callbacks(here)[0]["ResultCode"] == 0

    def test_callbacks_can_be_lost(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.behave(phone=PHONE, deliveries=40, loss=0.5)
        before = len(daraja.state()["deliveries"])
        post(daraja, PUSH, push_of(here))
        daraja.wait_until_idle()
        lost = [delivery["lost"] for delivery in daraja.state()["deliveries"][before:]]
        assert len(lost) == 40
        assert 0 < lost.count(False) == len(here.bodies) < 40

    def test_a_behaviour_that_does_not_exist_is_refused(self, daraja: DarajaControl) -> None:
        for told in ({"preset": "payed"}, {"deliverys": 2}):
            with pytest.raises(AssertionError, match="no such"):
                daraja.behave(**told)


class TestQueries:
    def test_it_says_pending_until_the_customer_decides(self, daraja: DarajaControl, here: Receiver) -> None:
        daraja.behave(phone=PHONE, decides_after_s=0.3, result_code=1032)
        made = post(daraja, PUSH, push_of(here)).json()["CheckoutRequestID"]
        answer = ask(daraja, made)
        assert error_of(answer) == (500, "500.001.1001")
        assert answer.json()["errorMessage"] == "The transaction is being processed"
        daraja.wait_until_idle()
        assert ask(daraja, made).json()["ResultCode"] == "1032"

    @pytest.mark.parametrize(
        ("preset", "codes"),
        [
            ("pending_then_paid", [None, None, "0"]),
            ("query_says_cancelled", ["1032"]),
            ("query_says_paid", ["0"]),
            ("never_calls_back_and_cancelled", ["1032"]),
        ],
    )
    def test_it_can_be_late_or_contradict_the_callback(
        self, daraja: DarajaControl, here: Receiver, preset: str, codes: list[str | None]
    ) -> None:
        made = post(daraja, PUSH, push_of(here, phone=phone_of(preset))).json()["CheckoutRequestID"]
        daraja.wait_until_idle()
        assert [ask(daraja, made).json().get("ResultCode") for _ in codes] == codes

    def test_one_for_a_push_that_was_not_made_is_refused(self, daraja: DarajaControl) -> None:
        assert error_of(ask(daraja, "ws_CO_never")) == (400, "400.002.02")


class TestC2b:
    @pytest.fixture(autouse=True)
    def _registered(self, daraja: DarajaControl, here: Receiver) -> None:
        self.register(daraja, here, "v2", "Completed")

    def register(self, daraja: DarajaControl, here: Receiver, version: str, if_unanswered: str) -> None:
        urls = {"ConfirmationURL": f"{here.url}/confirmation", "ValidationURL": f"{here.url}/validation"}
        body = {"ShortCode": PAYBILL, "ResponseType": if_unanswered, **urls}
        answer = post(daraja, f"/mpesa/c2b/{version}/registerurl", body)
        assert answer.json()["ResponseCode"] == "0"

    @pytest.mark.parametrize(
        ("version", "msisdn"), [("v1", sha256(PHONE.encode()).hexdigest()), ("v2", "2547 ***** 678")]
    )
    def test_a_payment_by_hand_is_validated_and_confirmed(
        self, daraja: DarajaControl, here: Receiver, version: str, msisdn: str
    ) -> None:
        self.register(daraja, here, version, "Completed")
        receipt = daraja.pay_by_hand(PHONE, 5, "K7QW")
        (validation,), (confirmation,) = here.bodies_at("/validation"), here.bodies_at("/confirmation")
        assert validation == confirmation
        told = json.loads(confirmation)
        assert (told["TransID"], told["TransAmount"], told["MSISDN"]) == (receipt, "5.00", msisdn)
        assert (told["BusinessShortCode"], told["BillRefNumber"]) == (PAYBILL, "K7QW")
        assert daraja.payments()[-1]["receipt"] == receipt

    def test_one_that_is_turned_away_moves_no_money(self, daraja: DarajaControl, here: Receiver) -> None:
        here.answers["/validation"] = {"ResultCode": "C2B00012", "ResultDesc": "Rejected"}
        before = daraja.payments()
        assert daraja.pay_by_hand(PHONE, 5, "nobody") is None
        assert here.bodies_at("/confirmation") == []
        assert daraja.payments() == before

    @pytest.mark.parametrize(("if_unanswered", "paid"), [("Completed", True), ("Cancelled", False)])
    def test_a_validation_that_makes_no_sense_is_none(
        self, daraja: DarajaControl, here: Receiver, if_unanswered: str, paid: bool
    ) -> None:
        self.register(daraja, here, "v2", if_unanswered)
        here.answers["/validation"] = "what?"
        assert (daraja.pay_by_hand(PHONE, 5, "K7QW") is not None) is paid

    def test_an_stk_payment_can_arrive_here_too_with_its_receipt(self, daraja: DarajaControl, here: Receiver) -> None:
        post(daraja, PUSH, push_of(here, phone=phone_of("also_c2b"), AccountReference="K7QW"))
        (told,) = callbacks(here)
        (confirmation,) = here.wait_for("/confirmation")
        assert json.loads(confirmation)["TransID"] == items(told)["MpesaReceiptNumber"]
        assert json.loads(confirmation)["BillRefNumber"] == "K7QW"
        assert here.bodies_at("/validation") == []

    def test_it_can_be_told_twice(self, daraja: DarajaControl, here: Receiver) -> None:
        before = len(daraja.payments())
        daraja.pay_by_hand(PHONE, 5, "K7QW", deliveries=2, form="plain", validated=False)
        assert [json.loads(body)["MSISDN"] for body in here.bodies_at("/confirmation")] == [PHONE] * 2
        assert len(daraja.payments()) == before + 1


def test_four_hundred_payments_at_once_are_each_pushed_told_and_numbered_once(
    daraja: DarajaControl, here: Receiver
) -> None:
    number = 400
    token = get_token(daraja).json()["access_token"]
    before = len(daraja.payments())
    with (
        httpx.Client(base_url=daraja.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http,
        ThreadPoolExecutor(8) as pool,
    ):
        bodies = [push_of(here, phone=f"2547990{at:05}") for at in range(number)]
        answers = list(pool.map(lambda body: http.post(PUSH, json=body).status_code, bodies))
    daraja.wait_until_idle()
    assert answers == [200] * number
    assert len(here.bodies) == number == len(daraja.payments()) - before
    assert len({payment["receipt"] for payment in daraja.payments()}) == len(daraja.payments())


def test_it_runs_by_itself_and_says_which_phone_behaves_how() -> None:
    command = [sys.executable, "-m", "tests.fakes.daraja", "--port", "0"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3 + len(PRESETS))]
            daraja = DarajaControl(lines[0].split()[-1])
            assert f"{phone_of('cancelled')}  cancelled" in "".join(lines)
            deadline = time.monotonic() + 20
            while True:
                try:
                    assert daraja.payments() == []
                    break
                except httpx.ConnectError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert get_token(daraja).status_code == 200
        finally:
            process.terminate()
        assert process.wait(10) in (0, -15)
