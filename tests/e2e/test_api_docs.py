"""docs/api.md: every command of its day in curl is run, in its order, against a whole Kibali."""

import re
import subprocess

import pytest

from settings import CHECKOUT
from tests.instance import RunningInstance
from tests.servers import process_environ

PAPER = CHECKOUT / "docs" / "api.md"
ADDRESS = "http://127.0.0.1:8080"
_WITHIN_S = 120


def scripts() -> list[str]:
    day = PAPER.read_text("utf-8").partition("\n## A day\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", day, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def lines_run(instance: RunningInstance) -> str:
    """What bash says of each line that it runs; it stops at the first that fails."""
    script = "\n".join(scripts())
    assert ADDRESS in script
    script = script.replace(ADDRESS, f"http://127.0.0.1:{instance.settings.http_port}")
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-v", "-c", script],
        cwd=CHECKOUT,
        env=process_environ(instance.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr[-3000:]}"
    return run.stdout


def test_a_day_in_curl_works_from_its_first_line_to_its_last(lines_run: str) -> None:
    assert len([line for script in scripts() for line in script.splitlines() if line.startswith("api ")]) >= 15
    assert '"state":"active"' in lines_run


def test_the_day_ends_as_it_says(lines_run: str) -> None:
    assert '"verdict":"' in lines_run
    assert "name,msisdn,email" in lines_run
