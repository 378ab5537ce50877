"""Jobs while PostgreSQL and Redis come and go. Servers of this file's own, stopped and started again."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from settings import Settings
from tests.integration import job_tasks
from tests.integration.job_bench import Bench, make_bench, wait_until
from tests.servers import Servers


@pytest.fixture
def bench(servers: Servers, own_settings: Settings, own_environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(own_settings, own_environ, var) as bench:
        yield bench


def test_jobs_outlive_redis_and_postgresql_going_away(servers: Servers, bench: Bench) -> None:
    with bench.sweeping() as sweep, bench.worker("payments") as worker:
        before = bench.enqueue(job_tasks.leave_mark)
        bench.wait_for(before, "succeeded")

        servers.stop("redis")
        began = time.monotonic()
        without_redis = [bench.enqueue(job_tasks.leave_mark) for _ in range(10)]
        assert time.monotonic() - began < 3, "whoever enqueues does not wait for Redis"
        time.sleep(2)
        servers.start("redis")
        for job_id in without_redis:
            bench.wait_for(job_id, "succeeded")

        servers.stop("postgres")
        bench.redis.lpush("huey.redis.kibali.payments", before)  # so that a worker finds out
        time.sleep(3)
        servers.start("postgres")
        after = bench.enqueue(job_tasks.leave_mark)
        bench.wait_for(after, "succeeded")

        assert sweep.process.poll() is None
        assert worker.process.poll() is None
        for log in (sweep.log.read_text(), worker.log.read_text()):
            for store in ("Redis", "PostgreSQL"):
                assert 1 <= log.count(f"{store} is away") <= 5, "once per outage and process, not once per attempt"
            assert "Traceback" not in log
    assert [bench.marks(job_id) for job_id in (before, *without_redis, after)] == [["done"]] * 12


def test_a_job_that_postgresql_left_in_the_middle_is_done_once(servers: Servers, bench: Bench) -> None:
    gate = bench.gate()
    job_id = bench.enqueue(job_tasks.wait_for_gate, {"gate": str(gate.path)})
    with bench.worker("default"):
        gate.wait_for_arrival()
        servers.stop("postgres")
        gate.open()
        time.sleep(1)
        servers.start("postgres")
        wait_until(lambda: bench.job(job_id).attempts == 1, "PostgreSQL is back")
        bench.end_lease(job_id)
        bench.make_due(job_id)
        bench.sweep.tick()
        bench.wait_for(job_id, "succeeded")
    assert bench.marks(job_id) == ["done"]
