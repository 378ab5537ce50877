"""Two people change the same thing: with If-Match the slower one is told so, and overwrites nothing."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from api.app import ROUTES
from api.endpoint import Endpoint
from api.openapi import Operation, operations
from settings import Settings
from tests.integration.payment_api import Shop, error, shared_shop

UPDATES = [each for each in operations(ROUTES) if each.method == "PATCH"]


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


def made(shop: Shop, kind: str) -> str:
    """The path of a new one."""
    makers: dict[str, Any] = {
        "plans": shop.plan,
        "subscribers": shop.subscriber,
        "subscriptions": shop.subscription,
        "routers": shop.router,
        "payment-accounts": shop.account,
    }
    return f"/{kind}/{makers[kind]()['id']}"


KINDS = {
    "plans": {"name": "Changed plan"},
    "subscribers": {"note": "changed"},
    "subscriptions": {"macs": ["02:00:00:00:00:99"]},
    "routers": {"coa_port": 3800},
    "payment-accounts": {"name": "Changed account"},
}


def tag_of(shop: Shop, path: str) -> str:
    return str(shop.request("GET", path).headers["ETag"])


def patch(shop: Shop, path: str, body: Any, if_match: str) -> Any:
    return shop.request("PATCH", path, json=body, headers={"If-Match": if_match})


@pytest.mark.parametrize("operation", UPDATES, ids=lambda each: each.path)
def test_whatever_can_be_changed_has_an_etag(operation: Operation) -> None:
    assert isinstance(operation.endpoint, Endpoint)
    assert operation.shown is not None, "there is no GET at the same path"
    assert operation.endpoint.answers[200] is operation.shown.answers[200]


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_what_was_seen_is_done_and_a_second_one_is_stale(shop: Shop, kind: str) -> None:
    path = made(shop, kind)
    seen = tag_of(shop, path)
    first = patch(shop, path, KINDS[kind], seen)
    assert first.status_code == 200, first.text
    assert first.headers["ETag"] == tag_of(shop, path) != seen
    before = shop.get(path)
    refused = patch(shop, path, KINDS[kind], seen)
    assert error(refused, 412)["code"] == "stale"
    assert shop.get(path) == before
    stale = shop.request("DELETE", path, headers={"If-Match": seen})
    assert error(stale, 412)["code"] == "stale"
    assert shop.get(path) == before
    assert shop.request("DELETE", path, headers={"If-Match": first.headers["ETag"]}).status_code == 204


@pytest.mark.parametrize("kind", KINDS)
def test_of_many_at_once_that_saw_the_same_one_is_done(shop: Shop, kind: str) -> None:
    path = made(shop, kind)
    seen, barrier = tag_of(shop, path), Barrier(6)

    def change(number: int) -> int:
        barrier.wait()
        text = f"changed by {number} of {path}"
        body = {
            "subscriptions": {"macs": [f"02:00:00:00:01:{number:02}"]},
            "routers": {"coa_port": 4000 + number},
            "subscribers": {"note": text},
        }.get(kind, {"name": text})
        return int(patch(shop, path, body, seen).status_code)

    with ThreadPoolExecutor(6) as threads:
        answers = sorted(threads.map(change, range(6)))
    assert answers == [200] + [412] * 5


def test_an_action_on_what_was_seen_is_done_and_a_second_one_is_stale(shop: Shop) -> None:
    path = made(shop, "subscriptions")
    headers = {"If-Match": tag_of(shop, path)}
    assert shop.request("POST", f"{path}/suspend", headers=headers).status_code == 200
    assert error(shop.request("POST", f"{path}/resume", headers=headers), 412)["code"] == "stale"
    assert shop.get(path)["status"] == "suspended"


def test_an_action_that_is_sent_again_with_its_key_is_answered_as_before_though_its_etag_is_old(shop: Shop) -> None:
    path = made(shop, "subscriptions")
    headers = {"If-Match": tag_of(shop, path), "Idempotency-Key": f"suspend{path}"}
    answers = [shop.request("POST", f"{path}/suspend", headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content


@pytest.mark.parametrize(
    ("if_match", "status"),
    [
        ("*", 200),
        ('"0", {}, "1"', 200),
        ('"00000000000000000000000000000000"', 412),
        ("W/{}", 412),
        ("", 422),
        ("abc", 422),
        ('"a" "b"', 422),
    ],
)
def test_if_match_may_say(shop: Shop, if_match: str, status: int) -> None:
    path = made(shop, "subscribers")
    assert patch(shop, path, {"note": "n"}, if_match.format(tag_of(shop, path))).status_code == status


def test_without_if_match_the_last_one_wins(shop: Shop) -> None:
    path = made(shop, "subscribers")
    assert [shop.patch(path, {"note": note}).status_code for note in "ab"] == [200, 200]
    assert shop.get(path)["note"] == "b"


def test_if_match_where_there_is_no_etag_is_refused_rather_than_ignored(shop: Shop) -> None:
    refused = shop.request("POST", "/subscribers", json={"name": "x"}, headers={"If-Match": '"a"'})
    assert error(refused, 422)["field"] == "If-Match"


def test_if_match_of_what_is_not_there_is_not_found(shop: Shop) -> None:
    assert error(patch(shop, "/plans/999999999", {"name": "x"}, "*"), 404)["code"] == "not_found"


@pytest.mark.parametrize("prefix", ["", "W/", '"0", '])
def test_what_the_caller_knows_is_not_sent_again(shop: Shop, prefix: str) -> None:
    path = made(shop, "subscribers")
    known = tag_of(shop, path)
    answer = shop.request("GET", path, headers={"If-None-Match": prefix + known})
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", known)
    shop.patch(path, {"note": "other"})
    assert shop.request("GET", path, headers={"If-None-Match": prefix + known}).status_code == 200
