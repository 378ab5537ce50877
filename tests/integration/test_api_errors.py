"""Whatever is sent: an answer that names what was wrong, and never a 5xx."""

import gzip
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.failure_limit import FAILURES
from db import admin
from db.engine import make_engine, session_factory
from tests.integration.api_server import Client, token_of
from tests.unit.test_api_body import HOSTILE

pytestmark = pytest.mark.usefixtures("no_failures_so_far")

ID = 10**15
EVERY_ROUTE = [
    ("GET", "/plans"),
    ("POST", "/plans"),
    ("GET", f"/plans/{ID}"),
    ("PATCH", f"/plans/{ID}"),
    ("DELETE", f"/plans/{ID}"),
    ("GET", "/subscribers"),
    ("POST", "/subscribers"),
    ("GET", f"/subscribers/{ID}"),
    ("PATCH", f"/subscribers/{ID}"),
    ("DELETE", f"/subscribers/{ID}"),
    ("GET", "/subscriptions"),
    ("POST", "/subscriptions"),
    ("GET", f"/subscriptions/{ID}"),
    ("PATCH", f"/subscriptions/{ID}"),
    ("DELETE", f"/subscriptions/{ID}"),
    ("POST", f"/subscriptions/{ID}/suspend"),
    ("POST", f"/subscriptions/{ID}/resume"),
    ("GET", "/routers"),
    ("POST", "/routers"),
    ("GET", f"/routers/{ID}"),
    ("PATCH", f"/routers/{ID}"),
    ("DELETE", f"/routers/{ID}"),
    ("GET", "/sessions"),
    ("GET", "/sessions/00000000-0000-0000-0000-000000000000"),
]


def error(response: httpx.Response, status: int) -> dict[str, str]:
    """The error of an answer, which has this shape and no other."""
    assert response.status_code == status, response.text
    answered: dict[str, str] = response.json()["error"]
    assert response.json().keys() == {"error"}
    assert {"code", "message"} <= answered.keys() <= {"code", "message", "field"}
    return answered


# Who.


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
def test_every_route_wants_a_token(api: Client, method: str, path: str) -> None:
    response = api.http.request(method, f"/api/v1{path}", json={})
    assert error(response, 401)["code"] == "unauthorized"
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Basic a2Jsdg==",
        "Bearer kbl_",
        "Bearer " + "x" * 47,
        "Bearer kbl_" + "A" * 43,
        "Bearer kbl_" + "é" * 43,
        "kbl_" + "A" * 43,
    ],
)
def test_a_wrong_token_is_a_401(api: Client, header: str) -> None:
    response = api.http.get("/api/v1/plans", headers={b"Authorization": header.encode()})
    error(response, 401)


def test_the_scheme_may_be_written_in_any_case(api: Client) -> None:
    token = api.operator.tokens["support"]
    assert api.http.get("/api/v1/plans", headers={"Authorization": f"bearer {token}"}).status_code == 200


def tokens_in(api: Client, **made: Any) -> str:
    engine = make_engine(api.settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            return token_of(session, **made)
    finally:
        engine.dispose()


def with_token(api: Client, token: str) -> httpx.Response:
    return api.http.get("/api/v1/plans", headers={"Authorization": f"Bearer {token}"})


def test_an_expired_token_is_a_401(api: Client) -> None:
    now = datetime.now(UTC)
    tenant_id = api.operator.tenant_id
    past = tokens_in(
        api, tenant_id=tenant_id, email="past@x.example", role="owner", expires_at=now - timedelta(seconds=1)
    )
    future = tokens_in(
        api, tenant_id=tenant_id, email="future@x.example", role="owner", expires_at=now + timedelta(hours=1)
    )
    error(with_token(api, past), 401)
    assert with_token(api, future).status_code == 200


def test_the_tokens_of_a_disabled_admin_are_good_for_nothing(api: Client) -> None:
    token = tokens_in(api, tenant_id=api.operator.tenant_id, email="gone@x.example", role="owner")
    assert with_token(api, token).status_code == 200
    engine = make_engine(api.settings, "platform", pool_size=1)
    with session_factory(engine).begin() as session:
        admin.disable(session, admin.by_email(session, "gone@x.example"), datetime.now(UTC))
    engine.dispose()
    error(with_token(api, token), 401)


def test_the_platforms_own_token_opens_no_tenant(api: Client) -> None:
    token = tokens_in(api, tenant_id=None, email="root@x.example", role="platform")
    assert error(with_token(api, token), 403)["code"] == "forbidden"


def allowed(role: str, method: str, path: str) -> bool:
    if role in ("owner", "manager"):
        return True
    if role == "cashier" and not path.startswith(("/plans", "/subscribers", "/subscriptions")):
        return False
    return method == "GET"


@pytest.mark.parametrize("role", ["owner", "manager", "cashier", "support", "read-only"])
@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
def test_a_role_may_do_what_it_is_for(api: Client, role: str, method: str, path: str) -> None:
    body: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH") else {}
    response = api.request(method, path, role=role, **body)
    if allowed(role, method, path):
        assert response.status_code in (200, 404, 422), response.text
    else:
        assert error(response, 403)["code"] == "forbidden"


def test_too_many_wrong_tokens_from_one_address_are_not_looked_up(api: Client) -> None:
    for _ in range(FAILURES):
        error(with_token(api, "kbl_" + "A" * 43), 401)
    response = with_token(api, "kbl_" + "A" * 43)
    assert error(response, 429)["code"] == "too_many_failures"
    assert response.headers["retry-after"] == "60"


def test_a_right_token_now_and_then_is_no_failure(api: Client) -> None:
    for _ in range(FAILURES + 1):
        assert with_token(api, api.operator.tokens["owner"]).status_code == 200


# Where and how.


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/plans/",
        "/api/v1/nothing",
        "/api/v1/plans/x",
        "/api/v1/plans/-1",
        "/api/v1/plans/1.5",
        f"/api/v1/plans/{'9' * 19}",
        f"/api/v1/plans/{'9' * 5000}",
        "/api/v1/plans/%00",
        "/api/v1/plans/1/2",
        "/api/v1/sessions/1",
        "/api/v1//plans",
        "/api/v1/plans/%D9%A1",
    ],
)
def test_a_path_that_leads_nowhere_is_a_404(api: Client, path: str) -> None:
    response = api.http.get(path, headers={"Authorization": f"Bearer {api.operator.tokens['owner']}"})
    assert error(response, 404)["code"] == "not_found"


def test_an_id_that_no_row_can_have_is_a_404(api: Client) -> None:
    error(api.request("GET", f"/plans/{10**18 - 1}"), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/plans", "GET, HEAD, POST"),
        ("DELETE", "/plans", "GET, HEAD, POST"),
        ("POST", "/plans/1", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/subscriptions/1/suspend", "POST"),
        ("POST", "/sessions", "GET, HEAD"),
        ("OPTIONS", "/plans", "GET, HEAD, POST"),
        ("BREW", "/plans", "GET, HEAD, POST"),
    ],
)
def test_a_method_that_a_path_lacks_is_a_405_that_says_which_it_has(
    api: Client, method: str, path: str, allow: str
) -> None:
    response = api.request(method, path)
    assert error(response, 405)["code"] == "method_not_allowed"
    assert response.headers["allow"] == allow


def test_health_takes_no_other_method_either(api: Client) -> None:
    assert error(api.http.post("/healthz"), 405)["code"] == "method_not_allowed"


def test_head_is_get_without_the_body(api: Client) -> None:
    response = api.request("HEAD", "/plans")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(("content", "sentence"), HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize(("method", "path"), [("POST", "/subscribers"), ("PATCH", "/subscribers/1")])
def test_a_hostile_body_is_a_400(api: Client, method: str, path: str, content: bytes, sentence: str) -> None:
    answered = error(api.request(method, path, content=content, headers={"Content-Type": "application/json"}), 400)
    assert answered["code"] == "malformed"
    assert sentence in answered["message"]


@pytest.mark.parametrize("content", [b"[]", b'"x"', b"1", b"null", b"true", b"{}"])
def test_json_that_is_no_subscriber_is_a_422(api: Client, content: bytes) -> None:
    error(api.request("POST", "/subscribers", content=content, headers={"Content-Type": "application/json"}), 422)


def test_a_packed_body_is_a_415_that_says_what_to_do(api: Client) -> None:
    """It was said not to be UTF-8."""
    packed = gzip.compress(b'{"name": "Jane"}')
    for encoding in ("gzip", "br", "GZIP, identity"):
        headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
        answer = api.request("POST", "/subscribers", content=packed, headers=headers)
        assert "without Content-Encoding" in error(answer, 415)["message"]
        assert answer.headers["accept-encoding"] == "identity"
    headers = {"Content-Type": "application/json", "Content-Encoding": "identity"}
    assert api.request("POST", "/subscribers", content=b'{"name": "Jane"}', headers=headers).status_code == 201


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
)
def test_another_media_type_is_a_415(api: Client, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    error(api.request("POST", "/subscribers", content=b'{"name": "Jane"}', headers=headers), 415)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_a_megabyte_is_a_413(api: Client, chunked: bool) -> None:
    content = json.dumps({"name": "x" * 1_100_000}).encode()
    sent: Any = iter([content[:600_000], content[600_000:]]) if chunked else content
    response = api.request("POST", "/subscribers", content=sent, headers={"Content-Type": "application/json"})
    assert error(response, 413)["code"] == "too_large"


@pytest.mark.parametrize("length", ["99999999999999999999999999", "4000000000"])
def test_a_body_that_promises_to_be_huge_is_not_waited_for(api: Client, length: str) -> None:
    host, port = api.http.base_url.host, api.http.base_url.port
    assert port is not None
    with socket.create_connection((host, port), timeout=10) as connection:
        head = (
            "POST /api/v1/plans HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {api.operator.tokens['owner']}",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        )
        connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n{")
        assert connection.recv(65536).split(b" ")[1] in (b"413", b"400")


def test_nothing_is_said_to_a_request_that_takes_nothing(api: Client) -> None:
    assert (
        error(api.request("POST", "/subscriptions/1/suspend", json={"why": "unpaid"}), 422)["code"] == "unknown_field"
    )
    assert error(api.request("POST", "/subscriptions/1/suspend", json={}), 404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("colour=red", "colour"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("sort=password", "sort"),
        ("sort=id;drop", "sort"),
        ("archived=maybe", "archived"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "A" * 3000, "cursor"),
        ("name=%00", "name"),
        ("msisdn=12", "msisdn"),
        ("limit=1&limit=2", None),
        ("%ff=%fe", None),
    ],
)
def test_a_parameter_that_makes_no_sense_is_a_422(api: Client, query: str, field: str | None) -> None:
    answered = error(api.request("GET", f"/subscribers?{query}"), 422)
    assert field is None or answered["field"] == field


@pytest.mark.parametrize(
    "query", ["subscriber_id=9223372036854775808", "subscriber_id=0", "plan_id=1e3", "mac=x", "state=new"]
)
def test_a_filter_that_nothing_can_have_is_a_422(api: Client, query: str) -> None:
    assert error(api.request("GET", f"/subscriptions?{query}"), 422)["field"] == query.split("=")[0]


@pytest.mark.parametrize("path", ["/plans/1?x=1", "/subscriptions/1/suspend?force=1"])
def test_a_request_for_one_thing_takes_no_parameters(api: Client, path: str) -> None:
    method = "POST" if "suspend" in path else "GET"
    assert error(api.request(method, path), 422)["code"] == "unknown_field"


# What every answer carries.


@pytest.mark.parametrize("path", ["/healthz", "/api/v1/plans", "/nowhere"])
def test_every_answer_can_be_found_in_the_log_and_hides_from_caches(api: Client, path: str) -> None:
    response = api.http.get(path, headers={"X-Request-Id": "order-66"})
    assert response.headers["x-request-id"] == "order-66"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "server" not in response.headers


@pytest.mark.parametrize("request_id", ["", "a b", "x" * 65, "a;b", "é"])
def test_an_odd_request_id_is_replaced(api: Client, request_id: str) -> None:
    response = api.http.get("/healthz", headers={b"X-Request-Id": request_id.encode()})
    assert len(response.headers["x-request-id"]) == 32


def test_a_token_is_in_no_answer(api: Client) -> None:
    token = "kbl_" + "S" * 43
    assert token not in with_token(api, token).text
