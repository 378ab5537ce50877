"""/metrics: how the machinery does, for Prometheus. About all tenants together, and so for this machine alone."""

import hmac
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from redis import RedisError
from sqlalchemy import exc
from sqlalchemy.pool import QueuePool
from starlette.requests import Request
from starlette.responses import Response

from api.address import parsed
from api.answers import Text
from api.endpoint import open_to_all
from api.problem import Problem
from api.schemas.problem import ErrorOut
from api.services import Services, services_of
from api.threads import in_thread
from db import metrics
from tasks.heartbeat import all_alive
from tasks.queues import QUEUES

STATE_IS_FRESH_S = 10.0

Samples = Mapping[str, list[tuple[dict[str, str], float]]]


@open_to_all({200: Text("text/plain"), 403: ErrorOut})
async def read(request: Request) -> Response:
    """Shows how the machinery does, in the format of Prometheus.

    To this machine, to the networks of `KIBALI_METRICS_SOURCES`, and to who has `KIBALI_METRICS_TOKEN`.
    """
    services = services_of(request)
    if not may_read(services, request):
        raise Problem(403, "forbidden", "Metrics are for this machine and for who has the token of metrics.")
    content = await in_thread(exposition, services)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


def may_read(services: Services, request: Request) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    expected = services.settings.metrics_token.reveal()
    if scheme.lower() == "bearer" and expected:
        return hmac.compare_digest(token.strip().encode(), expected.encode())
    address = parsed(request.client.host) if request.client else None
    return address is not None and any(address in network for network in services.settings.metrics_sources)


def exposition(services: Services) -> bytes:
    registry = CollectorRegistry()
    registry.register(_Collector(services))
    ProcessCollector(namespace="kibali_api", registry=registry)
    return generate_latest(registry) + generate_latest(services.http_metrics.registry)


class _Collector:
    """Asks each part. One that does not answer is `up` 0, and what it would have told is left out."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def describe(self) -> list[Metric]:
        return []  # nothing is asked before somebody reads

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("kibali_up", "Whether the part answers.", labels=["part"])
        yield from self._of_database(up)
        yield from self._of_redis(up)
        yield from self._of_radius(up)
        yield from self._of_this_process()
        yield up

    def _of_database(self, up: GaugeMetricFamily) -> Iterator[Metric]:
        samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        try:
            for each in metrics.measure(self._services.engine):
                samples.setdefault(each.name, []).append((each.labels, each.value))
        except (exc.DBAPIError, exc.TimeoutError):
            up.add_metric(["postgres"], 0)
        else:
            up.add_metric(["postgres"], 1)
        yield _gauge("kibali_jobs", "Jobs: due, later, running or failed.", ["queue", "state"], samples, "jobs")
        yield _gauge(
            "kibali_job_oldest_due_seconds",
            "How long the first of a queue's due jobs has been waiting.",
            ["queue"],
            samples,
            "job_oldest_due_seconds",
        )
        yield _gauge("kibali_sessions_open", "Open sessions.", ["service"], samples, "sessions_open")
        yield _gauge("kibali_routers", "Routers by their status.", ["status"], samples, "routers")
        yield _gauge(
            "kibali_payments_waiting",
            "Customers who are being asked, payments about to be credited, payments of nobody known.",
            ["for"],
            samples,
            "payments_waiting",
        )
        yield _gauge(
            "kibali_webhook_deliveries_waiting",
            "Outgoing webhooks that are not delivered yet.",
            [],
            samples,
            "webhook_deliveries_waiting",
        )
        yield _gauge("kibali_webhooks_disabled", "Outgoing webhooks that are off.", [], samples, "webhooks_disabled")
        events = CounterMetricFamily(
            "kibali_events", "Events by type: payments by outcome, failed jobs, routers.", labels=["type"]
        )
        for labels, value in samples.get("events", ()):
            events.add_metric([labels["type"]], value)
        yield events

    def _of_redis(self, up: GaugeMetricFamily) -> Iterator[Metric]:
        workers = GaugeMetricFamily("kibali_workers", "Worker processes by queue and node.", labels=["queue", "node"])
        parts = GaugeMetricFamily("kibali_part_alive", "Parts that renew their heartbeat.", labels=["part", "node"])
        wanted = GaugeMetricFamily("kibali_workers_wanted", "Worker processes of one machine.", labels=["queue"])
        for queue in QUEUES:
            wanted.add_metric([queue.name], queue.workers)
        try:
            alive = all_alive(self._services.redis)
        except RedisError:
            up.add_metric(["redis"], 0)
        else:
            up.add_metric(["redis"], 1)
            for each in alive:
                parts.add_metric([each.part, each.node], 1)
                if each.queue is not None:
                    workers.add_metric([each.queue, each.node], each.workers)
        yield from (workers, wanted, parts)

    def _of_radius(self, up: GaugeMetricFamily) -> Iterator[Metric]:
        state = radius_state(self._services.settings.run_dir / "freeradius" / "state.json")
        up.add_metric(["freeradius"], float(state is not None))
        state = state or {}
        answers = CounterMetricFamily(
            "kibali_radius_answers", "Answered logins by result and reason.", labels=["result", "reason"]
        )
        for key, value in state.get("answers", {}).items():
            result, _, reason = key.partition(":")
            answers.add_metric([result, reason], value)
        calls = CounterMetricFamily("kibali_radius_packets", "Packets by the work they made.", labels=["work"])
        sizes = HistogramMetricFamily(
            "kibali_radius_batch_size", "Packets that were answered together.", labels=["work"]
        )
        times = HistogramMetricFamily(
            "kibali_radius_batch_seconds", "What answering a batch took, PostgreSQL included.", labels=["work"]
        )
        for work, tally in state.get("batches", {}).items():
            calls.add_metric([work], tally["calls"])
            sizes.add_metric([work], _cumulative(tally["sizes"]), tally["calls"])
            times.add_metric([work], _cumulative(tally["times"]), tally["seconds"])
        yield from (answers, calls, sizes, times)
        for name, key, about in (
            ("kibali_radius_spool_records", "records_on_disk", "Accounting records that wait on disk."),
            ("kibali_radius_postgres_up", "postgres_is_here", "Whether FreeRADIUS reaches PostgreSQL."),
        ):
            gauge = GaugeMetricFamily(name, about)
            if key in state:
                gauge.add_metric([], float(state[key]))
            yield gauge
        problem = GaugeMetricFamily("kibali_radius_spool_problem", "Whether the spool can not be written.")
        if "spool_problem" in state:
            problem.add_metric([], float(bool(state["spool_problem"])))
        yield problem
        unknown = CounterMetricFamily("kibali_radius_unknown_senders", "Packets from addresses of no router.")
        if "unknown_senders" in state:
            unknown.add_metric([], state["unknown_senders"])
        yield unknown

    def _of_this_process(self) -> Iterator[Metric]:
        pool = self._services.engine.pool
        connections = GaugeMetricFamily(
            "kibali_database_pool_connections", "Connections of the API to PostgreSQL.", labels=["state"]
        )
        if isinstance(pool, QueuePool):
            connections.add_metric(["used"], pool.checkedout())
            connections.add_metric(["idle"], pool.checkedin())
            connections.add_metric(["most"], pool.size())
        yield connections
        hub = self._services.hub
        yield GaugeMetricFamily("kibali_event_clients", "Clients that watch events.", value=hub.clients)
        yield GaugeMetricFamily(
            "kibali_event_listener_up", "Whether events are heard of; 1 too where nobody watches.", value=hub.is_well
        )


def radius_state(path: Path) -> dict[str, Any] | None:
    """What our module inside FreeRADIUS wrote last; None if that is long ago or never was."""
    try:
        if time.time() - path.stat().st_mtime > STATE_IS_FRESH_S:
            return None
        state: dict[str, Any] = json.loads(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return state


def _gauge(name: str, about: str, labels: list[str], samples: Samples, key: str) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, about, labels=labels)
    for labelled, value in samples.get(key, ()):
        gauge.add_metric([labelled[label] for label in labels], value)
    return gauge


def _cumulative(counts: Mapping[str, int]) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in counts.items():
        total += count
        buckets.append((bound, float(total)))
    return buckets
