"""Counts of batches, for /metrics: how many calls each answered, and how long its work took."""

from bisect import bisect_left
from typing import Any

SIZES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Tally:
    """Written by the thread that leads, of which there is one at a time; read by others, who may see it mid-way."""

    __slots__ = ("calls", "seconds", "sizes", "times")

    def __init__(self) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.sizes = [0] * (len(SIZES) + 1)
        self.times = [0] * (len(SECONDS) + 1)

    def note(self, calls: int, seconds: float) -> None:
        self.calls += calls
        self.seconds += seconds
        self.sizes[bisect_left(SIZES, calls)] += 1
        self.times[bisect_left(SECONDS, seconds)] += 1

    def state(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "seconds": round(self.seconds, 6),
            "sizes": dict(zip((*map(str, SIZES), "+Inf"), self.sizes, strict=True)),
            "times": dict(zip((*map(str, SECONDS), "+Inf"), self.times, strict=True)),
        }
