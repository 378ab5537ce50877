"""What a new router is told: its bootstrap script, made of its row, its tunnel and our own addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any, cast

from sqlalchemy.orm import Session

from db import audit, router_life, router_tunnel
from db import router as routers
from db.refusal import Conflict, Invalid
from db.router import Router
from db.router_tunnel import RouterTunnel
from isp.encryption import Keyring
from isp.router_script import Bootstrap, Major, bootstrap_script, removal_script
from isp.router_tunnel import L2TP_PORT, Kind, Tunnel, hub_address
from settings import Settings


@dataclass(frozen=True, slots=True)
class Site:
    """Where we are, as routers see us."""

    server_addresses: tuple[IPv4Address, ...]
    authentication_port: int
    accounting_port: int
    tunnel_network: IPv4Network
    tunnel_endpoint: str
    wireguard_port: int
    sstp_port: int

    @classmethod
    def of(cls, settings: Settings) -> "Site":
        return cls(
            server_addresses=tuple(settings.server_addresses),
            authentication_port=settings.radius_auth_port,
            accounting_port=settings.radius_acct_port,
            tunnel_network=settings.tunnel_network,
            tunnel_endpoint=settings.tunnel_endpoint,
            wireguard_port=settings.wireguard_port,
            sstp_port=settings.sstp_port,
        )

    @property
    def endpoint(self) -> str:
        """What a router dials. Raises Conflict."""
        if self.tunnel_endpoint:
            return self.tunnel_endpoint
        return str(self.first_address("KIBALI_TUNNEL_ENDPOINT or KIBALI_SERVER_ADDRESSES"))

    def first_address(self, setting: str = "KIBALI_SERVER_ADDRESSES") -> IPv4Address:
        """Raises Conflict."""
        if not self.server_addresses:
            raise Conflict(
                f"Set {setting} first: the router must be told where this machine is.", code="no_server_address"
            )
        return self.server_addresses[0]

    def port(self, kind: Kind) -> int:
        return {"wireguard": self.wireguard_port, "sstp": self.sstp_port, "l2tp": L2TP_PORT}[kind]


def create_router(
    session: Session,
    tenant_id: int,
    values: Mapping[str, Any],
    *,
    tunnel: Kind | None,
    radius_secret: str,
    site: Site,
    keyring: Keyring,
    now: datetime,
) -> Router:
    """One that is reached at `nas_address` of `values`, or through a tunnel of its own; it is probed from now on.

    Raises Invalid, Conflict.
    """
    values = dict(values)
    if (values.get("nas_address") is None) == (tunnel is None):
        raise Invalid("Say either its address or the kind of its tunnel.", field="nas_address", code="missing")
    if tunnel is not None:
        _ = site.endpoint
        values["nas_address"] = router_tunnel.free_address(session, site.tunnel_network)
    router = routers.create(session, tenant_id, values, radius_secret=radius_secret, keyring=keyring)
    if tunnel is not None:
        router_tunnel.create(session, tenant_id, router.id, tunnel, values["nas_address"], keyring)
    router_life.begin_probing(session, router.id, now)
    return router


def script(session: Session, router_id: int, major: Major, site: Site, keyring: Keyring) -> str:
    """For RouterOS 6 or 7; a router that has no password of ours gets one. It holds secrets: the audit log
    has who got it. Raises NotFound, Conflict.
    """
    router = routers.in_service(session, router_id)
    if router.api_password_sealed is None:
        routers.renew_api_password(router, keyring)
        session.flush()
    tunnel = _tunnel(session, router, site, keyring)
    if tunnel is not None and tunnel.kind == "wireguard" and major < 7:
        raise Conflict("RouterOS 6 has no WireGuard: give the router a tunnel of kind sstp or l2tp.", code="tunnel")
    password = routers.api_password(router, keyring)
    assert password is not None
    ours = (tunnel.hub_address,) if tunnel else site.server_addresses
    bootstrap = Bootstrap(
        username=router.api_username,
        password=password,
        server_addresses=ours,
        radius_address=tunnel.hub_address if tunnel else site.first_address(),
        radius_secret=routers.radius_secret(router, keyring),
        identity=router.name,
        radius_src_address=tunnel.address if tunnel else None,
        authentication_port=site.authentication_port,
        accounting_port=site.accounting_port,
        coa_port=router.coa_port,
        api_port=router.api_port,
        api_ssl_port=router.api_ssl_port,
        tunnel=tunnel,
    )
    audit.note(session, "router", router.id)
    return bootstrap_script(bootstrap, major)


def removal(session: Session, router_id: int, major: Major) -> str:
    """The script that takes away what the other did. Raises NotFound."""
    router = routers.by_id(session, router_id)
    tunnel = router_tunnel.of(session, router_id)
    return removal_script(router.api_username, major, cast(Kind, tunnel.kind) if tunnel else None)


def give_tunnel(session: Session, router_id: int, kind: Kind, site: Site, keyring: Keyring) -> RouterTunnel:
    """From now on the router is known by an address of the tunnels; one it has, of the same kind, stays as it is.

    Raises NotFound, Conflict.
    """
    router = routers.in_service(session, router_id)
    _ = site.endpoint
    known = router_tunnel.of(session, router_id)
    if known is not None and known.kind == kind:
        return known
    if known is not None:
        address = str(known.address)
        router_tunnel.remove(session, known)
    else:
        address = router_tunnel.free_address(session, site.tunnel_network)
    made = router_tunnel.create(session, router.tenant_id, router.id, kind, address, keyring)
    router.nas_address, router.api_address = address, None
    session.flush()
    return made


def take_tunnel(session: Session, router_id: int, nas_address: str) -> Router:
    """From now on the router is known by `nas_address`, without a tunnel. Raises NotFound, Conflict."""
    router = routers.in_service(session, router_id)
    tunnel = router_tunnel.of(session, router_id)
    if tunnel is None:
        raise Conflict("It has no tunnel.", code="tunnel")
    router_tunnel.remove(session, tunnel)
    router.nas_address = nas_address
    session.flush()
    return router


def _tunnel(session: Session, router: Router, site: Site, keyring: Keyring) -> Tunnel | None:
    row = router_tunnel.of(session, router.id)
    if row is None:
        return None
    kind = cast(Kind, row.kind)
    secrets = router_tunnel.secrets(session, row, keyring)
    return Tunnel(
        kind=kind,
        address=IPv4Address(str(row.address)),
        hub_address=hub_address(site.tunnel_network),
        endpoint=site.endpoint,
        port=site.port(kind),
        username=router_tunnel.username(router.id),
        secret=secrets.own,
        hub_public_key=secrets.hub_public_key,
    )
