"""`kibali session`"""

from itertools import islice
from typing import Any

import click

from api.schemas.session import SessionOut, SessionQuery
from cli.desk import at_tenant, tenant_option
from cli.fields import model_options, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import session_list
from db.session_list import Filters
from settings import Settings

COLUMNS = (
    "username",
    "service",
    "calling_station_id",
    "framed_ip_address",
    "started_at",
    "stopped_at",
    "session_time_s",
    "input_octets",
    "output_octets",
)


@click.group()
def session() -> None:
    """Who is, and was, online."""


@session.command("list")
@tenant_option
@click.option("--open", "open_only", is_flag=True, help="Only those that are not known to have ended.")
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="At most so many, newest first.")
@model_options(SessionQuery, without=("limit", "cursor", "sort", "open"))
@json_option
@pass_settings
def list_sessions(
    settings: Settings, /, tenant_slug: str | None, open_only: bool, limit: int, as_json: bool, **options: Any
) -> None:
    """Open and ended sessions, newest first."""
    query = read_options(SessionQuery, options)
    filters = Filters(
        open=True if open_only else None,
        subscription_id=query.subscription,
        router_id=query.router,
        username=query.username,
    )
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(query.sort, lambda request: session_list.page(desk.session, request, filters))
        rows = [printable(SessionOut.of(row), as_json=as_json) for row in islice(found, limit)]
    print_rows(rows, COLUMNS, as_json=as_json)
