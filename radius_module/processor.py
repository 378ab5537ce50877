"""Keeps FreeRADIUS's threads on one processor.

All of them need Python's lock for most of their work, so only one runs at a time; spread over processors, each change
of thread wakes another processor and finds cold caches there, which takes twice the time of the work itself.
"""

import os


class Processor:
    """Threads inherit the processor of the one that makes them: gather before FreeRADIUS makes its pool."""

    def __init__(self) -> None:
        self._allowed = os.sched_getaffinity(0)
        self._main_is_free = False

    def gather(self) -> None:
        """This thread, and all that it makes from now on, stay on the last processor that is ours."""
        os.sched_setaffinity(0, {max(self._allowed)})

    def free_main_thread(self) -> None:
        """The main thread receives packets and runs no Python: having made the others, it goes where there is room."""
        if not self._main_is_free:
            self._main_is_free = True
            os.sched_setaffinity(os.getpid(), self._allowed)
