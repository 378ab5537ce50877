"""An API that is killed while it answers, and two hundred who watch while everything restarts: real processes."""

import os
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import psycopg
import pytest

from settings import Settings
from tests.integration.api_server import Operator, make_operator
from tests.integration.event_client import numbers, write_events
from tests.integration.job_bench import wait_until
from tests.integration.test_event_outages import watch
from tests.servers import Servers, running_part

KEY = {"Idempotency-Key": "the-answer-got-lost"}


@pytest.fixture
def operator(servers: Servers, own_settings: Settings) -> Operator:
    assert servers
    return make_operator(own_settings, "acme")


@pytest.fixture
def superuser(operator: Operator, own_settings: Settings) -> Iterator[psycopg.Connection]:
    assert operator
    with psycopg.connect(own_settings.database_admin_dsn(own_settings.database_name), autocommit=True) as connection:
        yield connection


def client(settings: Settings, operator: Operator) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{settings.http_port}/api/v1",
        headers={"Authorization": f"Bearer {operator.tokens['owner']}"},
        timeout=30,
        trust_env=False,
    )


def test_a_request_whose_api_was_killed_before_it_answered_is_done_once(
    own_environ: Mapping[str, str], own_settings: Settings, operator: Operator, superuser: psycopg.Connection
) -> None:
    """Between the claim of its key and its answer; PostgreSQL still works at it when it is sent again."""

    def waiting() -> int:
        (count,) = superuser.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INTO subscriber%'"
        ).fetchone() or (0,)
        return int(count)

    def send() -> httpx.Response:
        with client(own_settings, operator) as http:
            return http.post("/subscribers", json={"name": "Jane"}, headers=KEY)

    def made() -> int:
        (count,) = superuser.execute("SELECT count(*) FROM subscriber").fetchone() or (0,)
        return int(count)

    with (
        psycopg.connect(own_settings.database_admin_dsn(own_settings.database_name)) as blocker,
        ThreadPoolExecutor(1) as threads,
    ):
        with running_part("api", own_environ, own_settings) as api:
            blocker.execute("LOCK TABLE subscriber IN SHARE MODE")
            lost = threads.submit(send)
            wait_until(lambda: waiting() == 1, "its key is claimed, and its row waits")
            os.killpg(api.pid, signal.SIGKILL)
            assert isinstance(lost.exception(20), httpx.TransportError)
        with running_part("api", own_environ, own_settings):
            again = send()
            assert again.status_code in (409, 201)
            if again.status_code == 409:
                assert again.json()["error"]["code"] == "in_progress"
            blocker.rollback()
            wait_until(lambda: waiting() == 0, "the first has ended")
            answers = [send() for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert made() == 1


def test_two_hundred_who_watch_miss_nothing_while_postgresql_and_then_the_api_restart(
    servers: Servers, own_environ: Mapping[str, str], own_settings: Settings, operator: Operator
) -> None:
    count = 200
    with running_part("api", own_environ, own_settings) as api, ExitStack() as stack:
        watchers = [stack.enter_context(watch(own_settings, operator)) for _ in range(count)]
        write_events(own_settings, operator.tenant_id, 1, 2)
        servers.stop("postgres")
        servers.start("postgres")
        write_events(own_settings, operator.tenant_id, 3)
        for watcher in watchers:
            assert numbers(watcher.until(3)) == [1, 2, 3]
        write_events(own_settings, operator.tenant_id, 4)
        os.killpg(api.pid, signal.SIGKILL)
        assert all(watcher.closed()[0] == 1006 for watcher in watchers)
    write_events(own_settings, operator.tenant_id, 5)
    with running_part("api", own_environ, own_settings), ExitStack() as stack:
        again = [stack.enter_context(watch(own_settings, operator, after=each.last_id)) for each in watchers]
        write_events(own_settings, operator.tenant_id, 6)
        for before, after in zip(watchers, again, strict=True):
            told = numbers(before.events)
            assert told + numbers(after.until(6 - len(told))) == [1, 2, 3, 4, 5, 6]
