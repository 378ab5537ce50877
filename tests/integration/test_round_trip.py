"""What is asked of libpq directly ends like all else that is asked: in SQLAlchemy's errors, on a new connection."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, exc, text

from db import round_trip
from db.actor import Actor
from db.engine import make_engine, session_factory, use_tenant
from settings import Settings

NOW = "SELECT current_setting('kibali.tenant_id', true), current_setting('kibali.actor', true)"


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = make_engine(settings, "api", pool_size=1, statement_timeout_s=1)
    yield engine
    engine.dispose()


def kill(settings: Settings) -> None:
    with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as superuser:
        superuser.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'kibali_api'")


def test_a_transaction_begins_with_its_tenant_and_leaves_nothing_behind(engine: Engine) -> None:
    quotes = Actor(who="o'brien\\'; SELECT 1 --@example.net", via="cli", action="'")
    with session_factory(engine)() as session:
        for _ in range(2):
            tenant_id, actor = session.execute(text(NOW)).one()
            assert (tenant_id or "", actor or "") == ("", "")
            session.rollback()
        use_tenant(session, 7, quotes)
        for end in (session.commit, session.rollback, session.commit):
            assert tuple(session.execute(text(NOW)).one()) == ("7", quotes.setting())
            with session.begin_nested():
                assert session.scalar(text("SELECT current_setting('kibali.tenant_id')")) == "7"
            end()
    with session_factory(engine)() as another:
        assert (another.execute(text(NOW)).one()[0] or "") == ""


def test_a_moment_may_be_asked_for_and_has_its_tenant(engine: Engine) -> None:
    with session_factory(engine)() as session:
        use_tenant(session, 7)
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        assert session.scalar(text("SHOW transaction_isolation")) == "repeatable read"
        assert session.scalar(text("SELECT current_setting('kibali.tenant_id')")) == "7"


def test_what_postgresql_refuses_is_an_error_of_sqlalchemy_s_and_the_connection_goes_on(engine: Engine) -> None:
    with pytest.raises(exc.ProgrammingError):
        round_trip.ask(engine, b"SELECT * FROM nowhere WHERE x = $1", [b"1"])
    with pytest.raises(exc.OperationalError) as slow:
        round_trip.ask(engine, b"SELECT pg_sleep($1)", [b"5"])
    assert isinstance(slow.value.orig, psycopg.errors.QueryCanceled)
    assert round_trip.ask(engine, b"SELECT $1::int + 1", [b"1"]) == [b"2"]
    with engine.connect() as connection, pytest.raises(exc.ProgrammingError):
        round_trip.rows(connection, "SELECT * FROM nowhere", [])
    with engine.connect() as connection:
        assert round_trip.rows(connection, "SELECT $1::int AS one", [1])[0].one == 1


def test_a_connection_that_was_killed_is_replaced_unseen_or_told_of_as_an_outage(
    engine: Engine, settings: Settings
) -> None:
    assert round_trip.ask(engine, b"SELECT $1", [b"1"]) == [b"1"]
    kill(settings)
    assert round_trip.ask(engine, b"SELECT $1", [b"1"]) == [b"1"], "it was idle: nobody notices"
    kill(settings)
    with session_factory(engine)() as session:
        assert session.execute(text(NOW)).one() is not None
    with engine.connect() as connection:
        kill(settings)
        with pytest.raises(exc.OperationalError):
            round_trip.rows(connection, "SELECT 1 AS one", [])
    with engine.connect() as connection:
        kill(settings)
        with pytest.raises(exc.OperationalError):
            round_trip.begin(connection, {"kibali.tenant_id": "7"})
    assert round_trip.ask(engine, b"SELECT $1", [b"1"]) == [b"1"]
