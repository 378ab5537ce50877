"""`kibali:alive:<part>` in Redis: who runs a part. The key expires when its process does not renew it."""

import json
import os
import time
from datetime import UTC, datetime

from redis import ConnectionPool, Redis, RedisError

from tasks.outage import Outage

EVERY_S = 3.0
EXPIRES_S = 10


class Heartbeat:
    """For one part of the instance, such as `worker-payments`; `extra` is told beside `pid` and `since`."""

    def __init__(self, part: str, pool: ConnectionPool, **extra: object) -> None:
        self._redis = Redis(connection_pool=pool)
        self._key = f"kibali:alive:{part}"
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._value = json.dumps({"pid": os.getpid(), "since": since, **extra})
        self._outage = Outage("Redis", "`./kibali status` shows this part as not ready")
        self._next_at = 0.0

    def beat_if_due(self) -> None:
        """Call it often; never raises."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + EVERY_S
        try:
            self._redis.set(self._key, self._value, ex=EXPIRES_S)
        except RedisError as error:
            self._outage.seen(error)
        else:
            self._outage.over()
