"""`./kibali bench events --quick`: every client hears of every event once, and soon."""

import json
import subprocess
import sys

from settings import CHECKOUT


def test_the_quick_benchmark_of_events_misses_nothing() -> None:
    command = [sys.executable, "-m", "cli", "bench", "events", "--quick", "--json"]
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=110, check=False)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)["result"]
    assert (result["clients"], result["events"], result["missed"]) == (50, 100, 0)
    assert result["told"] == 5000
    assert result["p99_ms"] < 2000, "of a machine that does much else; some 35 ms of an idle one"
