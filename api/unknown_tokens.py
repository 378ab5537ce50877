"""A bound on what unknown webhook tokens cost. Guessing one is hopeless, but each guess costs a look-up.

Nobody is turned away for what a stranger does: behind a proxy that is not known as ours, M-Pesa and the stranger have
one address. So who sent many unknown tokens is looked up one at a time, and waits a few seconds for that.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from api.address import counted_as
from api.problem import Problem

UNKNOWN = 20
WINDOW_S = 60
# All counts of one process; the oldest are forgotten first.
_MOST_SOURCES = 10_000
_MOST_WAITING = 100
_WAIT_S = 5


class UnknownTokens:
    """Of one process; used by its event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0

    def record(self, source: str) -> None:
        """Counts an unknown token; the count is forgotten WINDOW_S after the first."""
        who = counted_as(source)
        began, count = self._counts.pop(who, (self._clock(), 0))
        if self._clock() - began >= WINDOW_S:
            began, count = self._clock(), 0
        self._counts[who] = began, count + 1
        if len(self._counts) > _MOST_SOURCES:
            del self._counts[next(iter(self._counts))]

    @asynccontextmanager
    async def turn(self, source: str) -> AsyncIterator[None]:
        """In it, a token of that source is looked up. Raises Problem 429 where too many wait."""
        if not self._is_suspect(source):
            yield
            return
        if self._waiting >= _MOST_WAITING:
            raise _too_many()
        self._waiting += 1
        try:
            async with asyncio.timeout(_WAIT_S):
                await self._turn.acquire()
        except TimeoutError:
            raise _too_many() from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    def _is_suspect(self, source: str) -> bool:
        began, count = self._counts.get(counted_as(source), (0.0, 0))
        return count >= UNKNOWN and self._clock() - began < WINDOW_S


def _too_many() -> Problem:
    message = "Too many unknown tokens came from this address. Wait a minute."
    return Problem(429, "too_many_failures", message, headers={"Retry-After": str(WINDOW_S)})
