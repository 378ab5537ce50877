"""`kibali bench api --quick`: every request is answered as it should be. How fast is not judged here."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.api_results import RIGHT, WORKS, ApiResults, Point, markdown, verdict
from bench.machine import Machine
from settings import CHECKOUT
from tests.servers import UNPRIVILEGED, base_environ, process_environ

_WITHIN_S = 120  # alone it takes a quarter of a minute


def test_each_work_is_measured_and_nothing_is_left_behind(private_directory: Path) -> None:
    var = private_directory / "bench-api"
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    run = subprocess.run(
        [sys.executable, "-m", "cli", "bench", "api", "--quick", "--json"],
        cwd=CHECKOUT,
        env=process_environ(base_environ(var)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert list(var.iterdir()) == []
    found = json.loads(run.stdout)
    assert [point["work"] for point in found["points"]] == list(WORKS) == list(RIGHT)
    for point in found["points"]:
        assert point["requests_per_s"] > 0, point
        assert 0 < point["p50_ms"] <= point["p99_ms"], point
    assert found["of_ceiling"] > 0


def results(listed: float, bare: float, fault: str = "") -> ApiResults:
    machine = Machine("a", 2, 4.0, "Linux", 1.0, "", "15", "3.11", "")
    points = [Point(work, 1, rate, 1, 2, 1, 1, fault) for work, rate in (("bare", bare), ("list", listed))]
    return ApiResults("2026-11-27T00:00:00", machine, 100, 1, 1, points)


def test_the_report_says_whether_the_aim_is_met_and_what_was_wrong() -> None:
    assert verdict(results(500, 1000)).endswith("0.5 ×: met.")
    assert verdict(results(499, 1000)).endswith("0.5 ×: not met.")
    wrong = results(1, 2, "answered {'503': 3}")
    assert wrong.faults() == [f"{WORKS[work]}: answered {{'503': 3}}" for work in ("bare", "list")]
    assert "not right" in markdown(wrong)
