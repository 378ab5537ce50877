"""Secrets that commands are given: from a prompt, a file or standard input, never from the command line, which every
process on the machine may read."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from cli.failure import Failure

_MOST_CHARACTERS = 10_000


def read_secret(what: str) -> str:
    """One line: asked for without showing it on a terminal, read from standard input elsewhere."""
    if sys.stdin.isatty():
        answer: str = click.prompt(what, hide_input=True, err=True)
        return answer
    line = sys.stdin.readline().strip()
    if not line:
        raise Failure(f"{what}: standard input holds nothing.")
    return line


def read_secrets(names: Sequence[str], source: str | None) -> dict[str, str]:
    """By name. `source` is a file of NAME=VALUE lines, - for standard input; None asks for all on the terminal.

    Raises Failure for a file that can not be read, or holds something else.
    """
    if source is None:
        if not sys.stdin.isatty():
            raise Failure(f"give {', '.join(names)} as NAME=VALUE lines: --credentials FILE, or - for standard input.")
        return {name: read_secret(name.replace("_", " ")) for name in names}
    found: dict[str, str] = {}
    for number, line in enumerate(_text(source).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in names:
            raise Failure(f"--credentials: line {number} is none of {', '.join(f'{each}=…' for each in names)}.")
        if name in found:
            raise Failure(f"--credentials: {name} is there twice.")
        found[name] = value
    return found


def _text(source: str) -> str:
    try:
        if source == "-":
            return sys.stdin.read(_MOST_CHARACTERS)
        with Path(source).open(encoding="utf-8") as file:
            return file.read(_MOST_CHARACTERS)
    except OSError as error:
        raise Failure(f"--credentials: {source}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise Failure(f"--credentials: {source} is not UTF-8 text.") from None
