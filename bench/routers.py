"""`kibali bench routers`: hundreds of routers, some of which hang or refuse, read on time; what that costs.

Fake routers in one process, the watcher as `./kibali up` runs it in another, PostgreSQL and Redis beside them. When a
router was read is told by the routers themselves. Afterwards, how long a deployment and imports take.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from bench import router_work
from bench.machine import Machine, describe
from bench.router_work import Work
from bench.surroundings import Surroundings, running_part, running_postgres, running_program, surroundings
from bench.usage import cpu_seconds, family_cpu_seconds, resident_bytes
from cli.failure import Failure
from cli.instance.parts import PARTS
from cli.output import console, print_json
from db import router, tenant
from db.engine import make_engine, session_factory
from db.prepare import prepare
from isp import credentials
from isp.encryption import Keyring
from isp.watch_plan import READ_EVERY_S
from settings import CHECKOUT, Settings
from tests.fakes.routeros import PASSWORD, USERNAME

RESULTS = CHECKOUT / "bench" / "results"
LATENCY_MS = 40
REDIS = next(part for part in PARTS if part.name == "redis")
WORKERS = 5
"""Of the peer: as many as the queues router-data and router-checks have together."""
LATEST_S = 5.0
MOST_CORE = 0.5
DEPLOYED_WITHIN_S = 5.0
IMPORTED_WITHIN_S = 10.0
ASKED_WITHIN_MS = 50.0


@dataclass(frozen=True, slots=True)
class Size:
    healthy: int
    hanging: int
    refusing: int
    warm_s: float
    """Until every router had its first turn."""
    measured_s: float
    peer_s: float

    @property
    def routers(self) -> int:
        return self.healthy + self.hanging + self.refusing


FULL = Size(400, 50, 50, warm_s=40, measured_s=125, peer_s=30)
QUICK = Size(16, 2, 2, warm_s=32, measured_s=31, peer_s=3)


@dataclass(frozen=True, slots=True)
class Results:
    date: str
    machine: Machine
    size: Size
    readings: int
    """Of healthy routers, while it was measured."""
    latest_s: float
    """By how much the longest time between two readings of a router was longer than 30 s."""
    unread: int
    """Healthy routers that were not read each 30 s."""
    watcher_core: float
    """Share of one processor that the watcher used."""
    postgres_core: float
    watcher_bytes: int
    connections: int
    """Made to healthy routers, in all."""
    peer_read: int
    """Healthy routers that the peer had read when 30 s (`peer_s`) were over."""
    peer_core: float
    peer_cpu_ms_per_reading: float
    cpu_ms_per_reading: float
    work: Work
    faults: list[str] = field(default_factory=list)

    def is_met(self) -> bool:
        is_watched = not self.unread and self.latest_s <= LATEST_S and self.watcher_core < MOST_CORE
        work = self.work
        is_done = (
            work.deployment_s < DEPLOYED_WITHIN_S
            and max(work.pool_import_s, work.secrets_import_s) < IMPORTED_WITHIN_S
            and work.asked_ms < ASKED_WITHIN_MS
        )
        return is_watched and is_done and not self.faults


def run(size: Size) -> Results:
    with surroundings(None, {}) as around, running_postgres(around) as postgres, running_part(around, REDIS):
        prepare(around.settings)
        with tempfile.TemporaryDirectory() as directory, _fleet(size) as fleet:
            ports = json.loads(_line(fleet))
            _know(around, ports)
            with running_program(around, "tasks.watcher") as watcher:
                time.sleep(size.warm_s)
                began, before = time.monotonic(), (cpu_seconds(watcher.pid), family_cpu_seconds(postgres))
                time.sleep(size.measured_s)
                ended = time.monotonic()
                used = cpu_seconds(watcher.pid) - before[0], family_cpu_seconds(postgres) - before[1]
                memory = resident_bytes(watcher.pid)
                faults = [] if watcher.poll() is None else ["the watcher ended"]
                faults += _wrong(around, size)
            told = _ask_the_fleet(fleet, size, Path(directory), ports)
            machine = describe(around)
        work = router_work.carry_out(around, LATENCY_MS / 1000)
    times: list[list[float]] = told["times"]
    within = [[each for each in one if began - READ_EVERY_S - LATEST_S <= each <= ended] for one in times]
    gaps = [_gaps(one, began, ended) for one in within]
    readings = sum(began <= each <= ended for one in times for each in one)
    took_s = ended - began
    peer = told["peer"]
    return Results(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine,
        size=size,
        readings=readings,
        latest_s=round(max(max(each) for each in gaps) - READ_EVERY_S, 3),
        unread=sum(max(each) > READ_EVERY_S + LATEST_S for each in gaps),
        watcher_core=round(used[0] / took_s, 3),
        postgres_core=round(used[1] / took_s, 3),
        watcher_bytes=memory,
        connections=sum(told["connections"][: size.healthy]),
        peer_read=peer["read"],
        peer_core=round(peer["cpu_s"] / peer["took_s"], 3),
        peer_cpu_ms_per_reading=round(peer["cpu_s"] / max(1, peer["read"]) * 1000, 2),
        cpu_ms_per_reading=round(used[0] / max(1, readings) * 1000, 2),
        work=work,
        faults=[*faults, *work.faults],
    )


def _gaps(times: list[float], began: float, ended: float) -> list[float]:
    """Between readings, and from the last one to the end; one that was never read has one as long as the run."""
    if not times:
        return [ended - began + READ_EVERY_S]
    return [*(later - earlier for earlier, later in pairwise(times)), ended - times[-1]]


def _know(around: Surroundings, ports: list[int]) -> None:
    """The fleet as routers that were online yesterday."""
    keyring = Keyring.parse(around.settings.encryption_keys.reveal())
    platform = make_engine(around.settings, "platform", pool_size=1)
    worker = make_engine(around.settings, "worker", pool_size=1)
    with session_factory(platform).begin() as session:
        owner = tenant.create(session, slug="bench", name="bench", language="en", timezone="UTC").id
    with session_factory(worker).begin() as session:
        for number, port in enumerate(ports):
            values = {
                "name": f"router {number}",
                "nas_address": f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}",
                "api_address": "127.0.0.1",
                "api_ssl_port": port,
                "api_username": USERNAME,
                "status": "online",
            }
            made = router.create(session, owner, values, radius_secret=credentials.new_radius_secret(), keyring=keyring)
            made.api_password_sealed = keyring.seal(PASSWORD, f"router.api_password:{made.id}")
    platform.dispose()
    worker.dispose()


def _wrong(around: Surroundings, size: Size) -> list[str]:
    """Statuses that are not as they should be."""
    engine = make_engine(around.settings, "worker", pool_size=1)
    with session_factory(engine)() as session:
        statuses = [each.status for each in session.scalars(select(router.Router).order_by(router.Router.id))]
    engine.dispose()
    good, bad = statuses[: size.healthy], statuses[size.healthy :]
    found = []
    if set(good) != {"online"}:
        found.append(f"{sum(each != 'online' for each in good)} healthy routers are not online")
    if set(bad) != {"offline"}:
        found.append(f"{sum(each != 'offline' for each in bad)} dead routers are not offline")
    return found


@contextmanager
def _fleet(size: Size) -> Iterator["subprocess.Popen[str]"]:
    counts = (f"--healthy={size.healthy}", f"--hanging={size.hanging}", f"--refusing={size.refusing}")
    command = [sys.executable, "-m", "bench.router_fleet", *counts, f"--latency-ms={LATENCY_MS}"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise Failure("the fake routers did not start")
    return line


def _ask_the_fleet(fleet: "subprocess.Popen[str]", size: Size, directory: Path, ports: list[int]) -> Mapping[str, Any]:
    """What the peer does with the same routers, and then when each router was read."""
    file = directory / "ports"
    file.write_text(json.dumps(ports), "ascii")
    assert fleet.stdin is not None
    fleet.stdin.write("\n")
    fleet.stdin.flush()
    connections: list[int] = json.loads(_line(fleet))
    command = [sys.executable, "-m", "bench.router_pool", str(file), str(WORKERS), str(size.peer_s)]
    peer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120)
    if peer.returncode:
        raise Failure(f"the peer failed: {peer.stderr[-500:]}")
    fleet.stdin.close()
    told: dict[str, Any] = json.loads(_line(fleet))
    return {**told, "connections": connections, "peer": json.loads(peer.stdout)}


def as_text(results: Results) -> str:
    size, machine, work = results.size, results.machine, results.work
    rows = [
        ("routers", f"{size.routers}: {size.healthy} healthy, {size.hanging} hang, {size.refusing} refuse", ""),
        ("read too seldom", str(results.unread), "wanted: none"),
        ("late at most", f"{results.latest_s:.2f} s", f"wanted: {LATEST_S:g} s"),
        ("watcher's share of one processor", f"{results.watcher_core:.3f}", f"wanted: under {MOST_CORE:g}"),
        ("PostgreSQL's", f"{results.postgres_core:.3f}", ""),
        ("watcher's memory", f"{results.watcher_bytes / 2**20:.0f} MiB", ""),
        ("readings", f"{results.readings} in {size.measured_s:g} s", ""),
        ("connections to healthy routers", str(results.connections), f"wanted: {size.healthy}"),
        (
            "processor time of a reading",
            f"{results.cpu_ms_per_reading:g} ms",
            f"peer: {results.peer_cpu_ms_per_reading:g} ms",
        ),
        (
            f"healthy routers read in {size.peer_s:g} s",
            "all" if not results.unread else "not all",
            f"peer: {results.peer_read}",
        ),
        (
            f"a whole deployment, {work.deployment_sentences} sentences",
            f"{work.deployment_s:.2f} s",
            f"wanted: under {DEPLOYED_WITHIN_S:g} s",
        ),
        (
            f"a pool of {router_work.ADDRESSES:,} addresses imported",
            f"{work.pool_import_s:.2f} s",
            f"wanted: under {IMPORTED_WITHIN_S:g} s",
        ),
        (
            f"{router_work.SECRETS:,} accounts imported",
            f"{work.secrets_import_s:.2f} s",
            f"wanted: under {IMPORTED_WITHIN_S:g} s",
        ),
        (
            "the slower request for an import answered",
            f"{work.asked_ms:.0f} ms",
            f"wanted: under {ASKED_WITHIN_MS:g} ms",
        ),
    ]
    lines = [
        "# Routers watched at once",
        "",
        f"{results.date}, commit {machine.commit or 'unknown'}. {machine.processor}, {machine.processors} processors,"
        f" {machine.memory_gib:g} GiB; Python {machine.python}, PostgreSQL {machine.postgresql}. Every router answers"
        f" after {LATENCY_MS} ms; each is read every {READ_EVERY_S:g} s. The peer: {WORKERS} threads that log in to one"
        " router after another and read it, on the same routers, after the watcher had stopped.",
        "",
        "| | found | |",
        "| --- | --- | --- |",
        *(f"| {name} | {found} | {wanted} |" for name, found, wanted in rows),
        "",
        *(f"Not right: {fault}." for fault in results.faults),
    ]
    return "\n".join(lines).rstrip() + "\n"


@click.command()
@click.option("--quick", is_flag=True, help="20 routers, two minutes: whether it works, not how fast it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--no-save", is_flag=True, help="Write nothing to bench/results/.")
def main(quick: bool, as_json: bool, no_save: bool) -> None:
    results = run(QUICK if quick else FULL)
    if not (quick or no_save):
        directory = RESULTS if os.access(RESULTS, os.W_OK) else Settings.load().var / "bench-results"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"routers-{results.date[:10]}"
        path.with_suffix(".md").write_text(as_text(results), "utf-8")
        path.with_suffix(".json").write_text(json.dumps(asdict(results), indent=1) + "\n", "utf-8")
    if as_json:
        print_json(asdict(results))
    else:
        console().print(as_text(results), markup=False, soft_wrap=True)
    if not results.is_met():
        sys.exit(1)


if __name__ == "__main__":
    main()
