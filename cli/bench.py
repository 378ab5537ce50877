"""`kibali bench`: Kibali beside what it could be built with instead. The benchmarks themselves are in bench/."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

import click

from cli.failure import Failure
from settings import CHECKOUT

C = TypeVar("C", bound=Callable[..., object])

# Given on to `python -m bench.radius`, which has the same and says what is wrong with a value.
_OPTIONS = (
    click.option("--quick", is_flag=True, help="Under a minute: whether everything works, not how fast it is."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
    click.option("--only", metavar="WORK,…", help="Of pap, mschapv2, start, interim, stop, mix."),
    click.option("--peers", metavar="PEER,…", help="Of static, python, sql-stock, sql-tuned, kibali."),
    click.option("--history", metavar="N,…", help="Closed sessions in the tables: 0,2M,10M unless given."),
    click.option("--outstanding", metavar="N,…", help="Requests at once: 64,256,1000 unless given."),
    click.option("--seconds", type=float, help="How long each point is measured."),
    click.option("--soak", is_flag=True, help="Also 2 million packets to Kibali, for FreeRADIUS's memory."),
    click.option("--storm-over", "storm_over_s", type=float, help="Seconds over which the storm's logins arrive."),
    click.option("--keep", metavar="DIR", help="Where database and logs are kept for the next run."),
    click.option("--set", "overrides", metavar="NAME=VALUE", multiple=True, help="A setting: radius_instances=64."),
    click.option("--no-save", is_flag=True, help="Write nothing to bench/results/."),
)


# Likewise of `python -m bench.api`.
_API_OPTIONS = (
    click.option("--quick", is_flag=True, help="Some seconds: whether everything works, not how fast it is."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
    click.option("--seconds", type=float, help="How long each point is measured."),
    click.option("--keep", metavar="DIR", help="Where database and logs are kept."),
    click.option("--no-save", is_flag=True, help="Write nothing to bench/results/."),
)


# And of `python -m bench.payments`.
_PAYMENTS_OPTIONS = (
    click.option("--quick", is_flag=True, help="Under a minute: whether everything works, not how fast it is."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables."),
    click.option("--rates", metavar="N,…", help="Callbacks a second: 50,100,200,400 unless given."),
    click.option("--seconds", type=click.FloatRange(min=0.5), help="How long each rate is kept up."),
    click.option("--no-save", is_flag=True, help="Write nothing to bench/results/."),
)


def payments_options(command: C) -> C:
    for option in reversed(_PAYMENTS_OPTIONS):
        command = option(command)
    return command


def api_options(command: C) -> C:
    for option in reversed(_API_OPTIONS):
        command = option(command)
    return command


def radius_options(command: C) -> C:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group()
def bench() -> None:
    """Measure Kibali beside its peers."""


@bench.command()
@radius_options
@click.pass_context
def radius(context: click.Context, /, **_values: object) -> None:
    """Measure logins and accounting beside static FreeRADIUS, rlm_python3 and rlm_sql, on the same data.

    The whole run takes some twelve minutes and 15 GB, and wants the machine for itself. It writes
    bench/results/radius-DATE.md and .json; docs/performance.md says how it measures.
    """
    _become("bench.radius", context)


@bench.command()
@api_options
@click.pass_context
def api(context: click.Context, /, **_values: object) -> None:
    """Measure the API's list, read, create and webhook with 100,000 subscribers.

    Beside them the same list by the barest Starlette and psycopg handler there could be. The whole run takes some two
    minutes and wants the machine for itself. It writes bench/results/api-DATE.md and .json.
    """
    _become("bench.api", context)


@bench.command()
@payments_options
@click.pass_context
def payments(context: click.Context, /, **_values: object) -> None:
    """Measure M-Pesa's callbacks: the webhook's answer, the credit, the login that then works.

    Beside it, under the same callbacks and on the same PostgreSQL, the barest webhook there can be. The whole run takes
    some three minutes and wants the machine for itself. It writes bench/results/payments-DATE.md and .json;
    docs/performance.md says how it measures.
    """
    _become("bench.payments", context)


@bench.command()
@click.option("--clients", type=int, help="How many watch: 1000 unless given.")
@click.option("--rate", type=int, help="Events a second: 100 unless given.")
@click.option("--seconds", type=float, help="How long: 20 unless given.")
@click.option("--quick", is_flag=True, help="Some seconds: whether everything works, not how fast it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--no-save", is_flag=True, help="Write nothing to bench/results/.")
@click.pass_context
def events(context: click.Context, /, **_values: object) -> None:
    """Measure the time from the commit of an event until every client that watches has it.

    Takes a minute and wants the machine for itself. It writes bench/results/events-DATE.md and .json.
    """
    _become("bench.events", context)


@bench.command()
@click.option("--quick", is_flag=True, help="Two minutes: whether everything works, not how fast it is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--no-save", is_flag=True, help="Write nothing to bench/results/.")
@click.pass_context
def routers(context: click.Context, /, **_values: object) -> None:
    """Watch 500 fake routers, of which some hang and some refuse: who is late, and what it costs.

    Afterwards, how long a deployment and imports take. All of it takes some four minutes and wants the machine for
    itself. It writes bench/results/routers-DATE.md and .json.
    """
    _become("bench.routers", context)


def _become(module: str, context: click.Context) -> NoReturn:
    if not (CHECKOUT / "bench").exists():
        raise Failure("there are no benchmarks here: they come with the checkout, not with the image.")
    os.chdir(CHECKOUT)
    command = [sys.executable, "-m", module, *_arguments(context)]
    os.execv(command[0], command)  # noqa: S606


def _arguments(context: click.Context) -> Iterator[str]:
    """The options of this call, as they were given."""
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if value is True:
            yield parameter.opts[0]
        elif isinstance(value, tuple):
            for each in value:
                yield from (parameter.opts[0], each)
        elif value not in (None, False):
            yield from (parameter.opts[0], str(value))
