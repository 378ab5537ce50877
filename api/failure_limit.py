"""Bounds on wrong guesses: of tokens and tickets from an address, of voucher codes by an admin."""

import redis
import structlog

log = structlog.get_logger(__name__)

FAILURES = 20
WINDOW_S = 60


def failures_key(who: str) -> str:
    return f"kibali:failures:{who}"


def is_over(client: redis.Redis, who: str, most: int = FAILURES) -> bool:
    """Whether they have used up their failures, `most` a window.

    No if Redis is away: better open than shut for everybody.
    """
    try:
        count = client.get(failures_key(who))
    except redis.RedisError as error:
        log.warning("failures are not limited: no answer from Redis", error=str(error))
        return False
    assert count is None or isinstance(count, bytes)
    return count is not None and int(count) >= most


def record(client: redis.Redis, who: str) -> None:
    """Counts a failure; the count is forgotten WINDOW_S after the first."""
    try:
        with client.pipeline() as pipeline:
            pipeline.incr(failures_key(who))
            pipeline.expire(failures_key(who), WINDOW_S, nx=True)
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("a failure was not counted: no answer from Redis", error=str(error))
