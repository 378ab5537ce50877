"""Tunnels of routers that nobody can reach, because they are behind carrier NAT: each dials out to our hub.

WireGuard is of RouterOS 7. For RouterOS 6 there is SSTP, which is encrypted by TLS; and L2TP, which is not encrypted
in a way that deserves the name, for where SSTP does not get through.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Literal

from isp.router_language import NO, Keyword

Kind = Literal["wireguard", "sstp", "l2tp"]
KINDS: tuple[Kind, ...] = ("wireguard", "sstp", "l2tp")
INTERFACE = "kibali-hub"
# NAT on the way forgets a silent flow, some within 30 s.
KEEPALIVE_S = 25
L2TP_PORT = 1701


def hub_address(network: IPv4Network) -> IPv4Address:
    """The hub's end of every tunnel: the first address of the network."""
    return network[1]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One router's end."""

    kind: Kind
    address: IPv4Address
    hub_address: IPv4Address
    endpoint: str
    """Name or address that it dials."""
    port: int
    username: str
    """Of SSTP and L2TP."""
    secret: str = field(repr=False)
    """WireGuard: its private key. SSTP, L2TP: its password."""
    hub_public_key: str = ""
    """WireGuard."""

    @property
    def menu(self) -> str:
        return MENUS[self.kind]

    def interface(self) -> dict[str, str]:
        """The properties of its interface beside name and comment."""
        match self.kind:
            case "wireguard":
                return {"private-key": self.secret, "mtu": Keyword(1420), "disabled": NO}
            case "sstp":
                # Without a certificate of its own RouterOS cannot verify the hub's; SSTP's crypto binding ties the
                # login to the TLS connection, so that who stands in between cannot use it.
                own = {"connect-to": f"{self.endpoint}:{self.port}", "authentication": Keyword("mschap2")}
            case "l2tp":
                own = {"connect-to": self.endpoint, "allow": Keyword("mschap2")}
        return {
            **own,
            "user": self.username,
            "password": self.secret,
            "profile": Keyword("default-encryption" if self.kind == "l2tp" else "default"),
            "keepalive-timeout": Keyword(KEEPALIVE_S),
            "add-default-route": NO,
            "dial-on-demand": NO,
            "disabled": NO,
        }

    def peer(self) -> dict[str, str]:
        """WireGuard: the properties of the hub as its peer."""
        return {
            "interface": INTERFACE,
            "public-key": self.hub_public_key,
            "endpoint-address": self.endpoint,
            "endpoint-port": Keyword(self.port),
            "allowed-address": Keyword(f"{self.hub_address}/32"),
            "persistent-keepalive": Keyword(f"{KEEPALIVE_S}s"),
            "disabled": NO,
        }


MENUS: dict[Kind, str] = {
    "wireguard": "/interface wireguard",
    "sstp": "/interface sstp-client",
    "l2tp": "/interface l2tp-client",
}
