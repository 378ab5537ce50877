"""What runs again and again. The sweep creates a job of each row when the last one is `every_s` seconds old."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tasks.dashboards import EVERY_S, prune_figures, refresh_dashboards
from tasks.deployments import prove_radius, settle_deployments
from tasks.idempotency import prune_idempotency_keys
from tasks.imports import settle_imports
from tasks.maintenance import (
    archive_sessions,
    close_ghosts,
    maintain_partitions,
    note_periods,
    prune_jobs,
    prune_logins,
    prune_passing_events,
)
from tasks.payments import prune_webhooks, renew_expired, sweep_intents
from tasks.pull_payments import pull_all
from tasks.router_backups import back_up_due, prune_router_backups
from tasks.router_housekeeping import prune_router_history
from tasks.sms import prune_sms
from tasks.subscriber_imports import forget_unread_imports
from tasks.webhook_deliveries import prune_deliveries


@dataclass(frozen=True, slots=True)
class Periodic:
    """A run that is still unfinished when the next is due stands in for it: none overlaps itself."""

    name: str
    function: Callable[..., None]
    every_s: int
    args: Mapping[str, Any] = field(default_factory=dict)


PERIODIC = (
    Periodic("maintain-partitions", maintain_partitions, every_s=3600),
    Periodic("close-ghosts", close_ghosts, every_s=60),
    Periodic("archive-sessions", archive_sessions, every_s=300),
    Periodic("note-periods", note_periods, every_s=900),
    Periodic("prune-jobs", prune_jobs, every_s=3600),
    Periodic("prune-passing-events", prune_passing_events, every_s=3600),
    Periodic("prune-deliveries", prune_deliveries, every_s=3600),
    Periodic("refresh-dashboards", refresh_dashboards, every_s=EVERY_S),
    Periodic("prune-figures", prune_figures, every_s=86_400),
    Periodic("renew-expired", renew_expired, every_s=60),
    Periodic("sweep-intents", sweep_intents, every_s=60),
    Periodic("pull-payments", pull_all, every_s=600),
    Periodic("prune-sms", prune_sms, every_s=86_400),
    Periodic("prune-webhooks", prune_webhooks, every_s=86_400),
    Periodic("prune-logins", prune_logins, every_s=600),
    Periodic("settle-deployments", settle_deployments, every_s=60),
    Periodic("settle-imports", settle_imports, every_s=60),
    Periodic("prove-radius", prove_radius, every_s=60),
    Periodic("forget-unread-imports", forget_unread_imports, every_s=3600),
    Periodic("prune-idempotency-keys", prune_idempotency_keys, every_s=3600),
    Periodic("prune-router-history", prune_router_history, every_s=3600),
    Periodic("back-up-due", back_up_due, every_s=300),
    Periodic("prune-router-backups", prune_router_backups, every_s=86_400),
)
