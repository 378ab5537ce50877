"""Reads in one round trip: they see one tenant, leave nothing behind, and end as all else does that is asked."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, bindparam, exc, func, literal_column, select, text

from db import pipeline
from db.bearer import AsBearer, Bearer, Bearers, Changed, authenticate
from db.engine import make_engine, session_factory, use_tenant
from db.page import PageRequest
from db.reading import InSession, InTenant, Question, Reader
from db.subscriber import page
from isp import credentials
from settings import Settings
from tests.integration.api_server import make_operator

TENANT = Question.of(select(func.current_tenant_id().label("tenant"), func.pg_backend_pid().label("server")))
SLEEP = Question.of(select(func.pg_sleep(bindparam("seconds", type_=None))))
WRONG = Question.of(select(literal_column("1 / 0")))
SPEAKS = Question.of(
    select(
        bindparam("text").label("text"),
        bindparam("number").label("number"),
        bindparam("nothing").label("nothing"),
        func.now().label("now"),
    )
)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings, "api", pool_size=1, statement_timeout_s=1)
    yield engine
    engine.dispose()


def in_tenant(engine: Engine, tenant_id: int | None = 7) -> tuple[int | None, int]:
    """The tenant that is seen, and the process id of who says so."""
    (row,) = Reader(engine, InTenant(tenant_id)).rows(TENANT, {})
    return row.tenant, row.server


def left_behind(engine: Engine) -> int | None:
    with session_factory(engine)() as session:
        seen: int | None = session.scalar(text("SELECT current_tenant_id()"))
        return seen


def kill(settings: Settings) -> None:
    with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as superuser:
        superuser.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'kibali_api'")


def test_each_read_sees_its_tenant_and_the_next_one_on_the_connection_another_or_none(engine: Engine) -> None:
    servers = set()
    for tenant_id in (7, 8, None, 7):
        seen, server = in_tenant(engine, tenant_id)
        assert seen == tenant_id
        assert left_behind(engine) is None
        servers.add(server)
    assert len(servers) == 1, "it was not the same connection"


def test_rows_are_those_of_the_tenant_alone(engine: Engine, settings: Settings) -> None:
    tenants = [make_operator(settings, f"reader-{time.monotonic_ns()}").tenant_id for _ in range(2)]
    for tenant_id in tenants:
        with session_factory(engine)() as session:
            use_tenant(session, tenant_id)
            session.execute(
                text("INSERT INTO subscriber (tenant_id, name) VALUES (:id, 'of ' || :id)"), {"id": tenant_id}
            )
            session.commit()
    for tenant_id in tenants:
        reader = Reader(engine, InTenant(tenant_id))
        found = page(reader, PageRequest("id", count=True))
        assert [row.name for row in found.items] == [f"of {tenant_id}"]
        assert found.count == 1
        with session_factory(engine)() as session:
            assert page(InSession(use_tenant(session, tenant_id)), PageRequest("id", count=True)) == found
    assert page(Reader(engine, InTenant(None)), PageRequest("id", count=True)).count == 0


def test_values_are_values_whatever_is_in_them(engine: Engine) -> None:
    quotes = "o'brien\\'; SELECT 1 -- $1 %s \u00e9"
    (row,) = Reader(engine, InTenant(7)).rows(SPEAKS, {"text": quotes, "number": 2**60, "nothing": None})
    assert (row.text, str(row.number), row.nothing) == (quotes, str(2**60), None)
    assert row.now.utcoffset() is not None


def test_what_fails_is_an_error_of_sqlalchemy_s_and_the_connection_goes_on(engine: Engine) -> None:
    reader, (_, server) = Reader(engine, InTenant(7)), in_tenant(engine)
    for _ in range(2):
        with pytest.raises(exc.DataError):
            reader.rows(WRONG, {})
        with pytest.raises(exc.OperationalError) as slow:
            reader.rows(SLEEP, {"seconds": "5"})
        assert isinstance(slow.value.orig, psycopg.errors.QueryCanceled)
        assert left_behind(engine) is None
    assert in_tenant(engine) == (7, server)


def test_what_the_driver_forgot_is_prepared_again(engine: Engine) -> None:
    before = in_tenant(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("DEALLOCATE ALL")
    assert in_tenant(engine) == before


def test_a_connection_that_was_killed_is_replaced_unseen_or_told_of_as_an_outage(
    engine: Engine, settings: Settings
) -> None:
    assert in_tenant(engine)[0] == 7
    kill(settings)
    assert in_tenant(engine)[0] == 7, "it was idle: nobody notices"
    failures = []

    def sleep() -> None:
        with pytest.raises(exc.OperationalError) as failed:
            Reader(engine, InTenant(7)).rows(SLEEP, {"seconds": "0.9"})
        failures.append(failed.value)

    sleeper = threading.Thread(target=sleep)
    sleeper.start()
    time.sleep(0.3)
    kill(settings)
    sleeper.join(10)
    assert len(failures) == 1
    assert not isinstance(failures[0].orig, psycopg.errors.QueryCanceled)
    assert in_tenant(engine)[0] == 7


def test_a_server_that_says_nothing_any_more_is_left(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _, server = in_tenant(engine)
    monkeypatch.setattr(pipeline, "ANSWERED_WITHIN_S", 0.2)
    with pytest.raises(exc.OperationalError):
        Reader(engine, InTenant(7)).rows(SLEEP, {"seconds": "0.9"})
    assert in_tenant(engine)[1] != server


def test_others_work_while_one_waits(engine: Engine) -> None:
    """libpq would wait with Python's lock."""
    sleeper = threading.Thread(target=Reader(engine, InTenant(7)).rows, args=(SLEEP, {"seconds": "0.8"}))
    sleeper.start()
    time.sleep(0.1)
    began = time.monotonic()
    sum(range(1000))
    assert time.monotonic() - began < 0.5
    assert sleeper.is_alive()
    sleeper.join()


# As whoever bears a token.


@pytest.fixture
def bearer(engine: Engine, settings: Settings) -> Bearer:
    token = make_operator(settings, f"bearer-{time.monotonic_ns()}").tokens["owner"]
    found = authenticate(engine, credentials.api_token_hash(token))
    assert found is not None
    return found


def test_a_bearer_sees_the_tenant_that_postgresql_says(engine: Engine, bearer: Bearer) -> None:
    for _ in range(2):
        opening = AsBearer(bearer)
        assert not opening.is_confirmed
        (row,) = Reader(engine, opening).rows(TENANT, {})
        assert row.tenant == bearer.identity.tenant_id
        assert opening.is_confirmed
        assert left_behind(engine) is None


@pytest.mark.parametrize("said", [b"", b"{}", b"null"])
def test_a_bearer_that_is_another_than_was_thought_reads_nothing(engine: Engine, bearer: Bearer, said: bytes) -> None:
    strangers = [
        AsBearer(Bearer(bearer.token_hash, said, bearer.identity)),
        AsBearer(Bearer(b"\0" * 32, bearer.said, bearer.identity)),
    ]
    for opening in strangers:
        with pytest.raises(Changed):
            Reader(engine, opening).rows(TENANT, {})
        assert not opening.is_confirmed
    assert left_behind(engine) is None


def test_what_is_remembered_of_strangers_fills_no_memory(bearer: Bearer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.bearer.MOST_REMEMBERED", 2)
    bearers = Bearers()
    for number in (b"1", b"2", b"1", b"3"):
        bearers.remember(Bearer(number, bearer.said, bearer.identity))
    assert [bearers.get(number) is not None for number in (b"1", b"2", b"3")] == [True, False, True]
