"""Every queue, declared once: workers, `up`, the status page and tasks read this table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    workers: int
    """Processes, each running one job at a time."""
    limit_s: int
    """How long a job may run; `@task(limit_s=…)` overrides it for one task."""
    backoff_s: tuple[int, ...]
    """Pauses before the 2nd, 3rd … try. A job that fails once more after the last of them is failed."""

    @property
    def max_attempts(self) -> int:
        return 1 + len(self.backoff_s)


PAYMENTS = Queue("payments", workers=4, limit_s=120, backoff_s=(10, 30, 60))
PROVISIONING = Queue("provisioning", workers=3, limit_s=60, backoff_s=(5, 15, 30, 60, 120))
# These two run what repeats by itself: the next run is the next try.
ROUTER_DATA = Queue("router-data", workers=3, limit_s=30, backoff_s=())
ROUTER_CHECKS = Queue("router-checks", workers=2, limit_s=60, backoff_s=())
DEFAULT = Queue("default", workers=2, limit_s=60, backoff_s=(10, 60))
# Somebody else's servers, as slow as they like: nothing of ours waits behind them.
SMS = Queue("sms", workers=2, limit_s=60, backoff_s=(10, 60))
WEBHOOKS = Queue("webhooks", workers=2, limit_s=60, backoff_s=(10, 60))
# Files of subscribers, each of which may take minutes: who paid meanwhile is let in all the same.
IMPORTS = Queue("imports", workers=1, limit_s=600, backoff_s=(10, 60))
MAINTENANCE = Queue("maintenance", workers=1, limit_s=600, backoff_s=(60,))

QUEUES: tuple[Queue, ...] = (
    PAYMENTS,
    PROVISIONING,
    ROUTER_DATA,
    ROUTER_CHECKS,
    DEFAULT,
    SMS,
    WEBHOOKS,
    IMPORTS,
    MAINTENANCE,
)
BY_NAME = {queue.name: queue for queue in QUEUES}
