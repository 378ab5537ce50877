"""`kibali router tunnel`: routers behind carrier NAT, and the hub they dial."""

import os
from pathlib import Path

import click

from api.schemas.router import RouterOut, TunnelOut, TunnelQuery
from cli.desk import at_platform, at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, model_options, print_record, read_options
from cli.options import json_option, pass_settings
from cli.output import console, print_rows
from db import router as routers
from db import router_bootstrap, router_tunnel
from isp.encryption import Keyring
from isp.router_tunnel import KINDS, Kind, hub_address
from isp.tunnel_hub import Hub, files
from settings import Settings

COLUMNS = ("router_id", "name", "kind", "address", "created_at")


@click.group()
def tunnel() -> None:
    """Routers behind carrier NAT dial out to a hub; they are known by their address in the tunnel."""


@tunnel.command("set")
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@click.option("--kind", type=click.Choice(KINDS), required=True, help="wireguard for RouterOS 7; sstp or l2tp for 6.")
@json_option
@pass_settings
def set_tunnel(settings: Settings, router_id: int, tenant_slug: str | None, kind: Kind, as_json: bool) -> None:
    """Gives a router a tunnel. Then: `hub`, and paste its bootstrap script again."""
    site = router_bootstrap.Site.of(settings)
    with at_tenant(settings, tenant_slug) as desk:
        made = TunnelOut.of(router_bootstrap.give_tunnel(desk.session, router_id, kind, site, desk.keyring))
    print_record(made, as_json=as_json)


@tunnel.command()
@click.argument("router_id", metavar="ID", type=ID)
@tenant_option
@model_options(TunnelQuery)
@json_option
@pass_settings
def remove(settings: Settings, router_id: int, tenant_slug: str | None, nas_address: str | None, as_json: bool) -> None:
    """Takes the tunnel away: the router is reached at --nas-address."""
    query = read_options(TunnelQuery, {"nas_address": nas_address})
    with at_tenant(settings, tenant_slug) as desk:
        changed = RouterOut.of(router_bootstrap.take_tunnel(desk.session, router_id, query.nas_address))
    print_record(changed, as_json=as_json)


@tunnel.command("list")
@tenant_option
@json_option
@pass_settings
def list_tunnels(settings: Settings, tenant_slug: str | None, as_json: bool) -> None:
    """The tunnels of a tenant's routers."""
    with at_tenant(settings, tenant_slug) as desk:
        rows = [
            {
                "router_id": each.router_id,
                "name": routers.by_id(desk.session, each.router_id).name,
                **TunnelOut.of(each).model_dump(mode="json"),
            }
            for each in router_tunnel.all_tunnels(desk.session)
        ]
    print_rows(rows, COLUMNS, as_json=as_json)


@tunnel.command()
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), help="Default: tunnel in KIBALI_VAR.")
@json_option
@pass_settings
def hub(settings: Settings, directory: Path | None, as_json: bool) -> None:
    """Writes the hub's configuration, for the routers of all tenants; does nothing where it is current.

    kibali0.conf is for WireGuard, xl2tpd.conf, options.l2tp and l2tp-secrets for L2TP, accel-ppp.conf and sstp-secrets
    for SSTP. docs/routers.md says where they go.
    """
    directory = (directory or settings.var / "tunnel").absolute()
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    with at_platform(settings) as session:
        described = Hub(
            address=hub_address(settings.tunnel_network),
            wireguard_port=settings.wireguard_port,
            wireguard_private_key=router_tunnel.hub_private_key(session, keyring),
            sstp_port=settings.sstp_port,
            certificate_file=settings.sstp_certificate or str(directory / "hub.pem"),
            secrets_directory=str(directory),
        )
        far = router_tunnel.all_far(session, keyring)
    try:
        written = [name for name, content in files(described, far).items() if _write(directory / name, content)]
    except OSError as error:
        raise Failure(f"cannot write into {directory}: {error.strerror}") from None
    if as_json:
        print_record({"directory": str(directory), "routers": len(far), "changed": written}, as_json=True)
        return
    said = f"{', '.join(written)} changed" if written else "nothing changed"
    console().print(f"{directory}: {len(far)} routers, {said}", markup=False, soft_wrap=True)


def _write(path: Path, content: str) -> bool:
    """Whole or not at all, for its owner alone; False if it is there already."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.read_text("utf-8") == content:
        return False
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return True
