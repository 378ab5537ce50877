"""The same things from the shell: tables for people, exact JSON for programs, one line for what went wrong."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from cli.app import kibali
from cli.first_run import SampleLogin, sample_login, seed
from db import bearer, login
from db.engine import make_engine, session_factory
from isp import credentials
from settings import Settings
from tests.integration.api_server import shared_settings


@dataclass(frozen=True, slots=True)
class Shell:
    environ: Mapping[str, str]

    def run(self, *arguments: str, stdin: str | None = None, status: int = 0) -> str:
        """What the command printed: on stdout, or on stderr if it failed as expected."""
        result = CliRunner().invoke(kibali, arguments, input=stdin, env=self.environ)
        assert result.exit_code == status, result.output
        return result.stderr if status else result.stdout

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        return json.loads(self.run(*arguments, "--json", stdin=stdin))


@dataclass(frozen=True, slots=True)
class Shop(Shell):
    """A shell on a database that had its first run."""

    settings: Settings
    login: SampleLogin


@pytest.fixture
def shell(environ: Mapping[str, str], settings: Settings) -> Shell:
    """A shell on an empty database, which `settings` is of too."""
    assert settings.database_url == environ["KIBALI_DATABASE_URL"]
    return Shell({name: value for name, value in environ.items() if name.startswith("KIBALI_")})


@pytest.fixture(scope="module")
def shop(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Shop]:
    with shared_settings(
        server_environ, postgres_server, redis_server, template_database, private_directory
    ) as settings:
        login = seed(settings)
        assert login is not None
        urls = {"KIBALI_DATABASE_URL": settings.database_url, "KIBALI_REDIS_URL": settings.redis_url}
        yield Shop({**server_environ, **urls}, settings, login)


PLAN = ("--name", "Gold", "--price-kes", "500", "--upload-kbps", "2000", "--download-kbps", "8000")
DAYS = ("--validity-unit", "days", "--validity-count", "30")


# The first run.


def test_the_first_run_makes_an_operator_that_works(shop: Shop) -> None:
    engine = make_engine(shop.settings, "api", pool_size=1)
    assert shop.login.api_token is not None
    known = bearer.authenticate(engine, credentials.api_token_hash(shop.login.api_token))
    engine.dispose()
    assert known is not None
    assert (known.identity.email, known.identity.role) == (shop.login.admin_email, "owner")


def test_the_sample_login_can_be_read_again_but_for_what_is_hashed(shop: Shop) -> None:
    again = sample_login(shop.settings)
    assert again is not None
    assert (again.username, again.password, again.radius_secret) == (
        "demo",
        shop.login.password,
        shop.login.radius_secret,
    )
    assert (again.admin_password, again.api_token) == (None, None)


def test_a_second_first_run_touches_nothing(shop: Shop) -> None:
    assert seed(shop.settings) is None
    assert sample_login(shop.settings) is not None


def test_the_admin_of_the_first_run_has_the_password_that_was_shown(shop: Shop) -> None:
    engine = make_engine(shop.settings, "api", pool_size=1)
    with session_factory(engine)() as session:
        found = login.of_email(session, shop.login.admin_email)
    engine.dispose()
    assert found is not None
    stored = found.password_hash
    assert shop.login.admin_password is not None
    assert stored.startswith("$argon2id$")
    assert credentials.verify_admin_password(stored, shop.login.admin_password)
    assert not credentials.verify_admin_password(stored, shop.login.admin_password + "x")


def test_a_sample_login_shows_no_secret_by_accident(shop: Shop) -> None:
    for secret in (shop.login.password, shop.login.radius_secret, shop.login.admin_password, shop.login.api_token):
        assert secret is not None
        assert secret not in repr(shop.login)


def test_an_empty_database_has_no_sample_and_neither_has_one_where_it_was_cancelled(
    settings: Settings, shell: Shell
) -> None:
    assert sample_login(settings) is None
    assert seed(settings) is not None
    assert sample_login(settings) is not None
    shell.run("subscription", "remove", "1")
    assert sample_login(settings) is None


# Tenants and admins.


def test_a_tenant_an_admin_and_a_token_from_nothing(shell: Shell, settings: Settings) -> None:
    assert "There is no tenant yet" in shell.run("plan", "list", status=1)
    tenant = shell.json("tenant", "add", "--slug", "acme", "--name", "Acme")
    assert (tenant["language"], tenant["timezone"]) == ("en", "Africa/Nairobi")
    made = shell.json("admin", "add", "--email", "Jane@Acme.example", "--role", "manager")
    assert made["email"] == "jane@acme.example"
    assert len(made["password"]) >= 20
    token = shell.run("admin", "token", "jane@acme.example").strip()
    assert credentials.is_api_token(token)
    assert shell.run("admin", "disable", "jane@acme.example") == "jane@acme.example is disabled\n"
    assert "disabled" in shell.run("admin", "token", "jane@acme.example", status=1)
    assert [row["email"] for row in shell.json("admin", "list")] == ["jane@acme.example"]


def test_a_platform_admin_belongs_to_no_tenant(shell: Shell) -> None:
    made = shell.json(
        "admin", "add", "--email", "root@x.example", "--role", "platform", "--password", "correct horse battery"
    )
    assert made["tenant_id"] is None
    assert "password" not in made


def test_with_two_tenants_one_must_be_named(shell: Shell) -> None:
    for slug in ("acme", "zenith"):
        shell.run("tenant", "add", "--slug", slug, "--name", slug)
    assert "acme, zenith" in shell.run("plan", "list", status=1)
    made = shell.json("plan", "add", *PLAN, *DAYS, "--tenant", "acme")
    assert shell.json("plan", "list", "--tenant", "acme") == [made]
    assert shell.json("plan", "list", "--tenant", "zenith") == []
    assert "no such plan" in shell.run("plan", "show", str(made["id"]), "--tenant", "zenith", status=1)
    assert "There is no tenant omega" in shell.run("plan", "list", "--tenant", "omega", status=1)


# What subscribers need.


def test_a_customer_from_nothing_to_cancelled(shop: Shop) -> None:
    plan = shop.json("plan", "add", *PLAN, *DAYS)
    assert shop.json("plan", "show", str(plan["id"])) == plan
    assert shop.json("plan", "change", str(plan["id"]), "--devices", "2", "--framed-pool", "p")["devices"] == 2
    assert shop.json("plan", "change", str(plan["id"]), "--framed-pool", "")["framed_pool"] is None
    jane = shop.json("subscriber", "add", "--name", "Jane", "--msisdn", "0712345678")
    shop.run("subscriber", "change", str(jane["id"]), "--note", "gate 4")
    assert shop.json("subscriber", "list", "--msisdn", "+254712345678")[0]["note"] == "gate 4"
    ids = ("--subscriber-id", str(jane["id"]), "--plan-id", str(plan["id"]), "--service", "hotspot")
    made = shop.json("subscription", "add", *ids, "--macs", "AABBCCDDEEFF", "--macs", "0c0000000001")
    assert made["username"] == "254712345678"
    assert made.pop("password")
    assert shop.json("subscription", "show", str(made["id"])) == made
    assert shop.json("subscription", "change", str(made["id"]), "--macs", "")["macs"] == []
    assert shop.json("subscription", "suspend", str(made["id"]))["state"] == "suspended"
    assert shop.json("subscription", "resume", str(made["id"]))["state"] == "active"
    assert "Cancel them first" in shop.run("subscriber", "remove", str(jane["id"]), status=1)
    for kind, identity in (("subscription", made["id"]), ("subscriber", jane["id"]), ("plan", plan["id"])):
        shop.run(kind, "remove", str(identity))
    assert [row["username"] for row in shop.json("subscription", "list", "--state", "active")] == ["demo"]


def test_a_subscription_is_bound_to_routers_by_their_ids(shop: Shop) -> None:
    router = str(shop.json("router", "add", "--name", "Gate", "--nas-address", "192.0.2.7")["id"])
    bound = shop.json("subscription", "change", "1", "--router-ids", "1", "--router-ids", router)
    assert bound["router_ids"] == [1, int(router)]
    assert ["router", "ids", "1,", router] in [
        line.split() for line in shop.run("subscription", "show", "1").splitlines()
    ]
    assert "There is no router 99" in shop.run("subscription", "change", "1", "--router-ids", "99", status=1)
    assert "--router-ids: It must be a valid integer" in shop.run(
        "subscription", "change", "1", "--router-ids", "Gate", status=1
    )
    assert shop.json("subscription", "change", "1", "--router-ids", "")["router_ids"] == []


def test_a_router_shows_its_made_up_secret_once(shop: Shop) -> None:
    made = shop.json("router", "add", "--name", "Roof", "--nas-address", "192.0.2.8", "--swap-octets")
    assert len(made.pop("radius_secret")) == 32
    assert made["swap_octets"] is True
    assert shop.json("router", "show", str(made["id"])) == made
    assert shop.json("router", "change", str(made["id"]), "--no-swap-octets")["swap_octets"] is False
    shop.run("router", "remove", str(made["id"]))
    assert [row["id"] for row in shop.json("router", "list", "--removed")] == [made["id"]]


def test_a_secret_is_read_from_standard_input(shop: Shop) -> None:
    options = ("--name", "Pipe", "--nas-address", "192.0.2.9", "--radius-secret", "-")
    assert "radius_secret" not in shop.json("router", "add", *options, stdin="from-the-pipe\n")


def test_lists_are_whole_however_many_rows_there_are(shop: Shop) -> None:
    engine = make_engine(shop.settings, "owner", pool_size=1)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO subscriber (tenant_id, name) SELECT 1, 'many ' || i FROM generate_series(1, 450) i"
        )
    engine.dispose()
    ids = [row["id"] for row in shop.json("subscriber", "list", "--sort", "-id", "--name", "many ")]
    assert len(ids) == 450
    assert ids == sorted(set(ids), reverse=True)


def test_sessions_are_listed_exactly(shop: Shop) -> None:
    insert = (
        "INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,"
        " calling_station_id, framed_ip_address, interim_interval_s, started_at, last_seen_at, stopped_at)"
        " SELECT gen_random_uuid(), 1, 1, 1, 'hotspot', 'demo', '8000000' || i, '02:00:00:00:00:0a', '10.0.0.9', 300,"
        " '2026-01-01T00:00Z', '2026-01-01T00:05Z', CASE i WHEN 2 THEN timestamptz '2026-01-01T00:05Z' END"
        " FROM generate_series(1, 2) i"
    )
    engine = make_engine(shop.settings, "owner", pool_size=1)
    with engine.begin() as connection:
        connection.exec_driver_sql(insert)
    engine.dispose()
    (only,) = shop.json("session", "list", "--open")
    assert only.pop("session_key")
    assert only == {
        "username": "demo",
        "subscription_id": 1,
        "router_id": 1,
        "acct_session_id": "80000001",
        "calling_station_id": "02:00:00:00:00:0A",
        "framed_ip_address": "10.0.0.9",
        "started_at": "2026-01-01T00:00:00Z",
        "last_seen_at": "2026-01-01T00:05:00Z",
        "stopped_at": None,
        "terminate_cause": None,
        "session_time_s": 0,
        "input_octets": 0,
        "output_octets": 0,
        "service": "hotspot",
    }
    assert len(shop.json("session", "list")) == 2
    assert len(shop.json("session", "list", "--limit", "1")) == 1
    assert "2026-01-01 00:00:00" in shop.run("session", "list")


# What went wrong.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("plan", "add", *PLAN[2:], *DAYS), "--name: This field is required."),
        (("plan", "add", *PLAN, "--validity-unit", "days"), "--validity-count: A validity in hours"),
        (("plan", "add", *PLAN, *DAYS, "--devices", "two"), "--devices: It must be a valid integer."),
        (("plan", "add", *PLAN, *DAYS, "--devices", "9" * 40), "--devices: It must be less than or equal to 1000."),
        (("plan", "change", "1", "--name", ""), "--name: It must have at least 1 character."),
        (("plan", "show", "99"), "There is no such plan."),
        (("plan", "remove", "1"), "Subscriptions use this plan."),
        (("router", "add", "--name", "x", "--nas-address", "127.0.0.1"), "--nas-address: This address belongs"),
        (("subscriber", "add", "--name", "\udc80"), "--name: It must be a valid string"),
        (("tenant", "add", "--slug", "demo", "--name", "x"), "--slug: Another tenant has this short name."),
        (("tenant", "add", "--slug", "x", "--name", "x", "--timezone", "EAT"), "--timezone: It must be a time zone"),
        (("tenant", "show", "x"), "There is no tenant x. There is: demo."),
        (("admin", "disable", "x@y.z"), "There is no such admin."),
        (("admin", "add", "--email", "x@y.z", "--role", "owner", "--password", "short"), "--password: It must have"),
    ],
)
def test_an_error_is_one_line_that_names_the_option(shop: Shop, arguments: tuple[str, ...], sentence: str) -> None:
    said = shop.run(*arguments, status=1)
    assert said.startswith("kibali: ")
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [("plan", "show", "x"), ("plan", "add", "--colour", "red"), ("plan", "add", "--service", "ppp"), ("plan",)],
)
def test_a_wrong_option_is_a_usage_error(shop: Shop, arguments: tuple[str, ...]) -> None:
    shop.run(*arguments, status=2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"KIBALI_DATABASE_URL": "postgresql://127.0.0.1:1/kibali"}, "PostgreSQL does not answer"),
        ({"KIBALI_DATABASE_PASSWORD_API": ""}, "KIBALI_DATABASE_PASSWORD_API is not set"),
        ({"KIBALI_ENCRYPTION_KEYS": ""}, "KIBALI_ENCRYPTION_KEYS is not set"),
    ],
)
def test_what_an_operator_must_put_right_is_said_in_one_line(shop: Shop, change: dict[str, str], sentence: str) -> None:
    said = Shell({**shop.environ, **change}).run("router", "list", status=1)
    assert sentence in said
    assert said.count("\n") == 1


def test_the_database_says_where_it_is(shop: Shop) -> None:
    state = shop.json("db", "revision")
    assert state["revision"] == state["newest"]
    assert state["newest"] in shop.run("db", "prepare")


@pytest.mark.parametrize("group", ["tenant", "admin", "plan", "subscriber", "subscription", "router", "session", "db"])
def test_every_group_explains_itself(shop: Shop, group: str) -> None:
    assert "Commands:" in shop.run(group, "--help")


# What the API shows, too.


def test_a_session_is_shown_by_its_key(shop: Shop) -> None:
    key = "11111111-2222-3333-4444-555555555555"
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as connection:
        connection.execute(
            "INSERT INTO session (session_key, tenant_id, router_id, service, username, acct_session_id,"
            " interim_interval_s, started_at, last_seen_at)"
            " SELECT %s, tenant_id, id, 'hotspot', 'somebody', '81', 300, now(), now() FROM router LIMIT 1",
            (key,),
        )
    assert shop.json("session", "show", key)["username"] == "somebody"
    missing = shop.run("session", "show", key.replace("1", "2"), status=1)
    assert "There is no such session" in missing


def test_what_a_router_did_and_what_was_imported_is_shown(shop: Shop) -> None:
    number = str(shop.json("router", "list")[0]["id"])
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as connection:
        connection.execute(
            "INSERT INTO router_history (router_id, period_s, began_at, tenant_id, readings, failures, cpu_load_sum,"
            " cpu_load_max, hotspot_sessions_sum, hotspot_sessions_max, ppp_sessions_sum, ppp_sessions_max, rx_bytes,"
            " tx_bytes) SELECT id, 3600, date_trunc('hour', now()), tenant_id, 4, 1, 80, 50, 12, 5, 0, 0, 7, 8"
            " FROM router",
        )
    (period,) = shop.json("router", "history", number)
    assert (period["cpu_load_percent"], period["hotspot_sessions"], period["failures"]) == (20.0, 3.0, 1)
    assert shop.json("router", "history", number, "--period", "300") == []
    assert shop.json("router", "pools", number) == []
    assert "There is no such" in shop.run("router", "import-report", number, "999", status=1)
    assert "There is no such" in shop.run("subscriber", "import-report", "999", status=1)
    assert shop.json("subscriber", "imports") == []


def test_payments_that_nobody_told_of_are_asked_for_only_where_m_pesa_keeps_them(shop: Shop) -> None:
    credentials = "consumer_key=key\nconsumer_secret=secret\npasskey=passkey\n"
    names = ("--kind", "paybill", "--name", "Main", "--shortcode", "600000")
    made = shop.json("payment-account", "add", *names, "--credentials", "-", stdin=credentials)
    number = str(made["id"])
    assert "is not registered for that" in shop.run("payment-account", "pull", number, status=1)
    phone = ("--nominated-phone", "0712345678")
    assert "KIBALI_PUBLIC_URL" in shop.run("payment-account", "register-pull", number, *phone, status=1)
    inside = ("--base-url", "https://10.0.0.1")
    assert "--base-url" in shop.run("payment-account", "change", number, *inside, status=1)
