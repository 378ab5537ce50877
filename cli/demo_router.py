"""`kibali demo router`: a router from its box to a customer's login, with a fake router and all else real."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from secrets import randbelow, token_hex
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.router_service import discovery_out
from cli.demo_screen import Screen, shown
from cli.desk import at_tenant
from cli.failure import Failure
from cli.fake_process import fake_process
from cli.first_run import SAMPLE_MAC, TENANT, SampleLogin, sample_login
from cli.instance import lock
from cli.instance.readiness import NotReady, freeradius, heartbeat, reachable_at
from cli.nas import Nas, NoAnswer
from cli.office import at_office, await_job
from cli.options import pass_settings
from cli.router_service import follow
from db import event, router_bootstrap, router_deployment, router_discovery, router_service
from db import router as routers
from db.router import Router
from isp import credentials
from isp.router_script import Major
from settings import Settings
from tasks import deployment_requests, router_preview, routeros
from tasks.router_access import target_of
from tasks.routeros_errors import RouterError
from tasks.routeros_facts import read_facts

NAME = "Demo: a fake router"
SERVER = IPv4Address("127.0.0.1")
CONFIG: dict[str, Any] = {
    "hotspots": [{"interface": "bridge", "addressing": "router", "portal_url": "https://wifi.example.com/portal"}],
    "pppoe": [{"interface": "bridge", "network": "10.64.0.0/22"}],
    "dns_servers": ["192.0.2.53"],
    "wan_interface": "ether1",
    "walled_garden": ["pay.example.com"],
}


@click.command()
@click.option("--version", default="7.16", show_default=True, help="Of RouterOS: 6.49, 7.12, 7.16 or 7.21.")
@pass_settings
def router(settings: Settings, version: str) -> None:
    """Set up a fake router in five stages, and let the sample subscriber log in through it.

    The router is a fake that this command starts and stops; everything else is real. What Kibali knew of it is removed.
    """
    sample = _ready_sample(settings)
    held = lock.take(settings.var / "demo-router.lock")
    if held is None:
        raise Failure("another `./kibali demo router` is at work. Wait until it is done.")
    screen = Screen()
    with held, _known_router(settings) as (router_id, nas_address, secret):
        script = _bootstrap(settings, router_id, 6 if version.startswith("6") else 7)
        _show_bootstrap(screen, script)
        arguments = ("--version", version, "--port", "0", "--paste")
        with fake_process("routeros", "the fake router", *arguments, told=script) as line:
            _tell_ports(settings, router_id, line)
            _probe(settings, screen, router_id)
            _discover(settings, screen, router_id)
            _configure(settings, screen, router_id)
            _deploy(settings, screen, router_id)
            _log_in(settings, screen, sample, nas_address, secret)
    screen.console.print("\n   The fake router is gone, and so is what Kibali knew of it.", style="bold")


def _ready_sample(settings: Settings) -> SampleLogin:
    for name, probe in (("worker-provisioning", heartbeat), ("freeradius", freeradius)):
        try:
            probe(settings, name, 0)
        except NotReady as error:
            raise Failure(f"{name} is not ready ({error}). Start Kibali with ./kibali up.") from None
    sample = sample_login(settings)
    if sample is None:
        raise Failure("the sample subscriber is gone, so there is nothing to show. It comes with an empty database.")
    return sample


@contextmanager
def _known_router(settings: Settings) -> Iterator[tuple[int, str, str]]:
    """Its id, address and RADIUS secret. It is removed at the end; one that a killed demo left, at the beginning."""
    # Each time another: FreeRADIUS remembers for a while which secret an address had.
    nas_address = f"127.77.{randbelow(256)}.{1 + randbelow(254)}"
    secret = credentials.new_radius_secret()
    with at_tenant(settings, TENANT) as desk:
        _remove(desk.session, desk.now)
        values = {"name": NAME, "nas_address": nas_address, "api_address": str(SERVER)}
        made = routers.create(desk.session, desk.tenant.id, values, radius_secret=secret, keyring=desk.keyring)
        router_id = made.id
    try:
        yield router_id, nas_address, secret
    finally:
        with at_tenant(settings, TENANT) as desk:
            _remove(desk.session, desk.now)


def _remove(session: Session, now: Any) -> None:
    for left in session.scalars(select(Router).where(Router.name == NAME, Router.removed_at.is_(None))):
        routers.remove(session, left.id, now)


def _bootstrap(settings: Settings, router_id: int, major: Major) -> str:
    site = replace(router_bootstrap.Site.of(settings), server_addresses=(SERVER,))
    with at_tenant(settings, TENANT) as desk:
        return router_bootstrap.script(desk.session, router_id, major, site, desk.keyring)


def _show_bootstrap(screen: Screen, script: str) -> None:
    screen.step("Create: a router row with a password and a RADIUS secret of its own, and a script to paste")
    for line in script.splitlines()[:6]:
        screen.note(re.sub(r'(password|secret)="[^"]*"', r'\1="…"', line)[:150])
    screen.note(f"… {len(script.splitlines())} lines")


def _tell_ports(settings: Settings, router_id: int, line: str) -> None:
    found = re.search(r"api 127\.0\.0\.1:(\d+) +api-ssl 127\.0\.0\.1:(\d+)", line)
    if found is None:
        raise Failure(f"the fake router said {line.strip()!r}, which makes no sense.")
    ports = {"api_port": int(found[1]), "api_ssl_port": int(found[2])}
    with at_tenant(settings, TENANT) as desk:
        routers.change(desk.session, router_id, ports, radius_secret=None, keyring=desk.keyring, now=desk.now)


def _probe(settings: Settings, screen: Screen, router_id: int) -> None:
    screen.step("Probe: a new router is started, the script is pasted into it, and Kibali gets in")
    with at_tenant(settings, TENANT) as desk:
        known = routers.by_id(desk.session, router_id)
        try:
            with routeros.connect(target_of(known, desk.keyring)) as connection:
                facts = connection.run(read_facts(known.name))
        except RouterError as error:
            raise Failure(str(error)) from None
        told = {
            "identity": facts.identity,
            "version": str(facts.version),
            "model": facts.model,
            "serial": facts.serial_number,
            "certificate": (connection.certificate_sha256 or "")[:16] + "…",
        }
    screen.note(shown(told))


def _discover(settings: Settings, screen: Screen, router_id: int) -> None:
    screen.step("Discover: what it has")
    with at_office(settings, TENANT) as desk:
        job_id = deployment_requests.discover(desk.session, router_id).id
    await_job(settings, job_id)
    with at_tenant(settings, TENANT) as desk:
        found = discovery_out(*router_discovery.of(desk.session, router_id))
    for interface in found.interfaces:
        told = [interface.type, *interface.addresses, *interface.services]
        told += [f"port of {interface.bridge}"] if interface.bridge else []
        screen.note(f"{interface.name}: {', '.join(told)}")


def _configure(settings: Settings, screen: Screen, router_id: int) -> None:
    screen.step("Configure: a hotspot and PPPoE on its bridge")
    screen.note(json.dumps(CONFIG))
    with at_tenant(settings, TENANT) as desk:
        known = routers.in_service(desk.session, router_id)
        deployment_requests.check_config(desk.session, known, CONFIG)
        version = router_service.put(desk.session, known, CONFIG, None).version
        site = router_bootstrap.Site.of(settings)
        changes = router_preview.preview(desk.session, router_id, version, site).changes
    for change in changes:
        screen.note(f"{change.action:6} {change.name}")


def _deploy(settings: Settings, screen: Screen, router_id: int) -> None:
    screen.step("Deploy: a job, sentence by sentence, each in a journal with what undoes it")
    with at_office(settings, TENANT) as desk:
        deployment_id = deployment_requests.deploy(desk.session, router_id).id
    done = follow(settings, TENANT, router_id, deployment_id, wait=True)
    with at_tenant(settings, TENANT) as desk:
        told = desk.session.scalars(
            select(event.Event.data)
            .where(event.Event.router_id == router_id, event.Event.type == "router.progress")
            .order_by(event.Event.id)
        ).all()
        applied = router_deployment.summary(desk.session, deployment_id)["applied"]
        status = routers.by_id(desk.session, router_id).status
    for stage in told:
        screen.note(f"{stage['percent']:3} %  {stage['stage']}")
    screen.note(f"{len(applied)} sentences applied; the router is {status}; RADIUS: {done.radius}")
    for note in done.notes:
        screen.note(note)


def _log_in(settings: Settings, screen: Screen, sample: SampleLogin, nas_address: str, secret: str) -> None:
    screen.step("The first customer: a login through this router, with its own secret, from its own address")
    nas = Nas(
        reachable_at(settings.radius_bind),
        settings.radius_auth_port,
        settings.radius_acct_port,
        secret,
        source=nas_address,
    )
    try:
        answer = nas.login(sample.username, sample.password, "pap", mac=SAMPLE_MAC)
        screen.exchange("Access-Request", answer)
        if answer.code != "Access-Accept":
            raise Failure(f"that was not the answer to expect: {answer.attributes.get('Reply-Message', answer.code)}")
        session = {
            "User-Name": sample.username,
            "Calling-Station-Id": SAMPLE_MAC,
            "NAS-Port-Id": "bridge",
            "Class": answer.attributes["Class"],
        }
        acct_session_id = f"80{token_hex(3)}"
        screen.exchange("Start", nas.account("Start", acct_session_id, session))
        over = {**session, "Acct-Session-Time": 0, "Acct-Terminate-Cause": "User-Request"}
        screen.exchange("Stop", nas.account("Stop", acct_session_id, over))
    except NoAnswer as error:
        raise Failure(f"{error}. Is FreeRADIUS running? See `./kibali status`.") from None
