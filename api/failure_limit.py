"""A bound on wrong tokens from one address: guessing a token is hopeless, but each guess costs a look-up."""

from ipaddress import IPv6Address, ip_address

import redis
import structlog

log = structlog.get_logger(__name__)

FAILURES = 20
WINDOW_S = 60


def is_over(client: redis.Redis, address: str) -> bool:
    """Whether the address has used up its failures; no if Redis is away: better open than shut for everybody."""
    try:
        count = client.get(_key(address))
    except redis.RedisError as error:
        log.warning("failed logins are not limited: no answer from Redis", error=str(error))
        return False
    assert count is None or isinstance(count, bytes)
    return count is not None and int(count) >= FAILURES


def record(client: redis.Redis, address: str) -> None:
    """Counts a failure; the count is forgotten WINDOW_S after the first."""
    try:
        with client.pipeline() as pipeline:
            pipeline.incr(_key(address))
            pipeline.expire(_key(address), WINDOW_S, nx=True)
            pipeline.execute()
    except redis.RedisError as error:
        log.warning("a failed login was not counted: no answer from Redis", error=str(error))


def _key(address: str) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return f"kibali:auth-failures:{address[:64]}"
    if isinstance(parsed, IPv6Address):
        # One customer of an ISP has a /64 at least.
        return f"kibali:auth-failures:{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return f"kibali:auth-failures:{parsed}"
