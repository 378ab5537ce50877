"""A bound on wrong guesses by one and the same: of API tokens from an address, of voucher codes by an admin."""

import redis
import structlog

log = structlog.get_logger(__name__)

FAILURES = 20
WINDOW_S = 60
_PREFIX = "kibali:failures:"


def is_over(client: redis.Redis, who: str) -> bool:
    """Whether they have used up their failures; no if Redis is away: better open than shut for everybody."""
    try:
        count = client.get(_PREFIX + who)
    except redis.RedisError as error:
        log.warning("failures are not limited: no answer from Redis", error=str(error))
        return False
    assert count is None or isinstance(count, bytes)
    return count is not None and int(count) >= FAILURES


def record(client: redis.Redis, who: str) -> None:
    """Counts a failure; the count is forgotten WINDOW_S after the first."""
    try:
        with client.pipeline() as pipeline:
            pipeline.incr(_PREFIX + who)
            pipeline.expire(_PREFIX + who, WINDOW_S, nx=True)
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("a failure was not counted: no answer from Redis", error=str(error))
