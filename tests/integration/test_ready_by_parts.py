"""/readyz while one part after the other is away: it names that part alone, and forgets it when it is back."""

from collections.abc import Mapping
from typing import Any

import httpx

from settings import Settings
from tests.integration.job_bench import wait_until
from tests.servers import Servers, running_part


def test_ready_names_each_part_that_is_away_and_sees_it_come_back(
    servers: Servers, own_environ: Mapping[str, str], own_settings: Settings
) -> None:
    def ready() -> tuple[int, Any]:
        response = httpx.get(f"http://127.0.0.1:{own_settings.http_port}/readyz", timeout=20, trust_env=False)
        return response.status_code, response.json()

    def away() -> tuple[int, set[str]]:
        status, said = ready()
        return status, {name for name, check in said["checks"].items() if not check["ok"]}

    def sweep_is_well() -> bool:
        return bool(ready()[1]["parts"]["sweep"]["ok"])

    with running_part("api", own_environ, own_settings):
        assert away() == (200, set())
        for server, name in (("redis", "redis"), ("postgres", "database")):
            servers.stop(server)
            assert away() == (503, {name})
            servers.start(server)
            wait_until(lambda: away() == (200, set()), "it is back")
        assert not sweep_is_well()
        with running_part("sweep", own_environ, own_settings):
            wait_until(sweep_is_well, "the sweep is there")
            assert away() == (200, set())
        wait_until(lambda: not sweep_is_well(), "the sweep is away", 60)
        assert away() == (200, set()), "the API can do its work without it"
