"""Look-ups in lists stay look-ups: with 100,000 subscribers an index answers each, row-level security and all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from sqlalchemy import Connection, event, func, select
from sqlalchemy.orm import Session

from db import event_list, payment, round_trip, session_list, subscriber, subscription_list
from db.engine import make_engine, session_factory, use_tenant
from db.page import PageRequest, Position
from db.reading import InSession
from db.subscription_list import Filters
from settings import Settings
from tests.integration.api_server import make_operator

NOW = datetime.now(UTC)
SUBSCRIBERS = 100_000
LARGE = f"subscriber|subscription|device|payment|event_{NOW:%Y_%m}"
# One in ten is archived; usernames are written with capitals.
BIG = """
INSERT INTO plan (tenant_id, name, price_kes, upload_kbps, download_kbps, validity_unit, validity_count)
VALUES ({tenant}, 'Gold', 500, 2000, 8000, 'days', 30);
INSERT INTO subscriber (tenant_id, name, msisdn, archived_at)
SELECT {tenant}, 'Subscriber ' || n, (254700000000 + n)::text, CASE WHEN n % 10 = 0 THEN now() END
  FROM generate_series(1, {subscribers}) n;
INSERT INTO subscription (tenant_id, subscriber_id, plan_id, service, username, password_sealed, expires_at)
SELECT {tenant}, s.id, p.id, 'hotspot', 'User-' || s.id, 'x', now() + interval '1 day'
  FROM subscriber s, plan p WHERE s.tenant_id = {tenant} AND p.tenant_id = {tenant};
INSERT INTO device (tenant_id, mac, subscription_id)
SELECT {tenant}, ('02' || lpad(to_hex(id), 10, '0'))::macaddr, id FROM subscription WHERE tenant_id = {tenant};
INSERT INTO session_history (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,
                             interim_interval_s, started_at, last_seen_at, stopped_at)
SELECT gen_random_uuid(), {tenant}, CASE id % 100000 WHEN 77 THEN 2 ELSE 1 END, CASE WHEN id % 1000 > 0 THEN id END,
       'hotspot', lower(username), '80000001', 300, now() - interval '1 hour', now(), now()
  FROM subscription WHERE tenant_id = {tenant};
INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at, booked_at, applied_at, state)
SELECT {tenant}, CASE n WHEN 5 THEN 'cash' ELSE 'daraja' END, 'R' || n, n, now(), now(), now(), now(),
       CASE n WHEN 9 THEN 'refunded' ELSE 'applied' END
  FROM generate_series(1, {subscribers}) n;
INSERT INTO event (tenant_id, type, data)
SELECT {tenant}, CASE n WHEN 7 THEN 'payment.reversed' WHEN 8 THEN 'router.up' ELSE 'session.started' END, '{{}}'
  FROM generate_series(1, {subscribers}) n;
"""


def events(session: Session, **wanted: Any) -> Any:
    tenant_id = session.scalar(select(func.current_tenant_id()))
    return event_list.page(session, PageRequest("id", descending=True), tenant_id=tenant_id, **wanted)


LOOK_UPS: Mapping[str, Callable[[Session], Any]] = {
    "a username": lambda session: subscription_list.page(session, PageRequest("id"), Filters(username="USER-70"), NOW),
    "a device": lambda session: subscription_list.page(
        session, PageRequest("id"), Filters(mac="02:00:00:00:00:46"), NOW
    ),
    "a phone": lambda session: subscriber.page(InSession(session), PageRequest("id"), msisdn="254700000071"),
    "an archived phone": lambda session: subscriber.page(
        InSession(session), PageRequest("id"), msisdn="254700000070", archived=True
    ),
    "a receipt": lambda session: payment.page(session, PageRequest("id", descending=True), receipt="R7"),
    "a receipt of one provider": lambda session: payment.page(
        session, PageRequest("id", descending=True), receipt="R7", provider="daraja"
    ),
    "a provider that few use": lambda session: payment.page(
        session, PageRequest("id", descending=True), provider="cash"
    ),
    "a state that few come to": lambda session: payment.page(
        session, PageRequest("received_at", descending=True), state="refunded"
    ),
    "a type of event": lambda session: events(session, role="owner", types=["payment.reversed"]),
    "a subject of events": lambda session: events(session, role="support", types=["router.*"]),
    "all by amount": lambda session: payment.page(session, PageRequest("amount_kes", descending=True)),
    "all by username": lambda session: subscription_list.page(
        session, PageRequest("username", after=Position("user-5", 5)), Filters(), NOW
    ),
    "all subscribers": lambda session: subscriber.page(InSession(session), PageRequest("id", after=Position(500, 500))),
}


@pytest.fixture(scope="module")
def big(settings_of_module: Settings) -> Iterator[Session]:
    """As the API asks, in one of two tenants that have so many subscribers each."""
    settings = settings_of_module
    tenants = [make_operator(settings, slug).tenant_id for slug in ("acme", "other")]
    with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # neither triggers nor foreign keys
        for tenant_id in tenants:
            connection.execute(BIG.format(tenant=tenant_id, subscribers=SUBSCRIBERS).encode())
        connection.execute("VACUUM (ANALYZE)")
    engine = make_engine(settings, "api", pool_size=1)
    with session_factory(engine)() as session:
        yield use_tenant(session, tenants[0])
    engine.dispose()


@pytest.mark.parametrize("look_up", LOOK_UPS)
def test_a_look_up_reads_no_more_than_its_rows(big: Session, look_up: str) -> None:
    found, plans = explained(big, LOOK_UPS[look_up])
    assert len(found.items) == (50 if look_up.startswith("all ") else 1)
    for statement, plan in plans.items():
        assert not re.search(rf"Seq Scan on ({LARGE})\b", plan), f"{statement}\n{plan}"
        # What an index led to and the condition then threw away.
        assert "Rows Removed by Filter" not in plan or look_up.startswith("all "), f"{statement}\n{plan}"
        assert most_rows(plan) <= 200, f"{statement}\n{plan}"


@pytest.mark.parametrize(
    ("filters", "user_name"),
    [
        pytest.param(session_list.Filters(username="uSeR-71"), "user-71", id="of a subscription"),
        pytest.param(session_list.Filters(username="uSeR-2000"), "user-2000", id="of nobody"),
        pytest.param(session_list.Filters(subscription_id=78), "user-78", id="of a subscription's id"),
        pytest.param(session_list.Filters(router_id=2), "user-77", id="of a router with few"),
        pytest.param(session_list.Filters(router_id=2, open=False), "user-77", id="of a router, closed"),
    ],
)
def test_closed_sessions_are_looked_up_too(big: Session, filters: session_list.Filters, user_name: str) -> None:
    found, plans = explained(
        big, lambda session: session_list.page(session, PageRequest("started_at", descending=True), filters)
    )
    assert [row.username for row in found.items] == [user_name]
    for statement, plan in plans.items():
        assert not re.search(r"Rows Removed by Filter: \d{4}", plan), f"{statement}\n{plan}"
        assert most_rows(plan) <= 200, f"{statement}\n{plan}"


def explained(session: Session, look_up: Callable[[Session], Any]) -> tuple[Any, dict[str, str]]:
    """What is found, and how PostgreSQL went about each statement of it."""
    asked: dict[str, Any] = {}
    asked_of_libpq: dict[str, Any] = {}
    engine, rows = session.get_bind(), round_trip.rows

    def collect(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        asked[statement] = values

    def collect_too(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
        asked_of_libpq[statement] = values
        return rows(connection, statement, values)

    event.listen(engine, "before_cursor_execute", collect)
    try:
        with patch.object(round_trip, "rows", collect_too):
            found = look_up(session)
    finally:
        event.remove(engine, "before_cursor_execute", collect)
    assert asked or asked_of_libpq
    connection = session.connection()
    explain = {
        statement: connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {statement}", values).scalars()
        for statement, values in asked.items()
    } | {
        statement: [line[0] for line in rows(connection, f"EXPLAIN (ANALYZE) {statement}", values)]
        for statement, values in asked_of_libpq.items()
    }
    return found, {statement: "\n".join(lines) for statement, lines in explain.items()}


def most_rows(plan: str) -> int:
    """Of one step."""
    return max(int(rows) * int(loops) for rows, loops in re.findall(r"rows=(\d+) loops=(\d+)\)", plan))
