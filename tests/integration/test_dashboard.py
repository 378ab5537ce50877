"""The dashboard's figures: right at the edges of the tenant's day, refreshed, and cheap however long the history is."""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from cli.app import kibali
from db import dashboard
from db.engine import make_engine, session_factory
from settings import Settings
from tests.integration.api_server import Client, api_of, make_operator

# 01:30 in Nairobi: the tenant's day and month began an hour and a half ago, UTC's end in an hour and a half.
NOW = datetime(2026, 10, 31, 22, 30, tzinfo=UTC)
MIDNIGHT = NOW - timedelta(minutes=90)


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings, "worker", pool_size=2)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with session_factory(engine)() as session:
        yield session


def superuser(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(settings.database_admin_dsn(settings.database_name))


def refreshed(session: Session, api: Client, now: datetime = NOW) -> dict[str, Any]:
    dashboard.count_logins(session, now)
    figures = dashboard.refresh(session, api.operator.tenant_id, now)
    session.commit()
    return figures.values


def log_in(api: Client, *logins: tuple[datetime, str], tenant_id: int | None = None) -> None:
    with superuser(api.settings) as connection:
        for at, result in logins:
            connection.execute(
                "INSERT INTO auth_log (logged_at, tenant_id, router_id, username, service, result, reason)"
                " VALUES (%s, %s, 1, 'jane', 'hotspot', %s, 'ok')",
                (at, tenant_id or api.operator.tenant_id, result),
            )


def pay(api: Client, *payments: tuple[datetime, str, str], tenant_id: int | None = None) -> None:
    """(booked at, KES, provider) each."""
    with superuser(api.settings) as connection:
        for at, amount_kes, provider in payments:
            connection.execute(
                "INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at, booked_at,"
                " applied_at, state) VALUES (%(tenant)s, %(provider)s, %(receipt)s, %(kes)s, %(at)s, %(at)s, %(at)s,"
                " %(at)s, 'applied')",
                {
                    "tenant": tenant_id or api.operator.tenant_id,
                    "provider": provider,
                    "receipt": str(uuid4()),
                    "kes": amount_kes,
                    "at": at,
                },
            )


def test_the_day_is_the_tenants(api: Client, session: Session) -> None:
    before, after = MIDNIGHT - timedelta(seconds=1), MIDNIGHT
    log_in(api, (before, "accept"), (after, "accept"), (NOW - timedelta(minutes=1), "reject"))
    pay(api, (before, "100.00", "cash"), (after, "50.50", "cash"), (NOW, "7.25", "daraja"), (NOW, "999.00", "voucher"))
    values = refreshed(session, api)
    assert values["logins"] == {
        "accepts_today": 1,
        "rejects_today": 1,
        "accepts_last_hour": 0,
        "rejects_last_hour": 1,
    }
    assert values["revenue"] == {
        "today_kes": "57.75",
        "month_kes": "57.75",
        "payments_today": 2,
        "payments_month": 2,
    }, "a new month begins with this day, and vouchers brought their money before"
    assert values["traffic"]["day"] == "2026-11-01"


def test_a_months_days_add_up_and_those_that_are_over_are_summed_once(api: Client, session: Session) -> None:
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    pay(api, *((now - timedelta(days=day), "10.00", "cash") for day in range(25)))
    values = refreshed(session, api, now)
    assert (values["revenue"]["month_kes"], values["revenue"]["payments_month"]) == ("200.00", 20)
    computed = "SELECT count(*) FROM revenue_day WHERE computed_at = :at"
    later = now + timedelta(seconds=30)
    pay(api, (later - timedelta(seconds=1), "5.00", "cash"))
    assert refreshed(session, api, later)["revenue"]["month_kes"] == "205.00"
    assert session.scalar(text(computed), {"at": later}) == 1, "today alone"
    tomorrow = now + timedelta(days=1)
    refreshed(session, api, tomorrow)
    assert session.scalar(text(computed), {"at": tomorrow}) == 2, "today, and the rest of yesterday"


def test_what_is_reversed_is_taken_off_the_day_it_is_reversed(api: Client, session: Session) -> None:
    pay(api, (MIDNIGHT, "100.00", "cash"), (MIDNIGHT, "30.00", "cash"))
    with superuser(api.settings) as connection:
        connection.execute("UPDATE payment SET state = 'reversed', reversed_at = %s WHERE amount_kes = 30", (NOW,))
    values = refreshed(session, api)
    assert (values["revenue"]["today_kes"], values["revenue"]["payments_today"]) == ("100.00", 2)


def test_sessions_payments_routers_and_traffic_are_counted_for_the_tenant_alone(api: Client, session: Session) -> None:
    other = make_operator(api.settings, "zenith")
    log_in(api, (NOW, "accept"), tenant_id=other.tenant_id)
    pay(api, (NOW, "1.00", "cash"), tenant_id=other.tenant_id)
    api.router()
    with superuser(api.settings) as connection:
        for tenant_id, service, stopped in (
            (api.operator.tenant_id, "hotspot", None),
            (api.operator.tenant_id, "pppoe", None),
            (api.operator.tenant_id, "pppoe", NOW),
            (other.tenant_id, "pppoe", None),
        ):
            connection.execute(
                "INSERT INTO session (session_key, tenant_id, router_id, service, username, acct_session_id,"
                " interim_interval_s, started_at, last_seen_at, stopped_at) VALUES (%s, %s, 1, %s, 'jane', '1', 300,"
                " now(), now(), %s)",
                (uuid4(), tenant_id, service, stopped),
            )
        for tenant_id, subscription_id in ((api.operator.tenant_id, 1), (other.tenant_id, 2)):
            connection.execute(
                "INSERT INTO usage_day (subscription_id, day, tenant_id, input_octets, output_octets)"
                " VALUES (%s, '2026-11-01', %s, 1000, 5000)",
                (subscription_id, tenant_id),
            )
    values = refreshed(session, api)
    assert values["online"] == {"total": 2, "hotspot": 1, "pppoe": 1}
    assert values["routers"] == {"pending": 1}
    assert values["payments"] == {"pending": 0, "received": 0, "suspense": 0}
    assert values["logins"]["accepts_today"] == 0
    assert values["revenue"]["month_kes"] == "0.00"
    traffic = {"day": "2026-11-01", "upload_octets": 1000, "download_octets": 5000}
    assert values["traffic"] == {**traffic, "bits_per_s": None}
    with superuser(api.settings) as connection:
        connection.execute("UPDATE usage_day SET output_octets = output_octets + 30000")
    later = refreshed(session, api, NOW + timedelta(seconds=30))
    assert later["traffic"]["bits_per_s"] == 30000 * 8 // 30


def test_logins_that_are_logged_late_are_counted(api: Client, session: Session) -> None:
    log_in(api, (NOW - timedelta(minutes=80), "accept"))
    refreshed(session, api, NOW - timedelta(minutes=75))
    # PostgreSQL was away for an hour; then what waited is written, and the counting goes on.
    log_in(api, (NOW - timedelta(minutes=60), "accept"), (NOW - timedelta(minutes=79), "reject"))
    logins = refreshed(session, api)["logins"]
    assert (logins["accepts_today"], logins["rejects_today"]) == (2, 1)


def test_who_watches_is_told_when_a_figure_is_another_and_not_else(api: Client, session: Session) -> None:
    refreshed(session, api)
    refreshed(session, api, NOW + timedelta(seconds=30))
    told = api.get("/events", type="dashboard.stats")["items"]
    assert len(told) <= 2
    refreshed(session, api, NOW + timedelta(seconds=60))
    assert len(api.get("/events", type="dashboard.stats")["items"]) == len(told)
    pay(api, (NOW, "5.00", "cash"))
    refreshed(session, api, NOW + timedelta(seconds=90))
    newest = api.get("/events", type="dashboard.stats")["items"][0]["data"]
    assert newest["revenue"]["today_kes"] == "5.00"


def test_the_api_and_the_command_show_what_was_computed(
    api: Client, session: Session, environ: Mapping[str, str]
) -> None:
    fresh = api.get("/dashboard")
    assert fresh["online"]["total"] == 0, "a tenant that is a second old has figures too"
    pay(api, (datetime.now(UTC), "5.00", "cash"))
    refreshed(session, api, datetime.now(UTC))
    shown = api.get("/dashboard")
    assert shown["revenue"]["today_kes"] == "5.00"
    said = CliRunner().invoke(kibali, ["dashboard"], env=environ)
    assert "5.00" in said.stdout, said.output
    assert api.request("GET", "/dashboard", role="cashier").status_code == 403


BIG = """
INSERT INTO auth_log (logged_at, tenant_id, router_id, username, service, result, reason)
SELECT now() - n * interval '20 seconds', {tenant}, 1, 'u' || n, 'hotspot', 'accept', 'ok'
  FROM generate_series(1, 120000) n;
INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at, booked_at, applied_at, state)
SELECT {tenant}, 'cash', 'r' || n, 10, now(), now(), now() - n * interval '40 seconds', now(), 'applied'
  FROM generate_series(1, 100000) n;
INSERT INTO usage_day (subscription_id, day, tenant_id, output_octets)
SELECT n % 5000, (now() - (n / 5000) * interval '1 day')::date, {tenant}, 1000 FROM generate_series(0, 124999) n;
INSERT INTO session_history (session_key, tenant_id, router_id, service, username, acct_session_id, interim_interval_s,
                             started_at, last_seen_at, stopped_at)
SELECT gen_random_uuid(), {tenant}, 1, 'pppoe', 'u', 's' || n, 300, now(), now(), now() - n * interval '20 seconds'
  FROM generate_series(1, 100000) n;
INSERT INTO payment_intent (tenant_id, payment_account_id, plan_id, msisdn, amount_kes, price_kes, account_reference,
                            state)
SELECT {tenant}, 1, 1, '2547' || lpad(n::text, 8, '0'), 1, 1, lpad(n::text, 8, '0'), 'paid'
  FROM generate_series(1, 100000) n;
INSERT INTO event (tenant_id, type) SELECT {tenant}, 'payment.processed' FROM generate_series(1, 20000) n;
ANALYZE;
"""


def test_no_figure_reads_the_history(api: Client, engine: Engine, session: Session) -> None:
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        connection.execute(BIG.format(tenant=api.operator.tenant_id).encode())
    refreshed(session, api, datetime.now(UTC))
    statements: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def collect(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        statements.append((statement, values))

    began = time.monotonic()
    refreshed(session, api, datetime.now(UTC) + timedelta(seconds=30))
    took_s = time.monotonic() - began
    event.remove(engine, "before_cursor_execute", collect)
    plans = {}
    with engine.connect() as worker:
        for statement, values in statements:
            if statement.lstrip().startswith(("SELECT", "INSERT")) and "FROM" in statement:
                plan = "\n".join(worker.exec_driver_sql(f"EXPLAIN {statement}", values).scalars())
                plans[statement] = plan
    assert len(plans) >= 10
    for statement, plan in plans.items():
        scanned = re.findall(r"Seq Scan on (auth_log|payment|usage_day|session_history|event)\w* ", plan)
        assert scanned == [], f"{statement}\n{plan}"
    assert took_s < 3, "of a busy machine; 0.1 s of an idle one"
