"""/metrics: for Prometheus on this machine and nobody else, about every part, and what the papers name is there."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from db import metrics
from db.engine import make_engine, session_factory
from radius_module.combining import Combiner
from settings import CHECKOUT, Networks, Secret, Settings
from tasks.heartbeat import Heartbeat
from tasks.redis_pool import make_redis_pool
from tests.integration.api_server import Client, api_of
from tests.integration.event_client import watching, write_events
from tests.integration.test_api_outages import postgres_away

PAPERS = CHECKOUT / "docs" / "monitoring"
TOKEN = "a-token-of-metrics"


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(replace(settings, metrics_token=Secret(TOKEN))) as client:
        yield client


def scraped(api: Client, **headers: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name → label values, in the order of their names → value."""
    response = api.http.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/plain")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def write_state(settings: Settings, state: Mapping[str, Any]) -> None:
    path = settings.run_dir / "freeradius" / "state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(state), "ascii")


def count_events(settings: Settings) -> None:
    engine = make_engine(settings, "worker", pool_size=1)
    with session_factory(engine).begin() as session:
        while metrics.count_events(session, limit=2):
            pass
    engine.dispose()


def module_state() -> dict[str, Any]:
    """What the module inside FreeRADIUS writes, made by its own parts."""
    combiner: Combiner[int, int] = Combiner(lambda items: items, max_batch=4)
    for item in range(3):
        combiner.call(item, 1.0)
    return {
        "postgres_is_here": True,
        "records_on_disk": 7,
        "spool_problem": "",
        "unknown_senders": 3,
        "answers": {"accept:ok": 5, "reject:expired": 2},
        "batches": {"logins": combiner.tally.state()},
    }


def test_every_part_is_told_of(api: Client) -> None:
    write_state(api.settings, module_state())
    Heartbeat("worker-payments", api.settings, make_redis_pool(api.settings), queue="payments", workers=4).beat_if_due()
    api.router()
    write_events(api.settings, api.operator.tenant_id, 1, 2, 3)
    write_events(api.settings, api.operator.tenant_id, 4, event_type="payment.failed")
    count_events(api.settings)
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        superuser.execute(
            "INSERT INTO job (queue, task, max_attempts, due_at) VALUES ('payments', 'x', 1, now() - interval '1 min')"
        )
    with watching(api):
        found = scraped(api)
    node = api.settings.node_name
    assert found["kibali_up"] == {("freeradius",): 1, ("postgres",): 1, ("redis",): 1}
    assert found["kibali_jobs"] == {("payments", "due"): 1}
    assert found["kibali_job_oldest_due_seconds"][("payments",)] >= 60
    assert found["kibali_workers"] == {(node, "payments"): 4}
    assert found["kibali_workers_wanted"][("maintenance",)] == 1
    assert found["kibali_part_alive"] == {(node, "worker-payments"): 1}
    assert found["kibali_events_total"] == {("payment.failed",): 1, ("payment.processed",): 3}
    assert found["kibali_routers"] == {("pending",): 1}
    assert found["kibali_event_clients"] == {(): 1}
    assert found["kibali_radius_answers_total"] == {("ok", "accept"): 5, ("expired", "reject"): 2}
    assert found["kibali_radius_packets_total"] == {("logins",): 3}
    assert found["kibali_radius_batch_size_count"] == {("logins",): 3}
    assert found["kibali_radius_batch_size_bucket"][("1", "logins")] == 3
    assert found["kibali_radius_batch_seconds_count"] == {("logins",): 3}
    assert found["kibali_radius_spool_records"] == {(): 7}
    assert found["kibali_radius_unknown_senders_total"] == {(): 3}
    assert found["kibali_database_pool_connections"][("most",)] == 10
    assert found["kibali_http_requests_total"][("POST", "/api/v1/routers", "201")] == 1
    assert "kibali_api_process_resident_memory_bytes" in found


def test_totals_of_events_only_grow_and_count_each_event_once(api: Client) -> None:
    write_events(api.settings, api.operator.tenant_id, *range(5))
    count_events(api.settings)
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        superuser.execute("DELETE FROM event")
    count_events(api.settings)
    write_events(api.settings, None, 6)
    count_events(api.settings)
    assert scraped(api)["kibali_events_total"] == {("payment.processed",): 6}


def test_a_part_that_does_not_answer_is_down_and_the_rest_is_told(settings: Settings) -> None:
    url = urlsplit(settings.redis_url)._replace(netloc="127.0.0.1:1").geturl()
    with api_of(replace(settings, redis_url=url)) as api, postgres_away(settings):
        found = scraped(api)
        assert found["kibali_up"] == {("freeradius",): 0, ("postgres",): 0, ("redis",): 0}
        assert "kibali_jobs" not in found
        assert found["kibali_workers_wanted"][("payments",)] == 4


def test_a_state_that_is_old_or_damaged_is_not_believed(api: Client) -> None:
    write_state(api.settings, module_state())
    path = api.settings.run_dir / "freeradius" / "state.json"
    path.write_text("{", "ascii")
    assert scraped(api)["kibali_up"][("freeradius",)] == 0
    write_state(api.settings, module_state())
    os.utime(path, (1, 1))
    assert scraped(api)["kibali_up"][("freeradius",)] == 0
    write_state(api.settings, {"postgres_is_here": False})  # of a module that is older than this
    assert scraped(api)["kibali_radius_postgres_up"] == {(): 0}


def test_strangers_read_nothing_and_who_has_the_token_does(settings: Settings) -> None:
    elsewhere = replace(settings, metrics_sources=Networks(), metrics_token=Secret(TOKEN))
    with api_of(elsewhere) as api:
        assert scraped(api, Authorization=f"Bearer {TOKEN}")["kibali_up"]
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
            assert api.http.get("/metrics", headers=headers).status_code == 403
        assert api.request("GET", "/../../metrics").status_code in (403, 404)
    with api_of(replace(elsewhere, metrics_token=Secret("")), slug="zenith") as api:
        assert api.http.get("/metrics", headers={"Authorization": "Bearer"}).status_code == 403, "no token is no key"


def test_who_comes_through_a_proxy_is_not_this_machine(api: Client) -> None:
    response = api.http.get("/metrics", headers={"X-Forwarded-For": "41.90.0.1"})
    assert response.status_code == 403
    assert api.http.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 403, "even from here"


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bkibali_[a-z0-9_]+", text))


@pytest.mark.parametrize("paper", ["alerts.yml", "grafana.json", "../monitoring.md"])
def test_every_metric_that_a_paper_names_is_there(api: Client, paper: str) -> None:
    exposed = api.http.get("/metrics").text
    declared = set(re.findall(r"^# TYPE (kibali_\w+) ", exposed, re.MULTILINE))
    suffixes = ("", "_bucket", "_sum", "_count")
    known = {f"{name}{suffix}" for name in declared for suffix in suffixes}
    named = names_in((PAPERS / paper).read_text("utf-8"))
    assert named
    assert named <= known, sorted(named - known)


def test_the_dashboard_and_the_rules_are_whole() -> None:
    dashboard = json.loads((PAPERS / "grafana.json").read_text("utf-8"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) >= 10
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])
    rules = yaml.safe_load((PAPERS / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
    assert len(rules) >= 10
    for rule in rules:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert "./kibali" in rule["annotations"]["do"] or "docs/" in rule["annotations"]["do"], rule["alert"]
