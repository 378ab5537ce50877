"""The menus of a router that a deployment reads, and what it writes there. Paths as RouterOS 6 and 7 both take them."""

from collections.abc import Mapping
from dataclasses import dataclass

Row = Mapping[str, str]
"""An item as the router printed it, `.id` among it."""


@dataclass(frozen=True, slots=True)
class MenuSpec:
    writes: tuple[str, ...] = ()
    """What we may write; in this menu an item of ours has no other properties of weight."""
    reads: tuple[str, ...] = ()
    """Beside those."""
    single: bool = False
    """It has one nameless item."""
    only: Mapping[str, str] | None = None
    """Which items are of interest, where there may be a great many."""
    secret: tuple[str, ...] = ()
    """Which of `writes` nobody is to see."""

    @property
    def proplist(self) -> tuple[str, ...]:
        return (".id", *self.writes, *self.reads)


# In the order in which what is in one may refer to what is in those before it.
MENUS: Mapping[str, MenuSpec] = {
    "/interface": MenuSpec(
        reads=(
            "name",
            "default-name",
            "type",
            "running",
            "disabled",
            "slave",
            "dynamic",
            "mac-address",
            "comment",
        )
    ),
    "/interface bridge port": MenuSpec(reads=("interface", "bridge", "disabled")),
    "/interface list member": MenuSpec(reads=("list", "interface", "disabled")),
    "/ip route": MenuSpec(reads=("dst-address", "gateway", "disabled"), only={"dst-address": "0.0.0.0/0"}),
    "/ip dns": MenuSpec(writes=("servers", "allow-remote-requests"), single=True),
    "/ip address": MenuSpec(writes=("comment", "address", "interface", "disabled"), reads=("network", "dynamic")),
    "/ip pool": MenuSpec(writes=("name", "ranges"), reads=("next-pool",)),
    "/ip dhcp-server network": MenuSpec(writes=("comment", "address", "gateway", "dns-server")),
    "/ip dhcp-server": MenuSpec(writes=("name", "interface", "address-pool", "lease-time", "disabled")),
    "/ip hotspot profile": MenuSpec(
        writes=(
            "name",
            "hotspot-address",
            "dns-name",
            "html-directory",
            "login-by",
            "mac-auth-mode",
            "radius-mac-format",
            "use-radius",
            "radius-accounting",
            "radius-interim-update",
        ),
    ),
    "/file": MenuSpec(writes=("name", "contents")),
    "/ip hotspot walled-garden": MenuSpec(writes=("comment", "action", "dst-host", "disabled")),
    "/ip hotspot walled-garden ip": MenuSpec(writes=("comment", "action", "dst-host", "dst-address", "disabled")),
    "/ip hotspot ip-binding": MenuSpec(writes=("comment", "address", "type", "disabled")),
    "/ip hotspot": MenuSpec(
        writes=("name", "interface", "profile", "address-pool", "disabled"), reads=("invalid", ".about")
    ),
    "/ppp profile": MenuSpec(writes=("name", "local-address", "remote-address", "dns-server", "change-tcp-mss")),
    "/interface pppoe-server server": MenuSpec(
        writes=(
            "comment",
            "service-name",
            "interface",
            "default-profile",
            "authentication",
            "one-session-per-host",
            "disabled",
        ),
        reads=("invalid",),
    ),
    "/ppp aaa": MenuSpec(writes=("use-radius", "accounting", "interim-update"), single=True),
    "/ip firewall address-list": MenuSpec(writes=("comment", "list", "address", "disabled"), only={"dynamic": "false"}),
    "/ip firewall filter": MenuSpec(
        writes=(
            "comment",
            "chain",
            "action",
            "protocol",
            "dst-port",
            "src-address-list",
            "dst-address-list",
            "disabled",
        ),
        reads=("dynamic",),
    ),
    "/ip firewall nat": MenuSpec(
        writes=("comment", "chain", "action", "src-address", "out-interface", "disabled"), reads=("dynamic",)
    ),
    "/radius incoming": MenuSpec(writes=("accept", "port"), single=True),
    "/radius": MenuSpec(
        writes=(
            "comment",
            "service",
            "address",
            "secret",
            "authentication-port",
            "accounting-port",
            "timeout",
            "src-address",
            "disabled",
        ),
        secret=("secret",),
    ),
}

# The router's own accounts: a deployment leaves them alone, but they can be disabled so that RADIUS decides.
ACCOUNT_MENUS: Mapping[str, MenuSpec] = {
    "/ppp secret": MenuSpec(writes=("name", "disabled"), reads=("service",)),
    "/ip hotspot user": MenuSpec(writes=("name", "server", "disabled"), reads=("dynamic", "default")),
}
ALL_MENUS: Mapping[str, MenuSpec] = {**MENUS, **ACCOUNT_MENUS}


def api_path(menu: str) -> str:
    """`/ip pool` → `/ip/pool`, as sentences of the API begin."""
    return "/" + menu[1:].replace(" ", "/")
