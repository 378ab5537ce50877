"""`kibali admin`"""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from api.schemas.tenant import AdminCreate, AdminOut
from cli.desk import at_platform, choose_tenant, tenant_option
from cli.fields import model_options, print_record, read_options
from cli.lists import printable
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from db import admin as admins
from isp import credentials
from settings import Settings

COLUMNS = ("id", "email", "role", "tenant_id", "created_at", "disabled_at")


@click.group()
def admin() -> None:
    """The people who run a tenant, and the API tokens they work with."""


@admin.command()
@tenant_option
@model_options(AdminCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Makes an admin. A password that is made up is shown now and never again."""
    body = read_options(AdminCreate, options)
    password = body.password or credentials.new_admin_password()
    with at_platform(settings) as session:
        of_tenant = None if body.role == "platform" else choose_tenant(session, tenant_slug).id
        created = admins.create(session, tenant_id=of_tenant, email=body.email, role=body.role, password=password)
        record = AdminOut.of(created).model_dump(mode="json")
    if body.password is None:
        record["password"] = password
    print_record(record, as_json=as_json)


@admin.command("list")
@json_option
@pass_settings
def list_admins(settings: Settings, as_json: bool) -> None:
    """The admins of all tenants, and the platform's own."""
    with at_platform(settings) as session:
        rows = [printable(AdminOut.of(row), as_json=as_json) for row in admins.all_admins(session)]
    print_rows(rows, COLUMNS, as_json=as_json)


@admin.command()
@click.argument("email")
@pass_settings
def disable(settings: Settings, email: str) -> None:
    """Shuts an admin out, with every API token of theirs."""
    with at_platform(settings) as session:
        found = admins.by_email(session, email)
        admins.disable(session, found, datetime.now(UTC))
    click.echo(f"{found.email} is disabled")


@admin.command()
@click.argument("email")
@click.option("--name", default="command line", show_default=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires. Default: never.")
@json_option
@pass_settings
def token(settings: Settings, email: str, name: str, days: int | None, as_json: bool) -> None:
    """Makes an API token, which is shown now and never again."""
    expires_at = datetime.now(UTC) + timedelta(days=days) if days else None
    with at_platform(settings) as session:
        made = admins.create_token(session, admins.by_email(session, email), name, expires_at)
    if as_json:
        print_json({"token": made, "name": name, "expires_at": expires_at.isoformat() if expires_at else None})
    else:
        click.echo(made)
