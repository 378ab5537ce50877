"""`kibali event`"""

from typing import Any

import click

from api.schemas.event import EventOut, EventQuery
from cli.desk import at_tenant, tenant_option
from cli.fields import model_options, read_options
from cli.lists import printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import event_list
from db.page import PageRequest
from settings import Settings

COLUMNS = ("id", "created_at", "type", "subscription_id", "router_id", "data")


@click.group()
def event() -> None:
    """What happened: payments, jobs, routers."""


@event.command("list")
@tenant_option
@model_options(EventQuery, without=("limit", "cursor"))
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_option
@pass_settings
def list_events(settings: Settings, /, tenant_slug: str | None, limit: int, as_json: bool, **options: Any) -> None:
    """The newest events, newest first; --sort id for the oldest first."""
    query = read_options(EventQuery, options)
    name = query.sort.removeprefix("-")
    request = PageRequest(name, descending=query.sort != name, limit=limit)
    with at_tenant(settings, tenant_slug) as desk:
        page = event_list.page(
            desk.session,
            request,
            role="owner",
            tenant_id=desk.tenant.id,
            types=query.type.split(",") if query.type else (),
            subscription_id=query.subscription_id,
            router_id=query.router_id,
            since=query.since,
            until=query.until,
        )
        rows = [printable(EventOut.of(row), as_json=as_json) for row in page.items]
    print_rows(rows, COLUMNS, as_json=as_json)
