"""`./kibali bench routers --quick`: it comes to its end, each healthy router is read, what was asked for is done."""

import json
import subprocess
import sys

from settings import CHECKOUT


def test_the_quick_benchmark_of_routers_finds_each_read_and_everything_done() -> None:
    command = [sys.executable, "-m", "cli", "bench", "routers", "--quick", "--json", "--no-save"]
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode in (0, 1), run.stderr  # 1: too slow, on a machine that does much else
    result = json.loads(run.stdout)
    assert result["faults"] == []
    assert result["unread"] == 0
    assert result["readings"] >= 16
    assert result["connections"] == 16
    work = result["work"]
    assert work["deployment_sentences"] > 50
    for name in ("deployment_s", "pool_import_s", "secrets_import_s"):
        assert 0 < work[name] < 60, name
