"""The parts of the instance, in one table: what runs, in which order, how it is stopped, how we know it is ready."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cli.instance import freeradius, postgres, readiness, redis
from cli.instance.programs import Program, PythonModule
from settings import Settings
from tasks.queues import QUEUES

# Stores start first and stop last; what takes packets and requests starts last and stops first.
Group = Literal["stores", "work", "front"]
GROUPS: tuple[Group, ...] = ("stores", "work", "front")


@dataclass(frozen=True)
class Part:
    name: str
    group: Group
    program: Program
    is_ready: readiness.Probe
    stop_signal: str
    """Signal for an orderly stop; what still runs `stop_within_s` seconds later is killed."""
    stop_within_s: int
    ours: Callable[[Settings], bool] = lambda settings: True
    """Whether this instance runs it; not so for a store that a URL in the settings names."""


PARTS: tuple[Part, ...] = (
    # PostgreSQL's SIGINT is its fast shutdown; SIGTERM would wait for every client to leave.
    Part("postgres", "stores", postgres, readiness.postgres, "INT", 30, lambda settings: settings.owns_postgres),
    Part("redis", "stores", redis, readiness.redis, "TERM", 15, lambda settings: settings.owns_redis),
    *(
        Part(f"worker-{name}", "work", PythonModule("tasks.worker", (name,)), readiness.heartbeat, "TERM", 15)
        for name in (queue.name for queue in QUEUES)
    ),
    Part("sweep", "work", PythonModule("tasks.sweep"), readiness.heartbeat, "TERM", 15),
    Part("follower", "work", PythonModule("tasks.follower"), readiness.heartbeat, "TERM", 15),
    Part("watcher", "work", PythonModule("tasks.watcher"), readiness.heartbeat, "TERM", 15),
    Part("freeradius", "front", freeradius, readiness.freeradius, "TERM", 10),
    Part("api", "front", PythonModule("api"), readiness.api, "TERM", 15),
)


def our_parts(settings: Settings) -> list[Part]:
    """The parts that this instance runs, in the order in which they start."""
    return [part for part in PARTS if part.ours(settings)]
