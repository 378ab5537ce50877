"""What a router has, as it was read: its items menu by menu, and what it can do at all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from isp.router_device_mode import DeviceMode
from isp.router_menus import MENUS, Row
from isp.router_version import RouterVersion


@dataclass(frozen=True, slots=True)
class RouterContents:
    version: RouterVersion
    menus: Mapping[str, Sequence[Row]]
    """By path; one that is not here the router does not have."""
    device_mode: DeviceMode | None = None
    disabled_packages: frozenset[str] = frozenset()
    flash: bool = False
    """Files outlast a restart only below `flash/`."""
    local_accounts: Mapping[str, int] = field(default_factory=dict)
    """How many `ppp` secrets and `hotspot` accounts the router itself lets in, before it asks anybody."""

    def rows(self, menu: str) -> Sequence[Row]:
        return self.menus.get(menu, ())

    def find(self, menu: str, **values: str) -> list[Row]:
        """Those with all of `values`; `_` stands for `-` in names."""
        wanted = {name.replace("_", "-"): value for name, value in values.items()}
        return [row for row in self.rows(menu) if all(row.get(name) == value for name, value in wanted.items())]

    def without_secrets(self) -> "RouterContents":
        """To be stored and shown."""
        return replace(
            self,
            menus={
                menu: [{name: value for name, value in row.items() if name not in hidden} for row in rows]
                for menu, rows in self.menus.items()
                for hidden in [(*MENUS[menu].secret, *(("contents",) if menu == "/file" else ()))]
            },
        )

    def to_json(self) -> dict[str, Any]:
        mode = self.device_mode
        return {
            "version": str(self.version),
            "menus": {menu: [dict(row) for row in rows] for menu, rows in self.menus.items()},
            "device_mode": mode and {"mode": mode.mode, "said": dict(mode.said), "flagged": mode.flagged},
            "disabled_packages": sorted(self.disabled_packages),
            "flash": self.flash,
            "local_accounts": dict(self.local_accounts),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RouterContents":
        mode = data["device_mode"]
        return cls(
            version=RouterVersion.parse(data["version"]),
            menus=data["menus"],
            device_mode=DeviceMode(**mode) if mode else None,
            disabled_packages=frozenset(data["disabled_packages"]),
            flash=data["flash"],
            local_accounts=data["local_accounts"],
        )


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    type: str
    """ether, bridge, vlan, wlan, wifi, wg, …"""
    running: bool
    disabled: bool
    dynamic: bool
    bridge: str | None
    """Of which it is a port: services go on the bridge then."""
    addresses: tuple[str, ...]
    mac_address: str | None
    comment: str | None
    lists: tuple[str, ...]
    """WAN, LAN and the like."""
    services: tuple[str, ...]
    """What runs on it: `dhcp-server defconf`, `hotspot hs1`, `pppoe-server isp`."""


_SERVERS = {
    "dhcp-server": ("/ip dhcp-server", "name"),
    "hotspot": ("/ip hotspot", "name"),
    "pppoe-server": ("/interface pppoe-server server", "service-name"),
}


def interfaces(contents: RouterContents) -> list[Interface]:
    bridges = {row.get("interface", ""): row.get("bridge") for row in contents.rows("/interface bridge port")}
    return [_interface(contents, row, bridges.get(row.get("name", ""))) for row in contents.rows("/interface")]


def addresses(contents: RouterContents, *, but: str = "") -> Iterator[tuple[str, IPv4Network]]:
    """(interface, network) of each address but those of the interface `but`."""
    for row in contents.rows("/ip address"):
        if row.get("disabled") != "true" and row.get("interface") != but:
            yield row.get("interface", ""), IPv4Interface(row["address"]).network


def wan_interfaces(contents: RouterContents) -> list[str]:
    """Those that lead outside, as far as one sees: in the list WAN, or with the network of the default gateway."""
    found = [row.get("interface", "") for row in contents.find("/interface list member", list="WAN")]
    names = {row.get("name", "") for row in contents.rows("/interface")}
    for route in contents.rows("/ip route"):
        gateway = route.get("gateway", "").partition("%")
        for candidate in (gateway[2], gateway[0]):
            if candidate in names:
                found.append(candidate)
        found += [name for name, network in addresses(contents) if _holds(network, gateway[0])]
    return list(dict.fromkeys(found))


def _holds(network: IPv4Network, address: str) -> bool:
    try:
        return IPv4Interface(address).ip in network
    except ValueError:
        return False


def _interface(contents: RouterContents, row: Row, bridge: str | None) -> Interface:
    name = row.get("name", "")
    return Interface(
        name=name,
        type=row.get("type", ""),
        running=row.get("running") == "true",
        disabled=row.get("disabled") == "true",
        dynamic=row.get("dynamic") == "true",
        bridge=bridge,
        addresses=tuple(
            address["address"]
            for address in contents.rows("/ip address")
            if address.get("interface") == name and address.get("disabled") != "true"
        ),
        mac_address=row.get("mac-address"),
        comment=row.get("comment") or None,
        lists=tuple(one.get("list", "") for one in contents.find("/interface list member", interface=name)),
        services=tuple(
            f"{kind} {server.get(called, '')}".strip()
            for kind, (menu, called) in _SERVERS.items()
            for server in contents.find(menu, interface=name)
            if server.get("disabled") != "true"
        ),
    )
