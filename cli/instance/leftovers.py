"""Processes of this instance that run on without their supervisor, and how they are ended."""

import os
import signal

from cli.instance import postgres
from cli.instance.processes import environment_of, is_alive, pids, runs_in, send, wait_until_gone
from cli.instance.supervisor import MARK, server_url
from settings import Settings

# supervisord, told to stop, stops its parts in order; without it their parent's death has told them.
_SUPERVISOR_PATIENCE_S = 90
_PATIENCE_S = 5
_POSTGRES_PATIENCE_S = 30


def our_processes(settings: Settings) -> dict[int, str]:
    """Process id → name of its part, `supervisor` for supervisord and the guardian; never this process itself.

    They are known by the environment they were started with. PostgreSQL's children overwrite theirs, but work in the
    data directory, as no other process of that name does.
    """
    mark = f"{MARK}={server_url(settings)}"
    data = postgres.data_directory(settings)
    found = {}
    for pid in pids():
        environment = environment_of(pid)
        if mark in environment:
            name = next((text for text in environment if text.startswith("SUPERVISOR_PROCESS_NAME=")), "=supervisor")
            found[pid] = name.partition("=")[2]
        elif runs_in(pid, "postgres", data):
            found[pid] = "postgres"
    return {pid: name for pid, name in found.items() if is_alive(pid) and pid != os.getpid()}


def end_leftovers(settings: Settings) -> int:
    """Ends every process of this instance, in order as far as that is possible; tells how many there were.

    Not to be called while a supervisord runs that is to live.
    """
    found = our_processes(settings)
    _end([pid for pid, name in found.items() if name == "supervisor"], signal.SIGTERM, _SUPERVISOR_PATIENCE_S)
    left = our_processes(settings)
    stores = [pid for pid, name in left.items() if name == "postgres"]
    # PostgreSQL's fast shutdown; it goes on while the others end.
    send(stores, signal.SIGINT)
    _end([pid for pid in left if pid not in stores], signal.SIGTERM, _PATIENCE_S)
    _end(stores, signal.SIGINT, _POSTGRES_PATIENCE_S)
    return len(found)


def _end(processes: list[int], stop_signal: signal.Signals, patience_s: float) -> None:
    send(processes, stop_signal)
    stubborn = wait_until_gone(processes, patience_s)
    send(stubborn, signal.SIGKILL)
    wait_until_gone(stubborn, _PATIENCE_S)
