"""The root command and the one list of all others.

A command's module is imported only when that command is named: `./kibali run PART` starts every part of the instance
and must not pay for importing the rest.
"""

import importlib

import click

from cli.failure import Failure
from settings import SettingsError

COMMANDS = {
    # name: (module, attribute)
    "up": ("cli.up", "up"),
    "down": ("cli.up", "down"),
    "status": ("cli.up", "status"),
    "run": ("cli.run", "run"),
    "test": ("cli.checks", "test"),
    "bench": ("cli.bench", "bench"),
    "demo": ("cli.demo", "demo"),
    "tenant": ("cli.tenants", "tenant"),
    "admin": ("cli.admins", "admin"),
    "plan": ("cli.plans", "plan"),
    "subscriber": ("cli.subscribers", "subscriber"),
    "subscription": ("cli.subscriptions", "subscription"),
    "router": ("cli.routers", "router"),
    "session": ("cli.sessions", "session"),
    "why": ("cli.why", "why"),
    "payment-account": ("cli.payment_accounts", "accounts"),
    "payment": ("cli.payments", "payments"),
    "sms": ("cli.sms", "messages"),
    "voucher": ("cli.vouchers", "vouchers"),
    "dashboard": ("cli.dashboards", "dashboard"),
    "event": ("cli.events", "event"),
    "webhook": ("cli.webhooks", "webhook"),
    "queue": ("cli.queues", "queue"),
    "job": ("cli.jobs", "job"),
    "audit": ("cli.audit", "audit"),
    "db": ("cli.database", "db"),
}


class Commands(click.Group):
    """The commands of `COMMANDS`, in that order. What an operator can put right ends in one line and exit status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            raise Failure(str(error)) from None


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def kibali() -> None:
    """AAA and billing for hotspot and PPPoE networks on MikroTik routers.

    Begin with `./kibali up`.
    """
