"""`kibali router status|probe|live|history|accept-certificate`: how routers do."""

import time
from datetime import timedelta
from typing import Any

import click

from api.schemas.router import RouterLiveOut, RouterOut, RouterPeriodOut, RouterStatusOut
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, print_record
from cli.lists import printable
from cli.options import json_option, pass_settings
from cli.output import console, print_rows
from db import router as routers
from db import router_history, router_life
from db.router_state import RouterState
from isp.watch_plan import PROBE_TRIES
from settings import Settings

_LOOK_EVERY_S = 1.0
_INTERFACES = ("name", "type", "running", "rx_bytes", "tx_bytes")
_HISTORY = (
    "began_at",
    "readings",
    "failures",
    "cpu_load_percent",
    "hotspot_sessions",
    "ppp_sessions",
    *_INTERFACES[3:],
)


@click.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def status(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """How a router is, and what to do if something is wrong."""
    print_record(_status(settings, router_id, tenant_slug), as_json=as_json)


@click.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@click.option("--wait/--no-wait", default=True, show_default=True, help="Show what comes of it.")
@json_option
@pass_settings
def probe(settings: Settings, router_id: int, tenant_slug: str | None, wait: bool, as_json: bool) -> None:
    """Has a router probed anew: each 10 s, up to 60 times, until it answers."""
    with at_tenant(settings, tenant_slug) as desk:
        router_life.begin_probing(desk.session, router_id, desk.now)
    shown: Any = None
    now = _status(settings, router_id, tenant_slug)
    while wait and now.probe_due_at is not None:
        if not as_json and (now.probe_tries, now.status_reason) != shown:
            shown = (now.probe_tries, now.status_reason)
            said = f"try {now.probe_tries} of {PROBE_TRIES}: {now.status_reason}" if now.probe_tries else "probing …"
            console().print(said, markup=False, soft_wrap=True)
        time.sleep(_LOOK_EVERY_S)
        now = _status(settings, router_id, tenant_slug)
    print_record(now, as_json=as_json)
    if wait and now.status == "connection_failed":
        raise Failure(now.status_reason or "The router was not reached.")


@click.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def live(settings: Settings, router_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """What was read of a router last: load, memory, sessions, traffic."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.by_id(desk.session, router_id)
        found = RouterLiveOut.of(desk.session.get_one(RouterState, router_id))
    if as_json:
        print_record(found, as_json=True)
        return
    if found.read_at is None:
        raise Failure(f"Nothing was read of router {router_id} yet: ./kibali router status {router_id}")
    values = found.model_dump(mode="json")
    interfaces = values.pop("interfaces") or []
    print_record(values, as_json=False)
    print_rows(interfaces, _INTERFACES, as_json=False)


@click.command()
@click.argument("router_id", metavar="ID", type=ID)
@click.option("--hours", type=click.IntRange(1, 9600), default=24, show_default=True, help="The last so many.")
@click.option("--period", type=click.Choice(["300", "3600"]), default="3600", show_default=True, help="In seconds.")
@tenant_option
@json_option
@pass_settings
def history(
    settings: Settings, /, router_id: int, hours: int, period: str, tenant_slug: str | None, as_json: bool
) -> None:
    """What a router did over time, the oldest first."""
    with at_tenant(settings, tenant_slug) as desk:
        routers.by_id(desk.session, router_id)
        since = desk.now - timedelta(hours=hours)
        found = router_history.of(desk.session, router_id, int(period), since, limit=10_000)
        rows = [printable(RouterPeriodOut.of(row), as_json=as_json) for row in found]
    print_rows(rows, _HISTORY, as_json=as_json)


@click.command("accept-certificate")
@click.argument("router_id", metavar="ID", type=ID)
@click.argument("sha256")
@tenant_option
@json_option
@pass_settings
def accept_certificate(settings: Settings, router_id: int, sha256: str, tenant_slug: str | None, as_json: bool) -> None:
    """Accepts the other certificate that a router offers, SHA256, after it was reset or got a new one.

    Compare it with what the router itself prints when the bootstrap script is pasted again.
    """
    with at_tenant(settings, tenant_slug) as desk:
        digits = sha256.replace(":", "").lower()
        changed = RouterOut.of(router_life.accept_certificate(desk.session, router_id, digits, desk.now))
        router_life.begin_probing(desk.session, router_id, desk.now)
    print_record(changed, as_json=as_json)


def _status(settings: Settings, router_id: int, tenant_slug: str | None) -> RouterStatusOut:
    with at_tenant(settings, tenant_slug) as desk:
        router = routers.by_id(desk.session, router_id)
        return RouterStatusOut.of_both(router, desk.session.get_one(RouterState, router_id))
