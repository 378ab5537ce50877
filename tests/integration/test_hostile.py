"""A stranger who means harm: slow, huge, forged and malformed requests, of which the operators notice nothing."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from api import body, http_protocol, services
from api.app import create_app
from api.failure_limit import FAILURES
from settings import Networks, Settings
from tests.integration.api_server import Client, served

pytestmark = pytest.mark.usefixtures("no_failures_so_far")


@contextmanager
def connected(http: httpx.Client, receive_bytes: int | None = None) -> Iterator[socket.socket]:
    made = socket.socket()
    if receive_bytes:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    made.settimeout(20)
    made.connect((http.base_url.host, http.base_url.port))
    with closing(made):
        yield made


def head(api: Client, *lines: str, line: str = "GET /api/v1/plans HTTP/1.1") -> bytes:
    bearer = f"Authorization: Bearer {api.operator.tokens['owner']}"
    return "\r\n".join([line, "Host: kibali", bearer, *lines]).encode()


def answer(connection: socket.socket) -> bytes:
    """All there is until the other side closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def seconds_until_closed(connection: socket.socket) -> float:
    began = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - began


# Slow.


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits short enough for a test, read anew for each connection."""
    monkeypatch.setattr(http_protocol, "HEAD_WITHIN_S", 0.6)
    monkeypatch.setattr(http_protocol, "TAKEN_WITHIN_S", 0.6)
    monkeypatch.setattr(body, "READ_WITHIN_S", 0.6)


def test_the_limits_are_what_an_operator_can_live_with() -> None:
    assert (http_protocol.HEAD_WITHIN_S, http_protocol.TAKEN_WITHIN_S, body.READ_WITHIN_S) == (10, 30, 30)
    assert (http_protocol.CONNECTIONS, services.STATEMENT_TIMEOUT_S) == (4000, 20)


def drip(connection: socket.socket, content: bytes, pause_s: float) -> bool:
    """Whether all of it was taken."""
    try:
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(pause_s)
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("impatient")
def test_a_head_that_drips_in_is_cut_off(api: Client) -> None:
    with connected(api.http) as connection:
        assert not drip(connection, head(api, "X-Slow: " + "a" * 200), pause_s=0.05)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("said", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_that_never_finishes_its_head_is_closed(api: Client, said: bytes) -> None:
    with connected(api.http) as connection:
        connection.sendall(said)
        assert 0.3 < seconds_until_closed(connection) < 5


@pytest.mark.usefixtures("impatient")
def test_a_second_request_that_drips_in_is_cut_off_too(api: Client) -> None:
    with connected(api.http) as connection:
        connection.sendall(head(api) + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /api/v1/pl")
        assert 0.3 < seconds_until_closed(connection) < 4


@pytest.mark.usefixtures("impatient")
def test_a_body_that_drips_in_is_answered_408(api: Client) -> None:
    lines = ("Content-Type: application/json", "Content-Length: 1000")
    with connected(api.http) as connection:
        connection.sendall(head(api, *lines, line="POST /api/v1/plans HTTP/1.1") + b'\r\n\r\n{"na')
        answered = answer(connection)
    assert answered.startswith(b"HTTP/1.1 408")
    assert b"too_slow" in answered


def ask_without_reading(connection: socket.socket, request: bytes, seconds: float) -> bool:
    """Whether the other side put up with it."""
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            connection.sendall(request)
    except ConnectionError:
        return False
    return True


@pytest.mark.usefixtures("impatient")
def test_who_does_not_take_the_answers_is_let_go(api: Client) -> None:
    """Requests for much, and not a byte read: neither memory nor a place is held for such a client."""
    request = b"GET /openapi.json HTTP/1.1\r\nHost: kibali\r\n\r\n" * 100
    with connected(api.http, receive_bytes=4096) as connection:
        assert not ask_without_reading(connection, request, seconds=15)


@pytest.mark.usefixtures("impatient")
def test_a_client_that_is_merely_slow_is_served(api: Client) -> None:
    """Pauses, but no longer than the limits."""
    with connected(api.http) as connection:
        for part in (head(api, "X-Pause: 1"), b"\r\n", b"\r\n"):
            connection.sendall(part)
            time.sleep(0.1)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_hundreds_that_say_nothing_keep_nobody_out(api: Client) -> None:
    idle = [socket.create_connection((api.http.base_url.host, api.http.base_url.port or 0)) for _ in range(300)]
    try:
        for connection in idle:
            connection.sendall(b"GET /api/v1/plans HTTP/1.1\r\nX: ")
        began = time.monotonic()
        assert api.get("/plans")["items"] == []
        assert time.monotonic() - began < 5
    finally:
        for connection in idle:
            connection.close()


def test_connections_are_bounded(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(http_protocol.HTTP_OPTIONS, "limit_concurrency", 5)
    with served(create_app(api.settings)) as http:
        idle = [socket.create_connection((http.base_url.host, http.base_url.port or 0)) for _ in range(6)]
        time.sleep(0.3)
        # Without the client that holds answers against their description: this one is not the application's.
        assert httpx.get(http.base_url.join("/healthz")).status_code == 503
        for connection in idle:
            connection.close()
        deadline = time.monotonic() + 5
        while httpx.get(http.base_url.join("/healthz")).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_statement_that_takes_too_long_is_a_503(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "STATEMENT_TIMEOUT_S", 1)
    with (
        served(create_app(api.settings)) as http,
        psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as other,
    ):
        other.execute("LOCK TABLE plan IN ACCESS EXCLUSIVE MODE")
        headers = {"Authorization": f"Bearer {api.operator.tokens['owner']}"}
        response = http.get("/api/v1/plans", headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "timeout")
    assert response.headers["retry-after"] == "5"


# Huge and malformed.


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Huge: " + "a" * 1_000_000],
        [f"X-{number}: {'a' * 1000}" for number in range(1000)],
        ["Cookie: " + "; ".join(f"a{number}=b" for number in range(100_000))],
    ],
    ids=["one header", "many headers", "a cookie"],
)
def test_a_huge_head_is_refused(api: Client, lines: list[str]) -> None:
    with connected(api.http) as connection:
        try:
            connection.sendall(head(api, *lines) + b"\r\n\r\n")
            received = answer(connection)
        except ConnectionError:  # it was closed before all of it was sent
            received = b""
        assert received == b"" or received.startswith(b"HTTP/1.1 431")
    assert api.get("/plans")["items"] == []


@pytest.mark.parametrize("bytes_", [http_protocol.HEAD_BYTES, http_protocol.HEAD_BYTES + 1])
@pytest.mark.parametrize("way", ["at once", "in pieces", "behind another"])
def test_a_head_may_be_large_and_not_larger(api: Client, bytes_: int, way: str) -> None:
    said = head(api, *[f"X-{number:02}: {'a' * 490}" for number in range(25)], "X: ")
    said += b"a" * (bytes_ - len(said) - 4) + b"\r\n\r\n"
    assert len(said) == bytes_
    answers = 2 if way == "behind another" else 1
    with connected(api.http) as connection:
        if way == "in pieces":
            for start in range(0, len(said), 1_000):
                connection.sendall(said[start : start + 1_000])
        else:
            connection.sendall((head(api) + b"\r\n\r\n") * (answers - 1) + said)
        statuses: list[bytes] = []
        received = b""
        while len(statuses) < answers:
            piece = connection.recv(65536)
            assert piece, received
            received += piece
            statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
    assert statuses[-1] == (b"200" if bytes_ == http_protocol.HEAD_BYTES else b"431"), received
    assert statuses[:-1] == [b"200"] * (answers - 1)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /api/v1/plans HTTP/9.9\r\n\r\n",
        b"GET  /api/v1/plans HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
        b"GET /api/v1/plans HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"GET /api/v1/plans HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
        b"POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    ],
    ids=range(9),
)
def test_what_is_no_http_is_refused_and_hurts_nobody(api: Client, request_: bytes) -> None:
    with connected(api.http) as connection:
        connection.sendall(request_)
        connection.shutdown(socket.SHUT_WR)
        received = answer(connection)
    assert received == b"" or received.split(b" ")[1][:1] == b"4", received
    assert api.get("/plans")["items"] == []


@pytest.mark.parametrize("line", ["POST /api/v1/plans HTTP/1.1", "GET /healthz HTTP/1.1", "PUT /nowhere HTTP/1.1"])
def test_a_request_hidden_in_another_is_none(api: Client, line: str) -> None:
    """Content-Length against Transfer-Encoding: what proxies and servers disagree on smuggles requests past both."""
    lines = ("Content-Type: application/json", "Content-Length: 6", "Transfer-Encoding: chunked")
    hidden = b"0\r\n\r\nDELETE /api/v1/plans/1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(api.http) as connection:
        connection.sendall(head(api, *lines, line=line) + b"\r\n\r\n" + hidden)
        received = answer(connection)
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"400"], received


@pytest.mark.parametrize("name", ["X-Request-Id", "Kibali-Tenant", "Idempotency-Key", "If-None-Match", "User-Agent"])
@pytest.mark.parametrize(
    "value", [b"a" * 8000, b"\xff\xfe", b"a\tb", b"%0d%0aSet-Cookie: x=1", b"';DROP TABLE plan;--"]
)
def test_an_odd_header_makes_no_5xx_and_no_other_header(api: Client, name: str, value: bytes) -> None:
    headers = {b"Authorization": f"Bearer {api.operator.tokens['platform']}".encode(), name.encode(): value}
    for method in ("GET", "POST"):
        response = api.http.request(method, "/api/v1/tenants", headers=headers)
        assert response.status_code < 500
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "path",
    ["/api/v1/../../etc/passwd", "/api/v1/plans/..%2f..%2fx", "//evil.example/api", "/api/v1/plans;x=1", "/%2e%2e/"],
)
def test_a_path_that_climbs_leads_nowhere(api: Client, path: str) -> None:
    with connected(api.http) as connection:
        connection.sendall(head(api, "Connection: close", line=f"GET {path} HTTP/1.1") + b"\r\n\r\n")
        assert answer(connection).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_method_is_what_it_says(api: Client, header: str) -> None:
    plan = api.plan()
    assert api.request("GET", f"/plans/{plan['id']}", headers={header: "DELETE"}).status_code == 200
    assert api.get(f"/plans/{plan['id']}")["archived_at"] is None
    api.delete(f"/plans/{plan['id']}")


# Forged.


def seen_address(api: Client, http: httpx.Client, **headers: str) -> str | None:
    """Where the audit log says that a change came from."""
    response = http.post(
        "/api/v1/subscribers",
        json={"name": "Jane"},
        headers={"Authorization": f"Bearer {api.operator.tokens['owner']}", **headers},
    )
    assert response.status_code == 201, response.text
    address: str | None = api.get("/audit", what="subscriber", limit=1)["items"][0]["address"]
    return address


FORGED = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "Forwarded": "for=203.0.113.7",
    "X-Real-IP": "203.0.113.7",
}


def test_an_address_is_believed_from_a_proxy_of_ours(api: Client) -> None:
    assert seen_address(api, api.http, **FORGED) == "203.0.113.7"
    assert seen_address(api, api.http, **{"X-Forwarded-For": "10.0.0.1, 203.0.113.8"}) == "203.0.113.8"
    assert seen_address(api, api.http, **{"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}) == "203.0.113.9"


@pytest.mark.parametrize("trusted", ["", "192.0.2.1", "10.0.0.0/8"])
def test_an_address_is_not_believed_from_anybody_else(api: Client, trusted: str) -> None:
    networks = Settings.load({"KIBALI_TRUSTED_PROXIES": trusted}, checkout=Path("/nonexistent")).trusted_proxies
    assert isinstance(networks, Networks)
    with served(create_app(replace(api.settings, trusted_proxies=networks))) as http:
        assert seen_address(api, http, **FORGED) == "127.0.0.1"
        assert "strict-transport-security" not in http.get("/healthz", headers=FORGED).headers
        # Nor does it give anybody another try.
        for number in range(FAILURES):
            headers = {"Authorization": "Bearer kbl_" + "A" * 43, "X-Forwarded-For": f"203.0.113.{number}"}
            assert http.get("/api/v1/plans", headers=headers).status_code == 401
        headers = {"Authorization": "Bearer kbl_" + "A" * 43, "X-Forwarded-For": "203.0.113.250"}
        assert http.get("/api/v1/plans", headers=headers).status_code == 429


# Too many.


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?limit=0", 422)])
def test_a_token_is_bounded_and_its_neighbours_are_not(api: Client, query: str, status: int) -> None:
    with served(create_app(replace(api.settings, api_requests_per_minute=5))) as http:

        def ask(role: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {api.operator.tokens[role]}"}
            return http.get(f"/api/v1/plans{query}", headers=headers)

        assert [ask("owner").status_code for _ in range(7)] == [status] * 5 + [429] * 2
        assert ask("owner").json()["error"]["code"] == "too_many_requests"
        assert ask("owner").headers["retry-after"] == "60"
        assert ask("manager").status_code == status


def test_requests_at_once_are_counted_each(api: Client) -> None:
    with served(create_app(replace(api.settings, api_requests_per_minute=10))) as http:
        statuses: list[int] = []
        barrier = threading.Barrier(20)

        def ask() -> None:
            barrier.wait()
            headers = {"Authorization": f"Bearer {api.operator.tokens['owner']}"}
            statuses.append(http.get("/api/v1/plans", headers=headers).status_code)

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * 10 + [429] * 10


def test_without_redis_nobody_is_turned_away(api: Client) -> None:
    """Better open than shut for everybody: no token can be guessed, and what it may is still looked at."""
    away = replace(api.settings, redis_url="redis://127.0.0.1:1/0", api_requests_per_minute=1)
    with served(create_app(away)) as http:
        headers = {"Authorization": f"Bearer {api.operator.tokens['owner']}"}
        assert [http.get("/api/v1/plans", headers=headers).status_code for _ in range(3)] == [200] * 3
        wrong = {"Authorization": "Bearer kbl_" + "A" * 43}
        assert http.get("/api/v1/plans", headers=wrong).status_code == 401


# What every answer carries.


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/plans", "/nowhere", "/openapi.json"])
def test_a_browser_can_do_nothing_with_an_answer(api: Client, path: str) -> None:
    headers = api.http.get(path, headers={"X-Forwarded-Proto": "https", "Origin": "https://evil.example"}).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["strict-transport-security"].startswith("max-age=")
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]


def secret_free(api: Client, secrets: list[str], responses: list[Any]) -> None:
    for response in responses:
        for secret in secrets:
            assert secret not in response.text, response.url


def test_no_answer_repeats_a_secret_that_was_put_in(api: Client) -> None:
    """Written, never read: not where it is shown, not where it is listed, not where it is refused."""
    plan, subscriber = api.plan(), api.subscriber()
    secrets = ["SecretWord1", "SecretWord2xyz", "SecretWord3", "SecretWord4", "SecretWord5 long enough"]
    made = api.made(
        "/subscriptions", plan_id=plan["id"], subscriber_id=subscriber["id"], service="hotspot", password=secrets[0]
    )
    router = api.router(radius_secret=secrets[1])
    credentials = {"consumer_key": secrets[2], "consumer_secret": secrets[3], "passkey": secrets[3]}
    account = api.made("/payment-accounts", kind="paybill", name="Main", shortcode="600000", credentials=credentials)
    someone = api.made("/admins", email="secret@acme.example", role="cashier", password=secrets[4])
    responses = [
        api.request("GET", path)
        for path in (
            f"/subscriptions/{made['id']}",
            "/subscriptions",
            f"/routers/{router['id']}",
            "/routers",
            f"/payment-accounts/{account['id']}",
            "/payment-accounts",
            f"/admins/{someone['id']}",
            "/admins",
            "/tokens",
            "/audit?limit=200",
            f"/why?who={made['username']}",
        )
    ]
    responses += [
        api.patch(f"/subscriptions/{made['id']}", {"password": secrets[0], "x": 1}),
        api.patch(f"/subscriptions/{made['id']}", {"password": [secrets[0]]}),
        api.patch(f"/routers/{router['id']}", {"radius_secret": secrets[1] + " "}),
        api.patch(f"/payment-accounts/{account['id']}", {"credentials": {"passkey": secrets[3], "x": secrets[3]}}),
        api.post("/admins", {"email": "x", "role": "cashier", "password": secrets[4]}),
    ]
    secret_free(api, secrets, responses)
