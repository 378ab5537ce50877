"""`kibali run PART`: one part of the instance in the foreground, as the supervisor and docker compose start it."""

import os

import click

from cli.failure import Failure
from cli.instance import postgres, redis
from cli.instance.parts import PARTS
from cli.options import pass_settings
from settings import CHECKOUT, Settings


@click.command()
@click.argument("part", metavar="PART")
@click.option("--throwaway", is_flag=True, hidden=True, help="For tests: stores skip what outlives a power cut.")
@pass_settings
def run(settings: Settings, part: str, throwaway: bool) -> None:
    """Run one PART in the foreground: what a container or another supervisor starts.

    `./kibali up` does this for all parts, in order.
    """
    chosen = next((candidate for candidate in PARTS if candidate.name == part), None)
    if chosen is None:
        raise click.UsageError(f"there is no part {part!r}. The parts: {', '.join(each.name for each in PARTS)}.")
    if throwaway and part == "postgres":
        postgres.prepare(settings, durable=False)
    elif throwaway and part == "redis":
        redis.prepare(settings, durable=False)
    else:
        chosen.program.prepare(settings)
    command = chosen.program.command(settings)
    os.chdir(CHECKOUT)
    try:
        os.execvpe(command[0], command, {**os.environ, **chosen.program.environment(settings)})  # noqa: S606
    except OSError as error:
        raise Failure(f"cannot run {command[0]}: {error.strerror}") from None
