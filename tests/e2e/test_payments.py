"""Money from a phone to a login that works: real API, workers and FreeRADIUS, and a Daraja that misbehaves."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest

from cli.instance import readiness
from db import payment_intent
from db.subscription import Subscription
from db.subscription_life import password
from settings import CHECKOUT, Settings
from tests.fakes.daraja import fake_daraja
from tests.fakes.daraja_control import CONSUMER_KEY, CONSUMER_SECRET, PASSKEY, PAYBILL, DarajaControl
from tests.integration.api_server import Operator, token_of
from tests.radius import Radius
from tests.servers import kibali_command, process_environ

_phones = count(254_711_000_001)
STARTS_WITHIN_S = 30
MAC = "C0:FF:EE:11:22:33"


@dataclass(frozen=True)
class Shop:
    """A tenant that sells plans by M-Pesa."""

    radius: Radius
    daraja: DarajaControl
    http: httpx.Client
    operator: Operator
    plan_id: int

    def call(self, method: str, path: str, body: Any = None, *, role: str = "owner") -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.operator.tokens[role]}"}
        return self.http.request(method, f"/api/v1{path}", json=body, headers=headers)

    def get(self, path: str) -> Any:
        answer = self.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def made(self, path: str, body: Any, status: int = 201) -> Any:
        answer = self.call("POST", path, body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def ask(self, phone: str | None = None, **values: Any) -> Any:
        """An intent for the plan, and a phone of nobody yet."""
        return self.made("/payments/initiate", {"plan_id": self.plan_id, "phone": phone or new_phone(), **values}, 202)

    def intent(self, intent_id: int) -> Any:
        return self.get(f"/payments/intents/{intent_id}")

    def settled(self, intent_id: int) -> Any:
        until(lambda: self.intent(intent_id)["state"] in ("paid", "failed", "unknown"))
        return self.intent(intent_id)

    def payments_of(self, intent_id: int) -> list[Any]:
        return [paid for paid in self.get("/payments?limit=100")["items"] if paid["intent_id"] == intent_id]

    def login(self, subscription_id: int) -> str:
        """The code of the answer to a login with the password that was made."""
        with self.radius.session() as session:
            subscription = session.get_one(Subscription, subscription_id)
            secret = password(subscription, self.radius.keyring)
            username = subscription.username
        return self.radius.nas().login(username, secret, mac=MAC).code

    def hurry_queries(self) -> None:
        """The clock's stand-in: what is to be asked later is due now."""
        self.radius.execute("UPDATE payment_intent SET next_query_at = now() WHERE next_query_at IS NOT NULL")
        self.radius.execute("UPDATE job SET due_at = now() WHERE state = 'pending' AND task = 'query_prompt'")


def new_phone() -> str:
    return f"+{next(_phones)}"


def until(holds: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


@contextmanager
def running(name: str, environ: dict[str, str], settings: Settings) -> Iterator[None]:
    """The API, the sweep or a worker, as the supervisor runs it."""
    with (settings.var / f"{name}.log").open("ab") as output:
        command = kibali_command("run", name, end_signal="TERM")
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=process_environ(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    probe = readiness.api if name == "api" else readiness.heartbeat
    deadline = time.monotonic() + STARTS_WITHIN_S
    try:
        while True:
            try:
                probe(settings, name, process.pid)
                break
            except readiness.NotReady as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not start: {error}") from None
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="module")
def shop(radius: Radius) -> Iterator[Shop]:
    settings = radius.settings
    public_url = f"http://127.0.0.1:{settings.http_port}"
    environ = {**radius.environ, "KIBALI_PUBLIC_URL": public_url}
    with ExitStack() as stack:
        for name in ("api", "sweep", "worker-payments"):
            stack.enter_context(running(name, environ, settings))
        daraja = stack.enter_context(fake_daraja(duplicate_window_s=0.0))
        http = stack.enter_context(httpx.Client(base_url=public_url, timeout=30, trust_env=False))
        with radius.session() as session:
            roles = ("owner", "cashier", "support", "read-only")
            tokens = {
                role: token_of(session, tenant_id=radius.tenant_id, email=f"{role}@shop.example", role=role)
                for role in roles
            }
        shop = Shop(radius, daraja, http, Operator(radius.tenant_id, tokens), plan_id=0)
        credentials = {"consumer_key": CONSUMER_KEY, "consumer_secret": CONSUMER_SECRET, "passkey": PASSKEY}
        account = {"kind": "paybill", "name": "Main", "shortcode": PAYBILL, "base_url": daraja.url}
        shop.made("/payment-accounts", {**account, "credentials": credentials})
        plan = {"name": "Day", "service": "hotspot", "price_kes": "50.00", "upload_kbps": 1000, "download_kbps": 4000}
        made = shop.made("/plans", {**plan, "validity_unit": "days", "validity_count": 1, "devices": 3})
        yield Shop(radius, daraja, http, shop.operator, made["id"])


def test_a_customer_who_pays_is_online(shop: Shop) -> None:
    intent = shop.ask(mac=MAC)
    assert intent["state"] == "initiated"
    paid = shop.settled(intent["id"])
    assert paid["state"] == "paid"
    (payment,) = shop.payments_of(intent["id"])
    assert (payment["state"], payment["amount_kes"], payment["provider"]) == ("applied", "50.00", "daraja")
    assert payment["receipt"] in {told["receipt"] for told in shop.daraja.payments()}
    assert shop.login(paid["subscription_id"]) == "Access-Accept"
    # Its device gets in by itself.
    assert shop.radius.nas().login(MAC, MAC, mac=MAC).code == "Access-Accept"
    subscription = shop.get(f"/subscriptions/{paid['subscription_id']}")
    assert shop.get(f"/subscribers/{subscription['subscriber_id']}/wallet")["balance_kes"] in ("0", "0.00")


@pytest.mark.parametrize("preset", ["five_times", "masked_phone", "also_c2b_hashed"])
def test_whatever_the_callbacks_do_it_is_credited_once(shop: Shop, preset: str) -> None:
    phone = new_phone()
    shop.daraja.behave(phone=phone.removeprefix("+"), preset=preset)
    intent = shop.settled(shop.ask(phone)["id"])
    shop.daraja.wait_until_idle()
    until(lambda: not shop.radius.rows("SELECT FROM webhook_inbox WHERE processed_at IS NULL"))
    (payment,) = shop.payments_of(intent["id"])
    assert (intent["state"], payment["state"]) == ("paid", "applied")
    assert shop.login(intent["subscription_id"]) == "Access-Accept"


@pytest.mark.parametrize(
    ("preset", "words"),
    [("wrong_pin", "PIN"), ("cancelled", "cancel"), ("insufficient_balance", "enough")],
)
def test_a_customer_who_did_not_pay_is_told_why_and_gets_nothing(shop: Shop, preset: str, words: str) -> None:
    phone = new_phone()
    shop.daraja.behave(phone=phone.removeprefix("+"), preset=preset)
    failed = shop.settled(shop.ask(phone)["id"])
    assert failed["state"] == "failed"
    assert words.lower() in failed["failure_reason"].lower()
    assert shop.payments_of(failed["id"]) == []
    assert failed["subscription_id"] is None


@pytest.mark.parametrize("preset", ["never_calls_back", "pending_then_paid"])
def test_a_payment_that_nobody_told_of_is_found_by_asking(shop: Shop, preset: str) -> None:
    phone = new_phone()
    shop.daraja.behave(phone=phone.removeprefix("+"), preset=preset)
    intent_id = shop.ask(phone)["id"]
    until(lambda: shop.intent(intent_id)["state"] == "prompted")
    shop.daraja.wait_until_idle()

    def is_paid() -> bool:
        shop.hurry_queries()
        time.sleep(0.3)
        return bool(shop.intent(intent_id)["state"] == "paid")

    until(is_paid)
    (payment,) = shop.payments_of(intent_id)
    assert (payment["state"], payment["receipt"]) == ("applied", None)
    assert shop.login(shop.intent(intent_id)["subscription_id"]) == "Access-Accept"


def test_a_push_without_an_answer_is_never_repeated(shop: Shop) -> None:
    phone = new_phone()
    shop.daraja.behave(phone=phone.removeprefix("+"), preset="hang_up_but_paid")
    intent = shop.settled(shop.ask(phone)["id"])
    assert intent["state"] == "paid"
    prompts = [told for told in shop.daraja.payments() if told["account_reference"] == intent["account_reference"]]
    assert len(prompts) == 1


def test_an_unreadable_callback_is_kept_and_acknowledged_and_a_token_of_nobody_is_not(shop: Shop) -> None:
    intent_id = shop.settled(shop.ask()["id"])["id"]
    token = payment_intent.callback_token(intent_id, shop.radius.keyring)
    answer = shop.http.post(f"/webhooks/daraja/stk/{token}", content=b"\x00not json")
    assert (answer.status_code, answer.json()) == (200, {"ResultCode": 0, "ResultDesc": "Accepted"})
    until(lambda: bool(shop.radius.rows("SELECT FROM webhook_inbox WHERE outcome = 'unreadable'")))
    assert shop.http.post("/webhooks/daraja/stk/" + "0" * 40, content=b"{}").status_code == 404
    assert shop.http.post(f"/webhooks/daraja/stk/{token}", content=b"x" * 200_000).status_code == 200
    log = (shop.radius.settings.var / "api.log").read_text("utf-8")
    assert token not in log
    assert "/webhooks/daraja/stk/…" in log or "\\u2026" in log


def test_cash_is_credited_once_per_receipt(shop: Shop) -> None:
    subscriber = shop.made("/subscribers", {"name": "Asha", "msisdn": new_phone()})
    body = {"receipt": "BOOK-1", "amount_kes": "50", "subscriber_id": subscriber["id"], "plan_id": shop.plan_id}
    first = shop.made("/payments/cash", body)
    again = shop.call("POST", "/payments/cash", body)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert shop.call("POST", "/payments/cash", {**body, "amount_kes": "60"}).status_code == 409
    assert shop.call("POST", "/payments/cash", {**body, "receipt": "BOOK-2"}, role="read-only").status_code == 403
    until(lambda: shop.get(f"/payments/{first['id']}")["state"] == "applied")
    assert shop.login(shop.get(f"/payments/{first['id']}")["subscription_id"]) == "Access-Accept"


def test_money_for_an_unknown_account_waits_in_suspense_until_it_is_assigned(shop: Shop) -> None:
    account = shop.get("/payment-accounts")["items"][0]
    urls = shop.get(f"/payment-accounts/{account['id']}/c2b-urls")
    told = {
        "TransactionType": "Pay Bill",
        "TransID": "SUSPENSE01",
        "TransTime": time.strftime("%Y%m%d%H%M%S"),
        "TransAmount": "50.00",
        "BusinessShortCode": PAYBILL,
        "BillRefNumber": "NOBODY-KNOWS",
        "MSISDN": "2547 ***** 126",
        "FirstName": "Asha",
    }
    assert shop.http.post(urls["validation_url"], json=told).json()["ResultCode"] == "C2B00012"
    for _ in range(3):
        assert shop.http.post(urls["confirmation_url"], json=told).json() == {"ResultCode": 0, "ResultDesc": "Success"}
    until(lambda: len(shop.get("/payments?state=suspense")["items"]) == 1)
    (waiting,) = shop.get("/payments?state=suspense")["items"]
    assert (waiting["receipt"], waiting["payer_name"]) == ("SUSPENSE01", "Asha")
    subscriber = shop.made("/subscribers", {"name": "Asha"})
    subscription = shop.made("/subscriptions", {"subscriber_id": subscriber["id"], "plan_id": shop.plan_id})
    shop.made(f"/payments/{waiting['id']}/assign", {"subscription_id": subscription["id"]}, 202)
    until(lambda: shop.get(f"/payments/{waiting['id']}")["state"] == "applied")
    assert shop.get(f"/subscriptions/{subscription['id']}")["expires_at"] > subscription["expires_at"]


def test_a_voucher_is_worth_its_plan_once(shop: Shop) -> None:
    batch = shop.made("/vouchers", {"plan_id": shop.plan_id, "count": 2})
    code = shop.get(f"/vouchers/{batch['id']}/codes")["items"][0]["code"]
    phone = new_phone()
    payment = shop.made("/vouchers/redeem", {"code": code.lower(), "phone": phone})
    assert shop.call("POST", "/vouchers/redeem", {"code": code, "phone": phone}).status_code == 409
    until(lambda: shop.get(f"/payments/{payment['id']}")["state"] == "applied")
    assert shop.login(shop.get(f"/payments/{payment['id']}")["subscription_id"]) == "Access-Accept"
    assert shop.made(f"/vouchers/{batch['id']}/revoke", None, 200) == {"revoked": 1}


def pulled(shop: Shop) -> str:
    """The error of a pull that an operator asks for; empty if there is none."""
    account_id = shop.get("/payment-accounts")["items"][0]["id"]
    job_id = shop.made(f"/payment-accounts/{account_id}/pull", None, 202)["job_id"]
    until(lambda: shop.get(f"/jobs/{job_id}")["state"] in ("succeeded", "failed"))
    return shop.get(f"/jobs/{job_id}")["error"] or ""


def test_what_is_paid_is_pulled_only_from_an_account_that_is_registered_for_it(shop: Shop) -> None:
    account_id = shop.get("/payment-accounts")["items"][0]["id"]
    refused = shop.call("POST", f"/payment-accounts/{account_id}/pull")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_registered")
    number = {"nominated_phone": "0722000000"}
    assert shop.call("POST", f"/payment-accounts/{account_id}/register-pull", number, role="cashier").status_code == 403
    assert shop.call("POST", f"/payment-accounts/{account_id}/register-pull", {}).status_code == 422
    shop.made(f"/payment-accounts/{account_id}/register-pull", number, 202)
    until(lambda: shop.get(f"/payment-accounts/{account_id}")["pull_registered_at"] is not None)
    assert pulled(shop) == ""


def test_a_payment_that_nobody_told_of_and_no_query_can_find_is_pulled(shop: Shop) -> None:
    """The push's answer was lost with its worker, so nobody knew what to ask for; and the callback was lost too."""
    phone = new_phone()
    shop.daraja.behave(phone=phone.removeprefix("+"), preset="hang_up_but_paid", deliveries=0)
    intent_id = shop.ask(phone)["id"]
    shop.daraja.wait_until_idle()
    until(lambda: shop.intent(intent_id)["state"] == "prompting")
    reference = shop.intent(intent_id)["account_reference"]
    until(lambda: reference in {told["account_reference"] for told in shop.daraja.payments()})
    for _ in range(2):
        assert pulled(shop) == ""
        (payment,) = shop.payments_of(intent_id)
        assert (payment["state"], payment["amount_kes"]) == ("applied", "50.00")
    assert shop.intent(intent_id)["state"] == "paid"
    assert shop.login(shop.intent(intent_id)["subscription_id"]) == "Access-Accept"


def test_a_payment_that_a_query_found_gets_its_receipt_by_a_pull(shop: Shop) -> None:
    phone = new_phone()
    shop.daraja.behave(phone=phone.removeprefix("+"), preset="never_calls_back")
    intent_id = shop.ask(phone)["id"]
    until(lambda: shop.intent(intent_id)["state"] == "prompted")
    shop.daraja.wait_until_idle()
    shop.hurry_queries()
    until(lambda: bool(shop.intent(intent_id)["state"] == "paid"))
    assert [paid["receipt"] for paid in shop.payments_of(intent_id)] == [None]
    assert pulled(shop) == ""
    (payment,) = shop.payments_of(intent_id)
    told = {told["account_reference"]: told["receipt"] for told in shop.daraja.payments()}
    assert payment["receipt"] == told[shop.intent(intent_id)["account_reference"]]


def test_more_than_a_page_of_payments_of_nobody_is_pulled_into_suspense(shop: Shop) -> None:
    account_id = shop.get("/payment-accounts")["items"][0]["id"]
    shop.made(f"/payment-accounts/{account_id}/register-c2b", None, 202)
    until(lambda: bool(shop.daraja.state()["registrations"]))
    receipts = {
        shop.daraja.pay_by_hand("254722000001", 20 + number, "NOBODY", validated=False, deliveries=0)
        for number in range(120)
    }
    for _ in range(2):
        assert pulled(shop) == ""
        waiting = shop.radius.rows("SELECT receipt FROM payment WHERE state = 'suspense' AND bill_ref = 'NOBODY'")
        assert len(waiting) == 120
        assert {row["receipt"] for row in waiting} == receipts


def test_the_books_balance_at_the_end_of_the_day(shop: Shop) -> None:
    """Runs last: over all that the tests above did."""
    (today,) = shop.radius.rows("SELECT (now() AT TIME ZONE timezone)::date::text AS day FROM tenant")
    report = shop.get(f"/payments/report?day={today['day']}")
    assert float(report["difference_kes"]) == 0
    assert float(report["received_kes"]) > 0
    assert shop.radius.rows("SELECT sum(amount_kes) AS sum FROM ledger_entry")[0]["sum"] == 0
    stuck = "SELECT task, state, error FROM job WHERE queue = 'payments' AND state IN ('running', 'failed')"
    assert shop.radius.rows(stuck) == []
