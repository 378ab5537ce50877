"""`kibali router import` and what follows it."""

from collections.abc import Sequence

import click

from api.schemas.router_import import ImportOut, ImportRowOut, PoolOut
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID
from cli.lists import printable
from cli.office import at_office, await_job
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from cli.router_service import WITHIN_S, asking, router_id_argument
from db import router as routers
from db import router_import as imports
from settings import Settings
from tasks import deployment_requests
from tasks import imports as import_jobs


@click.command("import")
@router_id_argument
@tenant_option
@click.option("--dry-run/--no-dry-run", default=True, show_default=True, help="Only say what it would do.")
@click.option("--plan", "plans", multiple=True, metavar="PROFILE=PLAN_ID", help="Which plan a profile is: ppp/10M=3.")
@click.option("--confirm", multiple=True, metavar="PROFILE", help="Make the plan guessed of this profile.")
@click.option("--confirm-all", is_flag=True, help="Make all plans that were guessed.")
@json_option
@pass_settings
def import_(
    settings: Settings,
    /,
    router_id: int,
    tenant_slug: str | None,
    dry_run: bool,
    plans: Sequence[str],
    confirm: Sequence[str],
    confirm_all: bool,
    as_json: bool,
) -> None:
    """Takes over pools and accounts of a running router; may be run again, and takes nothing twice."""
    confirmed: dict[str, object] = {"all": True} if confirm_all else {"profiles": list(confirm)}
    with at_office(settings, tenant_slug) as desk:
        asked, job = import_jobs.request(
            desk.session, router_id, dry_run=dry_run, plans=dict(map(_plan, plans)), confirmed=confirmed
        )
        import_id, job_id = asked.id, job.id
    await_job(settings, job_id, WITHIN_S)
    _show(settings, router_id, import_id, tenant_slug, as_json=as_json)


@click.command("import-report")
@router_id_argument
@click.argument("import_id", metavar="IMPORT", type=ID)
@tenant_option
@json_option
@pass_settings
def import_report(settings: Settings, router_id: int, import_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """What an import did, or would do: how many, which, and why not."""
    _show(settings, router_id, import_id, tenant_slug, as_json=as_json)


@click.command()
@router_id_argument
@tenant_option
@json_option
@pass_settings
def pools(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """The router's pools that were imported."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.by_id(desk.session, router_id)
        rows = [printable(PoolOut.of(pool), as_json=as_json) for pool in imports.pools(desk.session, router_id)]
    print_rows(rows, tuple(PoolOut.model_fields), as_json=as_json)


def _show(settings: Settings, router_id: int, import_id: int, tenant_slug: str | None, *, as_json: bool) -> None:
    with at_tenant(settings, tenant_slug) as desk:
        done = ImportOut.of(imports.by_id(desk.session, router_id, import_id)).model_dump(mode="json")
        rows = [ImportRowOut.of(row).model_dump(mode="json") for row in imports.rows(desk.session, import_id)]
    if as_json:
        print_json({**done, "items": rows})
        return
    profiles = [{"profile": key, **told, "guess": _guess(told["guess"])} for key, told in done["profiles"].items()]
    print_rows(profiles, ("profile", "accounts", "plan_id", "guess", "reason"), as_json=False, empty="no accounts")
    failed = [row for row in rows if row["outcome"] == "failed"]
    print_rows(failed, ("kind", "name", "reason"), as_json=False, empty="nothing failed")
    for kind, counts in done["counts"].items():
        click.echo(f"{kind}: {', '.join(f'{number} {outcome}' for outcome, number in counts.items())}")


disable_accounts = asking(
    "disable-accounts",
    deployment_requests.disable_accounts,
    "Disables the router's own accounts that Kibali knows, so that RADIUS decides.",
)
enable_accounts = asking(
    "enable-accounts", deployment_requests.enable_accounts, "Gives the router back its own accounts."
)

COMMANDS = (import_, import_report, pools, disable_accounts, enable_accounts)


def _plan(text: str) -> tuple[str, int]:
    profile, _, plan_id = text.rpartition("=")
    if not profile or not (plan_id.isascii() and plan_id.isdigit()):
        raise Failure("--plan: say it as ppp/10M=3")
    return profile, int(plan_id[:18])


def _guess(guess: dict[str, object]) -> str:
    return f"{guess['upload_kbps']}k/{guess['download_kbps']}k" if guess else ""
