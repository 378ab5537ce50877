"""Connections to Redis whose every wait has a limit."""

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from settings import Settings

CONNECT_TIMEOUT_S = 1.0


def make_redis_pool(settings: Settings, *, answer_timeout_s: float = 1.0) -> ConnectionPool:
    """Opens nothing yet. Who blocks on a list gives an `answer_timeout_s` longer than that wait.

    Raises SettingsError if Redis has no password yet.
    """
    return ConnectionPool.from_url(
        settings.redis_dsn(),
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=answer_timeout_s,
        retry=Retry(NoBackoff(), 0),  # the sweep is the retry
    )
