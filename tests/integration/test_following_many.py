"""With 100,000 open sessions what is looked for again and again is found by an index, and costs next to nothing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select, text
from sqlalchemy.orm import Session

from db import follow, session_held, session_intent
from db.engine import make_engine, session_factory
from isp.coa import Abilities
from settings import Settings
from tasks.follow_look import look
from tests.databases import fresh_database
from tests.servers import base_environ

SESSIONS = 100_000

_FILL = (
    "INSERT INTO tenant (slug, name, language, timezone) SELECT 'a' || n, 'x', 'en', 'Africa/Nairobi'"
    " FROM generate_series(1, 20) n",
    "INSERT INTO plan (tenant_id, name, service, price_kes, upload_kbps, download_kbps, validity_unit, validity_count,"
    " data_limit_bytes) SELECT id, 'p', 'any', 1, 2000, 8000, 'days', 30, 100000000000 FROM tenant",
    "INSERT INTO subscriber (tenant_id, name) SELECT id, 's' FROM tenant",
    "INSERT INTO router (tenant_id, name, nas_address, radius_secret_sealed)"
    " SELECT id, 'r', ('10.0.0.' || id)::inet, 'x' FROM tenant",
    "INSERT INTO subscription (tenant_id, subscriber_id, plan_id, service, username, password_sealed, activated_at,"
    " expires_at) SELECT t.id, s.id, p.id, 'pppoe', 'u' || n, 'x', now(), now() + interval '20 days'"
    f" FROM generate_series(1, {SESSIONS // 20}) n, tenant t JOIN plan p ON p.tenant_id = t.id"
    " JOIN subscriber s ON s.tenant_id = t.id",
    "INSERT INTO usage (subscription_id, tenant_id) SELECT id, tenant_id FROM subscription",
    "INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,"
    " interim_interval_s, started_at, last_seen_at)"
    " SELECT gen_random_uuid(), s.tenant_id, r.id, s.id, 'pppoe', s.username, 'x' || s.id, 300,"
    " now() - s.id % 86400 * interval '1 second', now() - s.id % 300 * interval '1 second'"
    " FROM subscription s JOIN router r ON r.tenant_id = s.tenant_id",
    "INSERT INTO session_held (session_key, tenant_id, router_id, began_at, held, known_from)"
    " SELECT session_key, tenant_id, router_id, started_at,"
    ' \'{"reason": "ok", "rate_limit": "2000k/8000k", "session_timeout_s": 2592000, "interim_interval_s": 300}\','
    " 'rules' FROM session WHERE started_at < now() - interval '30 seconds'",
    "INSERT INTO follow (subscription_id, tenant_id, look_at, cause, watch_from, octets_per_s, sessions, total_octets)"
    " SELECT id, tenant_id, now() + id % 1800 * interval '1 second', 'time',"
    " now() + (id % 1000 - 10) * interval '1 second', 2500000, 1, 100000000000 FROM subscription",
    # Some have finished what they had, and a day of what was done lies there.
    "UPDATE usage SET output_octets = 100000000001 WHERE subscription_id % 1000 = 5",
    "INSERT INTO session_intent (tenant_id, session_key, router_id, cause, action, reason, state, due_at, finished_at)"
    " SELECT tenant_id, session_key, router_id, 'time', 'adjust', 'ok', 'done', NULL, now() FROM session",
)


@pytest.fixture(scope="module")
def engine(
    postgres_server: Settings, template_database: str, secrets: Mapping[str, str], private_directory: Path
) -> Iterator[Engine]:
    with fresh_database(postgres_server, template_database) as url:
        environ = {**base_environ(private_directory / "many"), **secrets, "KIBALI_DATABASE_URL": url}
        settings = Settings.load(environ, checkout=private_directory)
        owner = make_engine(settings, "owner", pool_size=1)
        with owner.begin() as connection:
            for statement in _FILL:
                connection.execute(text(statement))
        with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        owner.dispose()
        made = make_engine(settings, "worker", pool_size=1)
        yield made
        made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """What is done is undone."""
    with session_factory(engine)() as opened:
        yield opened
        opened.rollback()


def explained(session: Session, statement: Any, values: Mapping[str, Any]) -> tuple[float, list[dict[str, Any]]]:
    """Milliseconds, and the nodes of the plan that was carried out."""
    compiled = statement if isinstance(statement, str) else str(statement.compile(session.get_bind()))
    answer: Any = (
        session.connection().exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}", dict(values)).scalar()
    )
    (plan,) = json.loads(answer) if isinstance(answer, str) else answer
    nodes: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        nodes.append(node)
        for child in node.get("Plans", ()):
            walk(child)

    walk(plan["Plan"])
    return float(plan["Execution Time"]), nodes


# what is looked for                 statement            parameters
OFTEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "subscriptions that are due": (follow.DUE, {"limit": 200}),
    "new sessions": (follow.DISCOVER, {"since_s": 60.0, "limit": 1000}),
    "limits that are reached": (follow.WATCH, {}),
    "lists to clear": (session_held.CLEARABLE, {"limit": 50}),
}


@pytest.mark.parametrize(("statement", "values"), OFTEN.values(), ids=OFTEN)
def test_what_is_asked_each_second_reads_an_index(session: Session, statement: Any, values: dict[str, Any]) -> None:
    _, nodes = explained(session, statement, values)
    read_through = [
        node["Relation Name"]
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] not in ("tenant", "plan")
    ]
    assert read_through == []
    assert max((node["Actual Rows"] * node["Actual Loops"] for node in nodes), default=0) < SESSIONS / 20


def test_intents_that_are_due_are_found_among_those_that_are_done(session: Session) -> None:
    assert session_intent.due(session, 200) == []
    _, nodes = explained(
        session,
        "SELECT id FROM session_intent WHERE finished_at IS NULL AND due_at <= now() ORDER BY due_at LIMIT 200"
        " FOR UPDATE SKIP LOCKED",
        {},
    )
    assert {node.get("Index Name") for node in nodes} >= {"session_intent_due_at_idx"}


def test_every_open_session_is_gone_through_now_and_then(session: Session) -> None:
    """Each five minutes; here it may read all."""
    took_ms, _ = explained(session, follow.DISCOVER_ALL, {"limit": 10_000})
    assert took_ms < 2000


def test_a_limit_that_was_reached_is_noticed_and_those_far_from_it_are_left_alone(session: Session) -> None:
    follow.notice_use(session)
    statement = select(func.count()).where(follow.Follow.watch_from.is_(None), follow.Follow.look_at <= func.now())
    # id % 1000 = 5 are watched since five seconds.
    assert session.scalar(statement) == SESSIONS / 1000


def test_two_hundred_are_looked_at_in_few_statements(session: Session) -> None:
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    now = session.scalars(select(func.now())).one()
    event.listen(session.connection(), "before_cursor_execute", note)
    assert look(session, lambda _router: Abilities(), now, 200) > 0
    assert 0 < len(asked) < 20, asked
