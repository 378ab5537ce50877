"""The one error a command raises for what an operator can put right."""

import sys
from typing import IO, Any

import click


class Failure(click.ClickException):
    """One line on stderr and exit status 1. The message says what to do.

    A wrong option or argument is a `click.UsageError` instead, with exit status 2.
    """

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"kibali: {one_line(self.format_message())}", file=file or sys.stderr)


def one_line(text: str) -> str:
    return " ".join(text.split())
