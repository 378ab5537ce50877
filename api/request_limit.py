"""Bounds on callers, without asking Redis for each request: counted here, and settled with Redis each second.

What this process counts is exact. What others count is known a second late, so that N of them may let through what a
credential asks in that second N times. As a bound comes near, Redis is asked each time.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import redis
import structlog

from api.failure_limit import FAILURES, WINDOW_S, failures_key, record

log = structlog.get_logger(__name__)

SETTLE_EVERY_S = 1.0
# Strangers make up credentials and addresses.
MOST_KNOWN = 20_000
_PREFIX = "kibali:requests:"


class Verdict(Enum):
    FINE = auto()
    TOO_MANY_FAILURES = auto()
    TOO_MANY_REQUESTS = auto()


@dataclass(slots=True)
class _Count:
    """`settled` is what Redis said, asked at `at`; `telling` is what is on its way there, by whoever has the `turn`;
    `more` came since.
    """

    settled: int = 0
    telling: int = 0
    more: int = 0
    at: float = float("-inf")
    turn: threading.Lock = field(default_factory=threading.Lock)


class RequestLimit:
    """Of one process: of requests by credential, `allowed` a minute, 0 for any number; of failures by address."""

    def __init__(self, client: redis.Redis, allowed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = client
        self.allowed = allowed
        """Of a credential in a minute."""
        self._clock = clock
        self._lock = threading.Lock()
        self._requests: OrderedDict[str, _Count] = OrderedDict()
        self._failures: OrderedDict[str, _Count] = OrderedDict()
        self._away_until = float("-inf")

    def check(self, who: str, credential: str) -> Verdict:
        """Counts a request of a credential, and looks at who sends it.

        FINE if Redis is away: better open than shut for everybody, and no token can be guessed.
        """
        with self._lock:
            failures, requests = _of(self._failures, who), _of(self._requests, credential)
            if self._is_fine(failures, requests):
                return Verdict.FINE
        with requests.turn:  # one after the other, since Redis may answer in another order
            with self._lock:
                if self._is_fine(failures, requests):
                    return Verdict.FINE
                requests.telling, requests.more = requests.more + 1, 0
                failures.at = requests.at = self._clock()  # the others of this moment need not ask too
            failed, counted = self._ask(who, credential, requests.telling)
            with self._lock:
                failures.settled, requests.settled, requests.telling = failed, counted, 0
        if failed >= FAILURES:
            return Verdict.TOO_MANY_FAILURES
        return Verdict.TOO_MANY_REQUESTS if self.allowed and counted > self.allowed else Verdict.FINE

    def failed(self, who: str) -> None:
        """Counts a failure, for all processes."""
        record(self._redis, who)
        with self._lock:
            _of(self._failures, who).at = float("-inf")

    def _is_fine(self, failures: _Count, requests: _Count) -> bool:
        """Whether one more is, without asking Redis; it is counted then."""
        now = self._clock()
        if now < self._away_until:
            return True
        if now - min(failures.at, requests.at) >= SETTLE_EVERY_S or failures.settled >= FAILURES // 2:
            return False
        if self.allowed and requests.settled + requests.telling + requests.more >= self.allowed:
            return False
        requests.more += 1
        return True

    def _ask(self, who: str, credential: str, sent: int) -> tuple[int, int]:
        """The failures of the address, and the requests of the credential, `sent` more among them; 0 without Redis."""
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                pipeline.get(failures_key(who))
                if self.allowed:
                    pipeline.incrby(_PREFIX + credential, sent)
                    pipeline.expire(_PREFIX + credential, WINDOW_S, nx=True)
                failed, *counted = pipeline.execute()
        except redis.RedisError as error:
            log.warning("requests are not limited: no answer from Redis", error=str(error))
            self._away_until = self._clock() + SETTLE_EVERY_S
            return 0, 0
        return int(failed or 0), int(counted[0]) if counted else 0


def _of(counts: OrderedDict[str, _Count], key: str) -> _Count:
    found = counts.get(key)
    if found is None:
        found = counts[key] = _Count()
        if len(counts) > MOST_KNOWN:
            counts.popitem(last=False)
    else:
        counts.move_to_end(key)
    return found
