"""What the commands print: tables or JSON on stdout, progress on stderr, one line on stderr for what went wrong."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.failure import Failure, one_line

__all__ = ["Failure", "console", "one_line", "print_json", "print_rows", "progress_console"]


def console() -> Console:
    """The console of stdout, made when asked for, so that a redirected stdout is the one written to."""
    # A line of a table that is not for a terminal, but for grep, is never folded.
    return Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 1000)


def progress_console() -> Console:
    """The console of stderr: progress goes there, so that stdout holds only what was asked for."""
    return Console(file=sys.stderr, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on stdout. Times are in ISO 8601; UUIDs, paths, decimals and the like are text."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_as_text))


def print_rows(
    rows: Iterable[Mapping[str, object]], columns: Sequence[str], *, as_json: bool, empty: str = "none"
) -> None:
    """A list: with `as_json` the whole rows, else a table of `columns`, headed by their names, or `empty` if no row."""
    rows = list(rows)
    if as_json:
        print_json([dict(row) for row in rows])
    elif not rows:
        click.echo(empty)
    else:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(column)) for column in columns))
        console().print(table)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _cell(value: object) -> Text:
    """Plain text: what a subscriber typed must not be read as rich's markup."""
    if value is None:
        return Text("–")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(str(value))
