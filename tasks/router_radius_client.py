"""How a router is to ask us, from its row, its tunnel and our settings: what its bootstrap script told it."""

from ipaddress import IPv4Address

from sqlalchemy.orm import Session

from db import router as routers
from db import router_tunnel
from db.router import Router
from db.router_bootstrap import Site
from isp.encryption import Keyring
from isp.router_tunnel import hub_address
from isp.router_wanted import RadiusClient
from settings import Settings


def radius_client(session: Session, router: Router, settings: Settings, keyring: Keyring) -> RadiusClient:
    """Raises EncryptionError."""
    return client_at(session, router, Site.of(settings), routers.radius_secret(router, keyring))


def client_at(session: Session, router: Router, site: Site, secret: str) -> RadiusClient:
    """Without KIBALI_SERVER_ADDRESSES the address stays that which the router knows."""
    tunnel = router_tunnel.of(session, router.id)
    hub = hub_address(site.tunnel_network)
    ours = (hub,) if tunnel else site.server_addresses
    return RadiusClient(
        secret=secret,
        address=ours[0] if ours else None,
        server_addresses=ours,
        src_address=IPv4Address(str(tunnel.address)) if tunnel else None,
        authentication_port=site.authentication_port,
        accounting_port=site.accounting_port,
        coa_port=router.coa_port,
    )
