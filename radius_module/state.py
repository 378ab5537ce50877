"""How the module does, in a file that `./kibali status` reads: written each second, believed while it is fresh."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any

WRITE_EVERY_S = 1.0


class StateFile:
    def __init__(self, path: Path, state: Callable[[], dict[str, Any]]) -> None:
        self._path = path
        self._state = state
        self._closing = Event()

    def start(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        Thread(target=self._run, name="state", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        new = self._path.with_suffix(".new")
        while not self._closing.wait(WRITE_EVERY_S):
            try:
                new.write_text(json.dumps(self._state()), "ascii")
                os.replace(new, self._path)
            except OSError:
                continue  # a full disk: the file grows old, and is not believed
