"""What a part of the instance runs: how it is prepared, its command line, and what it needs in its environment."""

import sys
from dataclasses import dataclass
from typing import Protocol

from settings import Settings


class Program(Protocol):
    """`prepare` writes what the program reads; then `command` replaces this process, `environment` added to its own."""

    def prepare(self, settings: Settings) -> None: ...
    def command(self, settings: Settings) -> list[str]: ...
    def environment(self, settings: Settings) -> dict[str, str]: ...


@dataclass(frozen=True)
class PythonModule:
    """`python -m MODULE ARGUMENTS…`: a process of Kibali's own, which reads the settings itself."""

    module: str
    arguments: tuple[str, ...] = ()

    def prepare(self, settings: Settings) -> None:
        return None

    def command(self, settings: Settings) -> list[str]:
        return [sys.executable, "-m", self.module, *self.arguments]

    def environment(self, settings: Settings) -> dict[str, str]:
        return {"PYTHONUNBUFFERED": "1"}
