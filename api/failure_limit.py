"""Bounds on one and the same: on wrong guesses of tokens from an address, of voucher codes by an admin; on requests."""

from enum import Enum, auto

import redis
import structlog

log = structlog.get_logger(__name__)

FAILURES = 20
WINDOW_S = 60
_PREFIX = "kibali:failures:"
_RATE_PREFIX = "kibali:requests:"


class Verdict(Enum):
    FINE = auto()
    TOO_MANY_FAILURES = auto()
    TOO_MANY_REQUESTS = auto()


def is_over(client: redis.Redis, who: str, most: int = FAILURES) -> bool:
    """Whether they have used up their failures, `most` a window.

    No if Redis is away: better open than shut for everybody.
    """
    try:
        count = client.get(_PREFIX + who)
    except redis.RedisError as error:
        log.warning("failures are not limited: no answer from Redis", error=str(error))
        return False
    assert count is None or isinstance(count, bytes)
    return count is not None and int(count) >= most


def check(client: redis.Redis, who: str, credential: str, allowed: int) -> Verdict:
    """Counts a request of a credential, and looks at who sends it, in one round trip.

    FINE if Redis is away: better open than shut for everybody, and no token can be guessed. `allowed` in a minute; 0 is
    any number.
    """
    key = f"{_RATE_PREFIX}{credential}"
    try:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.get(_PREFIX + who)
            if allowed:
                pipeline.incr(key)
                pipeline.expire(key, WINDOW_S, nx=True)
            failures, *requests = pipeline.execute()
    except redis.RedisError as error:
        log.warning("requests are not limited: no answer from Redis", error=str(error))
        return Verdict.FINE
    if failures is not None and int(failures) >= FAILURES:
        return Verdict.TOO_MANY_FAILURES
    return Verdict.TOO_MANY_REQUESTS if requests and int(requests[0]) > allowed else Verdict.FINE


def record(client: redis.Redis, who: str) -> None:
    """Counts a failure; the count is forgotten WINDOW_S after the first."""
    try:
        with client.pipeline() as pipeline:
            pipeline.incr(_PREFIX + who)
            pipeline.expire(_PREFIX + who, WINDOW_S, nx=True)
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("a failure was not counted: no answer from Redis", error=str(error))
