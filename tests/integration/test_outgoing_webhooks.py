"""Events as outgoing webhooks: signed, sent again until they are taken, visible, and never into our own network."""

import ipaddress
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from cli.app import kibali
from db import job_life, webhook_endpoint
from db.engine import make_engine, session_factory
from db.webhook_endpoint import MOST, Attempt
from isp.webhook_retry import BACKOFF_S, GIVE_UP_AFTER
from settings import Networks, Settings
from tasks import webhook_deliveries
from tasks.running_job import RunningJob
from tasks.webhook_deliveries import deliver_webhooks, relay
from tests.integration.api_server import Client, api_of, make_operator
from tests.integration.event_client import write_events
from tests.integration.job_bench import Bench, make_bench, wait_until
from tests.integration.webhook_receiver import Received, Receiver, receiver

LOOPBACK = Networks([ipaddress.ip_network("127.0.0.0/8")])


@pytest.fixture
def settings(environ: Mapping[str, str], private_directory: Path) -> Settings:
    return Settings.load({**environ, "KIBALI_WEBHOOK_NETWORKS": "127.0.0.0/8"}, checkout=private_directory)


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, {**environ, "KIBALI_WEBHOOK_NETWORKS": "127.0.0.0/8"}, var) as bench:
        yield bench


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def add(api: Client, url: str, *types: str, name: str = "books") -> tuple[int, str]:
    """Id and secret of a webhook."""
    response = api.post("/webhooks", {"name": name, "url": url, "types": list(types) or ["payment.*"]})
    assert response.status_code == 201, response.text
    assert response.headers["location"] == f"/api/v1/webhooks/{response.json()['webhook']['id']}"
    return response.json()["webhook"]["id"], response.json()["secret"]


def run(bench: Bench, settings: Settings) -> None:
    """A second of the sweep, and the jobs it made, in this process."""
    with bench.sessions() as session:
        relay(session)
    for job_id in bench.scalars("SELECT id FROM job WHERE task = 'deliver_webhooks' AND state = 'pending' ORDER BY id"):
        with bench.sessions.begin() as session:
            claim = job_life.claim(session, job_id, "webhooks", 60)
        assert claim is not None
        with bench.sessions() as session:
            deliver_webhooks(session, RunningJob(claim, settings, bench.sessions), **claim.args)
            assert job_life.succeed(session, claim)
            session.commit()


def make_due(bench: Bench) -> None:
    """As if every pause were over."""
    bench.execute("UPDATE webhook_delivery SET due_at = now() WHERE state = 'pending'")
    bench.execute("UPDATE webhook_endpoint SET paused_until = NULL")


def deliveries(api: Client, webhook_id: int, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/webhooks/{webhook_id}/deliveries", sort="id", **query)["items"]
    return found


def test_events_are_sent_in_order_signed_and_once(api: Client, bench: Bench, there: Receiver) -> None:
    write_events(api.settings, api.operator.tenant_id, 0)  # before there was anybody to tell
    webhook_id, secret = add(api, there.url, "payment.*", "router.status")
    for number, event_type in enumerate(("payment.failed", "router.status", "router.live", "job.failed"), start=1):
        write_events(api.settings, api.operator.tenant_id, number, event_type=event_type)
    run(bench, api.settings)
    run(bench, api.settings)
    assert [body["type"] for body in there.bodies] == ["payment.failed", "router.status"]
    listed = {event["id"]: event for event in api.get("/events")["items"]}
    for body, received in zip(there.bodies, there.requests, strict=True):
        assert body["data"] == listed[body["id"]]["data"]
        assert received.path == "/hook?source=kibali"
        assert received.is_signed_by(secret)
        assert not received.is_signed_by("whsec_" + "A" * 43 + "=")
    seen = deliveries(api, webhook_id)
    assert [(each["state"], each["attempts"], each["response_status"]) for each in seen] == [("delivered", 1, 204)] * 2
    assert [each["webhook_id"] for each in seen] == [each.headers["webhook-id"] for each in there.requests]


def test_a_flood_of_events_takes_no_more_of_the_sweep_than_its_share(
    api: Client, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_deliveries, "RELAY_FOR_S", 0.0)
    ids = [add(api, "https://example.net/", name=name)[0] for name in ("books", "ledger")]
    many = (
        "INSERT INTO event (tenant_id, type, data) SELECT :id, 'payment.processed', '{}' FROM generate_series(1, 1200)"
    )
    bench.execute(many, id=api.operator.tenant_id)
    made = "SELECT count(*) FROM webhook_delivery WHERE endpoint_id = :id"
    seen = []
    for _ in range(4):
        with bench.sessions() as session:
            relay(session)
        seen.append([bench.scalars(made, id=each)[0] for each in ids])
    assert seen == [[500, 500], [1000, 1000], [1200, 1200], [1200, 1200]]


def test_real_workers_and_the_real_sweep_deliver(api: Client, bench: Bench, there: Receiver) -> None:
    add(api, there.url)
    with bench.sweeping(), bench.worker("webhooks"):
        write_events(api.settings, api.operator.tenant_id, *range(5))
        wait_until(lambda: len(there.requests) == 5, "five webhooks")
    assert [body["data"]["number"] for body in there.bodies] == list(range(5))


def test_what_is_not_taken_is_sent_again_later_and_what_waits_behind_it_too(
    api: Client, bench: Bench, there: Receiver
) -> None:
    webhook_id, _ = add(api, there.url)
    there.answer = lambda received: 503
    write_events(api.settings, api.operator.tenant_id, 1, 2)
    run(bench, api.settings)
    assert len(there.requests) == 1, "the second waits while the first is not taken"
    first = deliveries(api, webhook_id)[0]
    assert (first["state"], first["attempts"], first["response_status"]) == ("pending", 1, 503)
    assert first["error"] == "it answered 503: because"
    assert api.get(f"/webhooks/{webhook_id}")["failing_since"] is not None
    run(bench, api.settings)
    assert len(there.requests) == 1, "it is left alone for a while"
    there.answer = lambda received: 200
    make_due(bench)
    run(bench, api.settings)
    assert sorted(body["data"]["number"] for body in there.bodies) == [1, 1, 2]
    ids = [each.headers["webhook-id"] for each in there.requests if b'"number":1' in each.body]
    assert len(set(ids)) == 1, "by which the receiver knows that it is the same"
    webhook = api.get(f"/webhooks/{webhook_id}")
    assert (webhook["failures"], webhook["failing_since"]) == (0, None)


def test_after_the_last_attempt_it_is_failed_and_can_be_sent_again(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, _ = add(api, there.url)
    there.answer = lambda received: 500
    write_events(api.settings, api.operator.tenant_id, 1)
    for _ in range(len(BACKOFF_S) + 1):
        run(bench, api.settings)
        make_due(bench)
    run(bench, api.settings)
    assert len(there.requests) == len(BACKOFF_S) + 1
    (failed,) = deliveries(api, webhook_id, state="failed")
    there.answer = lambda received: 204
    assert api.post(f"/webhooks/{webhook_id}/deliveries/retry", {}).json() == {"retried": 1}
    run(bench, api.settings)
    assert deliveries(api, webhook_id)[0]["state"] == "delivered"
    again = {"delivery_id": failed["id"]}
    assert api.post(f"/webhooks/{webhook_id}/deliveries/retry", again).json() == {"retried": 1}
    run(bench, api.settings)
    assert len(there.requests) == len(BACKOFF_S) + 3
    assert api.post(f"/webhooks/{webhook_id}/deliveries/retry", {"delivery_id": 10**9}).status_code == 404


def test_who_takes_nothing_for_days_is_disabled_with_an_event(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, _ = add(api, there.url)
    there.answer = lambda received: 500
    write_events(api.settings, api.operator.tenant_id, 1)
    run(bench, api.settings)
    bench.execute("UPDATE webhook_endpoint SET failing_since = failing_since - :time", time=GIVE_UP_AFTER)
    make_due(bench)
    run(bench, api.settings)
    webhook = api.get(f"/webhooks/{webhook_id}")
    assert webhook["disabled_at"] is not None
    assert webhook["disabled_reason"].startswith("It has taken nothing since ")
    told = api.get("/events", type="webhook.disabled")["items"]
    assert told[0]["data"] == {"webhook_id": webhook_id, "name": "books", "reason": webhook["disabled_reason"]}
    for path in ("test", "deliveries/retry"):
        body: Any = {} if path != "test" else None
        assert api.post(f"/webhooks/{webhook_id}/{path}", body).json()["error"]["code"] == "disabled"

    write_events(api.settings, api.operator.tenant_id, 2)
    make_due(bench)
    run(bench, api.settings)
    assert len(there.requests) == 2
    there.answer = lambda received: 204
    assert api.patch(f"/webhooks/{webhook_id}", {"enabled": True}).json()["disabled_at"] is None
    write_events(api.settings, api.operator.tenant_id, 3)
    make_due(bench)
    run(bench, api.settings)
    assert sorted(body["data"]["number"] for body in there.bodies[2:]) == [1, 3], "what was due, and what is new"


def test_410_gone_disables_at_once(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, _ = add(api, there.url)
    there.answer = lambda received: 410
    write_events(api.settings, api.operator.tenant_id, 1)
    run(bench, api.settings)
    assert api.get(f"/webhooks/{webhook_id}")["disabled_reason"] == "It answered 410 Gone."


def test_an_admin_turns_it_off_changes_and_removes_it(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, secret = add(api, there.url)
    assert api.patch(f"/webhooks/{webhook_id}", {"enabled": False}).json()["disabled_reason"] == "by an admin"
    changed = api.patch(f"/webhooks/{webhook_id}", {"enabled": True, "types": ["job.failed"], "name": "ledger"}).json()
    assert (changed["name"], changed["types"], changed["disabled_at"]) == ("ledger", ["job.failed"], None)
    write_events(api.settings, api.operator.tenant_id, 1)
    write_events(api.settings, api.operator.tenant_id, 2, event_type="job.failed")
    run(bench, api.settings)
    assert [body["data"]["number"] for body in there.bodies] == [2]
    assert secret not in str(api.get("/webhooks")) + str(api.get("/audit")["items"])
    assert api.delete(f"/webhooks/{webhook_id}").status_code == 204
    assert api.request("GET", f"/webhooks/{webhook_id}").status_code == 404
    assert bench.scalars("SELECT count(*) FROM webhook_delivery") == [0]


def test_for_a_day_both_secrets_sign(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, old = add(api, there.url)
    new = api.post(f"/webhooks/{webhook_id}/rotate-secret").json()["secret"]
    assert api.post(f"/webhooks/{webhook_id}/test").status_code == 202
    run(bench, api.settings)
    assert there.bodies[0]["type"] == "webhook.test"
    assert there.requests[0].is_signed_by(old)
    assert there.requests[0].is_signed_by(new)
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        superuser.execute("UPDATE webhook_endpoint SET old_secret_until = now()")
    api.post(f"/webhooks/{webhook_id}/test")
    run(bench, api.settings)
    assert not there.requests[1].is_signed_by(old)
    assert there.requests[1].is_signed_by(new)


def test_a_worker_that_dies_between_sending_and_noting_sends_again_and_says_so_by_the_id(
    api: Client, bench: Bench, there: Receiver
) -> None:
    webhook_id, _ = add(api, there.url)
    write_events(api.settings, api.operator.tenant_id, 1)
    with bench.sweeping(), bench.worker("webhooks") as worker:

        def kill_and_take(_received: Received) -> int:
            os.kill(worker.process.pid, signal.SIGKILL)
            return 204

        there.answer = kill_and_take
        wait_until(lambda: len(there.requests) == 1, "the first attempt")
        wait_until(lambda: worker.process.poll() is not None, "the death of the workers")
    there.answer = lambda received: 204
    bench.execute("UPDATE job SET lease_until = now() - interval '1 s' WHERE state = 'running'")
    bench.sweep.tick()
    bench.execute("UPDATE job SET state = 'cancelled', finished_at = now() WHERE state = 'pending'")
    run(bench, api.settings)
    assert [each["state"] for each in deliveries(api, webhook_id)] == ["delivered"]
    assert len({each.headers["webhook-id"] for each in there.requests}) == 1


def test_webhooks_of_another_tenant_get_none_of_ours_and_are_not_there(
    api: Client, bench: Bench, there: Receiver
) -> None:
    other = Client(api.http, make_operator(api.settings, "zenith"), api.settings)
    theirs, _ = add(other, there.url)
    add(api, there.url)
    write_events(api.settings, api.operator.tenant_id, 1)
    run(bench, api.settings)
    assert len(there.requests) == 1
    assert deliveries(other, theirs) == []
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"enabled": False}),
        ("DELETE", "", None),
        ("POST", "/test", None),
        ("POST", "/rotate-secret", None),
        ("GET", "/deliveries", None),
        ("POST", "/deliveries/retry", {}),
    ):
        more: dict[str, Any] = {} if body is None else {"json": body}
        assert api.request(method, f"/webhooks/{theirs}{path}", **more).status_code == 404, path


def test_a_slow_server_holds_up_no_other_of_its_own_tenant(api: Client, bench: Bench, there: Receiver) -> None:
    all_came = threading.Event()

    def count(_received: Received) -> int:
        if len(there.requests) == 5:
            all_came.set()
        return 204

    there.answer = count
    with receiver() as slow:
        slow.answer = lambda received: 204 if all_came.wait(8) else 500
        add(api, slow.url, name="slow")
        add(api, there.url)
        write_events(api.settings, api.operator.tenant_id, *range(5))
        run(bench, api.settings)
    assert [body["data"]["number"] for body in there.bodies] == list(range(5))
    assert [body["data"]["number"] for body in slow.bodies] == list(range(5))


def test_an_endpoint_whose_secret_can_not_be_opened_holds_up_no_other(
    api: Client, bench: Bench, there: Receiver
) -> None:
    broken, _ = add(api, there.url, name="broken")
    add(api, there.url)
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as connection:
        connection.execute("UPDATE webhook_endpoint SET secret_sealed = 'x' WHERE id = %s", (broken,))
    write_events(api.settings, api.operator.tenant_id, 1)
    run(bench, api.settings)
    assert len(there.requests) == 1
    assert "is not in a known format" in deliveries(api, broken)[0]["error"]


def test_there_may_be_so_many_and_no_more(api: Client) -> None:
    body = {"url": "https://example.net/", "types": ["payment.*"]}
    for number in range(MOST - 1):
        add(api, "https://example.net/", name=f"number {number}")
    with ThreadPoolExecutor() as pool:
        made = list(pool.map(lambda number: api.post("/webhooks", body | {"name": f"last {number}"}), range(4)))
    assert sorted(each.status_code for each in made) == [201, 409, 409, 409]
    refused = next(each.json()["error"] for each in made if each.status_code == 409)
    assert (refused["code"], refused["message"]) == (
        "too_many",
        "There are 10 webhooks; no more than 10 may be. Remove one first.",
    )


@pytest.mark.parametrize(
    ("url", "field"),
    [
        ("ftp://example.net/", "url"),
        ("https://", "url"),
        ("https://user:password@example.net/", "url"),
        ("https://example.net:99999/", "url"),
        ("https://example.net/#part", "url"),
        ("https://[::1/", "url"),
        ("javascript:alert(1)", "url"),
    ],
)
def test_a_url_that_is_none_is_refused(api: Client, url: str, field: str) -> None:
    response = api.post("/webhooks", {"name": "x", "url": url, "types": ["payment.*"]})
    assert (response.status_code, response.json()["error"]["field"]) == (422, field)


def test_types_must_be_named_and_names_are_unique(api: Client) -> None:
    url = "https://example.net/"
    for types in ([], ["*"], ["payment"], "payment.*"):
        assert api.post("/webhooks", {"name": "x", "url": url, "types": types}).status_code == 422, types
    add(api, url)
    assert api.post("/webhooks", {"name": "books", "url": url, "types": ["job.*"]}).json()["error"]["code"] == "taken"


def test_commands_do_what_the_api_does(api: Client, bench: Bench, there: Receiver, environ: Mapping[str, str]) -> None:
    def kibali_says(*arguments: str) -> str:
        result = CliRunner().invoke(kibali, ["webhook", *arguments], env=environ)
        assert result.exit_code == 0, result.output
        return result.stdout

    added = kibali_says("add", "--name", "books", "--url", there.url, "--types", "payment.*")
    assert "whsec_" in added
    webhook_id = str(api.get("/webhooks")["items"][0]["id"])
    kibali_says("test", webhook_id)
    write_events(api.settings, api.operator.tenant_id, 1)
    run(bench, api.settings)
    assert "webhook.test" in kibali_says("deliveries", webhook_id)
    assert kibali_says("retry", webhook_id) == "0 will be sent again\n"
    assert "whsec_" in kibali_says("rotate-secret", webhook_id)
    assert "by an admin" in kibali_says("change", webhook_id, "--no-enabled")
    assert "books" in kibali_says("list")
    assert "by an admin" in kibali_says("show", webhook_id)
    kibali_says("remove", webhook_id)
    assert api.get("/webhooks")["items"] == []


def test_internal_addresses_are_refused_by_default_and_visibly(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, _ = add(api, there.url)
    write_events(api.settings, api.operator.tenant_id, 1)
    run(bench, replace(api.settings, webhook_networks=Networks()))
    assert there.requests == []
    assert "127.0.0.1, which is not on the public internet" in deliveries(api, webhook_id)[0]["error"]


def test_old_deliveries_are_deleted(api: Client, bench: Bench, there: Receiver) -> None:
    webhook_id, _ = add(api, there.url)
    write_events(api.settings, api.operator.tenant_id, 1, 2)
    run(bench, api.settings)
    oldest = "SELECT min(id) FROM webhook_delivery"
    bench.execute(f"UPDATE webhook_delivery SET created_at = now() - interval '31 days' WHERE id = ({oldest})")
    with bench.sessions.begin() as session:
        assert webhook_endpoint.prune(session, datetime.now(UTC), timedelta(days=30), 100) == 1
    assert len(deliveries(api, webhook_id)) == 1


def test_an_attempt_for_an_endpoint_that_is_gone_is_nothing(settings: Settings) -> None:
    engine = make_engine(settings, "worker", pool_size=1)
    with session_factory(engine).begin() as session:
        webhook_endpoint.note(session, 1, Attempt(200, None), datetime.now(UTC))
    engine.dispose()
    with psycopg.connect(settings.database_dsn("worker")) as connection:
        assert connection.execute("SELECT count(*) FROM webhook_delivery").fetchone() == (0,)
