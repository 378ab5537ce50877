"""`kibali tenant`"""

from datetime import UTC, datetime
from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.tenant import TenantChange, TenantCreate, TenantOut
from cli.desk import at_platform, choose_tenant
from cli.fields import model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import tenant as tenants
from settings import Settings

COLUMNS = ("id", "slug", "name", "language", "timezone", "closed_at")


@click.group()
def tenant() -> None:
    """The operators that this installation serves, each apart from the others."""


@tenant.command()
@model_options(TenantCreate)
@json_option
@pass_settings
def add(settings: Settings, /, as_json: bool, **options: Any) -> None:
    """Makes a tenant."""
    body = read_options(TenantCreate, options)
    with at_platform(settings) as session:
        created = TenantOut.of(tenants.create(session, **values_of(body)))
    print_record(created, as_json=as_json)


@tenant.command("list")
@json_option
@pass_settings
def list_tenants(settings: Settings, as_json: bool) -> None:
    """All tenants."""
    with at_platform(settings) as session:
        found = every_row("slug", lambda request: tenants.page(session, request))
        rows = [printable(TenantOut.of(row), as_json=as_json) for row in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@tenant.command()
@click.argument("slug")
@json_option
@pass_settings
def show(settings: Settings, slug: str, as_json: bool) -> None:
    """One tenant."""
    with at_platform(settings) as session:
        found = TenantOut.of(choose_tenant(session, slug))
    print_record(found, as_json=as_json)


@tenant.command()
@click.argument("slug")
@click.option("--slug", "new_slug", metavar="TEXT", help="Another short name.")
@model_options(TenantChange, without=("slug", "closed"))
@json_option
@pass_settings
def change(settings: Settings, /, slug: str, new_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the given fields of the tenant SLUG."""
    values = given(read_options(TenantChange, {**options, "slug": new_slug}))
    with at_platform(settings) as session:
        changed = TenantOut.of(tenants.change(session, choose_tenant(session, slug).id, values))
    print_record(changed, as_json=as_json)


@tenant.command()
@click.argument("slug")
@pass_settings
def close(settings: Settings, slug: str) -> None:
    """Shuts a tenant's admins out, with their API tokens. Its subscribers go on; nothing is deleted."""
    with at_platform(settings) as session:
        tenants.close(session, choose_tenant(session, slug).id, datetime.now(UTC))
    click.echo(f"tenant {slug} is closed")


@tenant.command("open")
@click.argument("slug")
@pass_settings
def open_again(settings: Settings, slug: str) -> None:
    """Lets a closed tenant's admins in again."""
    with at_platform(settings) as session:
        tenants.change(session, choose_tenant(session, slug).id, {"closed_at": None})
    click.echo(f"tenant {slug} is open")
