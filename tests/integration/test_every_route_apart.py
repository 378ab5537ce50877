"""Tenants apart, by walking: every route with another tenant's ids and tokens, every table with another tenant set.

What is new is walked by itself; a route that is not known here fails tests/integration/test_audit.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.pq.abc import PGresult
from sqlalchemy.orm import Session

from api import auth, endpoint
from api.auth import TENANT_HEADER
from db.engine import act_as
from db.pipeline import Asked, Prepared
from settings import Settings
from tests.integration.api_server import make_operator
from tests.integration.every_route import KNOWN, SAMPLES, Sample
from tests.integration.payment_api import Shop, shared_shop

ROLES = ("owner", "manager", "cashier", "support", "read-only")
OF_ONE_THING = [key for key in KNOWN if "{" in key]
LISTS = [key for key, known in KNOWN.items() if known.method == "GET" and "{" not in key]
# What is the installation's, and not a tenant's.
OF_NOBODY = {"alembic_version", "tunnel_hub"}


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two tenants on one installation."""

    acme: Shop
    zenith: Shop


@pytest.fixture(scope="module")
def neighbours(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Neighbours]:
    with shared_shop(server_environ, postgres_server, redis_server, template_database, private_directory) as acme:
        zenith = Shop(acme.http, make_operator(acme.settings, "zenith"), acme.settings)
        zenith.account(name="Main")
        yield Neighbours(acme, zenith)


@pytest.fixture(autouse=True)
def _no_failures_so_far(neighbours: Neighbours) -> None:
    neighbours.acme.execute("DELETE FROM login_attempt")


def by_stranger(sample: Sample) -> Sample:
    """The same, asked by whoever `send` is given."""
    return replace(sample, person=None, role="owner")


@pytest.mark.parametrize("key", OF_ONE_THING)
def test_what_is_anothers_is_not_there(neighbours: Neighbours, key: str) -> None:
    method = KNOWN[key].method
    sample = SAMPLES[key](neighbours.zenith)
    before = neighbours.acme.rows("SELECT coalesce(max(id), 0) AS id FROM audit")[0]["id"]
    for role in ROLES:
        response = replace(by_stranger(sample), role=role).send(method, neighbours.acme)
        assert response.status_code in (403, 404), f"{role}: {response.status_code} {response.text}"
    if sample.role != "platform":
        alone = replace(by_stranger(sample), role="platform")
        if not key.split(" ")[1].startswith("/jobs/"):  # the platform's own see to the jobs of all
            # Nothing that a tenant's admin can be made of is good for one of the platform's own: 422.
            assert alone.send(method, neighbours.acme).status_code in (403, 404, 422)
        elsewhere = alone.send(method, neighbours.acme, headers={TENANT_HEADER: "acme"})
        assert elsewhere.status_code in (403, 404), elsewhere.text
    after = neighbours.acme.rows("SELECT * FROM audit WHERE id > %s AND operation <> 'note'", before)
    assert after == [], "something changed"
    # And it was there all the time.
    assert sample.send(method, neighbours.zenith).status_code < 300


def ids_in(body: Any) -> list[str]:
    return [name for name in body if name.endswith(("_id", "_ids"))] if isinstance(body, Mapping) else []


@pytest.mark.parametrize("key", KNOWN)
def test_what_is_anothers_can_not_be_referred_to(neighbours: Neighbours, key: str) -> None:
    mine, theirs = SAMPLES[key](neighbours.acme), SAMPLES[key](neighbours.zenith)
    for field in ids_in(mine.body):
        crossed = replace(mine, body={**mine.body, field: theirs.body[field]})
        response = crossed.send(KNOWN[key].method, neighbours.acme)
        assert response.status_code in (403, 404, 409, 422), f"{field}: {response.status_code} {response.text}"
        crossed = replace(theirs, body={**theirs.body, field: mine.body[field]})
        assert crossed.send(KNOWN[key].method, neighbours.zenith).status_code in (403, 404, 409, 422), field


def items(response: Any) -> list[Any]:
    assert response.status_code == 200, response.text
    content = response.json()
    return content if isinstance(content, list) else content.get("items", [])


@pytest.mark.parametrize("key", LISTS)
def test_no_list_has_what_is_anothers(neighbours: Neighbours, key: str) -> None:
    path = SAMPLES[key](neighbours.acme).path
    if KNOWN[key].endpoint.right.in_no_tenant and "owner" not in KNOWN[key].endpoint.right:
        return  # the platform's own, which no tenant's admin is let near
    beside = "&" if "?" in path else "?"
    more = "" if path.startswith(("/why", "/payments/report", "/auth", "/dashboard")) else f"{beside}limit=100"
    try:
        mine = items(neighbours.acme.request("GET", path + more))
        theirs = items(neighbours.zenith.request("GET", path + more))
    except AssertionError:
        mine, theirs = items(neighbours.acme.request("GET", path)), items(neighbours.zenith.request("GET", path))

    def identity(item: Mapping[str, Any]) -> Any:
        return item.get("id", item.get("session_key", item.get("msisdn")))

    assert {identity(item) for item in mine if identity(item)}.isdisjoint({identity(item) for item in theirs})
    named = {item["tenant_id"] for item in mine if item.get("tenant_id")}
    assert named <= {neighbours.acme.operator.tenant_id}


# With the code's own condition off.


NOTHING = Prepared.of("SELECT")


class InNoTenant:
    """For a `Reader`: confines nothing."""

    def asked(self) -> Asked:
        return Asked(NOTHING, ())

    def check(self, answer: PGresult) -> None:
        pass


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers whose sessions are confined to no tenant: all that the code itself does to keep tenants apart."""

    def use_no_tenant(session: Session, _tenant_id: int | None, actor: Any = None) -> Session:
        return act_as(session, actor) if actor else session

    monkeypatch.setattr(endpoint, "use_tenant", use_no_tenant)
    monkeypatch.setattr(auth, "use_tenant", use_no_tenant)
    monkeypatch.setattr(auth, "remembered", lambda _services, _request: None)  # PostgreSQL would set the tenant
    monkeypatch.setattr(endpoint, "InTenant", lambda _tenant_id: InNoTenant())


@pytest.mark.parametrize("key", [key for key in OF_ONE_THING if not KNOWN[key].path.startswith("/api/v1/tenants")])
def test_without_the_codes_condition_the_database_shows_nothing(
    neighbours: Neighbours, key: str, request: pytest.FixtureRequest
) -> None:
    sample = SAMPLES[key](neighbours.zenith)
    request.getfixturevalue("careless")
    before = neighbours.acme.rows("SELECT coalesce(max(id), 0) AS id FROM audit")[0]["id"]
    for shop in (neighbours.acme, neighbours.zenith):
        response = by_stranger(sample).send(KNOWN[key].method, shop)
        assert response.status_code in (403, 404, 500), response.text
    assert neighbours.acme.rows("SELECT * FROM audit WHERE id > %s AND operation <> 'note'", before) == []


@pytest.mark.parametrize("key", LISTS)
def test_without_the_codes_condition_lists_are_empty(
    neighbours: Neighbours, key: str, request: pytest.FixtureRequest
) -> None:
    sample = SAMPLES[key](neighbours.acme)
    request.getfixturevalue("careless")
    response = by_stranger(sample).send("GET", neighbours.acme)
    if response.status_code == 200:
        # Queues are the same for all: their figures of jobs are the tenant's.
        assert items(response) == [] or key.startswith(("GET /auth", "GET /queues"))
    else:
        assert response.status_code in (403, 404, 500), response.text


# The database by itself.


def rows_of(shop: Shop, statement: str) -> set[str]:
    return {row["name"] for row in shop.rows(statement)}


def tables_with_tenants(shop: Shop) -> set[str]:
    """Every table of rows that belong to a tenant; partitions are reached through their table."""
    return rows_of(
        shop,
        "SELECT c.relname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND NOT a.attisdropped",
    )


def test_every_table_keeps_its_rows_apart(neighbours: Neighbours) -> None:
    shop = neighbours.acme
    unprotected = rows_of(
        shop,
        "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relrowsecurity AND (has_table_privilege('kibali_api', oid, 'SELECT, INSERT, UPDATE, DELETE')"
        " OR has_any_column_privilege('kibali_api', oid, 'SELECT, INSERT, UPDATE'))",
    )
    assert unprotected <= OF_NOBODY, "ENABLE ROW LEVEL SECURITY, with a policy for kibali_api"
    lax = rows_of(
        shop,
        "SELECT tablename || ': ' || policyname AS name FROM pg_policies WHERE 'kibali_api' = ANY (roles)"
        " AND permissive = 'PERMISSIVE'"
        " AND coalesce(qual, '') || coalesce(with_check, '') !~ 'current_tenant_id|is_platform'",
    )
    assert lax == set()


def readable(connection: psycopg.Connection[Any], table: str) -> bool:
    row = connection.execute(
        "SELECT has_any_column_privilege('kibali_api', %s, 'SELECT') AND has_column_privilege('kibali_api', %s,"
        " 'tenant_id', 'SELECT')",
        (table, table),
    ).fetchone()
    assert row is not None
    return bool(row[0])


def test_sql_in_one_tenant_reaches_nothing_of_another_in_any_table(neighbours: Neighbours) -> None:
    """As whoever could make the API run any SQL at all, but for saying who they are."""
    for make in SAMPLES.values():
        make(neighbours.zenith)
    mine, theirs = neighbours.acme.operator.tenant_id, neighbours.zenith.operator.tenant_id
    seen = set()
    with psycopg.connect(neighbours.acme.settings.database_dsn("api"), autocommit=True) as connection:
        for table in sorted(tables_with_tenants(neighbours.acme)):
            name = sql.Identifier(table)
            if not readable(connection, table):
                continue
            count = sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(name)
            connection.execute("SELECT set_config('kibali.tenant_id', %s, false)", (str(theirs),))
            row = connection.execute(count, (theirs,)).fetchone()
            if row and row[0]:
                seen.add(table)
            for confined_to in (str(mine), "", "0"):
                connection.execute("SELECT set_config('kibali.tenant_id', %s, false)", (confined_to,))
                assert connection.execute(count, (theirs,)).fetchone() == (0,), (table, confined_to)
                for change in ("UPDATE {} SET tenant_id = %(mine)s", "DELETE FROM {}"):
                    statement = sql.SQL(change + " WHERE tenant_id = %(theirs)s").format(name)
                    with suppress(psycopg.errors.InsufficientPrivilege):
                        changed = connection.execute(statement, {"mine": mine, "theirs": theirs}).rowcount
                        assert changed == 0, (table, change)
    # The walk is worth something: most tables had something to be seen.
    assert {"plan", "subscription", "payment", "admin", "api_token", "audit", "job", "voucher", "admin_session"} <= seen


def test_sql_in_one_tenant_writes_nothing_of_another(neighbours: Neighbours) -> None:
    theirs = neighbours.zenith.operator.tenant_id
    dsn = neighbours.acme.settings.database_dsn("api")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT set_config('kibali.tenant_id', %s, false)", (str(neighbours.acme.operator.tenant_id),)
        )
        tried = 0
        for table in sorted(tables_with_tenants(neighbours.acme)):
            statement = sql.SQL("INSERT INTO {} (tenant_id) VALUES (%s)").format(sql.Identifier(table))
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.NotNullViolation)) as raised:
                connection.execute(statement, (theirs,))
            tried += isinstance(raised.value, psycopg.errors.InsufficientPrivilege)
    assert tried > 10
