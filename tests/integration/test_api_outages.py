"""The API while PostgreSQL or Redis is away: it says so, loses nothing, and is back as soon as they are."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from settings import Settings
from tests.integration.api_server import Client, api_of


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


@contextmanager
def postgres_away(settings: Settings) -> Iterator[None]:
    """For the API's role: nobody may connect, and whoever was connected no longer is."""
    name = sql.Identifier(settings.database_name)
    with psycopg.connect(settings.database_admin_dsn(), autocommit=True) as superuser:
        superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (settings.database_name,)
        )
        try:
            yield
        finally:
            superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


def test_without_postgresql_the_answer_is_a_503_with_a_time_to_come_back(api: Client) -> None:
    plan = api.plan()
    with postgres_away(api.settings):
        for method, path, body in (("GET", "/plans", None), ("POST", "/subscribers", {"name": "Jane"})):
            response = api.request(method, path, json=body)
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "unavailable"
            assert response.headers["retry-after"] == "5"
            assert "kibali_api" not in response.text
    assert api.get("/plans")["items"] == [plan]
    assert api.get("/subscribers")["items"] == []


def test_connections_that_died_while_idle_are_replaced_unseen(api: Client) -> None:
    api.plan()
    with postgres_away(api.settings):
        pass
    assert len(api.get("/plans")["items"]) == 1


def test_ready_names_what_is_away_and_alive_does_not_care(api: Client) -> None:
    ready = api.http.get("/readyz").json()
    assert ready["ready"] is True
    assert ready["checks"] == {"database": {"ok": True}, "redis": {"ok": True}}
    assert ready["parts"]["sweep"] == {"ok": False, "why": "No heartbeat on any machine."}
    assert ready["parts"]["worker-payments"]["ok"] is False
    assert ready["parts"]["events"] == {"ok": True}
    with postgres_away(api.settings):
        response = api.http.get("/readyz")
        assert response.status_code == 503
        assert response.json()["ready"] is False
        assert response.json()["checks"]["redis"] == {"ok": True}
        assert "PostgreSQL does not answer" in response.json()["checks"]["database"]["why"]
        assert api.http.get("/healthz").status_code == 200
    assert api.http.get("/readyz").status_code == 200


def test_an_old_schema_is_not_ready_and_says_what_to_run(api: Client) -> None:
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        superuser.execute("UPDATE alembic_version SET version_num = '0000'")
    response = api.http.get("/readyz")
    assert response.status_code == 503
    assert "./kibali db prepare" in response.json()["checks"]["database"]["why"]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_without_redis_the_api_works_and_is_not_ready(settings: Settings, silent_port: int, kind: str) -> None:
    port = silent_port if kind == "silent" else 1
    url = urlsplit(settings.redis_url)._replace(netloc=f"127.0.0.1:{port}").geturl()
    with api_of(replace(settings, redis_url=url)) as api:
        plan = api.plan()
        assert api.get("/plans")["items"] == [plan]
        wrong = api.http.get("/api/v1/plans", headers={"Authorization": "Bearer kbl_" + "A" * 43})
        assert wrong.status_code == 401
        response = api.http.get("/readyz")
        assert response.status_code == 503
        assert "Redis does not answer" in response.json()["checks"]["redis"]["why"]


def test_two_requests_for_one_username_at_once_make_one_subscription(api: Client) -> None:
    plan_id, subscriber_id = api.plan()["id"], api.subscriber()["id"]
    body = {"plan_id": plan_id, "subscriber_id": subscriber_id, "service": "hotspot", "username": "jane"}
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(api.post("/subscriptions", body).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [201] + [409] * 7


def test_a_plan_is_never_archived_under_a_subscription_that_is_being_made(api: Client) -> None:
    for _ in range(10):
        plan_id, subscriber_id = api.plan()["id"], api.subscriber()["id"]
        body = {"plan_id": plan_id, "subscriber_id": subscriber_id, "service": "hotspot"}
        answers: dict[str, int] = {}
        threads = [
            threading.Thread(target=lambda: answers.update(made=api.post("/subscriptions", body).status_code)),  # noqa: B023
            threading.Thread(target=lambda: answers.update(archived=api.delete(f"/plans/{plan_id}").status_code)),  # noqa: B023
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (answers["made"], answers["archived"]) in {(201, 409), (422, 204)}
