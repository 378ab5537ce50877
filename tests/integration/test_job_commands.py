"""`kibali queue …` and `kibali job …`."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.app import kibali
from settings import Settings
from tasks.queues import QUEUES
from tests.integration import job_tasks
from tests.integration.job_bench import Bench, make_bench

Run = Callable[..., Result]


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, environ, var) as bench:
        yield bench


@pytest.fixture
def run(environ: Mapping[str, str]) -> Run:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(kibali, arguments, env=environ)

    return run


def test_queues_are_listed_with_their_jobs(bench: Bench, run: Run) -> None:
    waiting = bench.enqueue(job_tasks.leave_mark)
    bench.execute("UPDATE job SET due_at = now() - interval '90 s' WHERE id = :id", id=waiting)
    later = bench.enqueue(job_tasks.leave_mark)
    bench.execute("UPDATE job SET due_at = now() + interval '90 s' WHERE id = :id", id=later)
    rows = {row["queue"]: row for row in json.loads(run("queue", "list", "--json").stdout)}
    assert list(rows) == [queue.name for queue in QUEUES]
    payments = {key: rows["payments"][key] for key in ("workers", "limit_s", "due", "later", "running", "failed")}
    assert payments == {"workers": 4, "limit_s": 120, "due": 1, "later": 1, "running": 0, "failed": 0}
    assert 90 <= rows["payments"]["oldest_due_s"] < 120
    assert rows["default"]["oldest_due_s"] is None
    assert "router-checks" in run("queue", "list").stdout


def test_failed_jobs_are_listed_and_tried_again_by_queue_by_id_or_all(bench: Bench, run: Run) -> None:
    ids = [bench.enqueue(job_tasks.leave_mark), bench.enqueue(job_tasks.refuse), bench.enqueue(job_tasks.refuse)]
    fail = (
        "UPDATE job SET state = 'failed', finished_at = now(), error = 'PermanentFailure: no' WHERE state = 'pending'"
    )

    bench.execute(fail)
    assert [row["id"] for row in json.loads(run("queue", "failed", "--json").stdout)] == ids[::-1]
    assert [row["id"] for row in json.loads(run("queue", "failed", "payments", "--json").stdout)] == ids[:1]
    assert run("queue", "retry", "default").stdout == "2 will be tried again\n"
    assert [bench.job(job_id).state for job_id in ids] == ["failed", "pending", "pending"]

    retried = json.loads(run("job", "retry", str(ids[0]), "--json").stdout)
    assert (retried["id"], retried["state"], retried["error"]) == (ids[0], "pending", None)

    bench.execute(fail)
    assert json.loads(run("queue", "retry", "--all", "--json").stdout) == {"retried": 3, "still_failed": 0}


def test_jobs_are_listed_and_shown(bench: Bench, run: Run) -> None:
    first, second = bench.enqueue(job_tasks.leave_mark, {"what": "paid"}), bench.enqueue(job_tasks.refuse)
    assert [row["id"] for row in json.loads(run("job", "list", "--json").stdout)] == [second, first]
    assert [row["id"] for row in json.loads(run("job", "list", "--queue", "payments", "--json").stdout)] == [first]
    assert [row["id"] for row in json.loads(run("job", "list", "--task", "refuse", "--json").stdout)] == [second]
    assert json.loads(run("job", "list", "--state", "failed", "--json").stdout) == []
    shown = json.loads(run("job", "show", str(first), "--json").stdout)
    assert (shown["task"], shown["args"], shown["state"]) == ("leave_mark", {"what": "paid"}, "pending")
    assert "claim" not in shown
    assert "leave_mark" in run("job", "show", str(first)).stdout


def test_a_job_is_cancelled_once(bench: Bench, run: Run) -> None:
    job_id = bench.enqueue(job_tasks.leave_mark)
    assert json.loads(run("job", "cancel", str(job_id), "--json").stdout)["state"] == "cancelled"
    again = run("job", "cancel", str(job_id))
    assert (again.exit_code, again.stderr) == (1, "kibali: The job is over: cancelled.\n")


def test_what_can_not_be_done_is_said_in_one_line(run: Run) -> None:
    for arguments, exit_code, says in (
        (("job", "show", "999"), 1, "kibali: There is no such job.\n"),
        (("queue", "retry", "payments"), 1, "kibali: no job has failed there.\n"),
        (("queue", "retry"), 2, "name one QUEUE, or say --all."),
        (("queue", "failed", "payment"), 2, "'payment' is not one of 'payments'"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (exit_code, "")
        assert says in result.stderr
