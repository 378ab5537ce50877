"""A bound on what the holder of a good webhook token can have stored.

Who knows an account's C2B URL, or was shown the callback URL of one prompt, could otherwise fill the disk. The bounds
are far above what M-Pesa sends: a prompt has one callback, told a few times at most; the busiest account 100 a second.
What is refused is not lost: prompts are queried, and what was paid by hand is found by Pull Transactions.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from api.problem import Problem
from db.webhook_inbox import Stored


@dataclass(frozen=True, slots=True)
class Bound:
    within_s: int
    bodies: int
    total_bytes: int


_MB = 1024 * 1024
BOUNDS = {
    "stk": (Bound(60, 120, 4 * _MB), Bound(86_400, 1_000, 16 * _MB)),
    "c2b_confirmation": (Bound(60, 30_000, 64 * _MB), Bound(86_400, 5_000_000, 4096 * _MB)),
}
# All counts of one process; the oldest are forgotten first.
_MOST_TOKENS = 100_000


class Verdict(Enum):
    FINE = auto()
    OVER = auto()
    OVER_AND_NEWS = auto()
    """The first that is refused: to be told to the operator."""


@dataclass(slots=True)
class _Count:
    began: float
    bodies: int = 0
    total_bytes: int = 0
    is_told: bool = False


class WebhookBounds:
    """Of one process; used by its event loop alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, str], list[_Count]] = {}
        self._last: dict[tuple[str, str], Stored] = {}

    def check(self, kind: str, token: str) -> Verdict:
        """Whether one more body may be stored for the token."""
        for bound, count in zip(BOUNDS[kind], self._counts.get((kind, token), ()), strict=False):
            self._begin_anew_if_over(bound, count)
            if count.bodies >= bound.bodies or count.total_bytes >= bound.total_bytes:
                told, count.is_told = count.is_told, True
                return Verdict.OVER if told else Verdict.OVER_AND_NEWS
        return Verdict.FINE

    def last(self, kind: str, token: str) -> Stored:
        """What was recorded last of a token that has any."""
        return self._last[kind, token]

    def record(self, kind: str, token: str, size: int, stored: Stored) -> None:
        """Counts a body that was stored: of tokens that are somebody's, and of no other."""
        counts = self._counts.pop((kind, token), None) or [_Count(self._clock()) for _ in BOUNDS[kind]]
        self._counts[kind, token], self._last[kind, token] = counts, stored
        for bound, count in zip(BOUNDS[kind], counts, strict=True):
            self._begin_anew_if_over(bound, count)
            count.bodies += 1
            count.total_bytes += size
        if len(self._counts) > _MOST_TOKENS:
            oldest = next(iter(self._counts))
            del self._counts[oldest], self._last[oldest]

    def _begin_anew_if_over(self, bound: Bound, count: _Count) -> None:
        if self._clock() - count.began >= bound.within_s:
            count.began, count.bodies, count.total_bytes, count.is_told = self._clock(), 0, 0, False


def too_many() -> Problem:
    message = "More was sent to this address than M-Pesa ever does. Try again in a minute."
    return Problem(429, "too_many_requests", message, headers={"Retry-After": "60"})
