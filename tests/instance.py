"""A whole Kibali for the tests: `up --detach` with data, ports and processes of its own, `down` at the end."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings import CHECKOUT, Settings
from tests.servers import UNPRIVILEGED, base_environ, kibali_command, process_environ

_COMMAND_WITHIN_S = 100


@dataclass(frozen=True)
class RunningInstance:
    """How to talk to one instance. `environ` holds every setting but the secrets, which lie in its `var`."""

    environ: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        return Settings.load(self.environ, checkout=Path(self.environ["KIBALI_VAR"]))

    def kibali(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        """`kibali ARGUMENTS…`, run to its end, with `changed` settings (`http_port="80"`)."""
        environ = {**self.environ, **{f"KIBALI_{name.upper()}": value for name, value in changed.items()}}
        return subprocess.run(
            kibali_command(*arguments),
            cwd=CHECKOUT,
            env=process_environ(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_WITHIN_S,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.kibali("status", "--json").stdout)
        return status


@contextmanager
def stopped_instance() -> Iterator[RunningInstance]:
    """An instance that was never started; whatever of it runs in the end is stopped, and its directory removed."""
    directory = Path(tempfile.mkdtemp(prefix="kibali-e2e-"))
    if UNPRIVILEGED:
        os.chown(directory, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    instance = RunningInstance(base_environ(directory / "var of a test"))
    try:
        yield instance
        down = instance.kibali("down")
        assert down.returncode == 0, down.stderr
    finally:
        instance.kibali("down")
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_instance() -> Iterator[RunningInstance]:
    with stopped_instance() as instance:
        up = instance.kibali("up", "--detach")
        assert up.returncode == 0, up.stdout + up.stderr
        yield instance
