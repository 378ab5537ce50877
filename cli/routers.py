"""`kibali router`"""

from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.router import RouterChange, RouterCreate, RouterOut, RouterQuery
from cli import router_backups, router_imports, router_service
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from cli.router_tunnels import tunnel
from cli.router_watch import accept_certificate, history, live, probe, status
from db import router as routers
from db import router_bootstrap
from isp import credentials
from isp.router_script import Major
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
        created = router_bootstrap.create_router(
            desk.session,
            desk.tenant.id,
            values,
            tunnel=values.pop("tunnel"),
            radius_secret=secret,
            site=router_bootstrap.Site.of(settings),
            keyring=desk.keyring,
            now=desk.now,
        )
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


@router.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@click.option("--variant", type=click.Choice(["v6", "v7"]), default="v7", show_default=True, help="Of RouterOS.")
@click.option("--remove", is_flag=True, help="The script that takes away what the other did.")
@pass_settings
def bootstrap(settings: Settings, router_id: int, tenant_slug: str | None, variant: str, remove: bool) -> None:
    """Prints the script that lets Kibali in, to be pasted into the router's terminal. It holds secrets."""
    major: Major = 6 if variant == "v6" else 7
    with at_tenant(settings, tenant_slug) as desk:
        if remove:
            text = router_bootstrap.removal(desk.session, router_id, major)
        else:
            site = router_bootstrap.Site.of(settings)
            text = router_bootstrap.script(desk.session, router_id, major, site, desk.keyring)
    click.echo(text, nl=False)


for command in (
    tunnel,
    status,
    probe,
    live,
    history,
    accept_certificate,
    *router_service.COMMANDS,
    *router_imports.COMMANDS,
    *router_backups.COMMANDS,
):
    router.add_command(command)
