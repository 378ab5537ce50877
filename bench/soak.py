"""Whether FreeRADIUS's memory stays flat over millions of packets."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.point import Running
from bench.usage import resident_bytes

_OUTSTANDING = 256
_CHUNK_S = 15.0


@dataclass(frozen=True)
class SoakResult:
    peer: str
    packets: int
    before_bytes: int
    """Resident memory once the server has seen a first tenth of the packets."""
    after_bytes: int
    fault: str


def soak(running: Running, packets: int, on_progress: Callable[[int], None]) -> SoakResult:
    """The mix, until so many packets are answered; `on_progress` is told how many are."""
    answered, before, fault = 0, 0, ""
    while answered < packets and not fault:
        point = running.measure("mix", _OUTSTANDING, 0.0, _CHUNK_S)
        answered += point.answered
        fault = point.fault
        if not before and answered >= packets // 10:
            before = resident_bytes(running.server_pid)
        on_progress(answered)
    return SoakResult(running.peer.name, answered, before, resident_bytes(running.server_pid), fault)
