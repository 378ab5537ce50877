"""Keeps the API's threads on one processor.

Python's lock lets one of them run at a time. Spread over processors, each round trip to PostgreSQL hands it from one
processor to another, which takes more time than most of the work (docs/adr/0012). As batch threads they do not
interrupt one another either, when one wakes another and still has the lock. What runs without the lock for long asks
for all of the processors.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_allowed = os.sched_getaffinity(0)


def keep_on_one_processor() -> None:
    """This thread, and all that it makes from now on: on the last but one, since FreeRADIUS keeps to the last."""
    os.sched_setaffinity(0, {sorted(_allowed)[-2:][0]})
    with suppress(OSError):  # a sandbox may forbid it, and only speed hangs on it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@contextmanager
def on_any_processor() -> Iterator[None]:
    """This thread alone, for what takes long and needs no lock."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, _allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
