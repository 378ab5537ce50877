"""Keeps FreeRADIUS's threads on one processor, and out of each other's way there.

All of them need Python's lock for most of their work, so only one runs at a time; spread over processors, each change
of thread wakes another processor and finds cold caches there, which takes twice the time of the work itself. On the one
processor a thread that is woken would interrupt the one that woke it, which still has the lock: it would find it taken
and sleep again. As batch threads nearly all of them wait until the one that runs has nothing more to do.
"""

import os
from contextlib import suppress


class Processor:
    """Threads inherit processor and policy of the one that makes them: gather before FreeRADIUS makes its pool."""

    def __init__(self) -> None:
        self._allowed = os.sched_getaffinity(0)
        self._main_is_free = False

    def gather(self) -> None:
        """This thread, and all that it makes from now on, stay on the last processor that is ours."""
        os.sched_setaffinity(0, {max(self._allowed)})
        _schedule(0, os.SCHED_BATCH)

    def free_main_thread(self) -> None:
        """The main thread receives packets and runs no Python: having made the others, it goes where there is room."""
        if not self._main_is_free:
            self._main_is_free = True
            os.sched_setaffinity(os.getpid(), self._allowed)
            _schedule(os.getpid(), os.SCHED_OTHER)


def _schedule(thread_id: int, policy: int) -> None:
    """Only speed hangs on it: where a sandbox does not let us, all works without."""
    with suppress(OSError):
        os.sched_setscheduler(thread_id, policy, os.sched_param(0))
