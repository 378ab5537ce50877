"""`kibali router`"""

from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.router import RouterChange, RouterCreate, RouterOut, RouterQuery
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import router as routers
from isp import credentials
from settings import Settings

COLUMNS = ("id", "name", "nas_address", "status", "require_message_authenticator", "coa_port")


@click.group()
def router() -> None:
    """The MikroTik routers that ask Kibali whom to let in."""


@router.command()
@tenant_option
@model_options(RouterCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Makes a router known. A RADIUS secret that is made up is shown now and never again."""
    body = read_options(RouterCreate, options)
    values = dict(values_of(body))
    secret = values.pop("radius_secret") or credentials.new_radius_secret()
    with at_tenant(settings, tenant_slug) as desk:
        created = routers.create(desk.session, desk.tenant.id, values, radius_secret=secret, keyring=desk.keyring)
        record = RouterOut.of(created).model_dump(mode="json")
    if body.radius_secret is None:
        record["radius_secret"] = secret
    print_record(record, as_json=as_json)


@router.command("list")
@tenant_option
@model_options(RouterQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_routers(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Those in service, or with --removed those that were."""
    query = read_options(RouterQuery, options)
    with at_tenant(settings, tenant_slug) as desk:
        rows = [
            printable(RouterOut.of(row), as_json=as_json)
            for row in every_row(
                query.sort,
                lambda request: routers.page(desk.session, request, status=query.status, removed=query.removed),
            )
        ]
    print_rows(rows, COLUMNS, as_json=as_json)


@router.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one router."""
    with at_tenant(settings, tenant_slug) as desk:
        found = RouterOut.of(routers.by_id(desk.session, router_id))
    print_record(found, as_json=as_json)


@router.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@model_options(RouterChange)
@json_option
@pass_settings
def change(settings: Settings, /, router_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the given fields."""
    values = given(read_options(RouterChange, options))
    secret = values.pop("radius_secret", None)
    with at_tenant(settings, tenant_slug) as desk:
        changed = RouterOut.of(
            routers.change(desk.session, router_id, values, radius_secret=secret, keyring=desk.keyring, now=desk.now)
        )
    print_record(changed, as_json=as_json)


@router.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@pass_settings
def remove(settings: Settings, router_id: int, tenant_slug: str | None) -> None:
    """Treats its packets as a stranger's from now on. Its record stays."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.remove(desk.session, router_id, desk.now)
    click.echo(f"router {router_id} is removed")
