"""Tenants: what is one operator's is nowhere to another, through the API and through SQL."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from isp import credentials
from settings import Settings
from tests.integration.api_server import Client, api_of, make_operator, shared_settings

SESSION_KEY = UUID(int=1)
TABLES = (
    "audit",
    "admin",
    "api_token",
    "plan",
    "subscriber",
    "subscription",
    "subscription_router",
    "device",
    "router",
    "router_state",
    "router_tunnel",
    "router_history",
    "session",
    "session_history",
    "usage",
    "usage_day",
    "auth_log",
    "job",
    "event",
    "event_ticket",
    "webhook_endpoint",
    "webhook_delivery",
    "login_count",
    "revenue_day",
    "dashboard",
    "payment_account",
    "payment_intent",
    "payment",
    "ledger_posting",
    "ledger_entry",
    "wallet",
    "renewal",
    "webhook_inbox",
    "voucher_batch",
    "voucher",
    "idempotency_key",
    "subscriber_import",
    "follow",
    "follow_plan",
    "session_held",
    "session_intent",
    "sms_gateway",
    "sms_message",
)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two tenants on one installation; `theirs` are ids of things that `api`'s tenant must not reach."""

    api: Client
    other: Client
    theirs: Mapping[str, Any]


@pytest.fixture(scope="module")
def neighbours(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Neighbours]:
    with (
        shared_settings(
            server_environ, postgres_server, redis_server, template_database, private_directory
        ) as settings,
        api_of(settings, "acme") as api,
    ):
        other = Client(api.http, make_operator(settings, "zenith"), settings)
        yield Neighbours(api, other, furnish(other))


def furnish(client: Client) -> Mapping[str, Any]:
    """One of everything for the client's tenant."""
    router = client.router(nas_address="192.0.2.1", name="roof")
    subscriber = client.subscriber(msisdn="0700000001")
    subscription = client.subscription(
        subscriber_id=subscriber["id"], username="jane", macs=["02:00:00:00:00:01"], router_ids=[router["id"]]
    )
    tenant_id = client.operator.tenant_id
    with superuser(client.settings) as connection:
        for table, stopped in (("session", "NULL"), ("session_history", "now()")):
            connection.execute(
                f"INSERT INTO {table} (session_key, tenant_id, router_id, service, username, acct_session_id,"
                f" interim_interval_s, started_at, last_seen_at, stopped_at)"
                f" VALUES (%s, %s, %s, 'hotspot', 'jane', '80000001', 300, now(), now(), {stopped})",
                (SESSION_KEY if table == "session" else UUID(int=2), tenant_id, router["id"]),
            )
        connection.execute(
            "INSERT INTO usage_day (subscription_id, day, tenant_id) VALUES (%s, current_date, %s)",
            (subscription["id"], tenant_id),
        )
        connection.execute(
            "INSERT INTO auth_log (logged_at, tenant_id, router_id, username, service, result, reason)"
            " VALUES (now(), %s, %s, 'jane', 'hotspot', 'accept', 'ok')",
            (tenant_id, router["id"]),
        )
        connection.execute(
            "INSERT INTO job (tenant_id, queue, task, max_attempts) VALUES (%s, 'default', 'x', 1)", (tenant_id,)
        )
        connection.execute("INSERT INTO event (tenant_id, type) VALUES (%s, 'x')", (tenant_id,))
        connection.execute(
            "INSERT INTO router_history (tenant_id, router_id, period_s, began_at, readings, failures, cpu_load_sum,"
            " cpu_load_max, hotspot_sessions_sum, hotspot_sessions_max, ppp_sessions_sum, ppp_sessions_max, rx_bytes,"
            " tx_bytes) VALUES (%s, %s, 300, now(), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
            (tenant_id, router["id"]),
        )
        connection.execute(
            "INSERT INTO subscriber_import (tenant_id, format, dry_run) VALUES (%s, 'csv', false)", (tenant_id,)
        )
        connection.execute(
            "INSERT INTO router_tunnel (tenant_id, router_id, kind, address, secret_sealed)"
            " VALUES (%s, %s, 'sstp', '10.254.0.2', 'x')",
            (tenant_id, router["id"]),
        )
        furnish_with_configuration(connection, tenant_id, router["id"])
        furnish_with_money(connection, tenant_id, subscriber["id"], subscription)
        furnish_with_following(connection, tenant_id, router["id"])
    return {
        "plans": subscription["plan_id"],
        "subscribers": subscriber["id"],
        "subscriptions": subscription["id"],
        "routers": router["id"],
        "sessions": SESSION_KEY,
    }


def furnish_with_configuration(connection: psycopg.Connection[Any], tenant_id: int, router_id: int) -> None:
    values = {"tenant": tenant_id, "router": router_id}
    for statement in (
        "INSERT INTO router_discovery (tenant_id, router_id, discovered_at) VALUES (%(tenant)s, %(router)s, now())",
        "INSERT INTO router_service_config (tenant_id, router_id, version) VALUES (%(tenant)s, %(router)s, 1)",
        "INSERT INTO router_deployment (tenant_id, router_id, kind, service_config_id)"
        " SELECT tenant_id, router_id, 'deploy', id FROM router_service_config WHERE tenant_id = %(tenant)s",
        "INSERT INTO router_deployment_step (tenant_id, deployment_id, number, menu, action, values_sealed)"
        " SELECT tenant_id, id, 1, '/ip pool', 'add', 'x' FROM router_deployment WHERE tenant_id = %(tenant)s",
        "INSERT INTO ip_pool (tenant_id, router_id, name, ranges, addresses)"
        " VALUES (%(tenant)s, %(router)s, 'p', 'r', 1)",
        "INSERT INTO router_import (tenant_id, router_id, dry_run) VALUES (%(tenant)s, %(router)s, true)",
        "INSERT INTO router_backup (tenant_id, router_id, number, taken_at, confirmed_at, routeros_version, lines,"
        " text_sealed) VALUES (%(tenant)s, %(router)s, 1, now(), now(), '7.16', 1, 'x')",
        "INSERT INTO router_import_row (tenant_id, import_id, kind, name, outcome)"
        " SELECT tenant_id, id, 'ppp', 'ann', 'new' FROM router_import WHERE tenant_id = %(tenant)s",
    ):
        connection.execute(statement, values)


def furnish_with_money(
    connection: psycopg.Connection[Any], tenant_id: int, subscriber_id: int, subscription: Mapping[str, Any]
) -> None:
    values = {
        "tenant": tenant_id,
        "subscriber": subscriber_id,
        "subscription": subscription["id"],
        "plan": subscription["plan_id"],
    }
    for statement in (
        "INSERT INTO payment_account (tenant_id, kind, name, shortcode, credentials_sealed, c2b_token_hash,"
        " c2b_token_sealed) VALUES (%(tenant)s, 'paybill', 'Main', '174379', 'x', 'theirs', 'x')",
        "INSERT INTO payment_intent (tenant_id, payment_account_id, plan_id, msisdn, amount_kes, price_kes,"
        " account_reference) SELECT %(tenant)s, id, %(plan)s, '254700000001', 1, 1, 'THEIRS' FROM payment_account",
        "INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at)"
        " VALUES (%(tenant)s, 'cash', '1', 1, now(), now())",
        "INSERT INTO wallet (tenant_id, subscriber_id) VALUES (%(tenant)s, %(subscriber)s)",
        "INSERT INTO ledger_posting (tenant_id, kind, created_at) VALUES (%(tenant)s, 'payment', now())",
        "INSERT INTO ledger_entry (tenant_id, posting_id, account, amount_kes)"
        " SELECT %(tenant)s, id, name, kes FROM ledger_posting, (VALUES ('cash', -1), ('sales', 1)) e (name, kes)",
        "INSERT INTO renewal (tenant_id, subscription_id, plan_id, price_kes, automatic, began_at, created_at)"
        " VALUES (%(tenant)s, %(subscription)s, %(plan)s, 1, false, now(), now())",
        "INSERT INTO webhook_inbox (tenant_id, kind, payment_account_id, source_listed, body)"
        " SELECT %(tenant)s, 'c2b_confirmation', id, true, 'x' FROM payment_account",
        "INSERT INTO voucher_batch (tenant_id, plan_id, count, code_length) VALUES (%(tenant)s, %(plan)s, 1, 10)",
        "INSERT INTO voucher (tenant_id, batch_id, code_hash, code_sealed)"
        " SELECT %(tenant)s, id, 'x', 'x' FROM voucher_batch",
        "INSERT INTO sms_gateway (tenant_id, provider) VALUES (%(tenant)s, 'outbox')",
        "INSERT INTO sms_message (tenant_id, kind, msisdn, body_sealed, state)"
        " VALUES (%(tenant)s, 'test', '254700000001', 'x', 'kept')",
        "INSERT INTO webhook_endpoint (tenant_id, name, url, types, secret_sealed, after_event_id)"
        " VALUES (%(tenant)s, 'x', 'https://example.net/', '{job.*}', 'x', 0)",
        "INSERT INTO webhook_delivery (tenant_id, endpoint_id, type, body)"
        " SELECT %(tenant)s, id, 'x', '{}' FROM webhook_endpoint",
        "INSERT INTO login_count (tenant_id, began_at) VALUES (%(tenant)s, now())",
        "INSERT INTO revenue_day (tenant_id, day, timezone, received_kes, reversed_kes, payments, computed_at)"
        " VALUES (%(tenant)s, current_date, 'UTC', 0, 0, 0, now())",
        "INSERT INTO dashboard (tenant_id, computed_at) VALUES (%(tenant)s, now())",
        "INSERT INTO event_ticket (ticket_hash, tenant_id, admin_id, token_id, expires_at)"
        " SELECT 'x', %(tenant)s, admin_id, id, now() FROM api_token WHERE tenant_id = %(tenant)s LIMIT 1",
        "INSERT INTO idempotency_key (tenant_id, admin_id, key, request_digest, created_at)"
        " SELECT %(tenant)s, id, 'x', 'x', now() FROM admin WHERE tenant_id = %(tenant)s LIMIT 1",
    ):
        connection.execute(statement, values)


def furnish_with_following(connection: psycopg.Connection[Any], tenant_id: int, router_id: int) -> None:
    for statement in (
        "INSERT INTO follow (subscription_id, tenant_id, look_at, cause)"
        " SELECT id, tenant_id, now(), 'time' FROM subscription WHERE tenant_id = %(tenant)s"
        " ON CONFLICT DO NOTHING",
        "INSERT INTO follow_plan (plan_id, tenant_id) SELECT id, tenant_id FROM plan WHERE tenant_id = %(tenant)s",
        "INSERT INTO session_held (session_key, tenant_id, router_id, began_at, known_from)"
        " SELECT session_key, tenant_id, router_id, now(), 'rules' FROM session WHERE tenant_id = %(tenant)s",
        "INSERT INTO session_intent (tenant_id, session_key, router_id, cause, action, reason)"
        " SELECT tenant_id, session_key, %(router)s, 'kick', 'disconnect', 'kick' FROM session"
        " WHERE tenant_id = %(tenant)s",
    ):
        connection.execute(statement, {"tenant": tenant_id, "router": router_id})


def superuser(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(settings.database_admin_dsn(settings.database_name))


def as_api(settings: Settings, tenant_id: int | None) -> psycopg.Connection[Any]:
    """A connection as role kibali_api, confined to a tenant if one is given."""
    connection = psycopg.connect(settings.database_dsn("api"), autocommit=True)
    if tenant_id is not None:
        connection.execute("SELECT set_config('kibali.tenant_id', %s, false)", (str(tenant_id),))
    return connection


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/plans/{plans}"),
        ("PATCH", "/plans/{plans}"),
        ("DELETE", "/plans/{plans}"),
        ("GET", "/subscribers/{subscribers}"),
        ("PATCH", "/subscribers/{subscribers}"),
        ("DELETE", "/subscribers/{subscribers}"),
        ("GET", "/subscriptions/{subscriptions}"),
        ("PATCH", "/subscriptions/{subscriptions}"),
        ("DELETE", "/subscriptions/{subscriptions}"),
        ("POST", "/subscriptions/{subscriptions}/suspend"),
        ("POST", "/subscriptions/{subscriptions}/resume"),
        ("GET", "/routers/{routers}"),
        ("PATCH", "/routers/{routers}"),
        ("DELETE", "/routers/{routers}"),
        ("GET", "/routers/{routers}/tunnel"),
        ("GET", "/routers/{routers}/status"),
        ("GET", "/routers/{routers}/live"),
        ("GET", "/routers/{routers}/history"),
        ("GET", "/sessions/{sessions}"),
        ("POST", "/sessions/{sessions}/disconnect"),
    ],
)
def test_what_is_anothers_does_not_exist(neighbours: Neighbours, method: str, path: str) -> None:
    body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
    place = path.format(**neighbours.theirs)
    assert neighbours.api.request(method, place, **body).status_code == 404
    if method == "GET":
        assert neighbours.other.request(method, place).status_code == 200


@pytest.mark.parametrize("path", ["/plans", "/subscribers", "/subscriptions", "/routers", "/sessions"])
def test_no_list_shows_what_is_anothers(neighbours: Neighbours, path: str) -> None:
    assert neighbours.api.get(path)["items"] == []
    assert neighbours.other.get(path)["items"] != []


@pytest.mark.parametrize("kind", ["subscription", "router", "mac", "username"])
def test_no_filter_reaches_what_is_anothers(neighbours: Neighbours, kind: str) -> None:
    theirs = neighbours.theirs
    filters = {
        "subscription": ("/sessions", {"subscription": theirs["subscriptions"]}),
        "router": ("/sessions", {"router": theirs["routers"]}),
        "mac": ("/subscriptions", {"mac": "02:00:00:00:00:01"}),
        "username": ("/sessions", {"username": "jane"}),
    }
    path, params = filters[kind]
    assert neighbours.api.get(path, **params)["items"] == []


def test_a_subscription_can_not_hold_anothers_plan_or_subscriber(neighbours: Neighbours) -> None:
    api, theirs = neighbours.api, neighbours.theirs
    own = {"plan_id": api.plan()["id"], "subscriber_id": api.subscriber()["id"], "service": "hotspot"}
    for field, kind in (("plan_id", "plans"), ("subscriber_id", "subscribers")):
        response = api.post("/subscriptions", {**own, field: theirs[kind]})
        assert (response.status_code, response.json()["error"]["field"]) == (422, field)
    made = api.made("/subscriptions", **own)
    assert api.patch(f"/subscriptions/{made['id']}", {"plan_id": theirs["plans"]}).status_code == 422
    for kind, field in (("subscriptions", "id"), ("plans", "plan_id"), ("subscribers", "subscriber_id")):
        assert api.delete(f"/{kind}/{made[field]}").status_code == 204


def test_a_subscription_can_not_be_bound_to_anothers_router(neighbours: Neighbours) -> None:
    api, theirs = neighbours.api, neighbours.theirs
    made = api.subscription()
    response = api.patch(f"/subscriptions/{made['id']}", {"router_ids": [theirs["routers"]]})
    assert (response.status_code, response.json()["error"]["message"]) == (
        422,
        f"There is no router {theirs['routers']}.",
    )
    for kind, field in (("subscriptions", "id"), ("plans", "plan_id"), ("subscribers", "subscriber_id")):
        assert api.delete(f"/{kind}/{made[field]}").status_code == 204


def test_names_phones_and_devices_are_each_tenants_own(neighbours: Neighbours) -> None:
    api = neighbours.api
    made = api.subscription(
        subscriber_id=api.subscriber(msisdn="0700000001")["id"], username="jane", macs=["02:00:00:00:00:01"]
    )
    assert made["macs"] == ["02:00:00:00:00:01"]
    for kind, field in (("subscriptions", "id"), ("plans", "plan_id"), ("subscribers", "subscriber_id")):
        assert api.delete(f"/{kind}/{made[field]}").status_code == 204


def test_an_address_of_anothers_router_is_taken_without_saying_whose(neighbours: Neighbours) -> None:
    response = neighbours.api.post("/routers", {"name": "roof", "nas_address": "192.0.2.1"})
    assert response.status_code == 409
    assert response.json()["error"] == {
        "code": "taken",
        "message": "This address belongs to a router already.",
        "field": "nas_address",
    }


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("tenant_id", [None, 10**9], ids=["no tenant", "a tenant that is not"])
def test_sql_without_the_tenant_sees_no_row(neighbours: Neighbours, table: str, tenant_id: int | None) -> None:
    with superuser(neighbours.api.settings) as all_seeing:
        row = all_seeing.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        assert row[0] > 0
    with as_api(neighbours.api.settings, tenant_id) as connection:
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize("table", TABLES)
def test_sql_in_one_tenant_sees_that_tenants_rows_only(neighbours: Neighbours, table: str) -> None:
    mine, theirs = neighbours.api.operator.tenant_id, neighbours.other.operator.tenant_id
    with as_api(neighbours.api.settings, theirs) as connection:
        seen = {row[0] for row in connection.execute(f"SELECT tenant_id FROM {table}")}
        assert seen == {theirs}
        connection.execute("SELECT set_config('kibali.tenant_id', %s, false)", (str(mine),))
        assert theirs not in {row[0] for row in connection.execute(f"SELECT tenant_id FROM {table}")}


def test_sql_in_one_tenant_sees_that_tenant_only(neighbours: Neighbours) -> None:
    with as_api(neighbours.api.settings, neighbours.api.operator.tenant_id) as connection:
        assert connection.execute("SELECT slug FROM tenant").fetchall() == [("acme",)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE plan SET name = 'x' WHERE id = {plans}",
        "DELETE FROM device",
        "DELETE FROM subscription_router",
        "UPDATE subscription SET status = 'cancelled' WHERE id = {subscriptions}",
        "DELETE FROM router WHERE id = {routers}",
    ],
)
def test_sql_in_one_tenant_changes_nothing_of_anothers(neighbours: Neighbours, statement: str) -> None:
    with as_api(neighbours.api.settings, neighbours.api.operator.tenant_id) as connection:
        assert connection.execute(statement.format(**neighbours.theirs)).rowcount == 0


def test_sql_in_one_tenant_can_not_write_a_row_of_anothers(neighbours: Neighbours) -> None:
    with (
        as_api(neighbours.api.settings, neighbours.api.operator.tenant_id) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
    ):
        connection.execute(
            "INSERT INTO subscriber (tenant_id, name) VALUES (%s, 'x')", (neighbours.other.operator.tenant_id,)
        )


@pytest.mark.parametrize(
    "changed", ["cause = 'time'", "action = 'adjust'", "state = 'sent'", "attempts = 1"], ids=lambda text: text[:6]
)
def test_the_api_can_have_a_session_ended_and_no_more(neighbours: Neighbours, changed: str) -> None:
    values = {"cause": "kick", "action": "disconnect", "state": "waiting", "attempts": 0}
    column, _, value = changed.partition(" = ")
    values[column] = value.strip("'")
    tenant_id = neighbours.api.operator.tenant_id
    with as_api(neighbours.api.settings, tenant_id) as connection:
        statement = (
            "INSERT INTO session_intent (tenant_id, session_key, router_id, reason, cause, action, state, attempts)"
            " VALUES (%s, gen_random_uuid(), 1, 'kick', %s, %s, %s, %s)"
        )
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            connection.execute(statement, [tenant_id, *values.values()])


def test_a_token_made_in_one_tenant_for_anothers_admin_is_good_for_nothing(neighbours: Neighbours) -> None:
    settings, mine = neighbours.api.settings, neighbours.api.operator.tenant_id
    with superuser(settings) as connection:
        row = connection.execute(
            "SELECT id FROM admin WHERE tenant_id = %s AND role = 'owner'", (neighbours.other.operator.tenant_id,)
        ).fetchone()
    assert row is not None
    token = credentials.new_api_token()
    with as_api(settings, mine) as connection:
        connection.execute(
            "INSERT INTO api_token (tenant_id, admin_id, name, token_hash) VALUES (%s, %s, 'x', %s)",
            (mine, row[0], credentials.api_token_hash(token)),
        )
    answer = neighbours.api.http.get("/api/v1/plans", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT password_hash FROM admin",
        "SELECT token_hash FROM api_token",
        "SELECT api_password_sealed FROM router",
        "SELECT * FROM router_state",
        "SELECT secret_sealed FROM router_tunnel",
        "SELECT private_key_sealed FROM tunnel_hub",
    ],
)
def test_the_radius_role_reads_nothing_it_need_not(neighbours: Neighbours, statement: str) -> None:
    with (
        psycopg.connect(neighbours.api.settings.database_dsn("radius")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_requests_of_two_tenants_on_one_pool_never_mix(neighbours: Neighbours) -> None:
    for _ in range(30):
        assert neighbours.api.get("/routers")["items"] == []
        assert len(neighbours.other.get("/routers")["items"]) == 1
