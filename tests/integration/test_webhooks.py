"""What M-Pesa sends: kept as it came and answered, whatever it is, whoever says to send it, and whatever is away."""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from redis import Redis

from api import webhook_bounds, webhooks
from api.app import create_app
from api.c2b_validation import LOOK_WITHIN_S
from api.problem import Problem
from api.unknown_tokens import UNKNOWN, WINDOW_S, UnknownTokens
from api.webhook_bounds import Bound, Verdict, WebhookBounds
from cli.instance.processes import parent_of
from db.webhook_inbox import Stored
from settings import Networks, Settings
from tests.integration.api_server import served
from tests.integration.payment_api import Shop, error, shared_shop, shop_of
from tests.integration.test_api_outages import postgres_away

ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
SUCCESS = {"ResultCode": 0, "ResultDesc": "Success"}
MAY_PAY = {"ResultCode": "0", "ResultDesc": "Accepted"}
MAY_NOT = {"ResultCode": "C2B00012", "ResultDesc": "Rejected"}
KEPT = 64 * 1024


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


@pytest.fixture(scope="module")
def stk(shop: Shop) -> str:
    """Where callbacks of an intent go."""
    return f"/webhooks/daraja/stk/{shop.stk_token(shop.asked()['id'])}"


@pytest.fixture(scope="module")
def c2b(shop: Shop) -> str:
    """Where what is paid by hand is told."""
    account_id = shop.get("/payment-accounts")["items"][0]["id"]
    return f"/webhooks/daraja/c2b/{shop.c2b_token(account_id)}"


@pytest.fixture
def confirmation(c2b: str) -> str:
    return f"{c2b}/confirmation"


@pytest.fixture
def validation(c2b: str) -> str:
    return f"{c2b}/validation"


def paid(bill_ref: str, **changes: Any) -> dict[str, Any]:
    told = {
        "TransactionType": "Pay Bill",
        "TransID": "NLJ7RT61SV",
        "TransTime": "20260301120000",
        "TransAmount": "50.00",
        "BusinessShortCode": "600000",
        "BillRefNumber": bill_ref,
        "MSISDN": "2547 ***** 126",
        "FirstName": "JANE",
    }
    return {**told, **changes}


def newest(shop: Shop) -> dict[str, Any]:
    return shop.rows("SELECT * FROM webhook_inbox ORDER BY id DESC LIMIT 1")[0]


# Whatever is sent with a good token is kept as it came, and acknowledged.

BODIES = [
    b"",
    b"\0",
    b"\0not json",
    b"{}",
    b"null",
    b"[" * 60_000,
    b'{"a":' * 10_000,
    "é".encode("latin-1"),
    b"\xff\xfe\x00",
    b"9" * 5_000,
    json.dumps(paid("254700000001")).encode(),
    b'{"Body": {"stkCallback": {"ResultCode": 0}}}',
    b"x" * KEPT,
    b"x" * (KEPT + 1),
    b"x" * 900_000,
    b"'; DROP TABLE payment; --",
]


@pytest.mark.parametrize("kind", ["stk", "c2b_confirmation"])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_any_body_is_kept_and_acknowledged_and_a_job_is_to_read_it(
    shop: Shop, stk: str, confirmation: str, kind: str, body: bytes
) -> None:
    before = shop.count("webhook_inbox")
    response = shop.http.post(stk if kind == "stk" else confirmation, content=body)
    assert (response.status_code, response.json()) == (200, ACCEPTED if kind == "stk" else SUCCESS)
    assert shop.count("webhook_inbox") == before + 1
    kept = newest(shop)
    assert (kept["body"], kept["kind"], kept["processed_at"]) == (body[:KEPT], kind, None)
    assert kept["tenant_id"] == shop.operator.tenant_id
    assert (str(kept["source_address"]), kept["source_listed"]) == ("127.0.0.1", True)
    assert shop.jobs("process_webhook")[-1] == {"inbox_id": kept["id"]}


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data", "\u00e9", None])
def test_whatever_it_is_said_to_be_it_is_read(shop: Shop, stk: str, content_type: str | None) -> None:
    headers = {b"Content-Type": content_type.encode()} if content_type else {}
    assert shop.http.post(stk, content=b"{}", headers=headers).json() == ACCEPTED


def test_a_body_in_chunks_is_put_together(shop: Shop, confirmation: str) -> None:
    assert shop.http.post(confirmation, content=iter([b"one ", b"two ", b"three"])).json() == SUCCESS
    assert newest(shop)["body"] == b"one two three"


def test_what_is_told_twice_is_kept_twice_and_read_twice(shop: Shop, stk: str) -> None:
    before = shop.count("webhook_inbox")
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda _: shop.http.post(stk, content=b"{}").status_code, range(8)))
    assert statuses == [200] * 8
    assert shop.count("webhook_inbox") == before + 8
    assert len({job["inbox_id"] for job in shop.jobs("process_webhook")}) == len(shop.jobs("process_webhook"))


def test_a_worker_is_nudged_once_it_is_stored(shop: Shop, stk: str) -> None:
    shop.http.post(stk, content=b"{}")
    job_id = shop.rows("SELECT max(id) AS id FROM job")[0]["id"]
    with Redis.from_url(shop.settings.redis_dsn()) as redis:
        next_to_be_taken = redis.lindex("huey.redis.kibali.payments", -1)
        assert next_to_be_taken is not None
        assert int(next_to_be_taken) == job_id


# Who knows no token gets nothing.

NO_TOKENS = [
    "0" * 40,
    "f" * 39,
    "f" * 41,
    "F" * 40,
    "x" * 40,
    "",
    "%00",
    "..%2f..",
    "%27%3B--",
    "a" * 5_000,
    "%D9%A1" * 40,
    "0" * 40 + "%0a",
]


@pytest.mark.parametrize("token", NO_TOKENS, ids=range(len(NO_TOKENS)))
@pytest.mark.parametrize("path", ["stk/{}", "c2b/{}/confirmation", "c2b/{}/validation"])
def test_an_unknown_token_is_a_404_and_nothing_is_kept(shop: Shop, path: str, token: str) -> None:
    before = shop.count("webhook_inbox"), shop.count("job")
    response = shop.http.post(f"/webhooks/daraja/{path.format(token)}", json=paid("nobody"))
    assert error(response, 404)["code"] == "not_found"
    assert (shop.count("webhook_inbox"), shop.count("job")) == before


def test_a_token_opens_its_own_path_alone(shop: Shop, stk: str, c2b: str) -> None:
    stk_token, c2b_token = stk.split("/")[-1], c2b.split("/")[-1]
    error(shop.http.post(f"/webhooks/daraja/stk/{c2b_token}", content=b"{}"), 404)
    error(shop.http.post(f"/webhooks/daraja/c2b/{stk_token}/confirmation", content=b"{}"), 404)
    error(shop.http.post(f"/webhooks/daraja/c2b/{stk_token}/validation", json=paid("x")), 404)
    error(shop.http.post(f"/api/v1{stk}", content=b"{}"), 404)


def test_the_hash_of_a_token_is_no_token(shop: Shop, stk: str) -> None:
    token_hash = shop.rows("SELECT callback_token_hash AS hash FROM payment_intent WHERE state = 'prompting'")[0]
    error(shop.http.post(f"/webhooks/daraja/stk/{token_hash['hash'].hex()[:40]}", content=b"{}"), 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "BREW"])
def test_a_webhook_takes_a_post_and_nothing_else(shop: Shop, stk: str, validation: str, method: str) -> None:
    for path in (stk, validation):
        assert error(shop.http.request(method, path), 405)["code"] == "method_not_allowed"


def test_an_old_token_still_works_when_the_account_is_disabled(shop: Shop) -> None:
    """What is on its way is not lost because an operator moves to another paybill."""
    account = shop.account()
    path = f"/webhooks/daraja/c2b/{shop.c2b_token(account['id'])}/confirmation"
    assert shop.delete(f"/payment-accounts/{account['id']}").status_code == 204
    assert shop.http.post(path, json=paid("x")).json() == SUCCESS
    assert newest(shop)["payment_account_id"] == account["id"]


# Too much, too slow, too often.


def test_a_body_that_is_no_callback_at_all_is_not_waited_for(shop: Shop, stk: str) -> None:
    before = shop.count("webhook_inbox")
    assert error(shop.http.post(stk, content=b"x" * 1_100_000), 413)["code"] == "too_large"
    assert shop.count("webhook_inbox") == before


def begin(shop: Shop, path: str, length: int, sent: bytes) -> socket.socket:
    """A request that is not finished."""
    host, port = shop.http.base_url.host, shop.http.base_url.port
    assert port is not None
    connection = socket.create_connection((host, port), timeout=10)
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode() + sent)
    return connection


def test_a_sender_that_dawdles_is_not_waited_for(
    shop: Shop, stk: str, validation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "READ_WITHIN_S", 0.2)
    before = shop.count("webhook_inbox")
    for path in (stk, validation):
        with begin(shop, path, 10, b"{") as connection:
            assert connection.recv(65_536).split(b" ")[1] == b"408"
    assert shop.count("webhook_inbox") == before


def test_half_a_callback_is_none(shop: Shop, stk: str) -> None:
    before = shop.count("webhook_inbox")
    begin(shop, stk, 10, b"half").close()
    time.sleep(0.2)
    assert shop.count("webhook_inbox") == before


def test_a_stranger_behind_the_same_proxy_does_not_shut_m_pesa_out(shop: Shop, stk: str, validation: str) -> None:
    for _ in range(UNKNOWN + 5):
        error(shop.http.post("/webhooks/daraja/stk/" + "0" * 40, content=b"{}"), 404)
    with ThreadPoolExecutor(10) as threads:
        strange = threads.map(lambda _: shop.http.post("/webhooks/daraja/stk/" + "1" * 40).status_code, range(50))
        real = threads.map(lambda _: shop.http.post(stk, content=b"{}").status_code, range(20))
        assert set(strange) == {404}
        assert set(real) == {200}
    assert shop.http.post(validation, json=paid("nobody-knows")).json() == MAY_NOT


def test_who_sent_many_unknown_tokens_is_looked_up_one_at_a_time() -> None:
    now = 1000.0
    tokens = UnknownTokens(lambda: now)
    for _ in range(UNKNOWN):
        tokens.record("2001:db8::1")

    async def looked_up_at_once(source: str, senders: int = 5) -> int:
        inside = most = 0

        async def look_up() -> None:
            nonlocal inside, most
            async with tokens.turn(source):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

        await asyncio.gather(*(look_up() for _ in range(senders)))
        return most

    async def story() -> None:
        nonlocal now
        assert await looked_up_at_once("192.0.2.1") == 5
        assert await looked_up_at_once("2001:db8::2") == 1, "one customer has a /64"
        with pytest.raises(Problem) as caught:
            await looked_up_at_once("2001:db8::1", 200)
        assert caught.value.status == 429
        now += WINDOW_S
        assert await looked_up_at_once("2001:db8::1") == 5, "after a minute all is forgotten"

    asyncio.run(story())


def test_more_than_m_pesa_ever_sends_of_one_prompt_is_refused_and_its_operator_told_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(webhook_bounds.BOUNDS, "stk", (Bound(60, 5, 1_000_000), Bound(86_400, 1_000, 1_000_000)))
    flooded, other = (f"/webhooks/daraja/stk/{shop.stk_token(shop.asked()['id'])}" for _ in range(2))
    before = shop.count("webhook_inbox")
    assert [shop.http.post(flooded, content=b"{}").status_code for _ in range(5)] == [200] * 5
    for _ in range(3):
        response = shop.http.post(flooded, content=b"{}")
        assert error(response, 429)["code"] == "too_many_requests"
        assert response.headers["Retry-After"] == "60"
    assert shop.count("webhook_inbox") == before + 5
    told = shop.rows("SELECT data FROM event WHERE type = 'payment.webhooks_limited'")
    assert [row["data"] for row in told] == [{"kind": "stk", "inbox_id": newest(shop)["id"]}]
    assert shop.http.post(other, content=b"{}").status_code == 200, "nobody else is refused for it"


def test_the_bounds_are_of_bodies_and_bytes_and_are_over_after_their_time() -> None:
    now = 1000.0
    bounds = WebhookBounds(lambda: now)
    minute, day = webhook_bounds.BOUNDS["stk"]
    stored = Stored(1, 1)

    def send(token: str, size: int, bodies: int) -> int:
        """How many were taken."""
        for number in range(bodies):
            if bounds.check("stk", token) is not Verdict.FINE:
                return number
            bounds.record("stk", token, size, stored)
        return bodies

    assert send("a", 100, minute.bodies + 10) == minute.bodies
    assert bounds.check("stk", "a") is Verdict.OVER, "it was told of before"
    assert send("b", KEPT, minute.bodies) == minute.total_bytes // KEPT
    now += minute.within_s
    taken = minute.bodies
    for _ in range(20):
        taken += send("a", 100, minute.bodies)
        now += minute.within_s
    assert taken == day.bodies
    assert bounds.check("stk", "a") is Verdict.OVER
    now += day.within_s
    assert bounds.check("stk", "a") is Verdict.FINE


def test_a_busy_hour_of_a_hundred_confirmations_a_second_is_far_from_the_bounds() -> None:
    minute, day = webhook_bounds.BOUNDS["c2b_confirmation"]
    size = len(json.dumps(paid("254700000001")))
    assert minute.bodies > 3 * 100 * 60
    assert 3 * 100 * 60 * size < minute.total_bytes
    assert day.bodies > 8 * 3_600 * 100
    assert 8 * 3_600 * 100 * size < day.total_bytes


# Where it came from.

SAFARICOM, STRANGER, PROXY = "196.201.214.200", "203.0.113.9", "10.0.0.1"


@pytest.mark.parametrize(
    ("trusted", "forwarded", "source", "listed"),
    [
        ("127.0.0.1", [], "127.0.0.1", False),
        ("127.0.0.1", [SAFARICOM], SAFARICOM, True),
        ("127.0.0.1", [STRANGER], STRANGER, False),
        # What the sender wrote himself stands left of what our proxy saw.
        ("127.0.0.1", [f"{SAFARICOM}, {STRANGER}"], STRANGER, False),
        ("127.0.0.1", [SAFARICOM, STRANGER], STRANGER, False),
        ("127.0.0.1", [f"{STRANGER}, {SAFARICOM}"], SAFARICOM, True),
        ("127.0.0.1,10.0.0.0/8", [f"{STRANGER}, {SAFARICOM}, {PROXY}"], SAFARICOM, True),
        ("127.0.0.1", [f"{SAFARICOM}, {PROXY}"], PROXY, False),
        ("127.0.0.1", [f"::ffff:{SAFARICOM}"], SAFARICOM, True),
        ("127.0.0.1", [f"{SAFARICOM}:54321"], SAFARICOM, True),
        ("127.0.0.1", ["fe80::1%eth0"], "fe80::1", False),
        ("127.0.0.1", ["unknown"], None, False),
        ("127.0.0.1", ["'; --"], None, False),
        ("127.0.0.1", [""], "127.0.0.1", False),
        # Nobody is believed who is no proxy of ours.
        ("10.0.0.0/8", [SAFARICOM], "127.0.0.1", False),
        ("", [SAFARICOM], "127.0.0.1", False),
    ],
)
def test_the_source_is_whom_our_own_proxy_saw(
    shop: Shop, c2b: str, trusted: str, forwarded: list[str], source: str | None, listed: bool
) -> None:
    changes = {"trusted_proxies": networks(trusted), "webhook_sources": networks("196.201.214.0/24")}
    headers = [("X-Forwarded-For", each) for each in forwarded]
    with another_api(shop, **changes) as http:
        assert http.post(f"{c2b}/confirmation", content=b"{}", headers=headers).status_code == 200
    kept = newest(shop)
    stored = kept["source_address"]
    assert (None if stored is None else str(stored), kept["source_listed"]) == (source, listed)


def networks(text: str) -> Networks:
    return Networks(ip_network(part) for part in text.split(",") if part)


@contextmanager
def another_api(shop: Shop, **changes: Any) -> Iterator[httpx.Client]:
    """On the same database, with other settings."""
    with served(create_app(replace(shop.settings, **changes))) as http:
        yield http


# May a customer pay?


def test_a_validation_says_whether_the_account_is_anybodys(shop: Shop, validation: str) -> None:
    jane = shop.subscriber(msisdn="0712000001")
    shop.subscription(subscriber_id=jane["id"], username="gate 4")
    reference = shop.asked()["account_reference"]
    before = shop.count("webhook_inbox"), shop.count("job")
    for bill_ref in ("gate 4", " GATE  4 ", "0712000001", "+254 712 000 001", reference, reference.lower(), "", "  "):
        assert shop.http.post(validation, json=paid(bill_ref)).json() == MAY_PAY, bill_ref
    for bill_ref in ("gate 5", "0712000009", "%", "'; --", "x" * 64):
        assert shop.http.post(validation, json=paid(bill_ref)).json() == MAY_NOT, bill_ref
    assert (shop.count("webhook_inbox"), shop.count("job")) == before, "a validation is no payment"


def test_an_account_of_another_tenants_is_nobodys(shop: Shop, validation: str) -> None:
    shop.execute(
        "WITH other AS (INSERT INTO tenant (slug, name, language, timezone)"
        " VALUES ('zenith', 'Zenith', 'en', 'UTC') RETURNING id)"
        " INSERT INTO subscriber (tenant_id, name, msisdn) SELECT id, 'Joe', '254712000002' FROM other"
    )
    assert shop.http.post(validation, json=paid("0712000002")).json() == MAY_NOT


@pytest.mark.parametrize("body", [*BODIES[:10], b"x" * KEPT], ids=range(11))
def test_a_validation_that_can_not_be_read_does_not_turn_the_customer_away(
    shop: Shop, validation: str, body: bytes
) -> None:
    response = shop.http.post(validation, content=body)
    assert (response.status_code, response.json()) == (200, MAY_PAY)


# Whatever is away.


@contextmanager
def tables_locked(settings: Settings) -> Iterator[None]:
    with psycopg.connect(settings.database_admin_dsn(settings.database_name)) as connection:
        connection.execute("LOCK TABLE payment_intent, subscription, payment_account")
        yield


@contextmanager
def postgres_stopped(settings: Settings) -> Iterator[None]:
    """Every connection of the API hangs, and so does who makes new ones."""
    with psycopg.connect(settings.database_admin_dsn(), autocommit=True) as superuser:
        statement = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND usename = 'kibali_api'"
        pids = [row[0] for row in superuser.execute(statement, (settings.database_name,))]
    pids.append(parent_of(pids[0]))
    assert min(pids) > 1
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def own(settings: Settings) -> Iterator[Shop]:
    """A shop of one test, whose PostgreSQL may go away."""
    with shop_of(settings) as shop:
        yield shop


@pytest.mark.parametrize("away", [tables_locked, postgres_stopped, postgres_away])
def test_validations_are_answered_in_time_whatever_postgresql_does(
    own: Shop, away: Callable[[Settings], AbstractContextManager[None]]
) -> None:
    path = f"/webhooks/daraja/c2b/{own.c2b_token(own.get('/payment-accounts')['items'][0]['id'])}/validation"
    took: list[float] = []

    def ask(_: int) -> Any:
        began = time.monotonic()
        answer = own.http.post(path, json=paid("nobody-knows")).json()
        took.append(time.monotonic() - began)
        return answer

    with ThreadPoolExecutor(60) as threads:
        with away(own.settings):
            assert list(threads.map(ask, range(60))) == [MAY_PAY] * 60
        assert max(took) < LOOK_WITHIN_S + 1.5
        until(lambda: ask(0) == MAY_NOT)


def until(holds: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


def test_without_postgresql_m_pesa_is_told_to_come_again(own: Shop) -> None:
    path = f"/webhooks/daraja/stk/{own.stk_token(own.asked()['id'])}"
    with postgres_away(own.settings):
        response = own.http.post(path, content=b"{}")
        assert error(response, 503)["code"] == "unavailable"
        assert response.headers["retry-after"] == "5"
    assert own.http.post(path, content=b"{}").json() == ACCEPTED
    assert own.count("webhook_inbox") == 1


def test_without_redis_it_is_stored_all_the_same(settings: Settings) -> None:
    with shop_of(settings, redis_url="redis://127.0.0.1:1/0") as shop:
        path = f"/webhooks/daraja/stk/{shop.stk_token(shop.asked()['id'])}"
        assert shop.http.post(path, content=b"{}").json() == ACCEPTED
        assert shop.jobs("process_webhook") == [{"inbox_id": newest(shop)["id"]}]


def test_while_a_callback_is_stored_nothing_else_is_done(shop: Shop, stk: str) -> None:
    """Even while what it would change is locked."""
    tables = "payment_intent, payment, wallet, subscription, subscriber, ledger_entry"
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as other:
        other.execute(f"LOCK TABLE {tables} IN SHARE MODE")  # readers may pass, writers may not
        answered = threading.Event()

        def send() -> None:
            if shop.http.post(stk, content=b"{}").json() == ACCEPTED:
                answered.set()

        thread = threading.Thread(target=send)
        thread.start()
        thread.join(5)
        assert answered.is_set()
