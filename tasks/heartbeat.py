"""`kibali:alive:<part>:<node>` in Redis: who runs a part, on each machine. Keys expire when nobody renews them."""

import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from redis import ConnectionPool, Redis, RedisError

from settings import Settings
from tasks.outage import Outage

EVERY_S = 3.0
EXPIRES_S = 10
_PREFIX = "kibali:alive:"


@dataclass(frozen=True, slots=True)
class Alive:
    """A part that runs on a node."""

    part: str
    node: str
    pid: int
    since: str
    queue: str | None = None
    workers: int = 0
    """Processes that take jobs of the queue."""


class Heartbeat:
    """For one part of the instance, such as `worker-payments`; `extra` is told beside `pid` and `since`."""

    def __init__(self, part: str, settings: Settings, pool: ConnectionPool, **extra: object) -> None:
        self._redis = Redis(connection_pool=pool)
        self._key = key_of(part, settings.node_name)
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


def key_of(part: str, node: str) -> str:
    return f"{_PREFIX}{part}:{node}"


def all_alive(redis: Redis) -> list[Alive]:
    """By part and node. Raises RedisError."""
    keys = sorted(key.decode() for key in redis.scan_iter(match=f"{_PREFIX}*", count=1000))
    values: list[Any] = list(redis.mget(keys)) if keys else []
    found = []
    for key, value in zip(keys, values, strict=True):
        part, _, node = key.removeprefix(_PREFIX).partition(":")
        if value is not None:  # it expired in between
            said = json.loads(value)
            found.append(Alive(part, node, said["pid"], said["since"], said.get("queue"), int(said.get("workers", 0))))
    return found


def workers_by_queue(alive: list[Alive]) -> dict[str, int]:
    """Queue → worker processes on all nodes together."""
    counts: dict[str, int] = {}
    for each in alive:
        if each.queue is not None:
            counts[each.queue] = counts.get(each.queue, 0) + each.workers
    return counts
