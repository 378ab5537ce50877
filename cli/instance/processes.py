"""What /proc says about processes. A process id alone is never believed: after a reboot it may be anyone's."""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def pids() -> list[int]:
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]


def environment_of(pid: int) -> list[str]:
    """NAME=VALUE strings the process was started with; empty if it is gone or someone else's."""
    try:
        return (PROC / str(pid) / "environ").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def program_of(pid: int) -> str:
    """Name of the file it executes; empty if it is gone, a zombie or someone else's."""
    try:
        return Path(os.readlink(PROC / str(pid) / "exe")).name.removesuffix(" (deleted)")
    except OSError:
        return ""


def runs_in(pid: int, program: str, directory: Path) -> bool:
    """Whether the process executes `program` with `directory` as its working directory."""
    try:
        return program_of(pid) == program and os.path.samefile(PROC / str(pid) / "cwd", directory)
    except OSError:
        return False


def open_files(pid: int) -> list[str]:
    """What its file descriptors lead to, `socket:[inode]` for a socket; empty if it is gone or someone else's."""
    directory = PROC / str(pid) / "fd"
    found = []
    try:
        for descriptor in os.listdir(directory):
            with suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(directory / descriptor))
    except OSError:
        return []
    return found


def parent_of(pid: int) -> int:
    """0 if it has none or is gone."""
    try:
        # The name, in parentheses, may itself hold spaces and parentheses.
        return int((PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def is_alive(pid: int) -> bool:
    """Whether it exists and is not a zombie."""
    try:
        return (PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def descends_from(pid: int, ancestor: int) -> bool:
    """Whether `pid` is `ancestor` or one of its children's children."""
    while pid > 1:
        if pid == ancestor:
            return True
        pid = parent_of(pid)
    return False


def started_at(pid: int) -> float | None:
    """Seconds since the epoch, to about 10 ms; None if it is gone."""
    try:
        ticks = int((PROC / str(pid) / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
        boot = next(
            int(line.split()[1]) for line in (PROC / "stat").read_text("ascii").splitlines() if line.startswith("btime")
        )
    except (OSError, IndexError):
        return None
    return boot + ticks / os.sysconf("SC_CLK_TCK")


def send(processes: Iterable[int], signal_number: signal.Signals) -> None:
    """Signals each; those that ended meanwhile are passed over."""
    for pid in processes:
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            continue


def wait_until_gone(processes: Iterable[int], within_s: float) -> list[int]:
    """The processes still alive after `within_s` seconds; returns early when none is."""
    deadline = time.monotonic() + within_s
    left = [pid for pid in processes if is_alive(pid)]
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = [pid for pid in left if is_alive(pid)]
    return left
