"""/queues and /jobs: what waits and runs, who works, what failed; trying again and cancelling."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from redis import Redis

from db.engine import make_engine, session_factory, use_tenant
from settings import Settings
from tasks.enqueue import enqueue
from tasks.heartbeat import Heartbeat, all_alive
from tasks.redis_pool import make_redis_pool
from tests.integration import job_tasks
from tests.integration.api_server import Client, api_of, make_operator, platform_token


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


def add_job(api: Client, tenant_id: int | None = None, **columns: Any) -> int:
    values = {
        "tenant_id": tenant_id or api.operator.tenant_id,
        "queue": "payments",
        "task": "leave_mark",
        "max_attempts": 4,
        **columns,
    }
    if values.get("state") == "failed":
        values |= {"finished_at": "now", "error": "PermanentFailure: no", "attempts": 4}
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        row = superuser.execute(f"INSERT INTO job ({names}) VALUES ({places}) RETURNING id", values).fetchone()
    assert row is not None
    return int(row[0])


def queue(api: Client, name: str, **options: Any) -> dict[str, Any]:
    rows = api.request("GET", "/queues", **options).json()["items"]
    found: dict[str, Any] = {row["queue"]: row for row in rows}[name]
    return found


def test_queues_say_what_waits_and_who_works_on_every_node(api: Client) -> None:
    add_job(api, due_at="2026-01-01")
    add_job(api, due_at="2999-01-01")
    add_job(api, state="failed")
    for node in ("one", "two"):
        settings = replace(api.settings, node=node)
        Heartbeat("worker-payments", settings, make_redis_pool(settings), queue="payments", workers=4).beat_if_due()
    row = queue(api, "payments")
    assert row.pop("oldest_due_s") > 1000
    assert row == {
        "queue": "payments",
        "workers": 4,
        "workers_alive": 8,
        "limit_s": 120,
        "due": 1,
        "later": 1,
        "running": 0,
        "failed": 1,
    }
    assert queue(api, "maintenance")["workers_alive"] == 0
    with Redis.from_url(api.settings.redis_dsn()) as client:
        assert [(each.part, each.node) for each in all_alive(client)] == [
            ("worker-payments", "one"),
            ("worker-payments", "two"),
        ]


def test_without_redis_the_queues_are_told_and_the_workers_are_not(settings: Settings) -> None:
    url = urlsplit(settings.redis_url)._replace(netloc="127.0.0.1:1").geturl()
    with api_of(replace(settings, redis_url=url)) as api:
        add_job(api, due_at="2026-01-01")
        row = queue(api, "payments")
        assert (row["due"], row["workers_alive"]) == (1, None)


def test_failed_jobs_are_listed_and_tried_again_by_id_queue_task_or_all(api: Client) -> None:
    ids = [add_job(api, state="failed"), add_job(api, state="failed", queue="default", task="refuse")]
    ids += [add_job(api, state="failed", queue="default") for _ in range(2)]
    assert [job["id"] for job in api.get("/queues/failed")["items"]] == ids[::-1]
    assert [job["id"] for job in api.get("/queues/failed", queue="default", task="refuse")["items"]] == ids[1:2]
    first = api.get("/queues/failed", limit=3)
    assert [job["id"] for job in api.get("/queues/failed", limit=3, cursor=first["next"])["items"]] == ids[:1]

    assert api.post("/queues/failed/retry", {"job_id": ids[0]}).json() == {"retried": 1}
    assert api.post("/queues/failed/retry", {"job_id": ids[0]}).json()["error"]["code"] == "not_failed"
    assert api.post("/queues/failed/retry", {"queue": "default", "task": "refuse"}).json() == {"retried": 1}
    assert api.post("/queues/failed/retry", {"queue": "payments"}).json() == {"retried": 0}
    assert api.post("/queues/failed/retry", {"all": True}).json() == {"retried": 2}
    assert api.get("/queues/failed")["items"] == []
    job = api.get(f"/jobs/{ids[0]}")
    assert (job["state"], job["attempts"], job["error"]) == ("pending", 0, None)


@pytest.mark.parametrize(
    "body", [{}, {"all": False}, {"all": True, "queue": "default"}, {"job_id": 1, "task": "x"}, {"queue": "nothing"}]
)
def test_what_is_to_be_tried_again_must_be_said(api: Client, body: Any) -> None:
    response = api.post("/queues/failed/retry", body)
    assert response.status_code == 422, response.text


def test_jobs_are_listed_retried_and_cancelled(api: Client) -> None:
    failed, waiting = add_job(api, state="failed"), add_job(api)
    assert [job["id"] for job in api.get("/jobs")["items"]] == [waiting, failed]
    assert [job["id"] for job in api.get("/jobs", state="failed", queue="payments")["items"]] == [failed]
    assert api.post(f"/jobs/{failed}/retry").json()["state"] == "pending"
    assert api.post(f"/jobs/{waiting}/cancel").json()["state"] == "cancelled"
    assert api.post(f"/jobs/{waiting}/cancel").json()["error"]["code"] == "finished"
    assert api.get("/events", type="job.cancelled")["items"][0]["data"]["job_id"] == waiting


def test_a_tenant_sees_and_tries_its_own_jobs_and_the_platform_those_of_all(api: Client) -> None:
    other = make_operator(api.settings, "zenith")
    mine, theirs = add_job(api, state="failed"), add_job(api, other.tenant_id, state="failed")
    nobodys = add_job(api, state="failed", queue="maintenance")
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        superuser.execute("UPDATE job SET tenant_id = NULL WHERE id = %s", (nobodys,))
    assert [job["id"] for job in api.get("/queues/failed")["items"]] == [mine]
    assert queue(api, "payments")["failed"] == 1
    for path in (f"/jobs/{theirs}/retry", f"/jobs/{theirs}/cancel", f"/jobs/{nobodys}/retry"):
        assert api.post(path).status_code == 404
    assert api.post("/queues/failed/retry", {"all": True}).json() == {"retried": 1}

    api.operator.tokens["platform"] = platform_token(api.settings)
    seen = api.request("GET", "/queues/failed", role="platform").json()["items"]
    assert [job["id"] for job in seen] == [nobodys, theirs]
    cancelled = api.request("POST", f"/jobs/{mine}/cancel", role="platform")
    assert cancelled.json()["state"] == "cancelled"
    retried = api.request("POST", "/queues/failed/retry", role="platform", json={"all": True})
    assert retried.json() == {"retried": 2}


def test_a_job_knows_the_request_that_caused_it(api: Client) -> None:
    account = api.made(
        "/payment-accounts",
        kind="paybill",
        name="Main",
        shortcode="600000",
        credentials={"consumer_key": "key", "consumer_secret": "secret", "passkey": "pass"},
    )
    headers = {"X-Request-Id": "from-the-till-7"}
    job_id = api.request("POST", f"/payment-accounts/{account['id']}/test", headers=headers).json()["job_id"]
    assert api.get(f"/jobs/{job_id}")["request_id"] == "from-the-till-7"


def test_a_job_that_a_command_caused_has_no_request(api: Client) -> None:
    engine = make_engine(api.settings, "api", pool_size=1)
    with session_factory(engine)() as session:
        job = enqueue(
            use_tenant(session, api.operator.tenant_id), job_tasks.leave_mark, tenant_id=api.operator.tenant_id
        )
        session.commit()
        assert job.request_id is None
    engine.dispose()
    assert json.loads(json.dumps(api.get(f"/jobs/{job.id}")))["request_id"] is None
