"""`kibali queue`"""

from dataclasses import asdict
from itertools import islice

import click
from redis import Redis, RedisError

from cli.desk import at_platform
from cli.failure import Failure
from cli.jobs import FAILED_COLUMNS, job_row
from cli.lists import every_row
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from db import job_list
from db.job_list import QueueCounts
from settings import Settings
from tasks.heartbeat import all_alive, workers_by_queue
from tasks.queues import BY_NAME, QUEUES
from tasks.redis_pool import make_redis_pool

COLUMNS = ("queue", "workers", "workers_alive", "limit_s", "due", "later", "running", "failed", "oldest_due_s")
queue_argument = click.argument("queue_name", metavar="[QUEUE]", required=False, type=click.Choice(list(BY_NAME)))


@click.group()
def queue() -> None:
    """The queues of jobs: what waits, what runs, what failed."""


@queue.command("list")
@json_option
@pass_settings
def list_queues(settings: Settings, as_json: bool) -> None:
    """Every queue and its jobs: due now, due later, running, failed; and the workers that are alive on all machines."""
    with at_platform(settings) as session:
        counts = job_list.counts_by_queue(session)
    alive = _workers_alive(settings)
    rows = [
        {
            "queue": each.name,
            "workers": each.workers,
            "workers_alive": None if alive is None else alive.get(each.name, 0),
            "limit_s": each.limit_s,
        }
        | asdict(counts.pop(each.name, QueueCounts()))
        for each in QUEUES
    ]
    # Of a queue that a version before this one had.
    gone = {"workers": 0, "workers_alive": 0, "limit_s": None}
    rows += [{"queue": name, **gone} | asdict(left) for name, left in counts.items()]
    print_rows(rows, COLUMNS, as_json=as_json)


def _workers_alive(settings: Settings) -> dict[str, int] | None:
    """Queue → worker processes; None while Redis does not answer."""
    client = Redis(connection_pool=make_redis_pool(settings))
    try:
        return workers_by_queue(all_alive(client))
    except RedisError:
        return None
    finally:
        client.close()


@queue.command()
@queue_argument
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, newest first.")
@json_option
@pass_settings
def failed(settings: Settings, queue_name: str | None, limit: int, as_json: bool) -> None:
    """Failed jobs of QUEUE, or of all queues, newest first."""
    with at_platform(settings) as session:
        found = every_row("-id", lambda request: job_list.page(session, request, queue=queue_name, states=("failed",)))
        rows = [job_row(job) for job in islice(found, limit)]
    print_rows(rows, FAILED_COLUMNS, as_json=as_json)


@queue.command()
@queue_argument
@click.option("--all", "all_queues", is_flag=True, help="Of every queue.")
@click.option("--task", metavar="TASK", help="Only of this task.")
@json_option
@pass_settings
def retry(settings: Settings, queue_name: str | None, all_queues: bool, task: str | None, as_json: bool) -> None:
    """Tries the failed jobs of QUEUE again. `kibali job retry ID` does it for one."""
    if (queue_name is None) != all_queues:
        raise click.UsageError("name one QUEUE, or say --all.")
    with at_platform(settings) as session:
        retried = job_list.retry_failed(session, queue_name, task)
        left = job_list.counts_by_queue(session)
    still_failed = sum(counts.failed for name, counts in left.items() if queue_name in (None, name))
    if as_json:
        print_json({"retried": retried, "still_failed": still_failed})
        return
    if not retried and not still_failed:
        raise Failure("no job has failed there.")
    stay = f"; {still_failed} stay failed, because newer jobs do the same" if still_failed else ""
    click.echo(f"{retried} will be tried again{stay}")
