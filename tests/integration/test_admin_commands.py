"""Admins, tenants and tokens from the shell: what the API does, and what only whoever has the machine can."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from db import admin_session, login
from db.engine import make_engine, session_factory
from settings import Settings
from tests.integration.every_route import PASSWORD, person, with_totp
from tests.integration.payment_api import Shop, shared_shop
from tests.integration.test_commands import Shell


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


@pytest.fixture
def shell(shop: Shop, server_environ: Mapping[str, str]) -> Shell:
    urls = {"KIBALI_DATABASE_URL": shop.settings.database_url, "KIBALI_REDIS_URL": shop.settings.redis_url}
    return Shell({**server_environ, **urls})


def log_in(shop: Shop, email: str, password: str = PASSWORD) -> httpx.Response:
    return shop.http.post("/api/v1/auth/login", json={"email": email, "password": password})


def ask(shop: Shop, token: str, path: str = "/plans") -> httpx.Response:
    return shop.http.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})


def test_an_admin_that_a_command_makes_changes_the_password_first(shop: Shop, shell: Shell) -> None:
    made = shell.json("admin", "add", "--tenant", "acme", "--email", "Jane@Acme.example", "--role", "manager")
    answer = log_in(shop, "jane@acme.example", made["password"])
    assert answer.json()["must_change_password"] is True
    assert ask(shop, answer.json()["token"]).status_code == 403


def test_a_password_is_reset_and_its_sessions_end(shop: Shop, shell: Shell) -> None:
    who = person(shop)
    made_up = shell.run("admin", "reset-password", who.email).strip()
    assert ask(shop, who.token).status_code == 401
    assert log_in(shop, who.email).status_code == 401
    assert log_in(shop, who.email, made_up).status_code == 200
    said = shell.run("admin", "reset-password", who.email, "--password", "-", stdin="typed on a terminal\n")
    assert "typed" not in said
    assert log_in(shop, who.email, "typed on a terminal").status_code == 200


def test_who_lost_the_phone_is_helped(shop: Shop, shell: Shell) -> None:
    who, _ = with_totp(shop)
    assert log_in(shop, who.email).status_code == 401
    shell.run("admin", "reset-totp", who.email)
    assert log_in(shop, who.email).status_code == 200
    assert "has no one-time passwords" in shell.run("admin", "reset-totp", who.email, status=1)


def test_an_admin_is_shut_out_and_let_in(shop: Shop, shell: Shell) -> None:
    who = person(shop)
    shell.run("admin", "disable", who.email)
    assert ask(shop, who.token).status_code == 401
    shell.run("admin", "enable", who.email)
    assert log_in(shop, who.email).status_code == 200
    # Who comes in again does so with a new session.
    assert ask(shop, who.token).status_code == 401


def test_an_admin_is_changed_and_logged_out(shop: Shop, shell: Shell) -> None:
    who = person(shop)
    changed = shell.json("admin", "change", who.email, "--email", f"new.{who.email}", "--role", "support")
    assert (changed["email"], changed["role"]) == (f"new.{who.email}", "support")
    assert ask(shop, who.token, "/auth/me").json()["role"] == "support"
    assert shell.run("admin", "logout", changed["email"]) == f"1 sessions of {changed['email']} ended\n"
    assert ask(shop, who.token, "/auth/me").status_code == 401


@pytest.mark.parametrize(
    "arguments", [("disable",), ("change", "--role", "manager"), ("change", "--disabled")], ids=" ".join
)
def test_the_last_owner_stays_whoever_asks(shop: Shop, shell: Shell, arguments: tuple[str, ...]) -> None:
    slug = f"lone{shop.count('tenant')}"
    shell.run("tenant", "add", "--slug", slug, "--name", "Lone")
    email = f"owner@{slug}.example"
    shell.run("admin", "add", "--tenant", slug, "--email", email, "--role", "owner")
    command, *rest = arguments
    assert "This is the last owner there is. Make another first." in shell.run("admin", command, email, *rest, status=1)


def test_tokens_are_made_with_scopes_listed_and_revoked(shop: Shop, shell: Shell) -> None:
    who = person(shop)
    made = shell.json("admin", "token", who.email, "--name", "reports", "--days", "30", "--scope", "plans:read")
    assert ask(shop, made["token"]).status_code == 200
    assert ask(shop, made["token"], "/routers").status_code == 403
    listed = shell.json("admin", "tokens", who.email)
    assert [(each["id"], each["name"], each["scopes"]) for each in listed] == [(made["id"], "reports", ["plans:read"])]
    assert "kbl_" not in shell.run("admin", "tokens", who.email)
    shell.run("admin", "revoke-token", str(made["id"]))
    assert ask(shop, made["token"]).status_code == 401
    assert shell.json("admin", "tokens", who.email) == []
    assert len(shell.json("admin", "tokens", who.email, "--revoked")) == 1
    assert "--scopes" in shell.run("admin", "token", who.email, "--scope", "everything", status=1)


def test_a_tenant_is_changed_closed_and_opened(shop: Shop, shell: Shell) -> None:
    shell.run("tenant", "add", "--slug", "brief", "--name", "Brief")
    changed = shell.json("tenant", "change", "brief", "--slug", "longer", "--name", "Longer", "--language", "sw")
    assert (changed["slug"], changed["name"], changed["language"]) == ("longer", "Longer", "sw")
    shell.run("admin", "add", "--tenant", "longer", "--email", "o@longer.example", "--role", "owner")
    token = shell.run("admin", "token", "o@longer.example").strip()
    assert ask(shop, token).status_code == 200
    shell.run("tenant", "close", "longer")
    assert ask(shop, token).status_code == 401
    assert shell.json("tenant", "show", "longer")["closed_at"] is not None
    shell.run("tenant", "open", "longer")
    assert ask(shop, token).status_code == 200


def test_what_commands_do_is_on_record(shop: Shop, shell: Shell) -> None:
    who = person(shop)
    shell.run("admin", "reset-password", who.email)
    rows = shell.json("audit", "list", "--what", "admin", "--what-id", str(who.admin_id), "--via", "cli")
    assert rows[0]["action"].endswith("admin reset-password")
    assert rows[0]["after"]["password_hash"] == "…"
    assert rows[0]["after"]["must_change_password"] is True


# What a job deletes.


def pruned(shop: Shop, now: datetime) -> tuple[int, int]:
    """How many attempts and sessions."""
    engine = make_engine(shop.settings, "worker", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            return login.prune(session, now, limit=1000), admin_session.prune(session, now, limit=1000)
    finally:
        engine.dispose()


def test_attempts_and_sessions_are_kept_as_long_as_they_count(shop: Shop) -> None:
    now: Any = datetime.now(UTC)
    who = person(shop)
    assert log_in(shop, who.email, "a wrong long password").status_code == 401
    assert pruned(shop, now + timedelta(minutes=14)) == (0, 0)
    attempts, sessions = pruned(shop, now + timedelta(minutes=16))
    assert (attempts > 0, sessions) == (True, 0)
    # An address that the admin logged in from stays known for 90 days and a session's life.
    assert pruned(shop, now + timedelta(days=90)) == (0, 0)
    assert pruned(shop, now + timedelta(days=92))[1] > 0
    assert shop.count("admin_session") == 0


def test_one_session_of_an_admin_is_seen_and_ended_and_the_others_stay(shop: Shop, shell: Shell) -> None:
    who = person(shop)
    other = log_in(shop, who.email).json()
    assert shell.json("admin", "show", who.email)["email"] == who.email
    shown = shell.json("admin", "sessions", who.email)
    assert shown[0]["id"] == other["session_id"]
    assert shown[0]["address"] == "127.0.0.1"
    shell.run("admin", "end-session", who.email, str(other["session_id"]))
    assert ask(shop, other["token"]).status_code == 401
    assert ask(shop, who.token).status_code == 200
    assert len(shell.json("admin", "sessions", who.email)) == len(shown) - 1
    stranger = person(shop)
    said = shell.run("admin", "end-session", stranger.email, str(shown[-1]["id"]), status=1)
    assert "There is no such session" in said
    assert ask(shop, who.token).status_code == 200
