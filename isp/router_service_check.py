"""Whether a router can serve what is asked of it; and what on it will get in the way, with the remedy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from isp.address_ranges import of_network, overlap, parse_ranges
from isp.router_contents import Interface, RouterContents, addresses, interfaces, wan_interfaces
from isp.router_menus import Row
from isp.router_service import Hotspot, Pppoe, ServiceConfig, ServiceFault, Subnet
from isp.router_wanted import NAMES, RADIUS, SERVICE

_NO_LAN = ("lo", "wg", "pppoe-", "l2tp-", "sstp-", "ovpn-", "pptp-", "ppp-", "lte", "gre-", "ipip-", "6to4-", "eoip-ip")
"""Types that begin so hold no customers' devices."""


def check(config: ServiceConfig, contents: RouterContents) -> None:
    """Raises ServiceFault for the first thing that this router can not do."""
    for fault in faults(config, contents):
        raise fault


def faults(config: ServiceConfig, contents: RouterContents) -> Iterator[ServiceFault]:
    """Everything that this router can not do, in the order of the configuration."""
    known = {each.name: each for each in interfaces(contents)}
    yield from _abilities(config, contents)
    for number, hotspot in enumerate(config.hotspots):
        yield from _hotspot(hotspot, f"hotspots.{number}", known, contents)
    for number, pppoe in enumerate(config.pppoe):
        yield from _pppoe(pppoe, f"pppoe.{number}", known, contents)
    yield from _twice(config)
    yield from _overlaps(config, contents)
    wan = config.wan_interface
    if wan is not None and wan not in known:
        yield ServiceFault("wan_interface", _no_interface(wan, known))
    for at, each in config.services:
        if wan is not None and each.interface == wan:
            yield ServiceFault(f"{at}.interface", f"{wan} is the way out: customers can not be on it.")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an operator should know before customers come."""

    kind: str
    severity: Literal["blocks", "warns"]
    """`blocks`: Kibali can not work until it is put right. `warns`: it works, but not for all."""
    message: str
    remedy: str


def findings(contents: RouterContents) -> list[Finding]:
    return list(_findings(contents))


def _findings(contents: RouterContents) -> Iterator[Finding]:
    if contents.device_mode and (remedy := contents.device_mode.remedy(("hotspot",))):
        yield Finding("device_mode", "blocks", "The router's device-mode forbids the hotspot.", remedy)
    for package in ("hotspot", "ppp", "dhcp"):
        if package in contents.disabled_packages:
            yield Finding(
                "package",
                "blocks",
                f"The package {package} is disabled.",
                f"Run /system package enable {package} on the router, then /system reboot.",
            )
    for row in contents.rows("/radius"):
        services = set(row.get("service", "").split(",")) & {"hotspot", "ppp"}
        if services and row.get("disabled") != "true" and row.get("comment") != RADIUS:
            yield Finding(
                "radius",
                "warns",
                f"The router also asks {row.get('address')} about {' and '.join(sorted(services))}.",
                f"Run /radius disable [find where address={row.get('address')}] on the router when you are ready.",
            )
    for kind, menu in (("ppp", "/ppp secret"), ("hotspot", "/ip hotspot user")):
        if count := contents.local_accounts.get(kind, 0):
            yield Finding(
                "local_accounts",
                "warns",
                f"The router itself lets in {count} of its own ({menu}), whatever Kibali says of them.",
                "Import them, then disable them on the router: ./kibali router import.",
            )
    for row in contents.rows("/ip firewall filter"):
        if row.get("action") == "fasttrack-connection" and row.get("disabled") != "true":
            yield Finding(
                "fasttrack",
                "warns",
                "FastTrack carries connections past the speed limits of plans.",
                "Run /ip firewall filter disable [find where action=fasttrack-connection] on the router.",
            )
    for interface in interfaces(contents):
        for service in interface.services:
            kind, _, name = service.partition(" ")
            if kind != "dhcp-server" and not name.startswith(NAMES) and not _ours(contents, interface.name, kind):
                yield Finding(
                    "server",
                    "warns",
                    f"{interface.name} has the {kind} {name} already, which is not Kibali's.",
                    f"Leave {interface.name} to it, or remove it before Kibali is to serve there.",
                )


def _abilities(config: ServiceConfig, contents: RouterContents) -> Iterator[ServiceFault]:
    needed = {"hotspots": ("hotspot", "dhcp") if config.hotspots else (), "pppoe": ("ppp",) if config.pppoe else ()}
    for field, packages in needed.items():
        for package in packages:
            if package in contents.disabled_packages:
                yield ServiceFault(
                    field,
                    f"The router's package {package} is disabled. Run /system package enable {package} on it, then "
                    "/system reboot; then discover it again.",
                )
    mode = contents.device_mode
    if mode is None:
        return
    if config.hotspots and (remedy := mode.remedy(("hotspot",))):
        yield ServiceFault(
            "hotspots", f"The device-mode of the router forbids a hotspot. {remedy} Then discover it again."
        )
    for number, host in enumerate(config.walled_garden):
        if host.startswith("*.") and not mode.allows("proxy"):
            yield ServiceFault(
                f"walled_garden.{number}",
                f"{host} needs the router's proxy, which its device-mode forbids. Name single hosts, or: "
                f"{mode.remedy(('proxy',))}",
            )


def _hotspot(
    hotspot: Hotspot, at: str, known: dict[str, Interface], contents: RouterContents
) -> Iterator[ServiceFault]:
    yield from _interface(hotspot.interface, at, known)
    there = known.get(hotspot.interface)
    if there is None:
        return
    for row in contents.find("/ip hotspot", interface=there.name):
        if not row.get("name", "").startswith(NAMES):
            yield ServiceFault(
                f"{at}.interface",
                f"{there.name} has the hotspot {row.get('name')}. Remove it on the router, or take another interface.",
            )
    foreign = [
        row["name"]
        for row in contents.find("/ip dhcp-server", interface=there.name)
        if not row["name"].startswith(NAMES) and row.get("disabled") != "true"
    ]
    if hotspot.subnet is not None and foreign:
        yield ServiceFault(
            f"{at}.interface",
            f"{there.name} has the DHCP server {foreign[0]}. Keep it and its addresses with addressing router, or "
            "remove it on the router.",
        )
    if hotspot.subnet is None and not there.addresses:
        yield ServiceFault(
            f"{at}.addressing", f"{there.name} has no address of its own. Give it one, or leave addressing to Kibali."
        )


def _pppoe(pppoe: Pppoe, at: str, known: dict[str, Interface], contents: RouterContents) -> Iterator[ServiceFault]:
    yield from _interface(pppoe.interface, at, known)
    for row in contents.find("/interface pppoe-server server", interface=pppoe.interface):
        if not row.get("comment", "").startswith(SERVICE) and row.get("disabled") != "true":
            yield ServiceFault(
                f"{at}.interface",
                f"{pppoe.interface} has the PPPoE server {row.get('service-name')}. Disable it on the router, or take "
                "another interface.",
            )


def _interface(name: str, at: str, known: dict[str, Interface]) -> Iterator[ServiceFault]:
    at = f"{at}.interface"
    there = known.get(name)
    if there is None:
        yield ServiceFault(at, _no_interface(name, known))
    elif there.bridge:
        yield ServiceFault(at, f"{name} is a port of {there.bridge}: take {there.bridge}, or take it out of there.")
    elif there.dynamic or there.type.startswith(_NO_LAN):
        yield ServiceFault(at, f"{name} is of the type {there.type}, on which customers' devices can not be.")
    elif there.disabled:
        yield ServiceFault(at, f"{name} is disabled. Enable it on the router, then discover it again.")


def _no_interface(name: str, known: dict[str, Interface]) -> str:
    there = ", ".join(list(known)[:20])
    return f"The router has no interface {name}. It has {there}. If it is new, discover the router again."


def _twice(config: ServiceConfig) -> Iterator[ServiceFault]:
    seen = set()
    for at, each in config.services:
        if (type(each), each.interface) in seen:
            yield ServiceFault(f"{at}.interface", f"{each.interface} is in the list twice.")
        seen.add((type(each), each.interface))


def _overlaps(config: ServiceConfig, contents: RouterContents) -> Iterator[ServiceFault]:
    taken: list[Subnet] = []
    wan = {config.wan_interface, *wan_interfaces(contents)}
    for at, each in config.services:
        if each.subnet is None:
            continue
        network = each.subnet.network
        for other in taken:
            if network.overlaps(other.network):
                yield ServiceFault(f"{at}.network", f"{network} overlaps {other.network}, which is used above.")
        taken.append(each.subnet)
        for interface, there in addresses(_not_ours(contents)):
            if network.overlaps(there):
                way = "the way out" if interface in wan else "used already"
                yield ServiceFault(f"{at}.network", f"{network} overlaps {there} on {interface}, which is {way}.")
        for row in contents.rows("/ip pool"):
            if not row["name"].startswith(NAMES) and overlap([of_network(network)], _ranges(row)):
                yield ServiceFault(f"{at}.network", f"{network} overlaps the router's pool {row['name']}.")


def _not_ours(contents: RouterContents) -> RouterContents:
    theirs = [row for row in contents.rows("/ip address") if not row.get("comment", "").startswith(SERVICE)]
    return RouterContents(contents.version, {"/ip address": theirs})


def _ours(contents: RouterContents, interface: str, kind: str) -> bool:
    return kind == "pppoe-server" and any(
        row.get("comment", "").startswith(SERVICE)
        for row in contents.find("/interface pppoe-server server", interface=interface)
    )


def _ranges(row: Row) -> list[tuple[int, int]]:
    try:
        return parse_ranges(row.get("ranges", ""))
    except ValueError:
        return []
