"""Questions to a PostgreSQL that does not answer: the thread that asked is let go, and the next one finds it back."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import DataError

from radius_module.arrays import int8s
from radius_module.connection import BoundedConnection, DatabaseAway, Link, Statement
from settings import Settings

SLEEP = Statement("SELECT pg_sleep(value::float8 / 10)::text, value FROM unnest(%(tenths)b::int8[]) AS q (value)")


@pytest.fixture
def link(settings: Settings) -> Iterator[Link]:
    opened = Link(settings.database_dsn("radius"), "test", statement_timeout_s=0.5, log=lambda _line: None)
    opened.start()
    yield opened
    opened.close()


def sleep(link: Link, tenths: int) -> list[tuple[object, ...]]:
    return link.use(lambda connection: connection.ask(SLEEP, {"tenths": int8s([tenths])}))


def without_its_own_limit(connection: BoundedConnection) -> None:
    """As if the server hung: then no statement_timeout helps."""
    connection.execute("SET statement_timeout = 0")


def test_a_question_is_answered(link: Link) -> None:
    assert sleep(link, 0) == [("", 0)]


def test_a_server_that_keeps_a_question_is_hung_up_on_in_time(link: Link) -> None:
    link.use(without_its_own_limit)
    began = time.monotonic()
    with pytest.raises(DatabaseAway):
        sleep(link, 100)
    assert time.monotonic() - began < 2
    assert not link.is_up or sleep(link, 0) == [("", 0)]


def test_the_next_connection_works_and_nothing_late_is_taken_for_its_answer(link: Link) -> None:
    link.use(without_its_own_limit)
    with pytest.raises(DatabaseAway):
        sleep(link, 10)
    deadline = time.monotonic() + 5
    while not link.is_up and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [sleep(link, number) for number in (0, 1, 2)] == [[("", 0)], [("", 1)], [("", 2)]]


def test_the_servers_own_limit_drops_the_connection_too(link: Link) -> None:
    with pytest.raises(DatabaseAway):
        sleep(link, 100)


def test_a_connection_that_died_while_nobody_used_it_is_found_before_the_next_question(
    link: Link, settings: Settings
) -> None:
    for _ in range(3):
        with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as admin:
            ended = admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = 'kibali-radius test'"
            ).fetchall()
        assert ended == [(True,)]
        time.sleep(1)
        assert sleep(link, 0) == [("", 0)]


def test_a_question_that_postgresql_refuses_leaves_the_connection_as_it_was(link: Link) -> None:

    wrong = Statement("SELECT 1 / value FROM unnest(%(tenths)b::int8[]) AS q (value)")
    for _ in range(2):
        with pytest.raises(DataError):
            link.use(lambda connection: connection.ask(wrong, {"tenths": int8s([0])}))
    assert link.is_up
    assert sleep(link, 0) == [("", 0)]
