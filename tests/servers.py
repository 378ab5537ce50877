"""One part of an instance for the tests: started as `kibali run PART` starts it, gone when the tests are."""

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path

from cli.instance import readiness
from settings import CHECKOUT, PREFIX, Secret, Settings
from tests.ports import free_port

# PostgreSQL refuses root. Where the tests run as root, the servers run as this user, as `./kibali up` would have it.
UNPRIVILEGED = pwd.getpwnam("kibali") if os.geteuid() == 0 else None

_PORTS = ("http_port", "radius_auth_port", "radius_acct_port", "radius_status_port", "postgres_port", "redis_port")
_START_WITHIN_S = 60
_STOP_WITHIN_S = 20


def base_environ(var: Path) -> dict[str, str]:
    """Every setting that is no secret, said aloud, so that neither a `.env` nor the caller's environment is heard."""
    defaults = {
        PREFIX + spec.name.upper(): spec.metadata["default"] for spec in fields(Settings) if spec.type is not Secret
    }
    ports = {PREFIX + name.upper(): str(free_port()) for name in _PORTS}
    loopback = {"KIBALI_RADIUS_BIND": "127.0.0.1", "KIBALI_GATEWAY_NETWORKS": "127.0.0.0/8"}
    return {**defaults, **ports, **loopback, "KIBALI_VAR": str(var)}


def process_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Our own environment, its KIBALI_ variables replaced by `environ`."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}, **environ}


def kibali_command(*arguments: str, end_signal: str | None = None) -> list[str]:
    """`kibali ARGUMENTS…` as a user whom PostgreSQL accepts; with `end_signal` it gets that signal when we die."""
    command = [sys.executable, "-m", "cli", *arguments]
    options = [f"--pdeathsig={end_signal}"] if end_signal else []
    if UNPRIVILEGED:
        options += [f"--reuid={UNPRIVILEGED.pw_uid}", f"--regid={UNPRIVILEGED.pw_gid}", "--clear-groups"]
    return ["setpriv", *options, "--", *command] if options else command


@contextmanager
def running_part(name: str, environ: Mapping[str, str], settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """One part; PostgreSQL and Redis without what makes data outlive a power cut, ready for clients."""
    log = settings.var / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            kibali_command("run", name, "--throwaway", end_signal="INT"),
            cwd=CHECKOUT,
            env=process_environ(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for pytest, which then stops us in order
        )
    try:
        _wait_until_ready(name, settings, process, log)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(name: str, settings: Settings, process: subprocess.Popen[bytes], log: Path) -> None:
    probe: readiness.Probe = getattr(readiness, name, readiness.heartbeat)
    deadline = time.monotonic() + _START_WITHIN_S
    while True:
        try:
            probe(settings, name, process.pid)
            return
        except readiness.NotReady as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {error}\n{log.read_text('utf-8', 'replace')}") from None
        time.sleep(0.05)


class Servers:
    """PostgreSQL and Redis of one test."""

    def __init__(self, environ: Mapping[str, str], settings: Settings) -> None:
        self._environ = environ
        self._settings = settings
        self._running: dict[str, AbstractContextManager[object]] = {}

    def start(self, name: str) -> None:
        self._running[name] = running_part(name, self._environ, self._settings)
        self._running[name].__enter__()

    def stop(self, name: str) -> None:
        self._running.pop(name).__exit__(None, None, None)

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)
