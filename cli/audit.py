"""`kibali audit`"""

from itertools import islice
from typing import Any

import click

from api.schemas.audit import AuditOut, AuditQuery
from cli.desk import at_platform, choose_tenant
from cli.fields import model_options, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import audit as audits
from db.audit import Filters
from settings import Settings

COLUMNS = ("created_at", "who", "address", "action", "operation", "what", "what_id", "before", "after")


@click.group()
def audit() -> None:
    """The audit log: who changed what, from where, before and after."""


@audit.command("list")
@click.option("--tenant", "tenant_slug", metavar="SLUG", help="Only of this tenant. Default: of all, and the platform.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@model_options(AuditQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_audit(settings: Settings, /, tenant_slug: str | None, limit: int, as_json: bool, **options: Any) -> None:
    """Changes, newest first. Times are given as 2026-11-20T08:00Z."""
    query = read_options(AuditQuery, options)
    filters = Filters(**query.model_dump(exclude={"limit", "cursor", "sort"}))
    with at_platform(settings) as session:
        tenant_id = choose_tenant(session, tenant_slug).id if tenant_slug else None
        found = every_row(query.sort, lambda request: audits.page(session, request, filters, tenant_id=tenant_id))
        rows = [printable(AuditOut.of(row), as_json=as_json) for row in islice(found, limit)]
    print_rows(rows, COLUMNS, as_json=as_json)
