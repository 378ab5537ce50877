"""Guessing is answered without a query: a device that fails too often is refused for a while, and so is everybody who
tries a name that many fail at, but for the device that last got in by it.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

WINDOW_S = 60.0
DEVICE_FAILURES = 10
NAME_FAILURES = 30
BLOCK_S = 60.0
MAX_KEYS = 50_000


class _Count:
    __slots__ = ("blocked_until", "failures", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.failures = 0
        self.blocked_until = 0.0


class Failures:
    """The clock is an argument, in monotonic seconds. `device` is a router and a MAC address, `name` a router and a
    user name; both are None where the packet does not say."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[Hashable, _Count] = {}
        self._last_in: OrderedDict[Hashable, Hashable] = OrderedDict()

    def is_blocked(self, device: Hashable | None, name: Hashable, now: float) -> bool:
        counts = self._counts
        if not counts:
            return False
        of_device = counts.get(("device", device)) if device is not None else None
        if of_device is not None and of_device.blocked_until > now:
            return True
        of_name = counts.get(("name", name))
        if of_name is None or of_name.blocked_until <= now:
            return False
        return device is None or self._last_in.get(name) != device

    def failed(self, device: Hashable | None, name: Hashable, now: float) -> None:
        with self._lock:
            if device is not None:
                self._count(("device", device), DEVICE_FAILURES, now)
            self._count(("name", name), NAME_FAILURES, now)

    def succeeded(self, device: Hashable | None, name: Hashable) -> None:
        if self._last_in.get(name) == device and not self._counts:
            return
        with self._lock:
            if device is not None:
                if len(self._last_in) >= MAX_KEYS:
                    self._last_in.popitem(last=False)
                self._last_in[name] = device
                self._counts.pop(("device", device), None)

    def _count(self, key: Hashable, limit: int, now: float) -> None:
        count = self._counts.get(key)
        if count is None or (now - count.since > WINDOW_S and count.blocked_until <= now):
            if count is None and len(self._counts) >= MAX_KEYS:
                self._forget(now)
            count = self._counts[key] = _Count(now)
        count.failures += 1
        if count.failures >= limit and count.blocked_until <= now:
            count.blocked_until = now + BLOCK_S

    def _forget(self, now: float) -> None:
        """Makes room: what is over goes. If that is not enough, the older half, those that block nobody first."""
        self._counts = {
            key: count
            for key, count in self._counts.items()
            if count.blocked_until > now or now - count.since <= WINDOW_S
        }
        if len(self._counts) >= MAX_KEYS:
            oldest_first = sorted(self._counts.items(), key=lambda item: item[1].blocked_until > now)
            self._counts = dict(oldest_first[MAX_KEYS // 2 :])
