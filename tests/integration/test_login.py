"""Logging in: passwords, sessions, cookies, one-time passwords, and those who guess."""

import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from redis import Redis

from api.app import create_app
from api.auth import TENANT_HEADER
from db.login import AT_SOURCE, OF_ALL, OF_SOURCE
from settings import Settings
from tests.integration.api_server import served
from tests.integration.every_route import PASSWORD, Person, Sample, admin, code_of, enrolled, person, with_totp
from tests.integration.payment_api import Shop, shared_shop

WRONG = "a wrong long password"
LOGIN = "/api/v1/auth/login"


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


@pytest.fixture(autouse=True)
def _no_failures_so_far(shop: Shop, redis_server: Settings) -> None:
    shop.execute("DELETE FROM login_attempt")
    with Redis.from_url(redis_server.redis_dsn()) as client:
        client.flushall()


def log_in(shop: Shop, email: str, password: str = PASSWORD, *, at: str | None = None, **more: Any) -> httpx.Response:
    """`at` is the address that a proxy of ours saw."""
    headers = {"X-Forwarded-For": at} if at else {}
    return shop.http.post(LOGIN, json={"email": email, "password": password, **more}, headers=headers)


def error(response: httpx.Response, status: int) -> Any:
    assert response.status_code == status, response.text
    return response.json()["error"]


def with_token(shop: Shop, token: str, path: str = "/auth/me", method: str = "GET", **options: Any) -> httpx.Response:
    return shop.http.request(method, f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, **options)


def notes(shop: Shop) -> list[dict[str, Any]]:
    return shop.rows("SELECT * FROM audit WHERE what = 'failed_login' ORDER BY id")


# Who gets in.


def test_a_password_opens_a_session(shop: Shop) -> None:
    who = person(shop)
    me = with_token(shop, who.token).json()
    assert (me["email"], me["role"], me["tenant_id"]) == (who.email, "owner", shop.operator.tenant_id)
    assert (me["session_id"], me["csrf_token"], me["totp"]) == (who.session_id, None, False)
    assert with_token(shop, who.token, "/plans").status_code == 200


def test_an_email_is_taken_in_any_case(shop: Shop) -> None:
    who = person(shop)
    assert log_in(shop, f" {who.email.upper()} ").status_code == 200


def test_wrong_unknown_and_shut_out_are_answered_alike(shop: Shop) -> None:
    gone = person(shop)
    assert shop.delete(f"/admins/{gone.admin_id}").status_code == 204
    answers = [
        log_in(shop, person(shop).email, WRONG),
        log_in(shop, "nobody@acme.example", WRONG),
        log_in(shop, gone.email, PASSWORD),
        log_in(shop, gone.email, WRONG),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


def test_the_time_does_not_tell_who_is_an_admin(shop: Shop) -> None:
    """Half of the spread of one kind bounds the difference of the two: a machine under load is slow for both."""
    known = person(shop).email
    taken: dict[str, list[float]] = {known: [], "nobody@acme.example": []}
    for number in range(12):
        for email, times in taken.items():
            began = time.perf_counter()
            assert log_in(shop, email, WRONG, at=f"198.51.100.{number + 1}").status_code == 401
            times.append(time.perf_counter() - began)
    medians = [statistics.median(times) for times in taken.values()]
    # Without the hash of nobody the unknown would take a tenth.
    assert 0.67 < medians[0] / medians[1] < 1.5, medians


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "x"},
        {"email": "a@b.c", "password": ""},
        {"email": "a@b.c", "password": "x" * 201},
        {"email": "a@b.c", "password": None},
        {"email": ["a@b.c"], "password": "x"},
        {"email": "a@b.c", "password": "x", "role": "owner"},
        {"email": "a@b.c", "password": "x", "code": "1" * 21},
    ],
)
def test_what_is_no_login_is_refused_without_repeating_it(shop: Shop, body: Any) -> None:
    answered = error(shop.http.post(LOGIN, json=body), 422)
    assert "x" * 20 not in answered["message"]


def test_a_form_is_no_login(shop: Shop) -> None:
    """A form of another site can send no JSON."""
    content = b'{"email": "a@b.c", "password": "x"}'
    assert shop.http.post(LOGIN, content=content, headers={"Content-Type": "text/plain"}).status_code == 415


def test_the_password_is_nowhere_in_the_database(shop: Shop) -> None:
    who = person(shop)
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for (row,) in connection.execute(f"SELECT t::text FROM {table} t"):
                assert PASSWORD not in row
                assert who.token not in row


@pytest.mark.parametrize("role", ["api", "platform", "worker", "radius"])
@pytest.mark.parametrize(
    "column", ["admin.password_hash", "api_token.token_hash", "admin_session.token_hash", "login_attempt.email_digest"]
)
def test_no_process_reads_what_it_has_no_need_to(shop: Shop, role: Any, column: str) -> None:
    if (role, column) == ("worker", "login_attempt.email_digest"):  # which deletes them
        return
    table, name = column.split(".")
    with (
        psycopg.connect(shop.settings.database_dsn(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(f"SELECT {name} FROM {table}")


# Sessions.


def test_logging_out_ends_the_session_and_no_other(shop: Shop) -> None:
    who = person(shop)
    other = log_in(shop, who.email).json()["token"]
    assert with_token(shop, who.token, "/auth/logout", "POST").status_code == 204
    assert error(with_token(shop, who.token), 401)["message"] == "This session is over. Log in again."
    assert with_token(shop, other).status_code == 200


def test_logging_out_everywhere_ends_them_all(shop: Shop) -> None:
    who = person(shop)
    tokens = [log_in(shop, who.email).json()["token"] for _ in range(3)]
    assert with_token(shop, who.token, "/auth/logout-all", "POST").json() == {"ended": 4}
    for token in (*tokens, who.token):
        error(with_token(shop, token), 401)


def test_sessions_are_listed_and_ended_one_by_one(shop: Shop) -> None:
    who = person(shop)
    there = log_in(shop, who.email, at="203.0.113.9").json()
    listed = with_token(shop, who.token, "/auth/sessions").json()["items"]
    assert [(each["id"], each["address"], each["current"]) for each in listed] == [
        (there["session_id"], "203.0.113.9", False),
        (who.session_id, "127.0.0.1", True),
    ]
    assert with_token(shop, who.token, f"/auth/sessions/{there['session_id']}", "DELETE").status_code == 204
    error(with_token(shop, there["token"]), 401)


def test_nobody_ends_the_session_of_another(shop: Shop) -> None:
    who, other = person(shop), person(shop)
    error(with_token(shop, who.token, f"/auth/sessions/{other.session_id}", "DELETE"), 404)
    assert with_token(shop, other.token).status_code == 200


@pytest.mark.parametrize(
    "passed", ["last_used_at = now() - interval '121 minutes'", "expires_at = now() - interval '1 second'"]
)
def test_a_session_that_is_not_used_or_is_old_is_over(shop: Shop, passed: str) -> None:
    who = person(shop)
    shop.execute(f"UPDATE admin_session SET {passed} WHERE id = %s", who.session_id)
    error(with_token(shop, who.token), 401)
    # And asking does not bring it back.
    error(with_token(shop, who.token), 401)


def test_use_keeps_a_session_alive(shop: Shop) -> None:
    who = person(shop)
    shop.execute("UPDATE admin_session SET last_used_at = now() - interval '119 minutes' WHERE id = %s", who.session_id)
    assert with_token(shop, who.token).status_code == 200
    row = shop.rows("SELECT now() - last_used_at AS idle FROM admin_session WHERE id = %s", who.session_id)[0]
    assert row["idle"].total_seconds() < 60


def test_who_is_shut_out_is_out_at_once(shop: Shop) -> None:
    who = person(shop)
    shop.patch(f"/admins/{who.admin_id}", {"disabled": True})
    error(with_token(shop, who.token), 401)
    shop.patch(f"/admins/{who.admin_id}", {"disabled": False})
    assert log_in(shop, who.email).status_code == 200
    error(with_token(shop, who.token), 401)


def test_a_role_that_changes_counts_at_once(shop: Shop) -> None:
    who = person(shop)
    shop.patch(f"/admins/{who.admin_id}", {"role": "cashier"})
    error(with_token(shop, who.token, "/routers"), 403)


def test_a_page_that_was_left_open_locks_nobody_out(shop: Shop) -> None:
    """It asks on and on with a session that is over; others of that office have good ones."""
    who = person(shop)
    with_token(shop, who.token, "/auth/logout", "POST")
    for _ in range(30):
        error(with_token(shop, who.token), 401)
    assert with_token(shop, person(shop).token).status_code == 200


# Cookies.


def cookie_of(shop: Shop, who: Person, scheme: str = "http") -> httpx.Response:
    headers = {"X-Forwarded-Proto": scheme}
    body = {"email": who.email, "password": who.password, "as_cookie": True}
    response = httpx.post(shop.http.base_url.join(LOGIN), json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize(
    ("scheme", "name", "secure"), [("http", "kibali_session", False), ("https", "__Host-kibali_session", True)]
)
def test_a_cookie_is_read_by_no_script_and_sent_by_no_other_site(
    shop: Shop, scheme: str, name: str, secure: bool
) -> None:
    response = cookie_of(shop, person(shop), scheme)
    set_cookie = response.headers["set-cookie"]
    parts = [part.strip().lower() for part in set_cookie.split(";")]
    assert set_cookie.startswith(f"{name}=kbs_")
    assert {"httponly", "samesite=lax", "path=/"} <= set(parts)
    assert ("secure" in parts) is secure
    assert "token" not in response.json()


def with_cookie(shop: Shop, cookie: str, method: str, path: str, **headers: str) -> httpx.Response:
    body = {"json": {"name": "Jane"}} if method == "POST" else {}
    url = shop.http.base_url.join(f"/api/v1{path}")
    return httpx.request(method, url, headers={"Cookie": cookie, **headers}, **body)  # type: ignore[arg-type]


def test_a_cookie_reads_and_with_its_token_writes(shop: Shop) -> None:
    response = cookie_of(shop, person(shop))
    cookie = response.headers["set-cookie"].partition(";")[0]
    me = with_cookie(shop, cookie, "GET", "/auth/me").json()
    assert me["csrf_token"] == response.json()["csrf_token"]
    assert error(with_cookie(shop, cookie, "POST", "/subscribers"), 403)["code"] == "csrf"
    assert error(with_cookie(shop, cookie, "POST", "/subscribers", **{"X-CSRF-Token": "x"}), 403)["code"] == "csrf"
    good = {"X-CSRF-Token": me["csrf_token"]}
    assert with_cookie(shop, cookie, "POST", "/subscribers", **good).status_code == 201
    for site in ("cross-site", "same-site"):
        answer = with_cookie(shop, cookie, "POST", "/subscribers", **good, **{"Sec-Fetch-Site": site})
        assert error(answer, 403)["code"] == "csrf"
    assert with_cookie(shop, cookie, "POST", "/subscribers", **good, **{"Sec-Fetch-Site": "same-origin"}).is_success
    out = with_cookie(shop, cookie, "POST", "/auth/logout", **good)
    # The body that goes along is none that logging out takes.
    assert out.status_code == 422


def test_the_csrf_token_of_one_is_none_for_another(shop: Shop) -> None:
    mine, theirs = cookie_of(shop, person(shop)), cookie_of(shop, person(shop))
    cookie = mine.headers["set-cookie"].partition(";")[0]
    wrong = {"X-CSRF-Token": theirs.json()["csrf_token"]}
    error(with_cookie(shop, cookie, "POST", "/subscribers", **wrong), 403)


def test_logging_out_takes_the_cookie_away(shop: Shop) -> None:
    response = cookie_of(shop, person(shop))
    headers = {
        "Cookie": response.headers["set-cookie"].partition(";")[0],
        "X-CSRF-Token": response.json()["csrf_token"],
    }
    out = httpx.post(shop.http.base_url.join("/api/v1/auth/logout"), headers=headers)
    assert out.status_code == 204
    assert "max-age=0" in out.headers["set-cookie"].lower()


def test_an_api_token_is_none_in_a_cookie(shop: Shop) -> None:
    cookie = f"kibali_session={shop.operator.tokens['owner']}"
    error(with_cookie(shop, cookie, "GET", "/plans"), 401)


# Those who guess.


def test_an_address_that_fails_for_one_admin_waits(shop: Shop) -> None:
    who = person(shop)
    for _ in range(OF_SOURCE):
        error(log_in(shop, who.email, WRONG, at="203.0.113.1"), 401)
    answer = log_in(shop, who.email, at="203.0.113.1")
    assert error(answer, 429)["code"] == "too_many_failures"
    assert 0 < int(answer.headers["retry-after"]) <= 900
    # The admin, elsewhere, does not.
    assert log_in(shop, who.email, at="203.0.113.2").status_code == 200


def test_an_email_of_nobody_waits_alike(shop: Shop) -> None:
    for _ in range(OF_SOURCE):
        error(log_in(shop, "nobody@acme.example", WRONG), 401)
    error(log_in(shop, "nobody@acme.example", WRONG), 429)


def test_an_address_that_fails_for_many_waits(shop: Shop) -> None:
    for number in range(AT_SOURCE):
        error(log_in(shop, f"{number}@acme.example", WRONG, at="203.0.113.3"), 401)
    error(log_in(shop, person(shop).email, at="203.0.113.3"), 429)


def test_whoever_has_a_whole_ipv6_network_is_one(shop: Shop) -> None:
    who = person(shop)
    for number in range(OF_SOURCE):
        error(log_in(shop, who.email, WRONG, at=f"2001:db8::{number + 1:x}"), 401)
    error(log_in(shop, who.email, at="2001:db8::ffff"), 429)
    assert log_in(shop, who.email, at="2001:db8:0:1::1").status_code == 200


def test_strangers_everywhere_do_not_lock_an_owner_out(shop: Shop) -> None:
    who = person(shop)
    assert log_in(shop, who.email, at="203.0.113.50").status_code == 200
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as connection:
        for number in range(OF_ALL):
            connection.execute(
                "INSERT INTO login_attempt (email_digest, source, attempted_at)"
                " VALUES (sha256(convert_to(%s, 'UTF8')), %s, now())",
                (who.email, f"address:198.51.100.{number}"),
            )
    # From where nobody ever logged in: not now.
    error(log_in(shop, who.email, at="203.0.113.51"), 429)
    # From where the owner did: yes, and with the session and the API tokens of before, anyway.
    assert log_in(shop, who.email, at="203.0.113.50").status_code == 200
    assert with_token(shop, who.token).status_code == 200
    # And everywhere, when the window is over.
    shop.execute("UPDATE login_attempt SET attempted_at = attempted_at - interval '15 minutes'")
    assert log_in(shop, who.email, at="203.0.113.51").status_code == 200


def test_guesses_at_once_are_counted_before_they_are_checked(shop: Shop) -> None:
    email = person(shop).email
    barrier = threading.Barrier(20)

    def guess(_number: int) -> int:
        barrier.wait()
        return log_in(shop, email, WRONG, at="203.0.113.4").status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(guess, range(20)))
    assert statuses.count(401) == OF_SOURCE
    assert statuses.count(429) == 20 - OF_SOURCE


def test_who_gets_in_has_no_failure_left_of_that_attempt(shop: Shop) -> None:
    who = person(shop)
    for _ in range(OF_SOURCE * 3):
        assert log_in(shop, who.email).status_code == 200


def test_failures_are_on_record_without_what_was_typed(shop: Shop) -> None:
    who = person(shop)
    log_in(shop, who.email, "typed-by-mistake-1")
    log_in(shop, "typed-by-mistake-2@acme.example", "typed-by-mistake-1")
    known, unknown = notes(shop)[-2:]
    assert (known["who"], known["what_id"], known["tenant_id"]) == (
        who.email,
        str(who.admin_id),
        shop.operator.tenant_id,
    )
    assert (unknown["who"], unknown["what_id"], unknown["tenant_id"]) == ("unknown", "unknown", None)
    assert str(known["address"]) == "127.0.0.1"
    everything = "".join(row["line"] for row in shop.rows("SELECT audit::text AS line FROM audit"))
    assert "typed-by-mistake" not in everything


def test_without_redis_logging_in_works_and_guessing_does_not(shop: Shop) -> None:
    """Attempts are counted by PostgreSQL, which a login needs anyway."""
    away = replace(shop.settings, redis_url="redis://127.0.0.1:1/0")
    who = person(shop)
    with served(create_app(away)) as http:
        for _ in range(OF_SOURCE):
            assert http.post(LOGIN, json={"email": who.email, "password": WRONG}).status_code == 401
        assert http.post(LOGIN, json={"email": who.email, "password": WRONG}).status_code == 429


# Passwords.


def test_a_password_that_somebody_else_chose_is_good_for_changing_it(shop: Shop) -> None:
    made = admin(shop)
    assert made["must_change_password"] is True
    token = log_in(shop, made["email"]).json()["token"]
    assert error(with_token(shop, token, "/plans"), 403)["code"] == "password_change_required"
    assert error(with_token(shop, token, "/tokens", "POST", json={"name": "x"}), 403)
    assert with_token(shop, token).json()["must_change_password"] is True
    body = {"current_password": PASSWORD, "new_password": "my own long password"}
    assert with_token(shop, token, "/auth/password", "POST", json=body).status_code == 204
    assert with_token(shop, token, "/plans").status_code == 200
    error(log_in(shop, made["email"]), 401)
    assert log_in(shop, made["email"], "my own long password").status_code == 200


def test_a_password_that_is_made_up_is_said_once(shop: Shop) -> None:
    made = shop.made("/admins", email="made.up@acme.example", role="cashier")
    assert log_in(shop, made["email"], made["password"]).status_code == 200
    assert "password" not in shop.get(f"/admins/{made['id']}")


def test_a_change_of_password_ends_the_other_sessions(shop: Shop) -> None:
    who = person(shop)
    other = log_in(shop, who.email).json()["token"]
    body = {"current_password": PASSWORD, "new_password": "my own long password"}
    assert with_token(shop, who.token, "/auth/password", "POST", json=body).status_code == 204
    assert with_token(shop, who.token).status_code == 200
    error(with_token(shop, other), 401)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"current_password": WRONG, "new_password": "my own long password"}, "current_password"),
        ({"current_password": PASSWORD, "new_password": "short"}, "new_password"),
        ({"current_password": PASSWORD, "new_password": PASSWORD}, "new_password"),
    ],
)
def test_a_bad_change_of_password_changes_nothing(shop: Shop, body: Any, field: str) -> None:
    who = person(shop)
    assert error(with_token(shop, who.token, "/auth/password", "POST", json=body), 422)["field"] == field
    assert log_in(shop, who.email).status_code == 200


def test_who_has_a_session_can_not_guess_its_password_for_ever(shop: Shop) -> None:
    who = person(shop)
    body = {"current_password": WRONG, "new_password": "my own long password"}
    for _ in range(OF_SOURCE):
        error(with_token(shop, who.token, "/auth/password", "POST", json=body), 422)
    error(with_token(shop, who.token, "/auth/password", "POST", json=body), 429)


def test_an_owner_gives_another_a_new_password(shop: Shop) -> None:
    who = person(shop, role="manager")
    answer = shop.post(f"/admins/{who.admin_id}/reset-password", {})
    made_up = answer.json()["password"]
    error(with_token(shop, who.token), 401)
    error(log_in(shop, who.email), 401)
    token = log_in(shop, who.email, made_up).json()["token"]
    assert error(with_token(shop, token, "/plans"), 403)["code"] == "password_change_required"
    given = shop.post(f"/admins/{who.admin_id}/reset-password", {"password": "given by the owner"})
    assert given.json() == {}
    assert log_in(shop, who.email, "given by the owner").status_code == 200


# One-time passwords.


def test_one_time_passwords_are_asked_for_once_they_are_confirmed(shop: Shop) -> None:
    who, secret = enrolled(shop)
    assert log_in(shop, who.email).status_code == 200
    bad = with_token(shop, who.token, "/auth/totp/confirm", "POST", json={"code": "000000"})
    assert error(bad, 422)["field"] == "code"
    confirmed = with_token(shop, who.token, "/auth/totp/confirm", "POST", json={"code": code_of(secret)})
    assert len(confirmed.json()["recovery_codes"]) == 10
    assert error(log_in(shop, who.email), 401)["code"] == "code_required"
    assert error(log_in(shop, who.email, code="000000"), 401)["code"] == "wrong_code"
    assert log_in(shop, who.email, code=code_of(secret, 1)).status_code == 200
    assert with_token(shop, who.token).json()["totp"] is True


def test_a_wrong_password_tells_nothing_about_codes(shop: Shop) -> None:
    who, secret = with_totp(shop)
    assert error(log_in(shop, who.email, WRONG), 401)["code"] == "unauthorized"
    assert error(log_in(shop, who.email, WRONG, code=code_of(secret, 1)), 401)["code"] == "unauthorized"
    # And did not use the code up.
    assert log_in(shop, who.email, code=code_of(secret, 1)).status_code == 200


def test_a_code_is_good_once_however_many_bring_it_at_once(shop: Shop) -> None:
    who, secret = with_totp(shop)
    code, barrier = code_of(secret, 1), threading.Barrier(4)

    def bring(_number: int) -> int:
        barrier.wait()
        return log_in(shop, who.email, code=code).status_code

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(bring, range(4))) == [200, 401, 401, 401]


def test_codes_can_not_be_guessed_for_ever(shop: Shop) -> None:
    who, _ = with_totp(shop)
    for number in range(OF_SOURCE):
        error(log_in(shop, who.email, code=f"{number:06}"), 401)
    error(log_in(shop, who.email, code="000099"), 429)


def test_a_recovery_code_stands_in_for_the_phone_once(shop: Shop) -> None:
    who, secret = enrolled(shop)
    confirmed = with_token(shop, who.token, "/auth/totp/confirm", "POST", json={"code": code_of(secret)})
    first, second, *_ = confirmed.json()["recovery_codes"]
    assert log_in(shop, who.email, code=first).status_code == 200
    error(log_in(shop, who.email, code=first), 401)
    assert log_in(shop, who.email, code=second.replace("-", "").upper()).status_code == 200


def test_turning_them_off_wants_password_and_code(shop: Shop) -> None:
    who, secret = with_totp(shop)
    for body in ({"password": WRONG}, {"password": PASSWORD}, {"password": PASSWORD, "code": "000000"}):
        error(with_token(shop, who.token, "/auth/totp/disable", "POST", json=body), 422)
    good = {"password": PASSWORD, "code": code_of(secret, 1)}
    assert with_token(shop, who.token, "/auth/totp/disable", "POST", json=good).status_code == 204
    assert log_in(shop, who.email).status_code == 200


def test_they_are_not_replaced_while_they_are_on(shop: Shop) -> None:
    who, secret = with_totp(shop)
    body = {"password": PASSWORD, "code": code_of(secret, 1)}
    assert error(with_token(shop, who.token, "/auth/totp", "POST", json=body), 409)["code"] == "totp_on"


def test_an_owner_helps_who_lost_the_phone(shop: Shop) -> None:
    who, _ = with_totp(shop)
    assert shop.post(f"/admins/{who.admin_id}/reset-totp").status_code == 204
    assert log_in(shop, who.email).status_code == 200
    assert error(shop.post(f"/admins/{who.admin_id}/reset-totp"), 409)["code"] == "totp_off"


# The last owner.


def alone(shop: Shop) -> tuple[Person, str]:
    """The one owner of a new tenant, and the tenant's short name."""
    slug = f"alone{time.monotonic_ns()}"
    assert shop.request("POST", "/tenants", role="platform", json={"slug": slug, "name": slug}).status_code == 201
    body = {"email": f"{slug}@people.example", "role": "owner", "password": PASSWORD}
    made = shop.request("POST", "/admins", role="platform", json=body, headers={TENANT_HEADER: slug})
    assert made.status_code == 201, made.text
    shop.execute("UPDATE admin SET must_change_password = false WHERE id = %s", made.json()["id"])
    login = log_in(shop, body["email"]).json()
    return Person(made.json()["id"], body["email"], PASSWORD, login["token"], login["session_id"]), slug


@pytest.mark.parametrize(
    ("method", "body"), [("DELETE", None), ("PATCH", {"disabled": True}), ("PATCH", {"role": "manager"})]
)
def test_the_last_owner_stays(shop: Shop, method: str, body: Any) -> None:
    who, slug = alone(shop)
    path = f"/admins/{who.admin_id}"
    assert error(Sample(path, body, person=who).send(method, shop), 409)["code"] == "last_owner"
    answer = shop.request(method, path, role="platform", headers={TENANT_HEADER: slug}, json=body)
    assert error(answer, 409)["code"] == "last_owner"
    second = {"email": f"second.{who.email}", "role": "owner", "password": PASSWORD}
    assert Sample("/admins", second, person=who).send("POST", shop).status_code == 201
    assert Sample(path, body, person=who).send(method, shop).is_success


def test_of_two_owners_that_shut_each_other_out_one_stays(shop: Shop) -> None:
    one, _ = alone(shop)
    body = {"email": f"two.{one.email}", "role": "owner", "password": PASSWORD}
    two = Sample("/admins", body, person=one).send("POST", shop).json()["id"]
    shop.execute("UPDATE admin SET must_change_password = false WHERE id = %s", two)
    token = log_in(shop, body["email"]).json()["token"]
    barrier = threading.Barrier(2)

    def shut_out(what: tuple[str, int]) -> int:
        barrier.wait()
        return with_token(shop, what[0], f"/admins/{what[1]}", "DELETE").status_code

    with ThreadPoolExecutor(2) as threads:
        statuses = sorted(threads.map(shut_out, [(one.token, two), (token, one.admin_id)]))
    assert statuses[0] == 204
    assert statuses[1] in (401, 409)
    left = shop.rows(
        "SELECT count(*) AS left FROM admin WHERE id IN (%s, %s) AND disabled_at IS NULL", one.admin_id, two
    )
    assert left == [{"left": 1}]


@pytest.mark.parametrize("role", ["platform", "root", ""])
def test_an_owner_makes_nobody_who_is_more(shop: Shop, role: str) -> None:
    answer = shop.post("/admins", {"email": "more@acme.example", "role": role})
    assert error(answer, 422)["field"] == "role"
    made = admin(shop)
    assert error(shop.patch(f"/admins/{made['id']}", {"role": role}), 422)["field"] == "role"


def test_the_platform_makes_its_own_and_no_owners_without_a_tenant(shop: Shop) -> None:
    body = {"email": "second.root@acme.example", "role": "platform"}
    assert shop.request("POST", "/admins", role="platform", json=body).status_code == 201
    answer = shop.request("POST", "/admins", role="platform", json={"email": "x@acme.example", "role": "owner"})
    assert error(answer, 422)["field"] == "role"
    listed = shop.request("GET", "/admins", role="platform").json()["items"]
    assert {each["tenant_id"] for each in listed} == {None}


# A tenant that is closed.


def test_a_closed_tenants_admins_are_shut_out_until_it_is_opened(shop: Shop) -> None:
    who, slug = alone(shop)
    token = Sample("/tokens", {"name": "x"}, person=who).send("POST", shop).json()["token"]
    tenant_id = shop.rows("SELECT id FROM tenant WHERE slug = %s", slug)[0]["id"]
    assert shop.request("DELETE", f"/tenants/{tenant_id}", role="platform").status_code == 204
    error(with_token(shop, who.token), 401)
    error(with_token(shop, token), 401)
    error(log_in(shop, who.email), 401)
    opened = shop.request("PATCH", f"/tenants/{tenant_id}", role="platform", json={"closed": False})
    assert opened.json()["closed_at"] is None
    assert with_token(shop, token).status_code == 200


# API tokens.


def token(shop: Shop, **body: Any) -> httpx.Response:
    return shop.post("/tokens", {"name": "script", **body})


def test_a_token_is_shown_once_and_works_until_it_is_revoked(shop: Shop) -> None:
    made = token(shop).json()
    assert with_token(shop, made["token"], "/plans").status_code == 200
    listed = [each for each in shop.get("/tokens", limit=200)["items"] if each["id"] == made["id"]]
    assert "token" not in listed[0]
    assert listed[0]["last_used_at"] is not None
    assert shop.delete(f"/tokens/{made['id']}").status_code == 204
    error(with_token(shop, made["token"], "/plans"), 401)
    assert made["id"] in [each["id"] for each in shop.get("/tokens", revoked=True, limit=200)["items"]]


SHUT_OUT = {
    "UPDATE api_token SET revoked_at = now() WHERE id = %s": 401,
    "UPDATE api_token SET expires_at = now() WHERE id = %s": 401,
    "UPDATE api_token SET scopes = '{plans:read}' WHERE id = %s": 403,
    "UPDATE admin SET disabled_at = now() WHERE id = (SELECT admin_id FROM api_token WHERE id = %s)": 401,
    "UPDATE tenant SET closed_at = now() WHERE id = (SELECT tenant_id FROM api_token WHERE id = %s)": 401,
}


@pytest.mark.parametrize(
    ("path", "usual"),
    [("/subscribers", 200), ("/routers", 200), ("/subscribers/1", 404), ("/subscribers?limit=0", 422)],
)
@pytest.mark.parametrize("change", SHUT_OUT)
def test_a_token_in_use_is_what_the_database_says_at_each_read(shop: Shop, path: str, usual: int, change: str) -> None:
    """Whoever changed it: what this process remembers of a token lets nobody in."""
    who, _ = alone(shop)
    made = Sample("/tokens", {"name": "x"}, person=who).send("POST", shop).json()
    assert [with_token(shop, made["token"], path).status_code for _ in range(3)] == [usual] * 3
    shop.execute(change, made["id"])
    assert [with_token(shop, made["token"], path).status_code for _ in range(2)] == [SHUT_OUT[change]] * 2


def test_a_token_in_use_may_what_its_admin_may_by_now(shop: Shop) -> None:
    """What this process remembers of a token shuts nobody out either."""
    who, _ = alone(shop)
    made = Sample("/tokens", {"name": "x"}, person=who).send("POST", shop).json()
    for role, status in (("owner", 200), ("cashier", 403), ("manager", 200)):
        shop.execute(f"UPDATE admin SET role = '{role}' WHERE id = %s", who.admin_id)
        assert [with_token(shop, made["token"], "/routers").status_code for _ in range(2)] == [status] * 2
        assert with_token(shop, made["token"], "/subscribers").status_code == 200


@pytest.mark.parametrize(("ago", "noted"), [("61 seconds", True), ("50 seconds", False)])
def test_the_use_of_a_token_is_noted_once_a_minute(shop: Shop, ago: str, noted: bool) -> None:
    made = token(shop).json()
    assert with_token(shop, made["token"], "/subscribers").status_code == 200
    shop.execute(f"UPDATE api_token SET last_used_at = now() - interval '{ago}' WHERE id = %s", made["id"])
    assert with_token(shop, made["token"], "/subscribers").status_code == 200
    query = "SELECT last_used_at > now() - interval '30 seconds' AS noted FROM api_token WHERE id = %s"
    assert shop.rows(query, made["id"])[0]["noted"] is noted


def test_a_token_with_scopes_does_what_they_say(shop: Shop) -> None:
    made = token(shop, scopes=["plans:read", "subscribers:write"]).json()["token"]
    assert with_token(shop, made, "/plans").status_code == 200
    assert with_token(shop, made, "/subscribers").status_code == 200
    assert with_token(shop, made, "/subscribers", "POST", json={"name": "Jane"}).status_code == 201
    for method, path in (("POST", "/plans"), ("GET", "/routers"), ("GET", "/audit"), ("POST", "/auth/logout-all")):
        assert error(with_token(shop, made, path, method), 403)["code"] == "scope"


def test_a_token_makes_none_that_may_do_more_or_longer(shop: Shop) -> None:
    made = token(shop, scopes=["tokens:write", "plans:read"], expires_at="2999-01-01T00:00:00Z").json()["token"]
    later = {"name": "x", "expires_at": "2998-01-01T00:00:00Z"}
    body: Any
    for scopes in (None, ["*:read"], ["plans:write"], ["plans:read", "vouchers:read"]):
        body = later | ({"scopes": scopes} if scopes else {})
        assert error(with_token(shop, made, "/tokens", "POST", json=body), 422)["field"] == "scopes"
    for expires_at in (None, "2999-06-01T00:00:00Z"):
        body = {"name": "x", "scopes": ["plans:read"]} | ({"expires_at": expires_at} if expires_at else {})
        assert error(with_token(shop, made, "/tokens", "POST", json=body), 422)["field"] == "expires_at"
    good = with_token(shop, made, "/tokens", "POST", json={**later, "scopes": ["plans:read"]})
    assert good.status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["plans"]}, "scopes.0"),
        ({"scopes": ["plans:delete"]}, "scopes.0"),
        ({"scopes": ["*"]}, "scopes.0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"name": ""}, "name"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(shop: Shop, body: Any, field: str) -> None:
    assert error(token(shop, **body), 422)["field"] == field


def test_nobody_but_an_owner_sees_or_revokes_the_tokens_of_others(shop: Shop) -> None:
    made = token(shop).json()
    support = shop.request("GET", "/tokens", role="support").json()["items"]
    assert made["id"] not in [each["id"] for each in support]
    assert len({each["admin_id"] for each in support}) == 1
    error(shop.request("GET", f"/tokens?admin_id={made['admin_id']}", role="support"), 403)
    error(shop.request("DELETE", f"/tokens/{made['id']}", role="support"), 404)
    error(shop.request("DELETE", f"/tokens/{made['id']}", role="manager"), 404)
    assert made["id"] in [each["id"] for each in shop.get("/tokens", admin_id=made["admin_id"], limit=200)["items"]]
    theirs = shop.request("POST", "/tokens", role="support", json={"name": "theirs"}).json()
    assert shop.delete(f"/tokens/{theirs['id']}").status_code == 204
