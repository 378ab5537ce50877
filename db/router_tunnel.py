"""Tunnels of routers behind carrier NAT, and the hub they dial. Addresses are told apart in all tenants together."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, SmallInteger, select, text
from sqlalchemy.dialects.postgresql import INET, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Sealed, String, TenantId
from db.refusal import Conflict
from isp import credentials, wireguard_keys
from isp.encryption import Keyring
from isp.router_tunnel import KINDS, Kind
from isp.tunnel_hub import Far


class RouterTunnel(Base):
    __tablename__ = "router_tunnel"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        Index("router_tunnel_address_key", "address", unique=True),
        CheckConstraint(f"kind IN {KINDS}", name="kind"),
        CheckConstraint("masklen(address) = 32 AND family(address) = 4", name="address"),
    )

    router_id: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[TenantId]
    kind: Mapped[String]
    address: Mapped[IPv4Address | IPv6Address] = mapped_column(INET)
    secret_sealed: Mapped[Sealed]
    """Sealed for `router_tunnel.secret:<router_id>`: of WireGuard the router's private key, else its password."""
    created_at: Mapped[CreatedAt]


class TunnelHub(Base):
    """One row."""

    __tablename__ = "tunnel_hub"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    public_key: Mapped[String]
    private_key_sealed: Mapped[Sealed]
    """Sealed for `tunnel_hub.private_key`."""
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Secrets:
    """Of one router's tunnel, in clear."""

    own: str
    hub_public_key: str
    """Empty but for WireGuard."""


def username(router_id: int) -> str:
    """Of SSTP and L2TP."""
    return f"kibali-{router_id}"


def free_address(session: Session, network: IPv4Network) -> str:
    """The lowest that no router has. Nobody else gets it before the transaction ends. Raises Conflict."""
    found = session.scalar(text("SELECT host(free_tunnel_address(:network))"), {"network": str(network)})
    if found is None:
        raise Conflict(f"All addresses of KIBALI_TUNNEL_NETWORK ({network}) are taken.", code="no_address")
    return str(found)


def of(session: Session, router_id: int) -> RouterTunnel | None:
    return session.get(RouterTunnel, router_id)


def create(
    session: Session, tenant_id: int, router_id: int, kind: Kind, address: str, keyring: Keyring
) -> RouterTunnel:
    """Raises Conflict where there is no hub for it yet."""
    if kind == "wireguard":
        _hub_public_key(session)
        secret = wireguard_keys.generate().private
    else:
        secret = credentials.new_router_password()
    made = RouterTunnel(
        tenant_id=tenant_id,
        router_id=router_id,
        kind=kind,
        address=address,
        secret_sealed=keyring.seal(secret, f"router_tunnel.secret:{router_id}"),
    )
    session.add(made)
    session.flush()
    return made


def remove(session: Session, tunnel: RouterTunnel) -> None:
    session.delete(tunnel)
    session.flush()


def all_tunnels(session: Session) -> Sequence[RouterTunnel]:
    return session.scalars(select(RouterTunnel).order_by(RouterTunnel.address)).all()


def secrets(session: Session, tunnel: RouterTunnel, keyring: Keyring) -> Secrets:
    """Raises EncryptionError."""
    own = keyring.open(tunnel.secret_sealed, f"router_tunnel.secret:{tunnel.router_id}")
    return Secrets(own, _hub_public_key(session) if tunnel.kind == "wireguard" else "")


def hub_private_key(session: Session, keyring: Keyring) -> str:
    """It is made when it is asked for the first time. Needs the platform's role. Raises EncryptionError."""
    made = wireguard_keys.generate()
    values = {
        "id": 1,
        "public_key": made.public,
        "private_key_sealed": keyring.seal(made.private, "tunnel_hub.private_key"),
    }
    session.execute(insert(TunnelHub).values(values).on_conflict_do_nothing())
    hub = session.get_one(TunnelHub, 1)
    return keyring.open(hub.private_key_sealed, "tunnel_hub.private_key")


_FAR = text("""
SELECT t.router_id, t.kind, host(t.address) AS address, t.secret_sealed, n.slug || ': ' || r.name AS label
  FROM router_tunnel t JOIN router r ON r.id = t.router_id JOIN tenant n ON n.id = t.tenant_id
 ORDER BY t.address
""")


def all_far(session: Session, keyring: Keyring) -> list[Far]:
    """The routers of all tenants as the hub must know them. Needs the platform's role. Raises EncryptionError."""
    far = []
    for row in session.execute(_FAR):
        secret = keyring.open(row.secret_sealed, f"router_tunnel.secret:{row.router_id}")
        address = IPv4Address(row.address)
        if row.kind == "wireguard":
            public = wireguard_keys.of_private(secret).public
            far.append(Far(row.kind, row.label, address, public_key=public))
        else:
            far.append(Far(row.kind, row.label, address, username(row.router_id), secret))
    return far


def _hub_public_key(session: Session) -> str:
    public_key: str | None = session.scalar(select(TunnelHub.public_key))
    if public_key is None:
        raise Conflict("There is no hub yet. Make it: ./kibali router tunnel hub", code="no_hub")
    return public_key
