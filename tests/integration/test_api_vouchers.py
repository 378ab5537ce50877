"""Vouchers over the API: printed, used once, found by nobody who tries."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from redis import Redis

from api.failure_limit import FAILURES
from api.vouchers import FAILURES_PER_ADDRESS
from isp.voucher import ALPHABET
from settings import Settings
from tests.integration.api_server import make_operator
from tests.integration.payment_api import Shop, at_once, error, phone, shared_shop, shop_of

pytestmark = pytest.mark.usefixtures("no_failures_so_far")


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


def batch_of(shop: Shop, count: int = 1, **changes: Any) -> Any:
    return shop.made("/vouchers", **{"plan_id": shop.plan()["id"], "count": count, **changes})


def codes_of(shop: Shop, batch: Any) -> list[str]:
    return [item["code"] for item in shop.get(f"/vouchers/{batch['id']}/codes")["items"]]


def redeem(shop: Shop, code: str, *, role: str = "cashier", **who: Any) -> Any:
    body = {"code": code, **(who or {"phone": phone()})}
    return shop.request("POST", "/vouchers/redeem", role=role, json=body)


# Batches.


def test_a_batch_is_read_as_it_was_made_with_what_became_of_it(shop: Shop) -> None:
    made = batch_of(shop, 3, note="gate 4\nJune", expires_at="2999-12-31T23:59:59+03:00", code_length=12)
    assert made["expires_at"] == "2999-12-31T20:59:59Z"
    counts = {"unused": 3, "redeemed": 0, "revoked": 0}
    assert shop.get(f"/vouchers/{made['id']}") == {**made, "vouchers": counts}
    assert made in shop.get("/vouchers", sort="-created_at")["items"]


def test_the_sheet_has_every_code_in_groups_and_the_database_none(shop: Shop) -> None:
    made = batch_of(shop, 50)
    codes = codes_of(shop, made)
    assert len(set(codes)) == 50
    for code in codes:
        assert [len(group) for group in code.split("-")] == [4, 4, 2]
        assert set(code) <= {*ALPHABET, "-"}
    stored = str(shop.rows("SELECT * FROM voucher WHERE batch_id = %s", made["id"]))
    assert not any(code.replace("-", "") in stored for code in codes)


def scanned(content: bytes) -> set[str]:
    page = pypdfium2.PdfDocument(content)[0]
    return {found.text for found in zxingcpp.read_barcodes(page.render(scale=200 / 72).to_pil())}


def test_the_print_sheet_has_what_is_unused_and_leads_where_it_is_told(shop: Shop) -> None:
    made = batch_of(shop, 3, expires_at="2999-12-31T23:59:59+03:00")
    codes = codes_of(shop, made)
    assert redeem(shop, codes[0]).status_code == 201
    path = f"/vouchers/{made['id']}/sheet.pdf"
    answer = shop.request("GET", path, params={"login_url": "https://x.example/?v={code}"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["content-disposition"] == f'attachment; filename="vouchers-{made["id"]}.pdf"'
    assert answer.headers["cache-control"] == "no-store"
    assert scanned(answer.content) == {f"https://x.example/?v={code.replace('-', '')}" for code in codes[1:]}
    assert scanned(shop.request("GET", path).content) == {code.replace("-", "") for code in codes[1:]}
    audited = shop.get("/audit", what="voucher_batch", what_id=str(made["id"]), operation="note")["items"]
    assert len(audited) >= 3
    assert shop.post(f"/vouchers/{made['id']}/revoke").status_code == 200
    assert error(shop.request("GET", path), 409)["code"] == "used_up"


@pytest.mark.parametrize(
    "url", ["https://x.example/", "ftp://x.example/{code}", "{code}", "https://x/{code}" + "x" * 200]
)
def test_a_page_that_makes_no_sense_is_put_on_no_slip(shop: Shop, url: str) -> None:
    answer = shop.request("GET", f"/vouchers/{batch_of(shop)['id']}/sheet.pdf", params={"login_url": url})
    assert error(answer, 422)["field"] == "login_url"


@pytest.mark.parametrize("role", ["cashier", "support", "read-only"])
def test_who_may_not_see_codes_prints_none(shop: Shop, role: str) -> None:
    answer = shop.request("GET", f"/vouchers/{batch_of(shop)['id']}/sheet.pdf", role=role)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"count": 0}, "count"),
        ({"count": 5001}, "count"),
        ({"count": True}, "count"),
        ({"count": "2"}, "count"),
        ({"count": 10**30}, "count"),
        ({"code_length": 7}, "code_length"),
        ({"code_length": 21}, "code_length"),
        ({"plan_id": 10**15}, "plan_id"),
        ({"note": "a\u0007b"}, "note"),
        ({"note": "x" * 10_001}, "note"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": 1_900_000_000}, "expires_at"),
        ({"codes": ["7KQ2-XM4P-9D"]}, "codes"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(shop: Shop, change: dict[str, Any], field: str) -> None:
    before = shop.count("voucher")
    body = {"plan_id": shop.plan()["id"], "count": 1, **change}
    assert error(shop.post("/vouchers", body), 422)["field"] == field
    assert shop.count("voucher") == before


def test_the_largest_batch_is_made_in_a_few_seconds(shop: Shop) -> None:
    made = batch_of(shop, 5_000)
    assert len(set(codes_of(shop, made))) == 5_000


def test_no_batch_is_made_of_what_is_not_sold(shop: Shop) -> None:
    plan = shop.plan()
    shop.delete(f"/plans/{plan['id']}")
    assert error(shop.post("/vouchers", {"plan_id": plan["id"], "count": 1}), 422)["code"] == "archived"


# Redeeming.


def test_a_code_becomes_a_payment_that_a_job_credits(shop: Shop) -> None:
    made = batch_of(shop)
    (code,) = codes_of(shop, made)
    response = redeem(shop, f" {code.lower().replace('-', ' ')} ", phone="0712 345 678", mac="02:00:00:00:00:01")
    payment = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/api/v1/payments/{payment['id']}"
    assert (payment["provider"], payment["state"], payment["amount_kes"]) == ("voucher", "received", "500.00")
    assert (payment["msisdn"], payment["plan_id"]) == ("254712345678", made["plan_id"])
    assert shop.jobs("apply_received")[-1] == {"payment_id": payment["id"]}
    assert shop.get(f"/vouchers/{made['id']}")["vouchers"]["redeemed"] == 1
    assert code.replace("-", "") not in str(shop.rows("SELECT args FROM job"))


def test_of_eight_at_once_one_gets_it(shop: Shop) -> None:
    (code,) = codes_of(shop, batch_of(shop))
    bodies = [("/vouchers/redeem", {"code": code, "phone": phone()}) for _ in range(8)]
    answers = at_once(*bodies, shop=shop)
    assert sorted(each.status_code for each in answers) == [201] + [409] * 7
    assert {error(each, 409)["code"] for each in answers if each.status_code == 409} == {"redeemed"}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 422),
        ("x", 422),
        ("7KQ2XM4P9D", 422),
        ("7KQ2-XM4P-9D'; --", 422),
        ("%" * 10, 422),
        ("\u0661" * 10, 422),
        ("A" * 65, 422),
        ("a\0b", 400),
        (1234567890, 422),
        (None, 422),
    ],
)
def test_what_is_no_code_of_ours_is_refused(shop: Shop, code: Any, status: int) -> None:
    before = shop.count("payment")
    answered = error(redeem(shop, code), status)
    assert answered.get("field") == ("code" if status == 422 else None)
    assert shop.count("payment") == before


@pytest.mark.parametrize(
    ("who", "field"),
    [
        ({"phone": None}, "phone"),
        ({"phone": "2547 ***** 126"}, "phone"),
        ({"mac": "ff:ff:ff:ff:ff:ff"}, "mac"),
        ({"subscription_id": 10**15}, "subscription_id"),
        ({"plan_id": 1}, "plan_id"),
    ],
)
def test_a_voucher_is_for_somebody_and_is_not_used_up_for_nobody(shop: Shop, who: dict[str, Any], field: str) -> None:
    made = batch_of(shop)
    (code,) = codes_of(shop, made)
    assert error(redeem(shop, code, **who), 422)["field"] == field
    assert shop.get(f"/vouchers/{made['id']}")["vouchers"]["unused"] == 1
    assert redeem(shop, code).status_code == 201


@pytest.mark.parametrize("over", ["redeemed", "revoked", "expired", "archived"])
def test_what_is_over_is_worth_nothing_and_says_why(shop: Shop, over: str) -> None:
    made = batch_of(shop, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    (code,) = codes_of(shop, made)
    match over:
        case "redeemed":
            assert redeem(shop, code).status_code == 201
        case "revoked":
            assert shop.post(f"/vouchers/{made['id']}/revoke").json() == {"revoked": 1}
        case "expired":
            statement = (
                "UPDATE voucher_batch SET created_at = now() - interval '2 h', expires_at = now() - interval '1 s'"
            )
            shop.execute(f"{statement} WHERE id = %s", made["id"])
        case "archived":
            shop.delete(f"/plans/{made['plan_id']}")
    before = shop.count("payment")
    assert error(redeem(shop, code), 409)["code"] == over
    assert shop.count("payment") == before


def test_revoking_leaves_what_was_redeemed(shop: Shop) -> None:
    made = batch_of(shop, 3)
    redeem(shop, codes_of(shop, made)[0])
    assert shop.post(f"/vouchers/{made['id']}/revoke").json() == {"revoked": 2}
    assert shop.post(f"/vouchers/{made['id']}/revoke").json() == {"revoked": 0}
    assert shop.get(f"/vouchers/{made['id']}")["vouchers"] == {"unused": 0, "redeemed": 1, "revoked": 2}


def test_a_code_of_anothers_is_none(shop: Shop) -> None:
    other = Shop(shop.http, make_operator(shop.settings, "zenith"), shop.settings)
    (code,) = codes_of(other, batch_of(other))
    assert error(redeem(shop, code), 422)["code"] == "voucher"
    assert redeem(other, code).status_code == 201


# Guessing.


def test_who_tries_many_wrong_codes_has_to_wait_and_nobody_else(shop: Shop) -> None:
    first, second = codes_of(shop, batch_of(shop, 2))
    for _ in range(FAILURES):
        error(redeem(shop, "7KQ2-XM4P-9D"), 422)
    response = redeem(shop, first)
    assert error(response, 429)["code"] == "too_many_failures"
    assert response.headers["retry-after"] == "60"
    assert redeem(shop, first, role="support").status_code == 201
    with Redis.from_url(shop.settings.redis_dsn()) as client:
        client.flushall()  # as a minute later
    assert redeem(shop, second).status_code == 201


def test_an_address_that_tries_wrong_codes_as_many_admins_has_to_wait_too(shop: Shop) -> None:
    first, second = codes_of(shop, batch_of(shop, 2))
    others = [Shop(shop.http, make_operator(shop.settings, f"guesser-{number}"), shop.settings) for number in range(5)]
    for other in others:
        for _ in range(FAILURES_PER_ADDRESS // 5):
            error(redeem(other, "7KQ2-XM4P-9D"), 422)
    assert error(redeem(shop, first), 429)["code"] == "too_many_failures"
    headers = {"X-Forwarded-For": "192.0.2.7"}
    body = {"code": second, "phone": phone()}
    assert shop.request("POST", "/vouchers/redeem", json=body, headers=headers).status_code == 201


def test_a_right_code_now_and_then_is_no_failure(shop: Shop) -> None:
    codes = codes_of(shop, batch_of(shop, FAILURES + 1))
    assert [redeem(shop, code).status_code for code in codes] == [201] * len(codes)


def test_without_redis_a_voucher_is_good_all_the_same(settings: Settings) -> None:
    with shop_of(settings, redis_url="redis://127.0.0.1:1/0") as shop:
        (code,) = codes_of(shop, batch_of(shop))
        assert redeem(shop, code).status_code == 201
