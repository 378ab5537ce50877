"""A private PostgreSQL as `./kibali up` runs it, on the disk and durable, and a FreeRADIUS at a time beside it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.failure import Failure
from cli.instance import freeradius, readiness
from cli.instance.parts import Part
from cli.instance.secrets_file import make_missing_secrets, secret_values
from settings import CHECKOUT, PREFIX, Settings
from tests.servers import UNPRIVILEGED, base_environ, kibali_command, process_environ

_START_WITHIN_S = 60
_STOP_WITHIN_S = 60


@dataclass(frozen=True)
class Surroundings:
    settings: Settings
    environ: Mapping[str, str]
    """Every setting, secrets among them, for the processes that are started."""

    @property
    def socket_directory(self) -> str:
        return str(self.settings.run_dir)


@contextmanager
def surroundings(keep: Path | None, overrides: Mapping[str, str]) -> Iterator[Surroundings]:
    """A directory of its own, removed afterwards unless `keep` names one. `overrides`: settings by name."""
    if keep is None:
        parent = Settings.load().var
        parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        directory = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    else:
        directory = keep.absolute()
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    _give(directory)
    environ = {**base_environ(directory), **{PREFIX + name.upper(): value for name, value in overrides.items()}}
    settings = Settings.load(environ, checkout=directory)
    if make_missing_secrets(settings):
        settings = Settings.load(environ, checkout=directory)
    _give(settings.secrets_file)
    try:
        yield Surroundings(settings, {**environ, **secret_values(settings)})
    finally:
        shutil.rmtree(settings.run_dir, ignore_errors=True)
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running_postgres(around: Surroundings) -> Iterator[int]:
    """The process id of its postmaster."""
    log = around.settings.var / "postgres.log"
    with _running(kibali_command("run", "postgres", end_signal="INT"), around.environ, log) as process:
        _wait(readiness.postgres, around.settings, "postgres", process, log)
        yield process.pid


@contextmanager
def running_part(around: Surroundings, part: Part) -> Iterator[int]:
    """The process id of a part, as `./kibali run PART` runs it."""
    log = around.settings.var / f"{part.name}.log"
    with _running(kibali_command("run", part.name, end_signal="INT"), around.environ, log) as process:
        _wait(part.is_ready, around.settings, part.name, process, log)
        yield process.pid


@contextmanager
def running_program(around: Surroundings, module: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m MODULE` with our settings, beside the parts."""
    log = around.settings.var / f"{module}.log"
    command = _unprivileged([sys.executable, "-m", module, *arguments])
    with _running(command, around.environ, log) as process:
        yield process


@contextmanager
def running_kibali(around: Surroundings) -> Iterator[int]:
    """The process id of FreeRADIUS with Kibali's module, as `./kibali run freeradius` runs it."""
    log = around.settings.var / "freeradius.log"
    with _running(kibali_command("run", "freeradius", end_signal="INT"), around.environ, log) as process:
        _wait(readiness.freeradius, around.settings, "freeradius", process, log)
        yield process.pid


@contextmanager
def running_peer(around: Surroundings, raddb: Path, variables: Mapping[str, str]) -> Iterator[int]:
    """The process id of FreeRADIUS with a peer's configuration, which reads `variables` as $ENV{…}."""
    settings = around.settings
    environment = {**freeradius.environment(settings), "KIBALI_RADDB": str(freeradius.RADDB), "RADDB": str(raddb)}
    command = [str(freeradius.binary()), "-f", "-l", "stdout", "-n", "radiusd", "-d", str(raddb)]
    log = settings.var / f"{raddb.name}.log"
    with _running(_unprivileged(command), {**around.environ, **environment, **variables}, log) as process:
        _wait(readiness.freeradius, settings, raddb.name, process, log)
        yield process.pid


def _unprivileged(command: list[str]) -> list[str]:
    options = ["--pdeathsig=INT"]
    if UNPRIVILEGED:
        options += [f"--reuid={UNPRIVILEGED.pw_uid}", f"--regid={UNPRIVILEGED.pw_gid}", "--clear-groups"]
    return ["setpriv", *options, "--", *command]


@contextmanager
def _running(command: list[str], environ: Mapping[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=process_environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us, who then stop it in order
        )
    _give(log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(probe: readiness.Probe, settings: Settings, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            probe(settings, name, process.pid)
            return
        except readiness.NotReady as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{name} did not start: {error}. Its log: {_last_words(log)}") from None
        time.sleep(0.05)


def _last_words(log: Path) -> str:
    """The last lines, of which the first of FreeRADIUS's is the reason."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return " / ".join(lines[-4:])


def _give(path: Path) -> None:
    """To the user as whom the servers run where we are root."""
    if UNPRIVILEGED:
        os.chown(path, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
