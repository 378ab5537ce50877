"""`python -m bench.payments`, which `./kibali bench payments` runs: webhook, credit and login under callbacks."""

import os
import signal
import sys
from dataclasses import replace

import click
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.payment_results import (
    HEADINGS,
    PaymentPoint,
    PaymentResults,
    circumstances,
    line,
    markdown,
    ratios,
    rows,
    targets,
)
from bench.payment_run import QUICK, WHOLE, PaymentPlan, carry_out, settings_of_run
from bench.results import save
from bench.surroundings import surroundings
from cli.bench import payments_options
from cli.failure import Failure
from cli.instance.checks import check_freeradius
from cli.output import console, print_json, progress_console
from settings import CHECKOUT, Settings, SettingsError

_RESULTS = CHECKOUT / "bench" / "results"
_VERDICTS = {True: "[green]met[/]", False: "[red]not met[/]", None: "–"}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@payments_options
def main(*, quick: bool, as_json: bool, rates: str | None, seconds: float | None, no_save: bool) -> None:
    """What `./kibali bench payments` runs."""
    plan = QUICK if quick else WHOLE
    plan = replace(plan, rates=_rates(rates) if rates else plan.rates, seconds=seconds or plan.seconds)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that nothing is left behind
    check_freeradius()
    results = _carry_out(plan)
    if not quick and not no_save:
        directory = _RESULTS if os.access(_RESULTS, os.W_OK) else Settings.load().var / "bench-results"
        path = directory / f"payments-{results.date[:10]}"
        save(results, path.with_suffix(".json"))
        path.with_suffix(".md").write_text(markdown(results), "utf-8")
        progress_console().print(f"written: {path}.md and .json", markup=False, soft_wrap=True)
    if as_json:
        print_json(results.as_json())
    else:
        _show(results)
    if faults := results.faults():
        raise Failure(f"not everything was right: {faults[0]}")


def _rates(text: str) -> tuple[int, ...]:
    try:
        rates = tuple(int(each) for each in text.split(","))
    except ValueError:
        rates = ()
    if not rates or min(rates) < 1:
        raise click.UsageError("--rates: whole numbers above 0, separated by commas.")
    return rates


def _carry_out(plan: PaymentPlan) -> PaymentResults:
    columns = BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with (
        Progress(*columns, console=progress_console(), transient=True) as progress,
        surroundings(None, settings_of_run()) as around,
    ):
        return carry_out(plan, around, _Screen(progress, 2 * (len(plan.rates) + bool(plan.burst))))


class _Screen:
    """Progress on stderr: a bar, and a line for each result."""

    def __init__(self, progress: Progress, points: int) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=points)

    def doing(self, what: str) -> None:
        self._progress.update(self._task, description=escape(what))

    def measured(self, point: PaymentPoint) -> None:
        self._progress.console.print(escape(line(point)), soft_wrap=True, highlight=False)
        self._progress.advance(self._task)


def _show(results: PaymentResults) -> None:
    out = console()
    for headings, lines in (
        (HEADINGS, list(rows(results))),
        (("Kibali ÷ bare, callbacks", "answered/s", "p50"), list(ratios(results))),
        (("target", "wanted", "found", ""), [(t.name, t.wanted, t.found, _VERDICTS[t.met]) for t in targets(results)]),
    ):
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for heading in headings:
            shown.add_column(heading)
        for row in lines:
            shown.add_row(*row)
        out.print(shown)
        out.print()
    out.print(escape(circumstances(results)), soft_wrap=True)


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
