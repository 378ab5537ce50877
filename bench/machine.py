"""On what a run was made: the machine, its disk, the versions."""

import os
import platform
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.surroundings import Surroundings
from cli.instance import freeradius
from settings import CHECKOUT

_SYNCS = 50


@dataclass(frozen=True)
class Machine:
    processor: str
    processors: int
    memory_gib: float
    kernel: str
    sync_ms: float
    """What the disk takes to make 8 KiB durable."""
    freeradius: str
    postgresql: str
    python: str
    commit: str
    """Kibali's, `+` if files were changed since; empty outside a checkout."""


def describe(around: Surroundings) -> Machine:
    with psycopg.connect(around.settings.database_admin_dsn()) as connection:
        (postgresql,) = connection.execute("SHOW server_version").fetchone() or ("",)
    shown = _output([str(freeradius.binary()), "-v"])
    version = re.search(r"FreeRADIUS Version (\S+?),?\s", shown)
    return Machine(
        processor=_field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        processors=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        sync_ms=round(_sync_ms(around.settings.var), 3),
        freeradius=version[1] if version else "",
        postgresql=str(postgresql).split()[0],
        python=platform.python_version(),
        commit=_commit(),
    )


def _sync_ms(directory: Path) -> float:
    path = directory / "sync"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        began = time.perf_counter()
        for _ in range(_SYNCS):
            os.pwrite(descriptor, bytes(8192), 0)
            os.fdatasync(descriptor)
        return (time.perf_counter() - began) / _SYNCS * 1000
    finally:
        os.close(descriptor)
        path.unlink()


def _commit() -> str:
    commit = _output(["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"]).strip()
    changed = commit and _output(["git", "-C", str(CHECKOUT), "status", "--porcelain", "--untracked-files=no"]).strip()
    return f"{commit}+" if changed else commit


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def _field(path: Path, name: str) -> str:
    for line in path.read_text("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
