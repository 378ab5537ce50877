"""`kibali job`"""

from itertools import islice
from typing import Any

import click

from cli.desk import at_platform
from cli.lists import every_row
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from db import job_list
from db.job import Job
from settings import Settings
from tasks.queues import BY_NAME

COLUMNS = ("id", "queue", "task", "state", "attempts", "progress", "due_at", "started_at", "finished_at", "error")
FAILED_COLUMNS = ("id", "queue", "task", "args", "attempts", "finished_at", "error")
# The claim is no secret, but of no use to anyone.
_SHOWN = [column.key for column in Job.__table__.columns if column.key != "claim"]


def job_row(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in _SHOWN}


@click.group()
def job() -> None:
    """Single jobs: what they are at, trying again, cancelling."""


@job.command("list")
@click.option("--queue", "queue_name", type=click.Choice(list(BY_NAME)), help="Only of this queue.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(job_list.STATES), help="Only these; may be repeated."
)
@click.option("--task", help="Only of this task.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many, newest first.")
@json_option
@pass_settings
def list_jobs(
    settings: Settings, /, queue_name: str | None, states: tuple[str, ...], task: str | None, limit: int, as_json: bool
) -> None:
    """Jobs, newest first."""
    with at_platform(settings) as session:
        found = every_row(
            "-id", lambda request: job_list.page(session, request, queue=queue_name, states=states, task=task)
        )
        rows = [job_row(each) for each in islice(found, limit)]
    print_rows(rows, COLUMNS, as_json=as_json)


@job.command()
@click.argument("job_id", metavar="ID", type=int)
@json_option
@pass_settings
def show(settings: Settings, job_id: int, as_json: bool) -> None:
    """All that is known of the job ID."""
    with at_platform(settings) as session:
        _print(job_list.by_id(session, job_id), as_json=as_json)


@job.command()
@click.argument("job_id", metavar="ID", type=int)
@json_option
@pass_settings
def retry(settings: Settings, job_id: int, as_json: bool) -> None:
    """Tries the failed job ID again, with all its attempts."""
    with at_platform(settings) as session:
        _print(job_list.retry(session, job_id), as_json=as_json)


@job.command()
@click.argument("job_id", metavar="ID", type=int)
@json_option
@pass_settings
def cancel(settings: Settings, job_id: int, as_json: bool) -> None:
    """Cancels the job ID. If it is running, it stops within seconds.

    Of most jobs nothing stays. An import keeps the subscribers and subscriptions of the rows it has read; what went
    out to a phone, a payment provider, a router or another's server is not called back.
    """
    with at_platform(settings) as session:
        _print(job_list.cancel(session, job_id), as_json=as_json)


def _print(found: Job, *, as_json: bool) -> None:
    row = job_row(found)
    if as_json:
        print_json(row)
        return
    print_rows(
        [{"field": name, "value": value} for name, value in row.items() if value is not None],
        ("field", "value"),
        as_json=False,
    )
