"""`kibali tenant`"""

from typing import Any

import click

from api.schemas.base import values_of
from api.schemas.tenant import TenantCreate, TenantOut
from cli.desk import at_platform
from cli.failure import Failure
from cli.fields import model_options, print_record, read_options
from cli.lists import printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import tenant as tenants
from settings import Settings

COLUMNS = ("id", "slug", "name", "language", "timezone")


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
        rows = [printable(TenantOut.of(row), as_json=as_json) for row in tenants.all_tenants(session)]
    print_rows(rows, COLUMNS, as_json=as_json)


@tenant.command()
@click.argument("slug")
@json_option
@pass_settings
def show(settings: Settings, slug: str, as_json: bool) -> None:
    """One tenant."""
    with at_platform(settings) as session:
        found = tenants.by_slug(session, slug)
    if found is None:
        raise Failure(f"There is no tenant {slug}.")
    print_record(TenantOut.of(found), as_json=as_json)
