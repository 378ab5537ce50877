"""The same request again, because its answer got lost: with an Idempotency-Key it is done once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from api.app import create_app
from db import idempotency_key
from db.engine import make_engine, session_factory
from settings import Secret, Settings
from tests.integration.api_server import Client, make_operator, served
from tests.integration.payment_api import CREDENTIALS, Shop, at_once, cash, error, phone, shared_shop, shop_of


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


def creations(shop: Shop) -> dict[str, tuple[str, Any]]:
    batch = shop.made("/vouchers", plan_id=shop.plan()["id"], count=1)
    code = shop.get(f"/vouchers/{batch['id']}/codes")["items"][0]["code"]
    plan_id, who = shop.plan()["id"], shop.subscriber()["id"]
    speeds, paybill = {"upload_kbps": 1, "download_kbps": 1}, {"kind": "paybill", "shortcode": "600000"}
    return {
        "plan": ("/plans", {**speeds, "name": uuid4().hex, "price_kes": "5", "validity_unit": "unlimited"}),
        "subscriber": ("/subscribers", {"name": "Jane"}),
        "subscription": ("/subscriptions", {"plan_id": plan_id, "subscriber_id": who, "service": "hotspot"}),
        "payment_account": ("/payment-accounts", {**paybill, "name": uuid4().hex, "credentials": CREDENTIALS}),
        "payment_intent": ("/payments/initiate", {"plan_id": plan_id, "phone": phone()}),
        "payment": ("/payments/cash", cash(shop)),
        "voucher_batch": ("/vouchers", {"plan_id": plan_id, "count": 2}),
        "voucher": ("/vouchers/redeem", {"code": code, "phone": phone()}),
    }


KINDS = (
    "plan",
    "subscriber",
    "subscription",
    "payment_account",
    "payment_intent",
    "payment",
    "voucher_batch",
    "voucher",
)


@pytest.mark.parametrize("table", KINDS)
def test_with_a_key_the_same_request_is_answered_the_same_and_done_once(shop: Shop, table: str) -> None:
    path, body = creations(shop)[table]
    headers = {"Idempotency-Key": str(uuid4())}
    before = shop.count(table), shop.count("job")
    first = shop.request("POST", path, json=body, headers=headers)
    assert first.status_code in (201, 202), first.text
    after = shop.count(table), shop.count("job")
    again = shop.request("POST", path, json=body, headers=headers)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers.get("location") == first.headers.get("location")
    assert again.headers["content-type"] == "application/json"
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert (shop.count(table), shop.count("job")) == after
    assert after[0] + after[1] > before[0] + before[1]


@pytest.mark.parametrize("table", KINDS)
def test_with_a_key_two_at_once_are_one(shop: Shop, table: str) -> None:
    path, body = creations(shop)[table]
    answers = at_once(*[(path, body)] * 6, shop=shop, **{"Idempotency-Key": str(uuid4())})
    assert {each.status_code for each in answers} <= {201, 202}, [each.text for each in answers]
    assert len({each.content for each in answers}) == 1
    assert sum("idempotent-replayed" in each.headers for each in answers) == 5


def test_a_key_belongs_to_one_request(shop: Shop) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    assert shop.request("POST", "/subscribers", json={"name": "Jane"}, headers=headers).status_code == 201
    for path, body in (("/subscribers", {"name": "Joe"}), ("/plans", {"name": "Jane"}), ("/vouchers", {"name": "x"})):
        response = shop.request("POST", path, json=body, headers=headers)
        assert response.status_code == 422
    refused = error(shop.request("POST", "/subscribers", json={"name": "Joe"}, headers=headers), 422)
    assert (refused["code"], refused["field"]) == ("key_reused", "Idempotency-Key")


def test_what_was_refused_may_be_sent_again_with_its_key(shop: Shop) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    body = {"plan_id": shop.plan()["id"], "phone": phone()}
    shop.asked(phone=body["phone"])
    error(shop.request("POST", "/payments/initiate", json=body, headers=headers), 409)
    shop.execute("UPDATE payment_intent SET state = 'failed' WHERE msisdn = %s", body["phone"].removeprefix("+"))
    assert shop.request("POST", "/payments/initiate", json=body, headers=headers).status_code == 202


def test_two_admins_and_two_tenants_may_make_up_the_same_key(shop: Shop) -> None:
    headers = {"Idempotency-Key": "1"}
    other = Client(shop.http, make_operator(shop.settings, "summit"), shop.settings)
    ids = {
        client.request("POST", "/subscribers", role=role, json={"name": "Jane"}, headers=headers).json()["id"]
        for client, role in ((shop, "owner"), (shop, "manager"), (other, "owner"))
    }
    assert len(ids) == 3


@pytest.mark.parametrize("keys", [[""], ["x" * 256], ["a b"], ["é"], ["a", "b"]])
def test_a_key_that_is_none_is_refused(shop: Shop, keys: list[str]) -> None:
    headers = [(b"Idempotency-Key", key.encode()) for key in keys]
    headers.append((b"Authorization", f"Bearer {shop.operator.tokens['owner']}".encode()))
    response = shop.http.post("/api/v1/subscribers", json={"name": "Jane"}, headers=headers)
    assert error(response, 422)["field"] == "Idempotency-Key"


def test_a_key_on_what_changes_nothing_twice_is_passed_over(shop: Shop) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    made = shop.subscriber()
    path = f"/subscribers/{made['id']}"
    for name in ("Jane", "Joe"):
        assert shop.request("PATCH", path, json={"name": name}, headers=headers).json()["name"] == name
    assert shop.request("GET", path, headers=headers).json()["name"] == "Joe"


def test_what_is_kept_of_an_answer_is_sealed(shop: Shop) -> None:
    path, body = creations(shop)["subscription"]
    body = {**body, "username": uuid4().hex}
    key = str(uuid4())
    made = shop.request("POST", path, json=body, headers={"Idempotency-Key": key}).json()
    kept = shop.rows("SELECT * FROM idempotency_key WHERE key = %s", key)[0]
    for secret in (made["password"], body["username"]):
        assert secret.encode() not in kept["answer_sealed"]
        assert secret.encode() not in kept["request_digest"]


def test_who_waits_too_long_for_the_first_is_told_to_come_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency_key, "_WAIT", "200ms")
    key = str(uuid4())
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as other:
        other.execute(
            "INSERT INTO idempotency_key (tenant_id, admin_id, key, request_digest, created_at)"
            " SELECT tenant_id, id, %s, 'x', now() FROM admin WHERE email = 'owner@acme.example'",
            (key,),
        )
        response = shop.request("POST", "/subscribers", json={"name": "Jane"}, headers={"Idempotency-Key": key})
        assert error(response, 409)["code"] == "in_progress"
        other.rollback()
    response = shop.request("POST", "/subscribers", json={"name": "Jane"}, headers={"Idempotency-Key": key})
    assert response.status_code == 201, "the first came to nothing"


def test_old_keys_are_forgotten(shop: Shop) -> None:
    key = str(uuid4())
    shop.request("POST", "/subscribers", json={"name": "Jane"}, headers={"Idempotency-Key": key})
    engine = make_engine(shop.settings, "worker", pool_size=1)
    with session_factory(engine).begin() as session:
        now = datetime.now(UTC)
        assert idempotency_key.prune(session, now, timedelta(days=2), 10) == 0
        assert idempotency_key.prune(session, now + timedelta(days=2), timedelta(days=2), 1) == 1
        assert idempotency_key.prune(session, now + timedelta(days=2), timedelta(days=2), 5_000) > 0
    engine.dispose()
    again = shop.request("POST", "/subscribers", json={"name": "Jane"}, headers={"Idempotency-Key": key})
    assert "idempotent-replayed" not in again.headers


def test_a_key_rotated_away_from_is_still_known(settings: Settings) -> None:
    new = f"k2:{'A' * 43}="
    rotated = replace(settings, encryption_keys=Secret(f"{new},{settings.encryption_keys.reveal()}"))
    key = str(uuid4())
    with shop_of(settings) as shop:
        first = shop.request("POST", "/subscribers", json={"name": "Jane"}, headers={"Idempotency-Key": key})
        with served(create_app(rotated)) as http:
            again = Client(http, shop.operator, rotated).request(
                "POST", "/subscribers", json={"name": "Jane"}, headers={"Idempotency-Key": key}
            )
    assert again.content == first.content
