"""`python -m bench.api`, which `./kibali bench api` runs: the API's requests beside the barest handler there is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import click
import psycopg
from rich.table import Table

from bench import api_results as report
from bench.api_load import Load, Measured
from bench.api_results import RIGHT, WORKS, ApiResults, Point
from bench.machine import describe
from bench.surroundings import Surroundings, running_part, running_postgres, running_program, surroundings
from bench.usage import cpu_seconds, family_cpu_seconds
from cli.bench import api_options
from cli.failure import Failure
from cli.instance.parts import PARTS
from cli.output import console, print_json, progress_console
from db import admin, payment_account, tenant
from db.engine import make_engine, session_factory, use_tenant
from db.payment_account import NewPaymentAccount
from db.prepare import prepare
from isp.encryption import Keyring
from settings import CHECKOUT, Settings, SettingsError

RESULTS = CHECKOUT / "bench" / "results"
_CREDENTIALS = {"consumer_key": "key", "consumer_secret": "secret", "passkey": "passkey"}
_PROCESS_ENDS_WITHIN_S = 30


@dataclass(frozen=True)
class Size:
    subscribers: int
    connections: int
    warm_up_s: float
    seconds: float
    rounds: int


WHOLE = Size(subscribers=100_000, connections=16, warm_up_s=1, seconds=4, rounds=3)
QUICK = Size(subscribers=500, connections=4, warm_up_s=0.2, seconds=0.5, rounds=1)


@dataclass(frozen=True)
class World:
    """What was put into the database."""

    tenant_id: int
    first_id: int
    api_token: str
    webhook_token: str


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@api_options
def main(*, quick: bool, as_json: bool, seconds: float | None, keep: str | None, no_save: bool) -> None:
    """What `./kibali bench api` runs."""
    size = QUICK if quick else WHOLE
    if seconds:
        size = Size(size.subscribers, size.connections, size.warm_up_s, seconds, size.rounds)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that nothing is left behind
    # One token sends as many requests as it can.
    with surroundings(Path(keep) if keep else None, {"api_requests_per_minute": "0"}) as around:
        results = carry_out(size, around)
    if not quick and not no_save:
        directory = RESULTS if os.access(RESULTS, os.W_OK) else Settings.load().var / "bench-results"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"api-{results.date[:10]}"
        path.with_suffix(".json").write_text(json.dumps(results.as_json(), indent=1) + "\n", "utf-8")
        path.with_suffix(".md").write_text(report.markdown(results), "utf-8")
        progress_console().print(f"written: {path}.md and .json", markup=False, soft_wrap=True)
    if as_json:
        print_json(results.as_json())
    else:
        show(results)
    if faults := results.faults():
        raise Failure(f"not everything was right: {faults[0]}")


def carry_out(size: Size, around: Surroundings) -> ApiResults:
    """Measures every work in turn, as often as there are rounds, and keeps the best of each."""
    parts = {part.name: part for part in PARTS}
    with running_postgres(around) as postgres_pid, running_part(around, parts["redis"]):
        prepare(around.settings)
        world = fill(around.settings, size)
        results = ApiResults(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=describe(around),
            subscribers=size.subscribers,
            seconds=size.seconds,
            rounds=size.rounds,
        )
        best: dict[str, Point] = {}
        with running_part(around, parts["api"]) as api_pid, running_bare(around) as bare_pid:
            for seed in range(size.rounds):
                for work in WORKS:
                    server_pid = bare_pid if work == "bare" else api_pid
                    point = measure(around, world, size, work, seed, server_pid, postgres_pid)
                    progress_console().print(f"{WORKS[work]}: {point.requests_per_s:,.0f} requests/s", markup=False)
                    if work not in best or point.fault or point.requests_per_s > best[work].requests_per_s:
                        best[work] = point
        results.points = list(best.values())
        return results


def fill(settings: Settings, size: Size) -> World:
    """A tenant with its owner's token, a paybill and so many subscribers, unless they are there."""
    engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine)() as session:
            made = tenant.create(session, slug=f"bench-{time.time_ns()}", name="Bench", language="en", timezone="UTC")
            owner = admin.Admin(tenant_id=made.id, email=f"owner@{made.slug}.example", role="owner")
            owner.password_hash = "!"  # noqa: S105 (nobody logs in by it)
            session.add(owner)
            session.flush()
            token = admin.create_token(session, owner, "bench", None)
            session.commit()
    finally:
        engine.dispose()
    engine, keyring = make_engine(settings, "api", pool_size=1), Keyring.parse(settings.encryption_keys.reveal())
    try:
        with session_factory(engine)() as session:
            use_tenant(session, made.id)
            new = NewPaymentAccount("paybill", "Main", "600000", _CREDENTIALS)
            account = payment_account.create(session, made.id, new, keyring)
            webhook_token = payment_account.c2b_token(account, keyring)
            session.commit()
    finally:
        engine.dispose()
    with psycopg.connect(settings.database_admin_dsn(settings.database_name), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no row of the audit log for each
        (first_id,) = connection.execute(
            "WITH made AS (INSERT INTO subscriber (tenant_id, name, msisdn, email)"
            " SELECT %s, 'Subscriber ' || n, (254700000000 + n)::text, 'subscriber' || n || '@example.net'"
            " FROM generate_series(1, %s) n RETURNING id) SELECT min(id) FROM made",
            (made.id, size.subscribers),
        ).fetchone() or (0,)
        connection.execute("VACUUM (ANALYZE)")
    return World(made.id, first_id, token, webhook_token)


@contextmanager
def running_bare(around: Surroundings) -> Iterator[int]:
    """The process id of bench/api_bare.py, once it answers."""
    with running_program(around, "bench.api_bare") as process:
        deadline = time.monotonic() + _PROCESS_ENDS_WITHIN_S
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{around.settings.radius_auth_port}/subscribers?tenant_id=0", timeout=5):
                    break
            except (URLError, OSError):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failure(f"the bare server did not start: see {around.settings.var}") from None
                time.sleep(0.1)
        yield process.pid


def measure(
    around: Surroundings, world: World, size: Size, work: str, seed: int, server_pid: int, postgres_pid: int
) -> Point:
    load = Load(
        work=work,
        port=around.settings.radius_auth_port if work == "bare" else around.settings.http_port,
        connections=size.connections,
        warm_up_s=size.warm_up_s,
        seconds=size.seconds,
        token=world.webhook_token if work == "webhook" else world.api_token,
        first_id=world.first_id,
        subscribers=size.subscribers,
        tenant_id=world.tenant_id,
        seed=seed,
    )
    server_s, postgres_s = cpu_seconds(server_pid), family_cpu_seconds(postgres_pid)
    run = subprocess.run(
        [sys.executable, "-m", "bench.api_load"],
        cwd=CHECKOUT,
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        timeout=size.warm_up_s + size.seconds + _PROCESS_ENDS_WITHIN_S,
        check=False,
    )
    if run.returncode:
        raise Failure(f"the load generator failed: {run.stderr.strip().splitlines()[-1]}")
    found = Measured(**json.loads(run.stdout))
    wrong = {status: times for status, times in found.statuses.items() if status != RIGHT[work]}
    return Point(
        work=work,
        connections=size.connections,
        requests_per_s=round(found.requests / found.seconds, 1),
        p50_ms=_percentile(found, 50),
        p99_ms=_percentile(found, 99),
        server_cpu_ms=round((cpu_seconds(server_pid) - server_s) * 1000 / max(1, found.total), 3),
        postgres_cpu_ms=round((family_cpu_seconds(postgres_pid) - postgres_s) * 1000 / max(1, found.total), 3),
        fault=f"answered {wrong}" if wrong else "" if found.requests else "no request was answered",
    )


def _percentile(found: Measured, percent: int) -> float:
    return found.latencies_ms[len(found.latencies_ms) * percent // 100] if found.latencies_ms else 0.0


def show(results: ApiResults) -> None:
    heading, *body = report.rows(results)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(heading):
        table.add_column(name, justify="right" if at else "left")
    for row in body:
        table.add_row(*row)
    for line in (table, report.verdict(results), report.circumstances(results)):
        console().print(line, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SettingsError as error:
        Failure(str(error)).show()
        sys.exit(1)
    except click.Abort:
        sys.exit(130)
