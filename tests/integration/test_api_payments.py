"""Payments over the API: who may do what, what is refused, what is done once however often it is asked for."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from db import ledger
from db.engine import make_engine, session_factory
from isp.ledger import Account, Entry, PostingKind
from settings import Settings
from tests.integration.api_server import make_operator
from tests.integration.payment_api import Shop, at_once, cash, error, phone, shared_shop, shop_of

NOBODY = 10**15
EVERY_ROUTE = [
    ("GET", "/payment-accounts", "readers"),
    ("POST", "/payment-accounts", "owner"),
    ("GET", "/payment-accounts/{account}", "readers"),
    ("PATCH", "/payment-accounts/{account}", "owner"),
    ("DELETE", "/payment-accounts/{account}", "owner"),
    ("POST", "/payment-accounts/{account}/test", "owner"),
    ("GET", "/payment-accounts/{account}/c2b-urls", "owner"),
    ("POST", "/payment-accounts/{account}/register-c2b", "owner"),
    ("GET", "/payments", "all"),
    ("GET", "/payments/{payment}", "all"),
    ("POST", "/payments/{payment}/assign", "writers"),
    ("POST", "/payments/{payment}/refund-recorded", "writers"),
    ("POST", "/payments/{payment}/reverse", "writers"),
    ("POST", "/payments/initiate", "sellers"),
    ("GET", "/payments/intents", "all"),
    ("GET", "/payments/intents/{intent}", "all"),
    ("POST", "/payments/cash", "tellers"),
    ("GET", "/payments/report?day=2026-03-01", "readers"),
    ("GET", "/subscribers/{subscriber}/wallet", "all"),
    ("GET", "/vouchers", "all"),
    ("POST", "/vouchers", "writers"),
    ("GET", "/vouchers/{batch}", "all"),
    ("GET", "/vouchers/{batch}/codes", "writers"),
    ("POST", "/vouchers/{batch}/revoke", "writers"),
    ("POST", "/vouchers/redeem", "sellers"),
    ("GET", "/jobs/{job}", "all"),
]
ROLES = {
    "owner": {"owner"},
    "writers": {"owner", "manager"},
    "readers": {"owner", "manager", "support", "read-only"},
    "tellers": {"owner", "manager", "cashier"},
    "sellers": {"owner", "manager", "cashier", "support"},
    "all": {"owner", "manager", "cashier", "support", "read-only"},
}
NOTHING = dict.fromkeys(("account", "payment", "intent", "subscriber", "batch", "job"), NOBODY)


@pytest.fixture(scope="module")
def shop(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Shop]:
    with shared_shop(server_environ, postgres_server, redis_server, template_database, private_directory) as shop:
        yield shop


# Who may.


@pytest.mark.parametrize(("method", "path", "who"), EVERY_ROUTE)
def test_every_route_wants_a_token(shop: Shop, method: str, path: str, who: str) -> None:
    error(shop.http.request(method, f"/api/v1{path.format(**NOTHING)}", json={}), 401)


@pytest.mark.parametrize("role", ROLES["all"])
@pytest.mark.parametrize(("method", "path", "who"), EVERY_ROUTE)
def test_a_role_may_do_what_it_is_for(shop: Shop, role: str, method: str, path: str, who: str) -> None:
    body: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH") else {}
    response = shop.request(method, path.format(**NOTHING), role=role, **body)
    if role in ROLES[who]:
        assert response.status_code in (200, 404, 422), response.text
    else:
        assert error(response, 403)["code"] == "forbidden"


@pytest.fixture(scope="module")
def theirs(shop: Shop) -> dict[str, int]:
    """Ids of another tenant's."""
    other = Shop(shop.http, make_operator(shop.settings, "zenith"), shop.settings)
    account, subscriber, batch = (
        other.account(),
        other.subscriber(),
        other.made("/vouchers", plan_id=other.plan()["id"], count=1),
    )
    return {
        "account": account["id"],
        "payment": other.in_suspense(),
        "intent": other.asked()["id"],
        "subscriber": subscriber["id"],
        "batch": batch["id"],
        "job": other.post(f"/payment-accounts/{account['id']}/test").json()["job_id"],
        "plan": batch["plan_id"],
        "subscription": other.subscription()["id"],
        "code": other.get(f"/vouchers/{batch['id']}/codes")["items"][0]["code"],
    }


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in EVERY_ROUTE if "{" in path])
def test_what_is_anothers_does_not_exist(shop: Shop, theirs: dict[str, int], method: str, path: str) -> None:
    bodies = {"assign": {"subscription_id": 1}, "refund-recorded": {"memo": "x"}, "reverse": {"memo": "x"}}
    body = bodies.get(path.rpartition("/")[2], {})
    sent: dict[str, Any] = {"json": body} if method in ("POST", "PATCH") else {}
    error(shop.request(method, path.format(**theirs), **sent), 404)


@pytest.mark.parametrize("path", ["/payments", "/payments/intents", "/payment-accounts", "/vouchers"])
def test_no_list_shows_what_is_anothers(shop: Shop, theirs: dict[str, int], path: str) -> None:
    name = {"/payments": "payment", "/payments/intents": "intent", "/payment-accounts": "account", "/vouchers": "batch"}
    assert theirs[name[path]] not in [item["id"] for item in shop.get(path)["items"]]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/payments/initiate", {"phone": "0722999001"}, "plan"),
        ("/payments/initiate", {"phone": "0722999002", "plan_id": 0}, "subscription"),
        ("/payments/initiate", {"phone": "0722999003", "plan_id": 0}, "subscriber"),
        ("/payments/cash", {"receipt": "T1", "amount_kes": "5", "subscriber_id": 0}, "plan"),
        ("/payments/cash", {"receipt": "T2", "amount_kes": "5", "subscriber_id": 0}, "subscription"),
        ("/vouchers", {"count": 1}, "plan"),
    ],
)
def test_nothing_is_paid_for_anothers(
    shop: Shop, theirs: dict[str, int], path: str, body: dict[str, Any], named: str
) -> None:
    own = {"plan_id": shop.plan()["id"], "subscriber_id": shop.subscriber()["id"]}
    sent = {name: own.get(name, value) for name, value in body.items()}
    response = shop.post(path, {**sent, f"{named}_id": theirs[named]})
    assert error(response, 422)["field"] == f"{named}_id"


def test_nobody_is_asked_to_pay_into_anothers_account(shop: Shop, theirs: dict[str, int]) -> None:
    body = {"plan_id": shop.plan()["id"], "phone": phone(), "payment_account_id": theirs["account"]}
    assert error(shop.post("/payments/initiate", body), 422)["field"] == "payment_account_id"


# Asking a customer.


def test_an_intent_is_answered_before_anybody_is_asked(shop: Shop) -> None:
    plan, router, number = shop.plan(price_kes="49.50"), shop.router(), phone()
    body = {"plan_id": plan["id"], "phone": number, "mac": "02-00-00-00-00-01", "router_id": router["id"]}
    response = shop.post("/payments/initiate", body)
    made = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1/payments/intents/{made['id']}"
    assert (made["state"], made["amount_kes"], made["msisdn"]) == ("initiated", "50.00", number.removeprefix("+"))
    assert (made["mac"], made["router_id"], made["plan_id"]) == ("02:00:00:00:00:01", router["id"], plan["id"])
    assert shop.get(f"/payments/intents/{made['id']}") == made
    assert shop.jobs("push_prompt")[-1] == {"intent_id": made["id"]}
    assert "token" not in response.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"phone": "0201234567"}, "phone"),
        ({"phone": "+447700900123"}, "phone"),
        ({"phone": "2547 ***** 126"}, "phone"),
        ({"phone": 254712345678}, "phone"),
        ({"phone": None}, "phone"),
        ({"plan_id": NOBODY}, "plan_id"),
        ({"plan_id": "1"}, "plan_id"),
        ({"plan_id": 2**63}, "plan_id"),
        ({"subscription_id": NOBODY}, "subscription_id"),
        ({"subscriber_id": NOBODY}, "subscriber_id"),
        ({"router_id": NOBODY}, "router_id"),
        ({"payment_account_id": NOBODY}, "payment_account_id"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, "mac"),
        ({"amount_kes": "0"}, "amount_kes"),
        ({"amount_kes": "10.50"}, "amount_kes"),
        ({"amount_kes": "250001"}, "amount_kes"),
        ({"amount_kes": "-5"}, "amount_kes"),
        ({"amount_kes": "1e3"}, "amount_kes"),
        ({"amount_kes": True}, "amount_kes"),
        ({"state": "paid"}, "state"),
        ({"tenant_id": 2}, "tenant_id"),
    ],
)
def test_an_intent_that_makes_no_sense_is_refused(shop: Shop, change: dict[str, Any], field: str) -> None:
    before = shop.count("payment_intent"), shop.count("job")
    refused = error(shop.post("/payments/initiate", {"plan_id": shop.plan()["id"], "phone": phone(), **change}), 422)
    assert refused["field"] == field
    assert (shop.count("payment_intent"), shop.count("job")) == before


def test_a_phone_is_asked_for_one_payment_at_a_time(shop: Shop) -> None:
    body = {"plan_id": shop.plan()["id"], "phone": phone()}
    answers = at_once(*[("/payments/initiate", body)] * 8, shop=shop)
    assert sorted(each.status_code for each in answers) == [202] + [409] * 7
    refused = error(shop.post("/payments/initiate", body), 409)
    assert (refused["code"], refused["field"]) == ("open", "phone")
    assert all(error(each, 409)["field"] == "phone" for each in answers if each.status_code == 409)


@pytest.mark.parametrize(("missing", "code"), [("url", "no_public_url"), ("account", "no_account")])
def test_nobody_can_be_asked_before_it_is_set_up(settings: Settings, missing: str, code: str) -> None:
    with shop_of(settings, **({"public_url": ""} if missing == "url" else {})) as shop:
        if missing == "account":
            shop.delete(f"/payment-accounts/{shop.get('/payment-accounts')['items'][0]['id']}")
        response = shop.post("/payments/initiate", {"plan_id": shop.plan()["id"], "phone": phone()})
        assert error(response, 409)["code"] == code
        assert shop.count("payment_intent") == 0


def test_intents_are_found_by_phone_and_state(shop: Shop) -> None:
    number = phone()
    made = shop.asked(phone=number)
    local = "0" + number.removeprefix("+254")
    assert shop.get("/payments/intents", phone=local)["items"] == [made]
    assert shop.get("/payments/intents", phone=number, state="paid")["items"] == []
    assert made in shop.get("/payments/intents", state="initiated", limit=200)["items"]


# Cash.


def test_cash_is_recorded_with_who_took_it_and_a_job_credits_it(shop: Shop) -> None:
    body = cash(shop, memo="at the gate")
    response = shop.request("POST", "/payments/cash", role="cashier", json=body)
    made = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/api/v1/payments/{made['id']}"
    assert (made["state"], made["amount_kes"], made["memo"]) == ("received", "50.00", "at the gate")
    cashier = shop.rows("SELECT id FROM admin WHERE email LIKE 'cashier@acme%%'")[0]["id"]
    assert made["admin_id"] == cashier
    assert shop.get(f"/payments/{made['id']}") == made
    assert shop.jobs("apply_received")[-1] == {"payment_id": made["id"]}


def test_one_receipt_is_one_payment_however_often_and_fast_it_is_sent(shop: Shop) -> None:
    body = cash(shop)
    answers = at_once(*[("/payments/cash", body)] * 8, shop=shop)
    assert sorted(each.status_code for each in answers) == [200] * 7 + [201]
    (payment_id,) = {each.json()["id"] for each in answers}
    assert shop.jobs("apply_received").count({"payment_id": payment_id}) == 1
    for change in ({"amount_kes": "51"}, {"subscriber_id": shop.subscriber()["id"]}):
        refused = error(shop.post("/payments/cash", {**body, **change}), 409)
        assert (refused["code"], refused["field"]) == ("taken", "receipt")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_kes": "0"}, "amount_kes"),
        ({"amount_kes": "-50"}, "amount_kes"),
        ({"amount_kes": "0.001"}, "amount_kes"),
        ({"amount_kes": "99999999999"}, "amount_kes"),
        ({"amount_kes": "NaN"}, "amount_kes"),
        ({"receipt": ""}, "receipt"),
        ({"receipt": " \t"}, "receipt"),
        ({"receipt": "x" * 65}, "receipt"),
        ({"receipt": "a\u0007b"}, "receipt"),
        ({"plan_id": NOBODY}, "plan_id"),
        ({"subscription_id": NOBODY}, "subscription_id"),
        ({"memo": ""}, "memo"),
        ({"memo": "x" * 501}, "memo"),
        ({"paid_at": "2020-01-01T00:00:00Z"}, "paid_at"),
        ({"provider": "daraja"}, "provider"),
    ],
)
def test_cash_that_makes_no_sense_is_refused(shop: Shop, change: dict[str, Any], field: str) -> None:
    before = shop.count("payment"), shop.count("job")
    assert error(shop.post("/payments/cash", cash(shop, **change)), 422)["field"] == field
    assert (shop.count("payment"), shop.count("job")) == before


def test_cash_is_for_a_subscription_of_who_pays(shop: Shop) -> None:
    subscription = shop.subscription()
    refused = error(shop.post("/payments/cash", cash(shop, subscription_id=subscription["id"])), 422)
    assert refused["field"] == "subscription_id"
    body = cash(shop, subscriber_id=subscription["subscriber_id"], subscription_id=subscription["id"])
    assert shop.post("/payments/cash", body).status_code == 201


def test_cash_of_nobody_is_a_404(shop: Shop) -> None:
    assert error(shop.post("/payments/cash", cash(shop, subscriber_id=NOBODY)), 404)["code"] == "not_found"


def test_the_largest_amount_is_taken(shop: Shop) -> None:
    assert shop.made("/payments/cash", **cash(shop, amount_kes="9999999999.99"))["amount_kes"] == "9999999999.99"


# What an operator decides.


@pytest.mark.parametrize("decision", ["assign", "refund-recorded", "reverse"])
def test_a_decision_is_carried_out_by_one_job(shop: Shop, decision: str) -> None:
    payment_id = shop.in_suspense()
    body = {"subscription_id": shop.subscription()["id"]} if decision == "assign" else {"memo": "sent back"}
    response = shop.post(f"/payments/{payment_id}/{decision}", body)
    assert response.status_code == 202
    job = shop.get(f"/jobs/{response.json()['job_id']}")
    assert shop.jobs(job["task"])[-1] == {"payment_id": payment_id, **body}
    assert shop.post(f"/payments/{payment_id}/{decision}", body).json() == response.json()
    other = "reverse" if decision == "refund-recorded" else "refund-recorded"
    assert error(shop.post(f"/payments/{payment_id}/{other}", {"memo": "no"}), 409)["code"] == "in_progress"


@pytest.mark.parametrize("state", ["received", "applied", "reversed", "refunded", "merged"])
@pytest.mark.parametrize("decision", ["assign", "refund-recorded", "reverse"])
def test_what_can_not_be_done_is_said_at_once(shop: Shop, state: str, decision: str) -> None:
    payment_id = shop.in_suspense()
    booked = "NULL" if state == "received" else "now()"
    statement = f"UPDATE payment SET state = %s, applied_at = {booked}, booked_at = {booked} WHERE id = %s"
    shop.execute(statement, state, payment_id)
    body = {"subscription_id": shop.subscription()["id"]} if decision == "assign" else {"memo": "x"}
    response = shop.post(f"/payments/{payment_id}/{decision}", body)
    if (state, decision) == ("applied", "reverse"):
        assert response.status_code == 202
    else:
        assert state in error(response, 409)["message"]


@pytest.mark.parametrize("subscription_id", [NOBODY, 0, "1", None])
def test_money_goes_to_no_subscription_that_is_not_there(shop: Shop, subscription_id: Any) -> None:
    response = shop.post(f"/payments/{shop.in_suspense()}/assign", {"subscription_id": subscription_id})
    assert error(response, 422)["field"] == "subscription_id"


@pytest.mark.parametrize("memo", [None, "", "  ", "x" * 501, "a\0b"])
def test_a_decision_says_why(shop: Shop, memo: Any) -> None:
    response = shop.post(f"/payments/{shop.in_suspense()}/reverse", {"memo": memo})
    assert response.status_code in (400, 422)


# Lists, report, wallet.


def test_payments_are_listed_page_by_page_in_every_order(shop: Shop) -> None:
    who = shop.subscriber()["id"]
    made = [shop.made("/payments/cash", **cash(shop, subscriber_id=who, amount_kes=str(kes))) for kes in (30, 10, 20)]
    for sort, order in (("id", [0, 1, 2]), ("-id", [2, 1, 0]), ("amount_kes", [1, 2, 0]), ("-received_at", [2, 1, 0])):
        seen, cursor = [], None
        while True:
            params = {"subscriber_id": who, "sort": sort, "limit": 1, **({"cursor": cursor} if cursor else {})}
            page = shop.get("/payments", **params)
            seen += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == [made[at] for at in order], sort
    assert shop.get("/payments", receipt=made[0]["receipt"])["items"] == [made[0]]
    assert shop.get("/payments", subscriber_id=who, provider="voucher")["items"] == []
    assert shop.get("/payments", subscriber_id=who, state="suspense")["items"] == []


@pytest.mark.parametrize(
    "query",
    ["state=lost", "provider=bank", "subscriber_id=0", "sort=payer_name", "limit=0", "cursor=x", "receipt=%00", "x=1"],
)
def test_a_filter_that_makes_no_sense_is_refused(shop: Shop, query: str) -> None:
    assert error(shop.request("GET", f"/payments?{query}"), 422)["field"] == query.split("=")[0]


def test_the_report_of_a_day_adds_up(shop: Shop) -> None:
    report = shop.get("/payments/report", day="2020-02-29")
    assert report["day"] == "2020-02-29"
    assert {Decimal(value) for name, value in report.items() if name.endswith("_kes")} == {Decimal(0)}


@pytest.mark.parametrize(
    "day", ["", "2026-02-30", "yesterday", "0001-01-01", "9999-12-31", "2026-02-03T00:00:01", "9" * 99]
)
def test_a_day_that_is_none_is_refused(shop: Shop, day: str) -> None:
    assert error(shop.request("GET", "/payments/report", params={"day": day}), 422)["field"] == "day"


def test_a_wallet_tells_how_its_balance_came_about(shop: Shop) -> None:
    who, tenant_id = shop.subscriber()["id"], shop.operator.tenant_id
    assert shop.get(f"/subscribers/{who}/wallet") == {
        "subscriber_id": who,
        "balance_kes": "0.00",
        "items": [],
        "next": None,
    }
    engine = make_engine(shop.settings, "worker", pool_size=1)
    moves = [(PostingKind.PAYMENT, 100, "paid"), (PostingKind.RENEWAL, -70, None), (PostingKind.REVERSAL, -100, "back")]
    with session_factory(engine).begin() as session:
        for kind, kes, memo in moves:
            entries = [Entry(Account.WALLET, Decimal(kes), who), Entry(Account.SALES, Decimal(-kes))]
            ledger.post(session, tenant_id, kind, entries, datetime.now(UTC), memo=memo)
    engine.dispose()
    first = shop.get(f"/subscribers/{who}/wallet", limit=2)
    assert first["balance_kes"] == "-70.00"
    second = shop.get(f"/subscribers/{who}/wallet", limit=2, cursor=first["next"])
    lines = [(line["kind"], line["amount_kes"], line["memo"]) for line in first["items"] + second["items"]]
    assert lines == [("reversal", "-100.00", "back"), ("renewal", "-70.00", None), ("payment", "100.00", "paid")]
    assert second["next"] is None


def test_a_renewal_is_a_job_that_is_the_same_for_who_asks_twice(shop: Shop) -> None:
    free = shop.plan(price_kes="0")["id"]
    path = f"/subscriptions/{shop.subscription(plan_id=free)['id']}/renew"
    first, again = shop.post(path, {}), shop.post(path, {"plan_id": free})
    assert (first.status_code, first.json()) == (202, again.json())
    assert first.headers["location"] == f"/api/v1/jobs/{first.json()['job_id']}"
    other = shop.plan(price_kes="0")["id"]
    assert error(shop.post(path, {"plan_id": other}), 409)["code"] == "in_progress"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [({}, 409, "not_enough"), ({"plan_id": 999_999_999}, 422, "not_found"), ({"plan": 1}, 422, "unknown_field")],
)
def test_a_renewal_that_can_not_work_out_is_refused_at_once(shop: Shop, body: Any, status: int, code: str) -> None:
    made = shop.subscription()
    assert error(shop.post(f"/subscriptions/{made['id']}/renew", body), status)["code"] == code
    shop.post(f"/subscriptions/{made['id']}/suspend")
    assert error(shop.post(f"/subscriptions/{made['id']}/renew", {}), 409)["code"] == "suspended"


def test_a_change_of_plan_keeps_the_expiry(shop: Shop) -> None:
    made, other = shop.subscription(), shop.plan(validity_count=1)["id"]
    moved = shop.post(f"/subscriptions/{made['id']}/change-plan", {"plan_id": other})
    assert moved.status_code == 200
    assert (moved.json()["plan_id"], moved.json()["expires_at"]) == (other, made["expires_at"])
