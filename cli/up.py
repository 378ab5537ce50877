"""`up`, `down` and `status`: the whole instance on this machine."""

import signal
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from types import FrameType
from typing import NoReturn

import click

from cli.failure import Failure
from cli.first_run import SampleLogin
from cli.instance import lock
from cli.instance.bring_up import (
    check_same_settings,
    guardian_pid,
    open_stores,
    prepare_to_start,
    start_guardian,
    start_rest,
)
from cli.instance.checks import check_all
from cli.instance.progress import Progress
from cli.instance.status import part_statuses, stopped_statuses
from cli.instance.summary import places, sample_lines, summary
from cli.instance.supervisor import NotRunning
from cli.instance.take_down import take_down
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from settings import Settings


@click.command()
@click.option("--detach", is_flag=True, help="Return when everything is ready, and leave it running.")
@pass_settings
def up(settings: Settings, detach: bool) -> None:
    """Start everything: PostgreSQL, Redis, FreeRADIUS, the API and the workers.

    Stays in the foreground until Ctrl-C, which stops everything in order. When Kibali runs already, it is looked over
    and left running.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    check_all(settings)
    working = lock.take(settings.var / "up.lock")
    if working is None:
        raise Failure(f"another ./kibali up is at work (process {lock.holder(settings.var / 'up.lock')}). Wait for it.")
    progress = Progress()
    runs_already = bool(guardian_pid(settings))
    guardian: subprocess.Popen[bytes] | None = None
    sample: SampleLogin | None = None
    try:
        with working, progress.shown():
            if runs_already:
                check_same_settings(settings)
            else:
                settings = prepare_to_start(settings, progress)
                guardian = start_guardian(settings, outlives_us=detach)
            sample = open_stores(settings, progress)
            start_rest(settings, progress)
    except BaseException as error:
        _let_nothing_interrupt()
        if not runs_already:
            take_down(settings)
        if sample and sample.admin_password:
            click.echo("\n".join(sample_lines(settings, sample)))
        if isinstance(error, KeyboardInterrupt):
            raise Failure("interrupted" + ("" if runs_already else "; everything is stopped again")) from None
        raise
    click.echo(summary(settings, sample))
    if guardian and not detach:
        _stay(settings, guardian, progress)


@click.command()
@pass_settings
def down(settings: Settings) -> None:
    """Stop everything, in order. Nothing is lost; `./kibali up` goes on where this stopped."""
    stopped = take_down(settings)
    click.echo("Kibali is stopped." if stopped else "Kibali is not running.")


@click.command()
@json_option
@pass_settings
def status(settings: Settings, as_json: bool) -> None:
    """Show how each part does. Exit status 0 if all are ready, else 1."""
    try:
        running, statuses = True, part_statuses(settings)
    except NotRunning:
        running, statuses = False, stopped_statuses(settings)
    rows = [asdict(each) for each in statuses]
    if as_json:
        print_json({"running": running, "parts": rows, "settings": settings.environment()})
    else:
        print_rows(
            [{**row, "since": _ago(row["since"], datetime.now(UTC))} for row in rows],
            ("name", "state", "pid", "ready", "since", "detail"),
            as_json=False,
        )
        click.echo("\n" + "\n".join(places(settings)))
    if not running:
        raise Failure("not running; start it with ./kibali up")
    if not all(each.ready for each in statuses):
        sys.exit(1)


def _ago(since: datetime | None, now: datetime) -> str | None:
    if since is None:
        return None
    seconds = max(0, int((now - since).total_seconds()))
    for unit, length_s in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds // length_s} {unit} ago"
    return f"{seconds} s ago"


def _stay(settings: Settings, guardian: subprocess.Popen[bytes], progress: Progress) -> None:
    """Waits for Ctrl-C, SIGTERM, SIGHUP (then stops everything), or for a `./kibali down` from elsewhere."""
    click.echo("Ctrl-C stops it.")
    try:
        code = guardian.wait()
    except KeyboardInterrupt:
        _let_nothing_interrupt()
        progress.say("stopping …")
        take_down(settings)
        progress.say("Kibali is stopped.")
        return
    if code != 0:
        raise Failure(f"the guardian ended unexpectedly ({code}); see {settings.var / 'log'}. Run ./kibali up again.")


def _let_nothing_interrupt() -> None:
    """A second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
