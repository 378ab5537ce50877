"""Webhooks by real workers and the real sweep: slow receivers, killed workers, a database that restarts."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.desk import at_tenant
from db import sms
from db.sms import GatewayTerms
from db.webhook_endpoint import MOST
from settings import Settings
from tasks.dashboards import refresh_dashboards
from tasks.sms import send_test
from tasks.webhook_deliveries import TURN_S
from tasks.webhook_http import LONGEST_S
from tests.integration.api_server import Client, api_of, make_operator
from tests.integration.event_client import write_events
from tests.integration.job_bench import Bench, make_bench, wait_until
from tests.integration.test_sms import africas_talking
from tests.integration.webhook_receiver import Received, Receiver, receiver, silent_server
from tests.servers import Servers

HERE = {"KIBALI_WEBHOOK_NETWORKS": "127.0.0.0/8", "KIBALI_GATEWAY_NETWORKS": "127.0.0.0/8"}
SOON_S = 5.0
"""For what somebody else's receivers must not hold up."""


@pytest.fixture
def settings(environ: Mapping[str, str], private_directory: Path) -> Settings:
    return Settings.load({**environ, **HERE}, checkout=private_directory)


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, {**environ, **HERE}, var) as bench:
        yield bench


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as there:
        yield there


def another(api: Client, slug: str) -> Client:
    return Client(api.http, make_operator(api.settings, slug), api.settings)


def add(api: Client, url: str, name: str = "books") -> int:
    made = api.made("/webhooks", name=name, url=url, types=["payment.*"])
    return int(made["webhook"]["id"])


def tell(api: Client, *numbers: int) -> None:
    write_events(api.settings, api.operator.tenant_id, *numbers)


def numbers(received: Receiver) -> list[int]:
    return [body["data"]["number"] for body in received.bodies]


def states(bench: Bench, webhook_id: int) -> list[str]:
    return bench.scalars("SELECT state FROM webhook_delivery WHERE endpoint_id = :id ORDER BY id", id=webhook_id)


class Hanging:
    """A receiver's answer that is held back until `let_go`, or until the sender has long given up."""

    def __init__(self) -> None:
        self._go = threading.Event()

    def __call__(self, _received: Received) -> int:
        self._go.wait(60)
        return 204

    def let_go(self) -> None:
        self._go.set()


def sms_job(api: Client, tenant_slug: str, url: str) -> int:
    """An SMS of the tenant, on its way through a gateway there."""
    terms = GatewayTerms("africastalking", username=tenant_slug, base_url=url, api_key="atsk_x")
    with at_tenant(api.settings, tenant_slug) as desk:
        gateway = sms.set_gateway(desk.session, desk.tenant.id, terms, desk.keyring)
        written = send_test(desk.session, gateway, "254712345678", desk.keyring, datetime.now(UTC))
    assert written.job_id is not None
    return written.job_id


def test_slow_receivers_hold_up_neither_sms_nor_figures_nor_another_tenants_webhooks(
    api: Client, bench: Bench, there: Receiver
) -> None:
    """Of one tenant as many as may be, with many events that wait, silent or only just in time; then of another too."""

    def answer_just_in_time(_received: Received) -> int:
        time.sleep(9.5)
        return 204

    def our_own_work_is_done_soon() -> None:
        job_id = sms_job(api, "zenith", f"http://127.0.0.1:{gateway.server_port}")
        bench.wait_for(job_id, "succeeded", SOON_S)
        bench.wait_for(bench.enqueue(refresh_dashboards), "succeeded", SOON_S)

    quick, second = another(api, "zenith"), another(api, "nadir")
    with receiver() as slow, silent_server() as silent, africas_talking() as gateway, ExitStack() as parts:
        slow.answer = answer_just_in_time
        for number in range(MOST):
            for tenant in (api, second):
                add(tenant, slow.url if number % 2 else f"http://127.0.0.1:{silent}/", name=f"number {number}")
        add(quick, there.url)
        for part in (bench.sweeping(), bench.worker("webhooks"), bench.worker("sms"), bench.worker("default")):
            parts.enter_context(part)
        tell(api, *range(50))
        wait_until(lambda: len(slow.requests) == MOST / 2, "all of them are asked at once")
        for number in range(3):
            tell(quick, number)
            wait_until(lambda: len(there.requests) == number + 1, "the quick one's webhook", SOON_S)  # noqa: B023
            our_own_work_is_done_soon()
            time.sleep(4)
        assert len(slow.requests) >= MOST, "they were asked again meanwhile"

        asked = len(slow.requests)
        tell(second, *range(50))
        wait_until(lambda: len(slow.requests) >= asked + MOST / 2, "both tenants have a worker each", SOON_S)
        tell(quick, 3)
        our_own_work_is_done_soon()
        wait_until(lambda: len(there.requests) == 4, "the quick one's turn", TURN_S + LONGEST_S + SOON_S)
        our_own_work_is_done_soon()
    assert numbers(there) == [0, 1, 2, 3]


def test_a_worker_killed_amid_a_delivery_delivers_again_and_takes_nobody_elses_place(
    api: Client, bench: Bench, there: Receiver
) -> None:
    """Both workers wait for a receiver each when one of them is killed: of the two tenants one is sent to again."""
    second, third = another(api, "zenith"), another(api, "nadir")
    with receiver() as ours, receiver() as theirs, bench.sweeping(), bench.worker("webhooks") as workers:
        ours.answer, theirs.answer = hanging = Hanging(), Hanging()
        ids = add(api, ours.url), add(second, theirs.url)
        add(third, there.url)
        tell(api, 0, 1, 2)
        tell(second, 0, 1, 2)
        wait_until(lambda: len(ours.requests) == len(theirs.requests) == 1, "both workers wait")
        before = workers.children()
        os.kill(before[0], signal.SIGKILL)
        tell(third, 7)
        wait_until(lambda: numbers(there) == [7], "the place is another's at once", SOON_S)
        assert len(ours.requests) == len(theirs.requests) == 1, "while the other still waits"
        for each in hanging:
            each.let_go()
        wait_until(lambda: [states(bench, each) for each in ids] == [["delivered"] * 3] * 2, "all of both")
        assert len(workers.children()) == len(before)

        again, once = sorted((ours, theirs), key=lambda each: -len(each.requests))
        assert (numbers(again), numbers(once)) == ([0, 0, 1, 2], [0, 1, 2])
        assert Counter(each.headers["webhook-id"] for each in again.requests).most_common(1)[0][1] == 2

        ours.answer, theirs.answer = held_again = Hanging(), Hanging()
        tell(api, 3)
        tell(second, 3)
        wait_until(lambda: 3 in numbers(ours) and 3 in numbers(theirs), "both places are there", SOON_S)
        for each in held_again:
            each.let_go()


@pytest.mark.parametrize("how", ["the workers are told to stop", "the job is cancelled"])
def test_what_ends_amid_a_delivery_is_delivered_by_the_next(
    api: Client, bench: Bench, there: Receiver, how: str
) -> None:
    there.answer = hanging = Hanging()
    running = "SELECT id FROM job WHERE task = 'deliver_webhooks' AND state = 'running'"
    with bench.sweeping(), ExitStack() as parts:
        workers = parts.enter_context(bench.worker("webhooks"))
        webhook_id = add(api, there.url)
        tell(api, 0, 1)
        wait_until(lambda: len(there.requests) == 1, "the first is on its way")
        (job_id,) = bench.scalars(running)
        if how == "the job is cancelled":
            cancelled = api.post(f"/jobs/{job_id}/cancel")
            assert cancelled.status_code == 200, cancelled.text
        else:
            workers.process.terminate()
            workers.process.wait(11)
            assert workers.children() == []
            parts.enter_context(bench.worker("webhooks"))
        wait_until(lambda: len(there.requests) == 2, "it is on its way again")
        hanging.let_go()
        wait_until(lambda: states(bench, webhook_id) == ["delivered"] * 2, "both")
        log = workers.log.read_text()
    assert numbers(there) == [0, 0, 1]
    assert "Traceback" not in log


@pytest.fixture
def own_bench(servers: Servers, own_settings: Settings, own_environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(own_settings, {**own_environ, **HERE}, var) as bench:
        yield bench


def test_postgresql_restarts_amid_a_delivery(
    servers: Servers, own_settings: Settings, own_bench: Bench, there: Receiver
) -> None:
    bench = own_bench
    there.answer = hanging = Hanging()
    with api_of(own_settings) as api, bench.sweeping(), bench.worker("webhooks"):
        webhook_id = add(api, there.url)
        tell(api, 0, 1, 2)
        wait_until(lambda: len(there.requests) == 1, "the first is on its way")
        servers.stop("postgres")
        hanging.let_go()
        time.sleep(1)
        servers.start("postgres")

        def all_delivered() -> bool:
            return states(bench, webhook_id) == ["delivered"] * 3

        wait_until(all_delivered, "after PostgreSQL", within_s=60)
    # Nobody could write down that the first was taken, so it comes again, as the same.
    assert numbers(there) == [0, 0, 1, 2]
    first: list[Any] = [each.headers["webhook-id"] for each in there.requests[:2]]
    assert first[0] == first[1]
