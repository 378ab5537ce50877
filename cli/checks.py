"""`kibali test`: style, types and the tests, as CI runs them."""

import subprocess
import sys
import time

import click

from cli.failure import Failure
from settings import CHECKOUT

TIERS = ("unit", "integration", "e2e")

_PYTHON = [sys.executable, "-m"]
_STYLE_AND_TYPES = (
    ("style", [*_PYTHON, "ruff", "check", "."]),
    ("format", [*_PYTHON, "ruff", "format", "--check", "."]),
    ("types", [*_PYTHON, "mypy"]),
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("tier", required=False, type=click.Choice(TIERS))
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(tier: str | None, pytest_arguments: tuple[str, ...]) -> None:
    """Check style and types and run all tests, or only those of one TIER.

    What follows TIER goes to pytest: `./kibali test unit -k quota`.
    """
    chosen = [tier] if tier else list(TIERS)
    coverage = [] if tier else ["--cov", "--cov-report=term:skip-covered"]
    tests = ("tests", [*_PYTHON, "pytest", *(f"tests/{name}" for name in chosen), *coverage, *pytest_arguments])
    failed = []
    for name, command in [*(() if tier else _STYLE_AND_TYPES), tests]:
        click.echo(f"── {name}", err=True)
        began = time.monotonic()
        if subprocess.run(command, cwd=CHECKOUT, check=False).returncode != 0:
            failed.append(name)
        click.echo(f"── {name}: {time.monotonic() - began:.0f} s", err=True)
    if failed:
        raise Failure(f"failed: {', '.join(failed)}.")
