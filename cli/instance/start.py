"""Starts parts and waits until they do their work."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from cli.failure import one_line
from cli.instance import supervisor
from cli.instance.parts import Part
from cli.instance.status import PartStatus, part_status
from cli.instance.supervisor import NotRunning, log_file
from settings import Settings

WITHIN_S = 60
_ASK_EVERY_S = 0.2
# supervisord does nothing more with a part in these states unless it is told to.
_AT_REST = ("stopped", "exited", "fatal")


class PartNotReady(Exception):
    """A part that did not become ready in time; the text names it, its log and the log's last line."""


# Called for each part as it becomes ready, with the seconds that took; and again and again with what is awaited still.
OnReady = Callable[[PartStatus, float], None]
OnWait = Callable[[list[str], float], None]


def start_parts(
    settings: Settings,
    parts: Iterable[Part],
    *,
    within_s: float = WITHIN_S,
    on_ready: OnReady = lambda status, seconds: None,
    on_wait: OnWait = lambda names, seconds: None,
) -> None:
    """Has supervisord start what does not run, and returns when every part is ready. Raises PartNotReady.

    A supervisord that dies meanwhile is waited for: the guardian starts it again.
    """
    began = time.monotonic()
    chosen = list(parts)
    over = threading.Event()
    with ThreadPoolExecutor(max_workers=len(chosen) or 1) as pool:
        try:
            waiting = {pool.submit(_start, settings, part, within_s, over): part for part in chosen}
            while waiting:
                on_wait([part.name for part in waiting.values()], time.monotonic() - began)
                for future in wait(waiting, _ASK_EVERY_S, FIRST_COMPLETED).done:
                    on_ready(future.result(), time.monotonic() - began)
                    del waiting[future]
        finally:
            over.set()


def _start(settings: Settings, part: Part, within_s: float, over: threading.Event) -> PartStatus:
    """Returns the status of the part once it is ready; raises PartNotReady when the time, or everything, is over."""
    deadline = time.monotonic() + within_s
    while True:
        status = None
        try:
            status = part_status(settings, part)
            if status.state in _AT_REST:
                supervisor.start(settings, part)
        except NotRunning:
            pass
        if status and status.ready:
            return status
        if over.wait(_ASK_EVERY_S) or time.monotonic() > deadline:
            raise PartNotReady(_explain(settings, part.name, status, within_s))


def last_line(settings: Settings, name: str) -> str:
    """The last line that says something in a part's log; empty if there is none."""
    try:
        with log_file(settings, name).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 8192))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((one_line(line) for line in reversed(lines) if line.strip()), "")


def _explain(settings: Settings, name: str, status: PartStatus | None, within_s: float) -> str:
    said = f"{status.state}: {status.detail or 'no answer'}" if status else "the supervisor does not answer"
    line = last_line(settings, name) or "nothing"
    return f"{name} is not ready after {within_s:.0f} s ({said}). Its log {log_file(settings, name)} ends with: {line}"
