"""The audit log: nothing changes without a row that says who, from where, and how it was."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner

from cli.app import kibali
from db.models import Base
from settings import Settings
from tests.integration.every_route import KNOWN, SAMPLES
from tests.integration.payment_api import CREDENTIALS, Shop, shared_shop

# What the API may write that is no change an operator makes: logs, tickets for watching, and the zero that a
# subscription begins with.
NOT_AUDITED = {"event", "event_ticket", "idempotency_key", "subscriber_import_piece", "usage"}

TRACELESS = {"POST /events/ticket"}


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


def audited(shop: Shop, request_id: str) -> list[dict[str, Any]]:
    return shop.rows("SELECT * FROM audit WHERE request_id = %s ORDER BY id", request_id)


def last(shop: Shop, what: str, operation: str | None = None) -> dict[str, Any]:
    """The newest row about such a thing, as the API shows it."""
    filters = {"what": what} | ({"operation": operation} if operation else {})
    row: dict[str, Any] = shop.get("/audit", limit=1, **filters)["items"][0]
    return row


def test_every_route_has_a_sample() -> None:
    assert KNOWN.keys() - SAMPLES.keys() == set(), "add samples to tests/integration/every_route.py"
    assert SAMPLES.keys() - KNOWN.keys() == set()


@pytest.mark.parametrize("route", [key for key, known in KNOWN.items() if known.changes and key not in TRACELESS])
def test_every_route_that_changes_something_leaves_its_trace(shop: Shop, route: str) -> None:
    sample, request_id = SAMPLES[route](shop), uuid4().hex
    response = sample.send(KNOWN[route].method, shop, headers={"X-Request-Id": request_id})
    assert response.status_code < 300, response.text
    rows = audited(shop, request_id)
    assert rows
    for row in rows:
        assert row["who"] == sample.who(shop)
        assert row["action"] == f"{KNOWN[route].method} {KNOWN[route].path}"
        assert (row["via"], str(row["address"])) == ("api", "127.0.0.1")
        assert re.fullmatch(r"session:\d+" if sample.person else r"token:\d+", row["credential"])
        assert row["tenant_id"] == shop.operator.tenant_id or sample.role == "platform"


@pytest.mark.parametrize("route", [key for key, known in KNOWN.items() if known.changes])
def test_what_is_refused_leaves_none(shop: Shop, route: str) -> None:
    request_id = uuid4().hex
    sample = SAMPLES[route](shop)
    wrong = replace(sample, body={"no_such_field": 1})
    response = wrong.send(KNOWN[route].method, shop, headers={"X-Request-Id": request_id})
    assert response.status_code == 422, response.text
    assert audited(shop, request_id) == []


def writable_tables(shop: Shop) -> set[str]:
    """By the API or the command line, as the database sees it."""
    rows = shop.rows(
        "SELECT DISTINCT table_name FROM information_schema.column_privileges"
        " WHERE grantee IN ('kibali_api', 'kibali_platform') AND privilege_type IN ('INSERT', 'UPDATE')"
        " UNION SELECT table_name FROM information_schema.table_privileges"
        " WHERE grantee IN ('kibali_api', 'kibali_platform') AND privilege_type = 'DELETE'"
    )
    return {row["table_name"] for row in rows}


def test_every_table_that_an_operator_can_change_is_watched(shop: Shop) -> None:
    rows = shop.rows("SELECT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname = 'audit'")
    watched = {row["name"] for row in rows}
    assert writable_tables(shop) - watched - NOT_AUDITED == set(), "SELECT audit_table('…') in the table's migration"
    assert watched <= Base.metadata.tables.keys()


@pytest.mark.parametrize("role", ["api", "platform", "worker", "radius"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit (who, via, action, operation, what) VALUES ('x', 'api', 'x', 'note', 'x')",
        "UPDATE audit SET who = 'nobody'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "SELECT write_audit(1, 'note', 'x', 'x', NULL, NULL)",
    ],
)
def test_no_process_can_forge_or_wipe_it(shop: Shop, role: Any, statement: str) -> None:
    with (
        psycopg.connect(shop.settings.database_dsn(role)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_a_change_shows_what_differs_and_nothing_else(shop: Shop) -> None:
    plan = shop.plan(name="Before")
    made = last(shop, "plan", "insert")
    assert (made["what_id"], made["before"], made["after"]["name"]) == (str(plan["id"]), None, "Before")
    shop.patch(f"/plans/{plan['id']}", {"name": "After", "price_kes": "500.00"})
    changed = last(shop, "plan", "update")
    assert (changed["before"], changed["after"]) == ({"name": "Before"}, {"name": "After"})
    assert changed["action"] == "PATCH /api/v1/plans/{id:id}"


def test_a_patch_that_changes_nothing_is_no_change(shop: Shop) -> None:
    plan, request_id = shop.plan(), uuid4().hex
    response = shop.request(
        "PATCH", f"/plans/{plan['id']}", json={"name": plan["name"]}, headers={"X-Request-Id": request_id}
    )
    assert response.status_code == 200
    assert audited(shop, request_id) == []


def test_a_thousand_vouchers_are_one_row(shop: Shop) -> None:
    made = shop.made("/vouchers", plan_id=shop.plan()["id"], count=1000)
    assert shop.post(f"/vouchers/{made['id']}/revoke").json() == {"revoked": 1000}
    row = last(shop, "voucher")
    assert (row["operation"], row["after"]["rows"], len(row["after"]["ids"])) == ("update", 1000, 20)


@pytest.mark.parametrize("place", ["/vouchers/{batch}/codes", "/payment-accounts/{account}/c2b-urls"])
def test_who_looks_at_secrets_is_noted(shop: Shop, place: str) -> None:
    ids = {"batch": shop.made("/vouchers", plan_id=shop.plan()["id"], count=1)["id"], "account": shop.account()["id"]}
    path = place.format(**ids)
    shop.get(path)
    row = last(shop, "voucher_batch" if "vouchers" in place else "payment_account", "note")
    assert (row["who"], row["what_id"]) == ("owner@acme.example", path.split("/")[2])


SECRETS = {
    "subscription password": "correct-horse-1",
    "another subscription password": "correct-horse-2",
    "RADIUS secret": "battery-staple-1",
    "another RADIUS secret": "battery-staple-2",
    **CREDENTIALS,
}


def test_no_secret_is_in_it(shop: Shop) -> None:
    made = shop.subscription(password=SECRETS["subscription password"])
    assert (
        shop.patch(f"/subscriptions/{made['id']}", {"password": SECRETS["another subscription password"]}).status_code
        == 200
    )
    assert last(shop, "subscription", "update")["after"] == {"password_sealed": "…"}
    router = shop.router(radius_secret=SECRETS["RADIUS secret"])
    shop.patch(f"/routers/{router['id']}", {"radius_secret": SECRETS["another RADIUS secret"]})
    assert last(shop, "router", "update")["before"] == {"radius_secret_sealed": "…"}
    account = shop.account()
    shop.patch(f"/payment-accounts/{account['id']}", {"credentials": {"passkey": "another-passkey"}})
    codes = shop.get(f"/vouchers/{shop.made('/vouchers', plan_id=shop.plan()['id'], count=2)['id']}/codes")["items"]
    shop.post("/vouchers/redeem", {"code": codes[0]["code"], "subscription_id": made["id"]})
    whole = "\n".join(row["line"] for row in shop.rows("SELECT audit::text AS line FROM audit"))
    assert "correct" not in whole
    plain = [each["code"].replace("-", "") for each in codes]
    tokens = list(shop.operator.tokens.values())
    for secret in (*SECRETS.values(), "another-passkey", *plain, *tokens):
        assert secret not in whole
    # What is sealed or hashed is not there either, as PostgreSQL writes bytes.
    for table, column in secret_columns(shop):
        for row in shop.rows(f"SELECT {column}::text AS value FROM {table} WHERE {column} IS NOT NULL"):
            value = row["value"].removeprefix("\\x")
            assert len(value) < 8 or value not in whole, (table, column)


def secret_columns(shop: Shop) -> list[tuple[str, str]]:
    """Every column that holds bytes, and whatever is called a password, a secret, a token or a hash."""
    rows = shop.rows(
        "SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t"
        " USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        " AND (c.data_type = 'bytea' OR c.data_type = 'text' AND c.column_name ~ 'password|secret|token|hash')"
    )
    found = [(row["table_name"], row["column_name"]) for row in rows]
    assert ("admin", "password_hash") in found
    assert len(found) > 8
    return found


# Looking.


def test_it_is_filtered(shop: Shop) -> None:
    plan = shop.plan()
    shop.patch(f"/plans/{plan['id']}", {"name": "Filtered"})
    rows = shop.get("/audit", what="plan", what_id=plan["id"])["items"]
    assert [row["operation"] for row in rows] == ["update", "insert"]
    rows = shop.get("/audit", what="plan", what_id=plan["id"], operation="insert", via="api")["items"]
    assert len(rows) == 1
    assert shop.get("/audit", who="nobody@acme.example")["items"] == []
    at = rows[0]["created_at"]
    assert shop.get("/audit", what_id=plan["id"], until=at)["items"] == []
    assert len(shop.get("/audit", what="plan", what_id=plan["id"], since=at)["items"]) == 2


def test_it_is_paged(shop: Shop) -> None:
    for _ in range(3):
        shop.plan()
    first = shop.get("/audit", limit=2)
    second = shop.get("/audit", limit=2, cursor=first["next"])
    ids = [row["id"] for row in first["items"] + second["items"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    "query", ["since=yesterday", "since=2026-11-20T08:00:00", "until=0001-01-01T00:00:00Z", "via=x"]
)
def test_a_filter_that_makes_no_sense_is_refused(shop: Shop, query: str) -> None:
    assert shop.request("GET", f"/audit?{query}").status_code == 422


# The command line.


def run(shop: Shop, *arguments: str) -> str:
    environ = {
        f"KIBALI_{name}": getattr(shop.settings, name.lower()).reveal()
        for name in ("DATABASE_PASSWORD_API", "DATABASE_PASSWORD_PLATFORM", "ENCRYPTION_KEYS")
    }
    urls = {"KIBALI_DATABASE_URL": shop.settings.database_url, "KIBALI_REDIS_URL": shop.settings.redis_url}
    result = CliRunner().invoke(kibali, arguments, env={**environ, **urls, "SUDO_USER": "jane"})
    assert result.exit_code == 0, result.output
    return result.output


def test_commands_leave_their_trace_without_their_options(shop: Shop) -> None:
    made = shop.subscription()
    run(shop, "subscription", "change", str(made["id"]), "--tenant", "acme", "--password", "typed-on-a-screen")
    row = last(shop, "subscription", "update")
    assert row["who"].startswith("jane@")
    assert (row["via"], row["admin_id"], row["address"]) == ("cli", None, None)
    assert row["action"].endswith("subscription change")
    assert row["after"] == {"password_sealed": "…"}


def test_commands_show_it(shop: Shop) -> None:
    plan = shop.plan(name="Shown")
    assert "POST /api/v1/plans" in run(shop, "audit", "list", "--what", "plan", "--what-id", str(plan["id"]))
    assert run(shop, "audit", "list", "--tenant", "acme", "--who", "nobody") == "none\n"


def test_it_goes_down_with_the_change(shop: Shop) -> None:
    """Both are one transaction: where the change is rolled back, so is its row."""
    before = shop.count("audit")
    with psycopg.connect(shop.settings.database_dsn("api")) as connection:
        connection.execute("SELECT set_config('kibali.tenant_id', %s, true)", (str(shop.operator.tenant_id),))
        connection.execute("INSERT INTO subscriber (tenant_id, name) VALUES (%s, 'Nobody')", (shop.operator.tenant_id,))
        connection.rollback()
    assert shop.count("audit") == before


def test_a_change_by_nobody_in_particular_is_still_on_record(shop: Shop) -> None:
    """Code that does not say for whom it acts is known by its role."""
    with psycopg.connect(shop.settings.database_dsn("api")) as connection:
        connection.execute("SELECT set_config('kibali.tenant_id', %s, true)", (str(shop.operator.tenant_id),))
        connection.execute("INSERT INTO subscriber (tenant_id, name) VALUES (%s, 'Nobody')", (shop.operator.tenant_id,))
    row = last(shop, "subscriber", "insert")
    assert (row["who"], row["via"]) == ("unknown", "kibali_api")
