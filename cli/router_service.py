"""`kibali router` after a router was let in: what is on it, what it is to serve, deployments to it."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TextColumn
from sqlalchemy.orm import Session

from api.router_service import change_out, discovery_out
from api.schemas.base import validate
from api.schemas.router_service import DeploymentOut, ServiceConfigIn, ServiceConfigOut, StepOut
from cli.desk import Desk, at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, print_record
from cli.office import at_office, await_job
from cli.options import json_option, pass_settings
from cli.output import console, print_json, print_rows, progress_console
from db import router as routers
from db import router_deployment, router_discovery, router_service
from db.refusal import Invalid
from db.router_bootstrap import Site
from db.router_deployment import OPEN, RouterDeployment
from settings import Settings
from tasks import deployment_requests, router_preview

WITHIN_S = 600.0
"""How long a command waits for a job: longer than all its tries take."""
_EVERY_S = 0.25

router_id_argument = click.argument("router_id", metavar="ID", type=ID)
no_wait_option = click.option("--no-wait", is_flag=True, help="Do not wait for the end.")


@click.command()
@router_id_argument
@tenant_option
@pass_settings
def discover(settings: Settings, router_id: int, tenant_slug: str | None) -> None:
    """Looks at what the router has, and waits for it."""
    with at_office(settings, tenant_slug) as desk:
        job_id = deployment_requests.discover(desk.session, router_id).id
    await_job(settings, job_id, WITHIN_S)
    click.echo(f"router {router_id} was discovered: ./kibali router interfaces {router_id}")


@click.command()
@router_id_argument
@tenant_option
@json_option
@pass_settings
def interfaces(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """What was found on the router: interfaces, what runs there, and what will be in the way."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.by_id(desk.session, router_id)
        found = discovery_out(*router_discovery.of(desk.session, router_id)).model_dump(mode="json")
    if as_json:
        print_json(found)
        return
    rows = [
        {
            **each,
            "addresses": ", ".join(each["addresses"]),
            "lists": ", ".join(each["lists"]),
            "services": ", ".join(each["services"]),
        }
        for each in found["interfaces"]
    ]
    print_rows(rows, ("name", "type", "running", "bridge", "addresses", "lists", "services"), as_json=False)
    for finding in found["findings"]:
        console().print(
            f"{finding['severity']}: {finding['message']} {finding['remedy']}", markup=False, soft_wrap=True
        )


@click.command()
@router_id_argument
@tenant_option
@click.option("--hotspot", "hotspots", multiple=True, metavar="INTERFACE=NETWORK", help="May be given several times.")
@click.option(
    "--hotspot-as-is", "as_is", multiple=True, metavar="INTERFACE", help="With the router's own address and DHCP there."
)
@click.option("--pppoe", multiple=True, metavar="INTERFACE=NETWORK", help="May be given several times.")
@click.option("--portal-url", metavar="URL", help="Where hotspot customers log in and pay.")
@click.option("--walled-garden", multiple=True, metavar="HOST", help="Open before a login; several times.")
@click.option("--dns-server", "dns_servers", multiple=True, metavar="ADDRESS", help="May be given several times.")
@click.option("--wan-interface", metavar="NAME", help="The way out.")
@click.option("--expired-address-list", metavar="NAME", help="Of PPPoE customers whose time is over.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="All of it as JSON, instead of the options above.",
)
@json_option
@pass_settings
def configure(
    settings: Settings,
    /,
    router_id: int,
    tenant_slug: str | None,
    hotspots: Sequence[str],
    as_is: Sequence[str],
    pppoe: Sequence[str],
    portal_url: str | None,
    file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Says what the router is to serve. Deploy it afterwards."""
    portal = {"portal_url": portal_url} if portal_url else {}
    given = {
        "hotspots": [
            *({**_pair(each, "--hotspot"), **portal} for each in hotspots),
            *({"interface": each, "addressing": "router", **portal} for each in as_is),
        ],
        "pppoe": [_pair(each, "--pppoe") for each in pppoe],
        **{name: list(value) if isinstance(value, tuple) else value for name, value in options.items() if value},
    }
    body = _read(given if file is None else _json_of(file))
    config = body.model_dump(mode="json")
    with at_tenant(settings, tenant_slug) as desk:
        router = routers.in_service(desk.session, router_id)
        deployment_requests.check_config(desk.session, router, config)
        stored = ServiceConfigOut.of(router_service.put(desk.session, router, config, None))
    if as_json:
        print_record(stored, as_json=True)
    else:
        click.echo(f"version {stored.version}; see ./kibali router diff {router_id}, then ./kibali router deploy ID")


@click.command("service-config")
@router_id_argument
@tenant_option
@click.option("--version", type=click.IntRange(1), help="Default: the newest.")
@pass_settings
def show_config(settings: Settings, router_id: int, tenant_slug: str | None, version: int | None) -> None:
    """What the router is to serve, as JSON that `configure --file` takes."""
    with at_tenant(settings, tenant_slug) as desk:
        print_json(router_service.of(desk.session, router_id, version).config)


@click.command()
@router_id_argument
@tenant_option
@click.option("--version", type=click.IntRange(1), help="Default: the newest.")
@pass_settings
def script(settings: Settings, router_id: int, tenant_slug: str | None, version: int | None) -> None:
    """The configuration as a script for RouterOS, without secrets."""
    with at_tenant(settings, tenant_slug) as desk:
        click.echo(router_preview.script(desk.session, router_id, version, Site.of(settings)), nl=False)


@click.command()
@router_id_argument
@tenant_option
@click.option("--version", type=click.IntRange(1), help="Default: the newest.")
@json_option
@pass_settings
def diff(settings: Settings, router_id: int, tenant_slug: str | None, version: int | None, as_json: bool) -> None:
    """What a deployment would change, by what the router had when it was discovered."""
    with at_tenant(settings, tenant_slug) as desk:
        preview = router_preview.preview(desk.session, router_id, version, Site.of(settings))
        rows = [change_out(each).model_dump(mode="json") for each in preview.changes]
    if as_json:
        print_json(rows)
        return
    shown = [{**row, "before": _pairs(row["before"]), "after": _pairs(row["after"])} for row in rows]
    print_rows(shown, ("action", "menu", "name", "before", "after"), as_json=False, empty="nothing to change")
    for note in preview.by_hand:
        click.echo(note)


def asking(name: str, ask: Callable[[Session, int], RouterDeployment], text: str) -> click.Command:
    @click.command(name, help=text)
    @router_id_argument
    @tenant_option
    @no_wait_option
    @json_option
    @pass_settings
    def command(settings: Settings, router_id: int, tenant_slug: str | None, no_wait: bool, as_json: bool) -> None:
        with at_office(settings, tenant_slug) as desk:
            deployment_id = ask(desk.session, router_id).id
        done = follow(settings, tenant_slug, router_id, deployment_id, wait=not no_wait)
        print_record(done, as_json=as_json)

    return command


deploy = asking("deploy", deployment_requests.deploy, "Deploys the newest configuration, and shows how it goes.")
reprovision = asking(
    "reprovision", deployment_requests.reprovision, "Deploys once more what was deployed last, as of today."
)
undo = asking("undo", deployment_requests.undo, "Gives the router back what it had before the last deployment.")


@click.command()
@router_id_argument
@tenant_option
@json_option
@pass_settings
def deployments(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """Deployments to the router, the newest first."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.by_id(desk.session, router_id)
        found = router_deployment.newest(desk.session, router_id)
        rows = [DeploymentOut.of(each).model_dump(mode="json") for each in found]
    print_rows(rows, ("id", "kind", "state", "stage", "percent", "created_at", "error"), as_json=as_json)


@click.command()
@router_id_argument
@click.argument("deployment_id", metavar="DEPLOYMENT", type=ID)
@tenant_option
@json_option
@pass_settings
def deployment(settings: Settings, router_id: int, deployment_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """What a deployment did, sentence by sentence."""
    with at_tenant(settings, tenant_slug) as desk:
        found = router_deployment.by_id(desk.session, router_id, deployment_id)
        record = DeploymentOut.of(found).model_dump(mode="json")
        steps = [
            StepOut.of(each).model_dump(mode="json") for each in router_deployment.steps(desk.session, deployment_id)
        ]
    if as_json:
        print_json({**record, "steps": steps})
        return
    print_record(record, as_json=False)
    shown = [{**step, "name": " ".join(step["found_by"].values()), "after": _pairs(step["after"])} for step in steps]
    print_rows(shown, ("number", "state", "action", "menu", "name", "after"), as_json=False)


COMMANDS = (
    discover,
    interfaces,
    configure,
    show_config,
    script,
    diff,
    deploy,
    reprovision,
    undo,
    deployments,
    deployment,
)


def follow(
    settings: Settings, tenant_slug: str | None, router_id: int, deployment_id: int, *, wait: bool
) -> DeploymentOut:
    """Shows how a deployment goes until it ends. Raises Failure if it failed, or takes too long."""
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    bar = Progress(*columns, console=progress_console())
    deadline = time.monotonic() + WITHIN_S
    with at_tenant(settings, tenant_slug) as desk, bar:
        shown = bar.add_task("waiting", total=100)
        while True:
            found = _fresh(desk, router_id, deployment_id)
            bar.update(shown, completed=found.percent, description=found.stage or "waiting")
            if not wait or found.state not in OPEN:
                break
            if time.monotonic() > deadline:
                raise Failure(f"the deployment is still {found.state}. See ./kibali router deployments {router_id}.")
            time.sleep(_EVERY_S)
        record = DeploymentOut.of(found)
    if record.state == "failed":
        raise Failure(f"{record.error} See ./kibali router deployment {router_id} {deployment_id}")
    return record


def _fresh(desk: Desk, router_id: int, deployment_id: int) -> RouterDeployment:
    desk.session.expire_all()
    found = router_deployment.by_id(desk.session, router_id, deployment_id)
    desk.session.refresh(found)
    desk.session.commit()
    return found


def _pair(text: str, option: str) -> dict[str, str]:
    # An interface may have = in its name, a network has not.
    interface, equals, network = text.rpartition("=")
    if not equals:
        raise Failure(f"{option}: say it as ether3=10.5.50.0/24")
    return {"interface": interface, "network": network}


def _json_of(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise Failure(f"{file} is no JSON that can be read") from None


def _read(given: Any) -> ServiceConfigIn:
    try:
        return validate(ServiceConfigIn, given)
    except Invalid as invalid:
        raise Failure(f"{invalid.field}: {invalid.message}" if invalid.field else invalid.message) from None


def _pairs(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
