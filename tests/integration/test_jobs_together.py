"""Jobs that are run together, in one transaction: each is done once all the same, and a bad one takes none along."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest

from db import job_life
from settings import Settings
from tasks.queues import PAYMENTS
from tasks.runner import Runner
from tests.integration.job_bench import Bench, make_bench
from tests.integration.job_tasks import go_together, leave_mark


class NoInterrupts:
    """The test keeps its own signals."""

    def install(self) -> None: ...
    def lease_lost(self) -> None: ...
    def allowed(self, limit_s: float) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, environ, var) as bench:
        yield bench


@pytest.fixture
def runner(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    with runner_here(settings, monkeypatch) as runner:
        yield runner


@contextmanager
def runner_here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """What a worker process of the payments' queue has, in this one."""
    monkeypatch.setattr("tasks.runner.Interrupts", NoInterrupts)
    runner = Runner(settings, PAYMENTS)
    try:
        yield runner
    finally:
        runner._sessions.kw["bind"].dispose()


def take_one(bench: Bench, runner: Runner) -> None:
    """As a worker does with what it finds on Redis."""
    ids = bench.nudges("payments")
    bench.redis.rpop("huey.redis.kibali.payments")
    runner.run(ids[0])


def waiting(bench: Bench, *whats: str) -> list[int]:
    """Ids of the jobs, the first of which is the next on Redis."""
    ids = [bench.enqueue(go_together, {"what": what}) for what in whats]
    assert bench.nudges("payments") == ids
    return ids


def test_jobs_that_wait_are_one_transaction_and_each_is_done_once(bench: Bench, runner: Runner) -> None:
    ids = waiting(bench, "a", "b", "c")
    take_one(bench, runner)
    assert [bench.marks(job_id) for job_id in ids] == [["a,b,c"]] * 3
    assert [bench.job(job_id).state for job_id in ids] == ["succeeded"] * 3
    assert bench.scalars("SELECT count(DISTINCT xmin::text) FROM event WHERE type = 'test.mark'") == [1]
    assert bench.nudges("payments") == []


def test_a_job_that_waits_alone_runs_alone(bench: Bench, runner: Runner) -> None:
    (job_id,) = waiting(bench, "a")
    take_one(bench, runner)
    assert bench.marks(job_id) == ["alone"]


def test_one_that_fails_is_tried_again_and_the_others_are_done(bench: Bench, runner: Runner) -> None:
    good, bad, other = waiting(bench, "good", "bad", "other")
    take_one(bench, runner)
    assert bench.marks(good) == bench.marks(other) == ["alone"]
    assert bench.marks(bad) == []
    assert [bench.job(each).state for each in (good, bad, other)] == ["succeeded", "pending", "succeeded"]
    assert (bench.job(bad).attempts, bench.job(bad).error) == (1, "ValueError: this one can not be done")


def test_one_that_has_to_ask_somebody_comes_after_the_others(bench: Bench, runner: Runner) -> None:
    ids = waiting(bench, "a", "asks", "b")
    take_one(bench, runner)
    assert [bench.marks(job_id) for job_id in ids] == [["a,asks,b"], ["alone"], ["a,asks,b"]]
    assert [bench.job(job_id).state for job_id in ids] == ["succeeded"] * 3


def test_what_killed_its_worker_once_is_run_alone(bench: Bench, runner: Runner) -> None:
    first, tried, last = waiting(bench, "first", "tried", "last")
    bench.execute("UPDATE job SET attempts = 1 WHERE id = :id", id=tried)
    take_one(bench, runner)
    assert [bench.marks(job_id) for job_id in (first, tried, last)] == [["first,last"], [], ["first,last"]]
    assert bench.nudges("payments") == [tried], "its nudge was put back"
    take_one(bench, runner)
    assert bench.marks(tried) == ["alone"]


def test_jobs_of_other_tasks_keep_their_places_on_redis(bench: Bench, runner: Runner) -> None:
    first = bench.enqueue(go_together, {"what": "a"})
    others = [bench.enqueue(leave_mark) for _ in range(3)]
    last = bench.enqueue(go_together, {"what": "b"})
    take_one(bench, runner)
    assert bench.marks(first) == bench.marks(last) == ["a,b"]
    assert bench.nudges("payments") == others


def cancelled_meanwhile(bench: Bench, job_id: int) -> Callable[..., bool]:
    succeed = job_life.succeed_together

    def late(*args: object) -> bool:
        cancel = "UPDATE job SET state = 'cancelled', finished_at = now(), claim = NULL, lease_until = NULL"
        bench.execute(f"{cancel} WHERE id = :id", id=job_id)
        return succeed(*args)  # type: ignore[arg-type]

    return late


def test_one_that_is_cancelled_meanwhile_is_undone_and_the_others_are_done(
    bench: Bench, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, cancelled = waiting(bench, "kept", "cancelled")
    monkeypatch.setattr(job_life, "succeed_together", cancelled_meanwhile(bench, cancelled))
    take_one(bench, runner)
    assert (bench.marks(kept), bench.marks(cancelled)) == (["alone"], [])
    assert [bench.job(each).state for each in (kept, cancelled)] == ["succeeded", "cancelled"]


def test_while_redis_is_away_a_job_runs_alone(bench: Bench, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = waiting(bench, "a", "b")
    monkeypatch.setattr(runner._nudger, "take", lambda *_: [])
    take_one(bench, runner)
    assert (bench.marks(first), bench.marks(second)) == (["alone"], [])
