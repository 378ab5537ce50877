"""`python -m bench.radius`, which `./kibali bench radius` runs: all peers side by side, and the report."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import report
from bench.checks import check_machine
from bench.peer import PEERS
from bench.plan import QUICK, WHOLE, Plan
from bench.point import Point
from bench.results import Results, save
from bench.soak import SoakResult
from bench.storm import StormResult
from bench.surroundings import surroundings
from bench.terminal import show
from bench.whole import carry_out
from bench.work import SLOTS, WORKS
from cli.bench import radius_options
from cli.failure import Failure
from cli.output import print_json, progress_console
from settings import CHECKOUT, Settings, SettingsError

RESULTS = CHECKOUT / "bench" / "results"
_SOAK_PACKETS = 2_000_000


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@radius_options
def main(
    *,
    quick: bool,
    as_json: bool,
    only: str | None,
    peers: str | None,
    history: str | None,
    outstanding: str | None,
    seconds: float | None,
    soak: bool,
    storm_over_s: float | None,
    keep: str | None,
    overrides: tuple[str, ...],
    no_save: bool,
) -> None:
    """What `./kibali bench radius` runs."""
    plan = QUICK if quick else WHOLE
    if only:
        works = _names("--only", only, WORKS)
        plan = replace(plan, works=works, half_rate_works=tuple(work for work in plan.half_rate_works if work in works))
    if seconds:
        plan = replace(plan, seconds=seconds, seconds_without_database=seconds)
    plan = replace(
        plan,
        peers=_names("--peers", peers, tuple(PEERS)) if peers else plan.peers,
        histories=_numbers("--history", history) if history else plan.histories,
        outstanding=_numbers("--outstanding", outstanding) if outstanding else plan.outstanding,
        storm_over_s=storm_over_s or plan.storm_over_s,
        soak_packets=_SOAK_PACKETS if soak else 0,
    )
    if plan.outstanding and max(plan.outstanding) > SLOTS:
        raise click.UsageError(f"--outstanding: at most {SLOTS}.")
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that nothing is left behind
    results = _carry_out(plan, Path(keep) if keep else None, _settings(overrides))
    if not quick and not no_save:
        path = _results_directory() / f"radius-{results.date[:10]}"
        save(results, path.with_suffix(".json"))
        path.with_suffix(".md").write_text(report.markdown(results), "utf-8")
        progress_console().print(f"written: {path}.md and .json", markup=False, soft_wrap=True)
    if as_json:
        print_json(results.as_json())
    else:
        show(results)
    if faults := results.faults():
        more = f" (and {len(faults) - 1} more)" if faults[1:] else ""
        raise Failure(f"not everything was right: {faults[0]}{more}")


def _results_directory() -> Path:
    """Beside the benchmarks or, where the checkout is another user's, in `var`."""
    return RESULTS if os.access(RESULTS, os.W_OK) else Settings.load().var / "bench-results"


def _names(option: str, text: str, choices: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if wrong := [each for each in chosen if each not in choices]:
        raise click.UsageError(f"{option}: {wrong[0]!r} is none of {', '.join(choices)}.")
    return chosen


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(each.replace("M", "000000")) for each in text.split(","))
    except ValueError:
        raise click.UsageError(f"{option}: whole numbers separated by commas, M for millions.") from None


def _settings(overrides: tuple[str, ...]) -> dict[str, str]:
    if wrong := [each for each in overrides if "=" not in each]:
        raise click.UsageError(f"--set: {wrong[0]!r} is not NAME=VALUE.")
    return dict(each.split("=", 1) for each in overrides)


def _carry_out(plan: Plan, keep: Path | None, overrides: dict[str, str]) -> Results:
    check_machine(plan)
    console = progress_console()
    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True) as progress, surroundings(keep, overrides) as around:
        return carry_out(plan, around, _Screen(progress, plan.points() + bool(plan.soak_packets)))


class _Screen:
    """Progress on stderr: a bar, and a line for each result."""

    def __init__(self, progress: Progress, points: int) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=points)

    def doing(self, what: str) -> None:
        self._progress.update(self._task, description=escape(what))

    def measured(self, result: Point | StormResult | SoakResult) -> None:
        self._progress.console.print(escape(report.line(result)), soft_wrap=True, highlight=False)
        self._progress.advance(self._task)


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
