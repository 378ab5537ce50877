"""Signals that end a running job, in the worker process's main thread; between jobs they change nothing."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tasks.stops import LeaseLost, TimeLimitExceeded

_MEANING: dict[int, type[KeyboardInterrupt]] = {
    signal.SIGALRM: TimeLimitExceeded,
    signal.SIGUSR1: LeaseLost,
    signal.SIGINT: KeyboardInterrupt,  # the parent is shutting down and has waited long enough
}


class Interrupts:
    def __init__(self) -> None:
        self._allowed = False
        self._shutting_down = False

    def install(self) -> None:
        """In the main thread of the process."""
        for number in _MEANING:
            signal.signal(number, self._handle)

    @contextmanager
    def allowed(self, limit_s: float) -> Iterator[None]:
        """Inside, TimeLimitExceeded, LeaseLost or KeyboardInterrupt may be raised anywhere, once."""
        self._allowed = True
        try:
            if self._shutting_down:
                raise KeyboardInterrupt
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            yield
        finally:
            self._allowed = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def lease_lost(self) -> None:
        """Called by another thread: raises LeaseLost in the main one, waking it from whatever it waits for."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._shutting_down = self._shutting_down or number == signal.SIGINT
        if self._allowed:
            self._allowed = False  # what the first one set off, rolling back, is not interrupted by a second
            raise _MEANING[number]
