"""`kibali bench radius --quick`: every peer answers, and every octet is in the tables. How fast is not judged here."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.kibali_tables import KibaliTables
from bench.peer import PEERS
from bench.work import WORKS, Size
from settings import CHECKOUT, Settings
from tests.servers import UNPRIVILEGED, base_environ, process_environ

_WITHIN_S = 100  # alone it takes half a minute


@pytest.fixture(scope="module")
def bench_var(private_directory: Path) -> Path:
    var = private_directory / "bench"
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    return var


def bench_radius(environ: Mapping[str, str], *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "cli", "bench", "radius", *options],
        cwd=CHECKOUT,
        env=process_environ(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )


@pytest.fixture(scope="module")
def results(bench_var: Path) -> dict[str, Any]:
    """Of a quick run, which left nothing behind."""
    run = bench_radius(base_environ(bench_var), "--quick", "--json")
    assert run.returncode == 0, run.stderr
    assert list(bench_var.iterdir()) == []
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def test_every_peer_answers_everything_and_its_tables_hold_what_was_sent(results: dict[str, Any]) -> None:
    points = [*results["points"], *results["half_rate"]]
    assert {point["peer"] for point in points} == set(PEERS)
    assert {point["work"] for point in points if point["peer"] == "kibali"} == set(WORKS)
    for point in points:
        assert (point["fault"], point["lost"]) == ("", 0), point
        assert point["answered"] > 0, point
        assert point["verified"] > 0, point


def test_the_peers_of_the_same_policy_decide_as_kibali_does(results: dict[str, Any]) -> None:
    assert results["policy"] == {peer.name: "" for peer in PEERS.values() if peer.same_policy}


def test_a_storm_loses_nothing(results: dict[str, Any]) -> None:
    storms = {storm["peer"]: storm for storm in results["storms"]}
    assert set(storms) == {"kibali", "sql-tuned"}
    for storm in storms.values():
        assert (storm["lost"], storm["fault"]) == (0, "")


def test_freeradius_needs_few_connections(results: dict[str, Any]) -> None:
    assert 1 <= results["connections"]["kibali"] <= 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--only", "pap,pup"), "'pup' is none of pap"),
        (("--peers", "nobody"), "'nobody' is none of static"),
        (("--history", "much"), "--history: whole numbers"),
        (("--set", "radius_instances"), "is not NAME=VALUE"),
    ],
)
def test_a_wrong_option_is_named(bench_var: Path, options: tuple[str, str], said: str) -> None:
    run = bench_radius(base_environ(bench_var), *options)
    assert run.returncode == 2
    assert said in run.stderr


def test_octets_that_were_sent_and_not_stored_are_noticed(settings: Settings) -> None:
    tables = KibaliTables(settings, Size(subscribers=20, open_sessions=5))
    tables.fill()
    tables.reset(5, began_at=1_700_000_000)
    assert tables.check({}) == ""
    assert "1 of 5 sessions" in tables.check({3: (1, 2)})
    with tables.connection() as connection:
        connection.execute("INSERT INTO usage_day SELECT 1, now(), tenant_id, 5, 0, 0 FROM router")
    assert "usage_day has grown by (5, 0)" in tables.check({})
