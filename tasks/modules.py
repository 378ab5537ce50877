"""The modules that hold tasks. A worker imports all of them before it forks, so that its processes share the memory."""

import importlib

TASK_MODULES = (
    "tasks.deployments",
    "tasks.dashboards",
    "tasks.idempotency",
    "tasks.imports",
    "tasks.let_in",
    "tasks.maintenance",
    "tasks.payment_accounts",
    "tasks.payments",
    "tasks.pull_payments",
    "tasks.renewals",
    "tasks.router_backups",
    "tasks.router_housekeeping",
    "tasks.sms",
    "tasks.webhook_deliveries",
    "tasks.subscriber_imports",
)


def import_tasks() -> None:
    for module in TASK_MODULES:
        importlib.import_module(module)
