"""`kibali router backup`: configurations of routers, version by version, and what changed."""

import click

from api.router_backups import backups_out, compared_out
from cli.desk import at_tenant, tenant_option
from cli.fields import ID
from cli.office import at_office, await_job
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from cli.router_service import WITHIN_S, router_id_argument
from db import router as routers
from db import router_backup
from db.router_state import RouterState
from settings import Settings
from tasks import router_backups

_COLUMNS = ("number", "taken_at", "confirmed_at", "routeros_version", "lines")


@click.group()
def backup() -> None:
    """Configurations of routers, without passwords: kept each day where something changed."""


@backup.command("now")
@router_id_argument
@tenant_option
@pass_settings
def now_(settings: Settings, router_id: int, tenant_slug: str | None) -> None:
    """Reads a router's configuration now."""
    with at_office(settings, tenant_slug) as desk:
        job_id = router_backups.request(desk.session, router_id).id
    await_job(settings, job_id, WITHIN_S)
    with at_tenant(settings, tenant_slug) as desk:
        found = router_backup.version(desk.session, router_id, None)
        is_new = found.taken_at == found.confirmed_at
        said = "a new version" if is_new else "nothing changed since"
        click.echo(f"router {router_id}: {said}, number {found.number}, {found.lines} lines")


@backup.command("list")
@router_id_argument
@tenant_option
@json_option
@pass_settings
def list_(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """The versions of a router's configuration, the newest first."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.by_id(desk.session, router_id)
        state = desk.session.get_one(RouterState, router_id)
        found = backups_out(state, router_backup.versions(desk.session, router_id)).model_dump(mode="json")
    if as_json:
        print_json(found)
        return
    print_rows(found["items"], _COLUMNS, as_json=False, empty="no backups yet")
    if found["error"]:
        click.echo(f"The last reading came to nothing: {found['error']}")


@backup.command()
@router_id_argument
@click.argument("number", type=ID, required=False)
@tenant_option
@pass_settings
def show(settings: Settings, router_id: int, number: int | None, tenant_slug: str | None) -> None:
    """A version, or the newest, as lines that RouterOS takes."""
    with at_tenant(settings, tenant_slug) as desk:
        click.echo(router_backup.read(desk.session, router_id, number, desk.keyring), nl=False)


@backup.command()
@router_id_argument
@click.argument("number", type=ID, required=False)
@click.option("--against", type=ID, help="The version to compare with, in place of the one before.")
@tenant_option
@json_option
@pass_settings
def diff(
    settings: Settings, router_id: int, number: int | None, against: int | None, tenant_slug: str | None, as_json: bool
) -> None:
    """What changed from the version before to this one, or to the newest."""
    with at_tenant(settings, tenant_slug) as desk:
        compared = router_backup.read_comparison(desk.session, router_id, number, against, desk.keyring)
    if as_json:
        print_json(compared_out(compared).model_dump(mode="json"))
        return
    click.echo(f"{compared.old or 'nothing'} → {compared.new}")
    for each in compared.lines:
        click.echo(f"{each.sign} {each.line}")


COMMANDS = (backup,)
