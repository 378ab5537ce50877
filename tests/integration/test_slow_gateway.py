"""SMS by real workers, while the gateway says nothing."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.desk import at_tenant
from db import sms
from db.sms import GatewayTerms
from settings import Settings
from tasks.dashboards import refresh_dashboards
from tasks.sms import send_test
from tests.integration.api_server import make_operator
from tests.integration.job_bench import Bench, make_bench, wait_until
from tests.integration.webhook_receiver import silent_server

HERE = {"KIBALI_GATEWAY_NETWORKS": "127.0.0.0/8"}


@pytest.fixture
def settings(environ: Mapping[str, str], private_directory: Path) -> Settings:
    return Settings.load({**environ, **HERE}, checkout=private_directory)


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, {**environ, **HERE}, var) as bench:
        yield bench


def test_sms_that_wait_for_their_gateway_hold_up_no_figures(settings: Settings, bench: Bench) -> None:
    """Each held a worker for twenty seconds, three times, and the dashboards stood still for as long as it was away."""
    make_operator(settings, "acme")
    with silent_server() as port, at_tenant(settings, "acme") as desk:
        terms = GatewayTerms("africastalking", username="acme", base_url=f"http://127.0.0.1:{port}", api_key="atsk_x")
        gateway = sms.set_gateway(desk.session, desk.tenant.id, terms, desk.keyring)
        for _ in range(10):
            send_test(desk.session, gateway, "254712345678", desk.keyring, datetime.now(UTC))
        desk.session.commit()
        with bench.sweeping(), bench.worker("sms"), bench.worker("default"):
            running = "SELECT count(*) FROM job WHERE task = 'send_sms' AND state = 'running'"
            wait_until(lambda: bench.scalars(running) == [2], "two SMS are on their way")
            bench.wait_for(bench.enqueue(refresh_dashboards), "succeeded", within_s=5)
            assert bench.scalars(running) == [2], "all that while"
