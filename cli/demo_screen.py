"""What the demos print: numbered steps, packets, rows, and when each thing was."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any

from rich.console import Console
from rich.markup import escape

from cli.failure import Failure
from cli.nas import Answer
from cli.output import console

_HIDDEN = ("Message-Authenticator", "User-Password", "CHAP-Password", "CHAP-Challenge")


@dataclass
class Screen:
    """`begun_at` is from when times are counted."""

    console: Console = field(default_factory=console)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    begun_at: datetime | None = None

    def step(self, text: str) -> None:
        self.console.print(f"\n[bold]{next(self.numbers)}. {escape(text)}[/]")

    def moment(self, at: datetime, text: str) -> None:
        """A line with the seconds since `begun_at`."""
        assert self.begun_at is not None
        self.console.print(f"   [cyan]{(at - self.begun_at).total_seconds():7.3f} s[/]  {escape(text)}", soft_wrap=True)

    def note(self, text: str) -> None:
        self.console.print(f"              {escape(text)}", soft_wrap=True)

    def exchange(self, kind: str, answer: Answer) -> None:
        self.console.print(f"   → {kind}  {escape(shown(answer.sent))}", soft_wrap=True)
        colour = "red" if answer.code == "Access-Reject" else "green"
        self.console.print(f"   ← [{colour}]{answer.code}[/]  {escape(shown(answer.attributes))}", soft_wrap=True)

    def row(self, table: str, row: Mapping[str, Any] | None) -> None:
        if row is None:
            raise Failure(f"no row of {table} came of it. See `./kibali status` and var/log/freeradius.log.")
        self.console.print(f"   = {table}: {escape(shown(row))}", style="cyan", soft_wrap=True)


def shown(values: Mapping[str, Any]) -> str:
    """`name = value` pairs, passwords and checksums left out, text of bytes where it is text."""
    return ", ".join(f"{name} = {_text(value)}" for name, value in values.items() if name not in _HIDDEN)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode() if value.isascii() and value.decode().isprintable() else f"0x{value.hex()}"
    return f"{value:%Y-%m-%d %H:%M:%S}" if hasattr(value, "strftime") else str(value)
