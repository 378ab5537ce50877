"""When the next packets are due. The clock is an argument, in nanoseconds since the run began."""

from dataclasses import dataclass
from typing import Protocol


class Pacing(Protocol):
    """`freed_first`: a slot whose answer came goes before those that wait; else it rests behind them.
    `wait_s`: how long the answers may be waited for before `due` is asked again."""

    @property
    def freed_first(self) -> bool: ...

    @property
    def wait_s(self) -> float: ...

    def due(self, elapsed_ns: int, sent: int, done: int) -> int:
        """How many more to send now, `sent` being sent and `done` of these answered or given up."""
        ...

    def due_at_ns(self, number: int) -> int | None:
        """When packet `number` of the run was due, which its latency counts from; None: when it is sent."""
        ...


@dataclass(frozen=True)
class Outstanding:
    """So many at once: the server is always busy."""

    requests: int
    freed_first: bool = False
    wait_s: float = 0.05

    def due(self, elapsed_ns: int, sent: int, done: int) -> int:
        return self.requests - (sent - done)

    def due_at_ns(self, number: int) -> int | None:
        return None


@dataclass(frozen=True)
class Rate:
    """So many a second, however slow the answers: what waits because of that counts as latency."""

    per_s: float
    freed_first: bool = False
    wait_s: float = 0

    def due(self, elapsed_ns: int, sent: int, done: int) -> int:
        return int(elapsed_ns * self.per_s / 1e9) - sent

    def due_at_ns(self, number: int) -> int | None:
        return int(number * 1e9 / self.per_s)


@dataclass(frozen=True)
class Storm:
    """So many first packets, that many a second; then for each answer the next packet of its slot, at once."""

    first_packets: int
    per_s: float
    freed_first: bool = True
    wait_s: float = 0

    def due(self, elapsed_ns: int, sent: int, done: int) -> int:
        return min(self.first_packets, int(elapsed_ns * self.per_s / 1e9)) + done - sent

    def due_at_ns(self, number: int) -> int | None:
        return None
