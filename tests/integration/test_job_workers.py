"""Jobs as they are run: real worker processes, killed, stopped and outrun."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.instance.processes import is_alive
from db import job_list
from settings import Settings
from tests.integration import job_tasks
from tests.integration.job_bench import Bench, make_bench, wait_until


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, environ, var) as bench:
        yield bench


def test_a_worker_killed_in_the_middle_of_a_job_is_replaced_and_the_job_done_once(bench: Bench) -> None:
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)})
    with bench.worker("default") as worker:
        os.kill(gate.wait_for_arrival(), signal.SIGKILL)
        killed_at = time.monotonic()
        wait_until(lambda: len(worker.children()) < 2, "the process is gone")
        wait_until(lambda: len(worker.children()) == 2, "a new one took its place", within_s=5)
        assert time.monotonic() - killed_at < 5
        assert bench.marks(job_id) == []
        bench.end_lease(job_id)
        bench.sweep.tick()
        gate.wait_for_arrival(attempt=2)
        gate.open()
        assert bench.wait_for(job_id, "succeeded").attempts == 2
    assert bench.marks(job_id) == ["done"]


def test_killing_the_parent_takes_its_workers_along_and_loses_no_job(bench: Bench) -> None:
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)})
    with bench.worker("default") as worker:
        gate.wait_for_arrival()
        children = worker.children()
        assert len(children) == 2
        worker.process.kill()
        wait_until(lambda: not any(map(is_alive, children)), "the workers are gone", within_s=5)
    bench.end_lease(job_id)
    bench.sweep.tick()
    with bench.worker("default"):
        gate.wait_for_arrival(attempt=2)
        gate.open()
        bench.wait_for(job_id, "succeeded")
    assert bench.marks(job_id) == ["done"]


def sleeping_queries(bench: Bench) -> int:
    running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
    return int(bench.scalars(running)[0])


def test_the_query_of_a_killed_worker_is_ended_too_and_its_locks_are_free(bench: Bench) -> None:
    bench.enqueue(job_tasks.query_long)
    with bench.worker("maintenance") as worker:
        wait_until(lambda: sleeping_queries(bench) == 1, "the query runs")
        worker.process.kill()
        wait_until(lambda: sleeping_queries(bench) == 0, "the query is ended", within_s=6)


def test_a_step_that_was_committed_survives_the_worker(bench: Bench) -> None:
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.two_steps, {"gate": str(gate.path)})
    with bench.worker("maintenance"):
        os.kill(gate.wait_for_arrival(), signal.SIGKILL)
        assert bench.marks(job_id) == ["first step"]
        assert bench.job(job_id).progress == 50


def test_a_worker_whose_lease_was_given_to_another_undoes_its_work(bench: Bench) -> None:
    """As after a long stall: the first worker is alive, but the job is not its any more."""
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)})
    with bench.worker("default"):
        gate.wait_for_arrival()
        bench.end_lease(job_id)
        bench.sweep.tick()
        gate.wait_for_arrival(attempt=2)
        gate.open()
        bench.wait_for(job_id, "succeeded")
        time.sleep(0.2)
    assert bench.marks(job_id) == ["done"]


def test_two_hundred_jobs_nudged_thrice_each_run_once(bench: Bench) -> None:
    ids = [bench.enqueue(job_tasks.never_twice_at_once) for _ in range(200)]
    bench.redis.delete("huey.redis.kibali.payments")
    bench.redis.lpush("huey.redis.kibali.payments", *(job_id for job_id in ids for _ in range(3)))
    with bench.worker("payments"), bench.worker("payments"):
        wait_until(lambda: bench.scalars("SELECT count(*) FROM job WHERE state = 'succeeded'") == [200], "all done")
        wait_until(lambda: bench.nudges("payments") == [], "all nudges taken")
    assert [bench.marks(job_id) for job_id in ids] == [["done"]] * 200


def test_redis_emptied_while_jobs_wait_loses_none(bench: Bench) -> None:
    ids = [bench.enqueue(job_tasks.leave_mark) for _ in range(20)]
    bench.redis.flushall()
    with bench.worker("payments"):
        bench.age_nudges()
        bench.sweep.tick()
        for job_id in ids:
            bench.wait_for(job_id, "succeeded")
    assert [bench.marks(job_id) for job_id in ids] == [["done"]] * 20


def test_what_is_no_job_id_on_the_list_is_thrown_away(bench: Bench) -> None:
    bench.redis.lpush("huey.redis.kibali.payments", b"\x80\x04N.", "999999999")
    job_id = bench.enqueue(job_tasks.leave_mark)
    with bench.worker("payments") as worker:
        bench.wait_for(job_id, "succeeded")
        assert "no job id" in worker.log.read_text()


def test_a_failing_job_is_tried_as_often_as_its_queue_says_then_failed_then_retried(bench: Bench) -> None:
    job_id = bench.enqueue(job_tasks.raise_error, {"message": "no route to host"})
    remaining_s = "SELECT extract(epoch FROM due_at - now())::float FROM job WHERE id = :id AND state = 'pending'"
    with bench.worker("default"):
        for attempt, after_s in ((1, 10), (2, 60)):
            bench.wait_for_error(job_id)
            assert bench.job(job_id).attempts == attempt
            (left_s,) = bench.scalars(remaining_s, id=job_id)
            assert after_s - 5 < left_s <= after_s
            bench.execute("UPDATE job SET error = NULL WHERE id = :id", id=job_id)
            bench.make_due(job_id)
            bench.sweep.tick()
        failed = bench.wait_for(job_id, "failed")
        assert (failed.attempts, failed.error) == (3, "ValueError: no route to host")
        assert bench.scalars("SELECT data FROM event WHERE type = 'job.failed'") == [
            {"job_id": job_id, "queue": "default", "task": "raise_error", "error": failed.error}
        ]
        with bench.sessions.begin() as session:
            job_list.retry(session, job_id)
        bench.sweep.tick()
        bench.wait_for_error(job_id)
        assert bench.job(job_id).attempts == 1
    assert bench.marks(job_id) == []


def test_what_ends_a_job_early_is_told_and_nothing_of_it_stays(bench: Bench) -> None:
    too_long = "TimeLimitExceeded: it ran for more than 1 s"
    no_worker_knows = "UnknownTask: this worker knows no task renamed; if Kibali was updated, restart the workers"
    cases: list[tuple[Callable[..., None], dict[str, Any], str, str]] = [
        (job_tasks.refuse, {}, "failed", "PermanentFailure: the router was removed"),
        (job_tasks.sleep_too_long, {}, "pending", too_long),
        (job_tasks.sleep_and_swallow, {}, "pending", too_long),
        (job_tasks.query_too_long, {}, "pending", too_long),
        (
            job_tasks.break_a_constraint,
            {"secret": "hunter2"},
            "pending",
            "InsufficientPrivilege: permission denied for table tenant",
        ),
    ]
    ids = [bench.enqueue(function, args) for function, args, _, _ in cases]
    renamed = bench.enqueue(job_tasks.leave_mark, due_at=datetime.now(UTC) + timedelta(hours=1))
    bench.execute("UPDATE job SET task = 'renamed', queue = 'default' WHERE id = :id", id=renamed)
    bench.make_due(renamed)
    bench.sweep.tick()
    with bench.worker("default") as worker:
        for job_id in (*ids, renamed):
            bench.wait_for_error(job_id)
        assert "hunter2" not in worker.log.read_text()
    for job_id, (_, _, state, error) in zip(ids, cases, strict=True):
        assert (bench.job(job_id).state, bench.job(job_id).error, bench.marks(job_id)) == (state, error, [])
    assert bench.job(renamed).error == no_worker_knows
    assert sleeping_queries(bench) == 0


def test_a_cancelled_job_is_not_run(bench: Bench) -> None:
    job_id = bench.enqueue(job_tasks.leave_mark)
    after = bench.enqueue(job_tasks.leave_mark)
    with bench.sessions.begin() as session:
        job_list.cancel(session, job_id)
    with bench.worker("payments"):
        bench.wait_for(after, "succeeded")
    assert bench.job(job_id).state == "cancelled"
    assert bench.marks(job_id) == []


def test_cancelling_a_running_job_stops_it_and_undoes_it(bench: Bench) -> None:
    """Two jobs: one ends by itself just after it was cancelled, the other is stopped when its lease is renewed."""
    ends, hangs = bench.gate(), bench.gate()
    ids = [bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)}) for gate in (ends, hangs)]
    with bench.worker("default") as worker:
        for gate in (ends, hangs):
            gate.wait_for_arrival()
        with bench.sessions.begin() as session:
            for job_id in ids:
                job_list.cancel(session, job_id)
        ends.open()
        wait_until(lambda: worker.log.read_text().count("cancelled or given") == 2, "both were noticed", within_s=8)
        again = [bench.enqueue(job_tasks.wait_for_gate, {"gate": str(ends.path)}) for _ in range(2)]
        for job_id in again:
            bench.wait_for(job_id, "succeeded")
    assert [bench.job(job_id).state for job_id in ids] == ["cancelled", "cancelled"]
    assert [bench.marks(job_id) for job_id in ids] == [[], []]


def test_sigterm_ends_the_workers_within_ten_seconds_and_gives_the_job_back(bench: Bench) -> None:
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)})
    with bench.worker("default") as worker:
        gate.wait_for_arrival()
        children = worker.children()
        worker.process.terminate()
        worker.process.wait(timeout=11)
        assert worker.process.returncode == 0
        assert not any(map(is_alive, children))
    row = bench.job(job_id)
    assert (row.state, row.attempts, row.nudged_at) == ("pending", 0, None)
    assert bench.scalars("SELECT due_at <= now() FROM job WHERE id = :id", id=job_id) == [True]
    assert bench.marks(job_id) == []


def test_sigterm_waits_for_a_job_that_is_about_to_end(bench: Bench) -> None:
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)})
    with bench.worker("default") as worker:
        gate.wait_for_arrival()
        worker.process.terminate()
        time.sleep(0.3)
        gate.open()
        worker.process.wait(timeout=5)
    assert bench.job(job_id).state == "succeeded"


def test_workers_and_sweep_show_that_they_are_alive(bench: Bench) -> None:
    def alive(part: str) -> Any:
        return json.loads(bench.redis.get(f"kibali:alive:{part}:{socket.gethostname()}") or "null")

    with bench.worker("router-data") as worker, bench.sweeping() as sweep:
        wait_until(lambda: bool(alive("worker-router-data") and alive("sweep")), "both heartbeats", within_s=10)
        beat = alive("worker-router-data")
        assert (beat["pid"], beat["queue"], beat["workers"]) == (worker.process.pid, "router-data", 3)
        assert alive("sweep")["pid"] == sweep.process.pid
        assert 0 < bench.redis.ttl(f"kibali:alive:sweep:{socket.gethostname()}") <= 10
        sweep.process.terminate()
        assert sweep.process.wait(timeout=5) == 0


def test_an_unknown_queue_is_refused_in_one_line(bench: Bench) -> None:
    with bench.worker("payment") as worker:
        assert worker.process.wait(timeout=10) == 2
        assert "invalid choice: 'payment'" in worker.log.read_text()
