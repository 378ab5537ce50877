"""`kibali payment inbox`"""

from typing import Any

import click

from api.schemas.inbox import WebhookBody, WebhookOut, WebhookQuery
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import webhook_inbox
from settings import Settings

COLUMNS = ("id", "received_at", "kind", "source_address", "source_listed", "intent_id", "outcome", "error")


@click.group()
def inbox() -> None:
    """What M-Pesa sent to the webhooks, as it came, for 90 days."""


@inbox.command("list")
@tenant_option
@model_options(WebhookQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_webhooks(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Newest first. With --outcome unreadable: what made no sense."""
    query = read_options(WebhookQuery, options)
    filters = query.model_dump(exclude={"limit", "cursor", "sort"})
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(query.sort, lambda request: webhook_inbox.page(desk.session, request, **filters))
        rows = [printable(WebhookOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@inbox.command()
@click.argument("webhook_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, webhook_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """One webhook with its body."""
    with at_tenant(settings, tenant_slug) as desk:
        found = WebhookBody.read(webhook_inbox.by_id(desk.session, webhook_id))
    print_record(found, as_json=as_json)
