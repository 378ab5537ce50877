"""Imports by real workers that are killed: while the router is read, while it is written, at the last try."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from sqlalchemy import text

from db.router_import import RouterImport
from settings import Settings
from tasks import imports
from tasks.enqueue import enqueue
from tasks.imports import settle_imports
from tasks.router_import import ONE_AT_A_TIME
from tests.integration.job_bench import Bench, Part, make_bench, wait_until
from tests.integration.router_bench import RouterBench, make_router_bench
from tests.integration.test_deployment_deaths import hangs
from tests.integration.test_router_import import counted, run

ACCOUNTS = 300


@pytest.fixture
def jobs(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, environ, var) as bench:
        yield bench


@pytest.fixture
def bench(settings: Settings) -> Iterator[RouterBench]:
    with make_router_bench(settings) as bench:
        yield bench


def furnished(bench: RouterBench) -> int:
    router_id = bench.router()
    tables = bench.fakes[router_id].machine.tables
    tables.put("/ip/pool", name="all", ranges="10.2.0.1-10.2.255.254")
    tables.add("/ppp/profile", {"name": "p", "rate-limit": "1M/1M"})
    for number in range(ACCOUNTS):
        tables.put("/ppp/secret", name=f"c{number}", password=f"s{number}", profile="p", comment="")
    return router_id


def request(bench: RouterBench, router_id: int) -> tuple[int, int]:
    with bench.office() as session:
        asked, job = imports.request(session, router_id, dry_run=False, plans={}, confirmed={"all": True})
        return asked.id, job.id


def kill(worker: Part) -> None:
    children = worker.children()
    for child in children:
        os.kill(child, signal.SIGKILL)
    wait_until(lambda: len(set(worker.children()) - set(children)) == 3, "others took their places")


def written(bench: RouterBench) -> list[int]:
    tables = ("subscriber", "subscription", "usage", "plan", "ip_pool", "router_import_row")
    return [counted(bench, table) for table in tables]


def read(bench: RouterBench, import_id: int) -> RouterImport:
    with bench.sessions() as session:
        return session.get_one(RouterImport, import_id)


def test_a_worker_killed_while_it_reads_or_writes_leaves_nothing_and_the_next_doubles_nothing(
    bench: RouterBench, jobs: Bench
) -> None:
    router_id = furnished(bench)
    fake = bench.fakes[router_id]
    import_id, job_id = request(bench, router_id)
    with jobs.worker("provisioning") as worker, bench.engine.connect() as blocker:
        fake.fail("/ppp/secret/print", "late", seconds=3)
        jobs.sweep.tick()
        wait_until(lambda: hangs(fake), "it reads")
        kill(worker)
        fake.faults.clear()
        assert written(bench) == [0] * 6

        blocker.execute(ONE_AT_A_TIME, {"tenant_id": bench.tenant_id})
        jobs.end_lease(job_id)
        jobs.sweep.tick()
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: jobs.scalars(waits) == [1], "it is in the middle of writing")
        kill(worker)
        blocker.rollback()
        wait_until(lambda: jobs.scalars(waits) == [0], "PostgreSQL noticed")
        assert written(bench) == [0] * 6
        assert read(bench, import_id).state == "pending"

        jobs.end_lease(job_id)
        jobs.sweep.tick()
        assert jobs.wait_for(job_id, "succeeded").attempts == 3
    done = read(bench, import_id)
    assert (done.state, done.counts) == ("completed", {"pool": {"imported": 1}, "ppp": {"imported": ACCOUNTS}})
    assert written(bench) == [ACCOUNTS, ACCOUNTS, ACCOUNTS, 1, 1, ACCOUNTS + 1]
    assert run(bench, router_id).counts["ppp"] == {"there": ACCOUNTS}


def test_an_import_whose_worker_dies_at_the_last_try_fails_in_words_and_can_be_begun_anew(
    bench: RouterBench, jobs: Bench
) -> None:
    router_id = furnished(bench)
    fake = bench.fakes[router_id]
    import_id, job_id = request(bench, router_id)
    bench.execute("UPDATE job SET attempts = max_attempts - 1 WHERE id = :id", id=job_id)
    with jobs.worker("provisioning") as worker:
        fake.fail("/ppp/secret/print", "late", seconds=3)
        jobs.sweep.tick()
        wait_until(lambda: hangs(fake), "it reads")
        kill(worker)
    fake.faults.clear()
    jobs.end_lease(job_id)
    jobs.sweep.tick()
    assert jobs.job(job_id).state == "failed"
    assert read(bench, import_id).state == "pending", "nobody has looked yet"
    settle(bench)
    failed = read(bench, import_id)
    assert failed.state == "failed"
    assert failed.finished_at is not None
    assert "the worker died" in (failed.error or "")
    assert "Nothing was taken over: import it again." in (failed.error or "")
    assert written(bench) == [0] * 6
    assert run(bench, router_id).counts["ppp"] == {"imported": ACCOUNTS}

    # The failed one itself, by `job retry`: all is there already.
    bench.execute("UPDATE job SET state = 'pending', attempts = 0, finished_at = NULL WHERE id = :id", id=job_id)
    bench.work(job_id)
    again = read(bench, import_id)
    assert (again.state, again.error, again.counts["ppp"]) == ("completed", None, {"there": ACCOUNTS})


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ("state = 'cancelled'", "It was cancelled. Nothing was taken over: import it again."),
        ("state = 'failed', error = 'TimeLimitExceeded: it ran too long'", "TimeLimitExceeded: it ran too long."),
    ],
)
def test_an_import_that_was_cancelled_or_ran_too_long_ends_too(bench: RouterBench, ends: str, words: str) -> None:
    router_id = bench.router()
    import_id, job_id = request(bench, router_id)
    other_id, _ = request(bench, router_id)
    bench.execute(f"UPDATE job SET finished_at = now(), {ends} WHERE id = :id", id=job_id)
    settle(bench)
    assert (read(bench, import_id).error or "").startswith(words)
    assert (read(bench, other_id).state, read(bench, other_id).error) == ("pending", None)


def settle(bench: RouterBench) -> None:
    with bench.sessions.begin() as session:
        job_id = enqueue(session, settle_imports).id
    bench.work(job_id)
    with bench.engine.begin() as connection:
        assert connection.scalar(text("SELECT state FROM job WHERE id = :id"), {"id": job_id}) == "succeeded"
