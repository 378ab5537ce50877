"""Progress on stderr: one line for each part that became ready, and on a terminal what is being waited for."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.markup import escape

from cli.instance.status import PartStatus
from cli.output import progress_console


class Progress:
    def __init__(self) -> None:
        self._console = progress_console()
        self._spinner = self._console.status("")

    @contextmanager
    def shown(self) -> Iterator["Progress"]:
        with self._spinner:
            yield self

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[None]:
        """One step of our own: its line is printed when it has succeeded."""
        began = time.monotonic()
        self._spinner.update(escape(doing))
        yield
        self._line(name, time.monotonic() - began, "")

    def ready(self, status: PartStatus, seconds: float) -> None:
        self._line(status.name, seconds, status.detail)

    def waiting(self, names: list[str], seconds: float) -> None:
        self._spinner.update(escape(f"waiting for {', '.join(names)}: {seconds:.0f} s"))

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def _line(self, name: str, seconds: float, detail: str) -> None:
        self._console.print(f"  [green]✓[/green] {escape(f'{name:<22} {seconds:5.1f} s  {detail}'.rstrip())}")
