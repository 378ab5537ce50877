"""`python -m bench.events`, which `./kibali bench events` runs: from the commit of an event to a thousand clients."""

import json
import multiprocessing
import os
import signal
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection

import click
import psycopg

from bench import event_clients, machine
from bench.api import RESULTS
from bench.markdown import table
from bench.surroundings import Surroundings, running_postgres, surroundings
from cli.failure import Failure
from cli.output import print_json, print_rows, progress_console
from db import admin, tenant
from db.engine import make_engine, session_factory
from db.prepare import prepare
from settings import Settings
from tests.servers import running_part

_SETTLE_S = 2.0


@dataclass(frozen=True)
class Result:
    """Latencies from the moment the commit returned to the writer until a client's process had the message."""

    clients: int
    events: int
    events_per_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    told: int
    """Events times clients, if nothing was missed and nothing told twice."""
    missed: int
    messages_per_s: float
    api_cpu: float
    """Of one processor, the API's share."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--clients", type=click.IntRange(1, 2_000), default=1_000, show_default=True)
@click.option("--rate", type=click.IntRange(1, 2_000), default=100, show_default=True, help="Events a second.")
@click.option("--seconds", type=click.FloatRange(1, 300), default=20, show_default=True)
@click.option("--quick", is_flag=True, help="Some seconds: whether everything works, not how fast it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--no-save", is_flag=True, help="Write nothing to bench/results/.")
def main(*, clients: int, rate: int, seconds: float, quick: bool, as_json: bool, no_save: bool) -> None:
    """What `./kibali bench events` runs."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if quick:
        clients, rate, seconds = 50, 50, 2.0
    with surroundings(None, {}) as around, running_postgres(around):
        prepare(around.settings)
        with (
            running_part("redis", around.environ, around.settings),
            running_part("api", around.environ, around.settings) as api,
        ):
            result = measure(around, api.pid, clients, rate, seconds)
            made_on = machine.describe(around)
    if not quick and not no_save:
        _save(result, made_on)
    if as_json:
        print_json({"machine": asdict(made_on), "result": asdict(result)})
    else:
        print_rows([asdict(result)], [*asdict(result)], as_json=False)
        progress_console().print(f"{made_on.processors} × {made_on.processor}, PostgreSQL {made_on.postgresql}")
    if result.missed or result.told != result.clients * result.events:
        raise Failure(f"{result.missed} events were missed, or some were told twice")


def _save(result: Result, m: machine.Machine) -> None:
    directory = RESULTS if os.access(RESULTS, os.W_OK) else Settings.load().var / "bench-results"
    directory.mkdir(parents=True, exist_ok=True)
    date = datetime.now(UTC).date().isoformat()
    path = directory / f"events-{date}"
    content = {"date": date, "machine": asdict(m), "result": asdict(result)}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    values = asdict(result)
    figures = table([*values], [[str(each) for each in values.values()]])
    circumstances = (
        f"{m.processor}, {m.processors} processors, {m.memory_gib} GiB, {m.kernel}; PostgreSQL {m.postgresql}, Python"
        f" {m.python}, Kibali {m.commit}. One process of the API; writer, clients and PostgreSQL share the machine."
    )
    head = f"# From the commit of an event to every client, {date}"
    path.with_suffix(".md").write_text("\n\n".join([head, circumstances, figures]) + "\n", "utf-8")
    progress_console().print(f"written: {path}.md and .json", markup=False, soft_wrap=True)


def measure(around: Surroundings, api_pid: int, clients: int, rate: int, seconds: float) -> Result:
    tenant_id, token = _operator(around.settings)
    events = round(rate * seconds)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    watching = context.Process(
        target=_watch, args=(theirs, around.settings.http_port, token, clients, events, seconds + 60), daemon=True
    )
    watching.start()
    theirs.close()
    try:
        if not ours.poll(120) or ours.recv() != "ready":
            raise Failure("the clients were not admitted")
        time.sleep(_SETTLE_S)
        began, cpu_s = time.monotonic(), _cpu_s(api_pid)
        committed_ns = _write(around.settings, tenant_id, events, rate)
        took_s, cpu_s = time.monotonic() - began, _cpu_s(api_pid) - cpu_s
        if not ours.poll(120):
            raise Failure("the clients did not say what they heard")
        heard: event_clients.Heard = ours.recv()
    finally:
        watching.terminate()
        watching.join(10)
    latencies_ms = [
        max(0.0, (at_ns - committed_ns[number]) / 1e6) for number, at_ns in zip(heard.numbers, heard.at_ns, strict=True)
    ]
    if len(latencies_ms) < 2:
        raise Failure("nothing was heard")
    cuts = statistics.quantiles(latencies_ms, n=100)
    return Result(
        clients=clients,
        events=events,
        events_per_s=round(events / took_s, 1),
        p50_ms=round(cuts[49], 1),
        p99_ms=round(cuts[98], 1),
        max_ms=round(max(latencies_ms), 1),
        told=len(latencies_ms),
        missed=max(0, clients * events - len(latencies_ms)),
        messages_per_s=round(heard.messages / took_s),
        api_cpu=round(cpu_s / took_s, 2),
    )


def _watch(pipe: Connection, port: int, token: str, count: int, events: int, within_s: float) -> None:
    clients = event_clients.connect(port, token, count)
    pipe.send("ready")
    heard = event_clients.listen(clients, events, within_s)
    pipe.send(heard)
    event_clients.close(clients)


def _write(settings: Settings, tenant_id: int, events: int, rate: int) -> list[int]:
    """When each commit returned. One writer, on time whatever the last one took."""
    committed_ns = []
    with psycopg.connect(settings.database_dsn("worker"), autocommit=True) as connection:
        began = time.monotonic()
        for number in range(events):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            connection.execute(
                "INSERT INTO event (tenant_id, type, data) VALUES (%s, 'payment.processed', %s)",
                (tenant_id, json.dumps({"number": number, "receipt": "SJK4H7L2QN", "amount_kes": "500.00"})),
            )
            committed_ns.append(time.monotonic_ns())
    return committed_ns


def _operator(settings: Settings) -> tuple[int, str]:
    engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            made = tenant.create(session, slug="bench", name="bench", language="en", timezone="Africa/Nairobi")
            owner = admin.Admin(tenant_id=made.id, email="owner@bench.example", role="owner", password_hash="!")  # noqa: S106
            session.add(owner)
            session.flush()
            return made.id, admin.create_token(session, owner, "bench", None)
    finally:
        engine.dispose()


def _cpu_s(pid: int) -> float:
    """Of the process and those it has become: `kibali run` executes the API in its place."""
    fields = open(f"/proc/{pid}/stat", encoding="ascii").read().rpartition(")")[2].split()  # noqa: SIM115
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
