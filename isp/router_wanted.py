"""From a service configuration to the items a router must have, in the order in which they are made.

What is ours is found again: by a name that begins with `kibali-hotspot-` or `kibali-pppoe-`, or by a comment that
begins with `kibali: service `; beside these a deployment changes single settings such as /ppp aaa, and Kibali's /radius
entry, which it enables last. It never touches an item of somebody else's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from isp.address_ranges import written
from isp.router_contents import RouterContents
from isp.router_pages import DIRECTORY, pages
from isp.router_script import COMMENT
from isp.router_service import Hotspot, Pppoe, ServiceConfig, Subnet

SERVICE = f"{COMMENT}service "
NAMES = ("kibali-hotspot-", "kibali-pppoe-")
RADIUS = f"{COMMENT}RADIUS"
OPEN_LIST = "kibali-open"
"""The address list of the hosts that expired customers may reach."""


@dataclass(frozen=True, slots=True)
class RadiusClient:
    """How this router is to ask us; addresses are ours as it sees them."""

    secret: str = field(repr=False)
    address: IPv4Address | None = None
    """None: where the bootstrap script told it."""
    server_addresses: tuple[IPv4Address, ...] = ()
    """Ours, which no hotspot may lock out."""
    src_address: IPv4Address | None = None
    """None: as the bootstrap script told it."""
    authentication_port: int = 1812
    accounting_port: int = 1813
    coa_port: int = 3799


@dataclass(frozen=True, slots=True)
class Wanted:
    """An item, or a single menu, that must have `values`."""

    menu: str
    found_by: Mapping[str, str]
    """What tells it from all others; empty for a single menu."""
    values: Mapping[str, str]
    """What it must have beside that, whoever made it."""
    only_new: Mapping[str, str] = field(default_factory=dict)
    """What it gets when it is made, and keeps as it is afterwards."""
    first: bool = False
    """Before all items that are not ours, where order matters."""

    @property
    def whole(self) -> dict[str, str]:
        """What it is made with."""
        return {**self.found_by, **self.values, **self.only_new}

    @property
    def name(self) -> str:
        """For people."""
        return " ".join((self.menu, *self.found_by.values()))


def wanted(config: ServiceConfig, radius: RadiusClient, contents: RouterContents) -> list[Wanted]:
    """All of it, the enabling of /radius last."""
    return [
        *_radius(radius),
        *_dns(config),
        *(item for hotspot in config.hotspots for item in _hotspot(config, hotspot, contents)),
        *(_open_host(host) for host in config.open_hosts if config.hotspots),
        *(_bypass(address) for address in radius.server_addresses if config.hotspots),
        *(_hotspot_server(hotspot, contents) for hotspot in config.hotspots),
        *_expired(config),
        *(item for pppoe in config.pppoe for item in _pppoe(config, pppoe)),
        *_ppp_aaa(config),
        *_nat(config),
        Wanted("/radius incoming", {}, {"accept": "yes", "port": str(radius.coa_port)}),
        Wanted("/radius", {"comment": RADIUS}, {"disabled": "no"}),
    ]


def by_hand(config: ServiceConfig, contents: RouterContents) -> list[str]:
    """What the router's API can not do, as sentences for whoever sits at it."""
    if not any(hotspot.portal_url for hotspot in config.hotspots) or contents.version.major >= 7:
        return []
    return [
        "RouterOS 6 takes no new files by its API: upload the portal's pages to the directory "
        f"{_directory(contents)} (drag them into Files of WinBox, or by FTP)."
    ]


def _radius(radius: RadiusClient) -> Iterator[Wanted]:
    addresses = {"address": radius.address, "src-address": radius.src_address}
    yield Wanted(
        "/radius",
        {"comment": RADIUS},
        {
            "service": "hotspot,ppp",
            "secret": radius.secret,
            "authentication-port": str(radius.authentication_port),
            "accounting-port": str(radius.accounting_port),
            "timeout": "3s",
            **{name: str(address) for name, address in addresses.items() if address is not None},
        },
        only_new={"disabled": "yes"},
    )


def _dns(config: ServiceConfig) -> Iterator[Wanted]:
    servers = {"servers": ",".join(map(str, config.dns_servers))} if config.dns_servers else {}
    # A hotspot answers its customers' questions itself.
    remote = {"allow-remote-requests": "yes"} if config.hotspots else {}
    if servers or remote:
        yield Wanted("/ip dns", {}, {**servers, **remote})


def _hotspot(config: ServiceConfig, hotspot: Hotspot, contents: RouterContents) -> Iterator[Wanted]:
    name, subnet = _hotspot_name(hotspot), hotspot.subnet
    if subnet is None:
        gateway = _own_address(contents, hotspot.interface)
    else:
        gateway = str(subnet.gateway)
        here = {"comment": f"{SERVICE}hotspot {hotspot.interface}"}
        yield Wanted(
            "/ip address",
            here,
            {"address": _with_length(subnet), "interface": hotspot.interface, "disabled": "no"},
        )
        yield Wanted("/ip pool", {"name": name}, {"ranges": written(subnet.pool)})
        yield Wanted(
            "/ip dhcp-server network",
            here,
            {"address": str(subnet.network), "gateway": gateway, "dns-server": gateway},
        )
        yield Wanted(
            "/ip dhcp-server",
            {"name": name},
            {"interface": hotspot.interface, "address-pool": name, "lease-time": "1h", "disabled": "no"},
        )
    yield Wanted(
        "/ip hotspot profile",
        {"name": name},
        {
            "hotspot-address": gateway,
            "dns-name": hotspot.dns_name,
            "html-directory": _directory(contents) if hotspot.portal_url else "hotspot",
            "login-by": ",".join(hotspot.login_by),
            "mac-auth-mode": "mac-as-username",
            "radius-mac-format": "XX:XX:XX:XX:XX:XX",
            "use-radius": "yes",
            "radius-accounting": "yes",
            "radius-interim-update": "received",
        },
    )
    if hotspot.portal_url and contents.version.major >= 7:
        for page, text in pages(hotspot.portal_url).items():
            yield Wanted("/file", {"name": f"{_directory(contents)}/{page}"}, {"contents": text})


def _hotspot_server(hotspot: Hotspot, contents: RouterContents) -> Wanted:
    name = _hotspot_name(hotspot)
    pool = name if hotspot.subnet else "none"
    return Wanted(
        "/ip hotspot",
        {"name": name},
        {"interface": hotspot.interface, "profile": name, "address-pool": pool, "disabled": "no"},
    )


def _open_host(host: str) -> Wanted:
    found_by = {"comment": f"{SERVICE}open {host}"}
    if host.startswith("*."):
        return Wanted("/ip hotspot walled-garden", found_by, {"action": "allow", "dst-host": host, "disabled": "no"})
    where = "dst-address" if _is_address(host) else "dst-host"
    return Wanted("/ip hotspot walled-garden ip", found_by, {"action": "accept", where: host, "disabled": "no"})


def _bypass(address: IPv4Address) -> Wanted:
    return Wanted(
        "/ip hotspot ip-binding",
        {"comment": f"{SERVICE}server {address}"},
        {"address": str(address), "type": "bypassed", "disabled": "no"},
    )


def _pppoe(config: ServiceConfig, pppoe: Pppoe) -> Iterator[Wanted]:
    name, subnet = f"{NAMES[1]}{pppoe.interface}", pppoe.subnet
    yield Wanted("/ip pool", {"name": name}, {"ranges": written(subnet.pool)})
    yield Wanted(
        "/ppp profile",
        {"name": name},
        {
            "local-address": str(subnet.gateway),
            "remote-address": name,
            "change-tcp-mss": "yes",
            **({"dns-server": ",".join(map(str, config.dns_servers))} if config.dns_servers else {}),
        },
    )
    yield Wanted(
        "/interface pppoe-server server",
        {"comment": f"{SERVICE}pppoe {pppoe.interface}"},
        {
            "service-name": pppoe.service_name,
            "interface": pppoe.interface,
            "default-profile": name,
            "authentication": ",".join(pppoe.authentication),
            "one-session-per-host": "yes",
            "disabled": "no",
        },
    )


def _ppp_aaa(config: ServiceConfig) -> Iterator[Wanted]:
    if config.pppoe:
        yield Wanted(
            "/ppp aaa",
            {},
            {"use-radius": "yes", "accounting": "yes", "interim-update": duration(config.interim_update_s)},
        )


def _nat(config: ServiceConfig) -> Iterator[Wanted]:
    if not config.nat:
        return
    # An interface that is taken back would stay in a rule that is only changed; in the comment it makes another rule.
    towards = {"out-interface": config.wan_interface} if config.wan_interface else {}
    for subnet in [each.subnet for _, each in config.services if each.subnet]:
        yield Wanted(
            "/ip firewall nat",
            {"comment": " ".join((f"{SERVICE}NAT {subnet.network}", *towards.values()))},
            {
                "chain": "srcnat",
                "action": "masquerade",
                "src-address": str(subnet.network),
                "disabled": "no",
                **towards,
            },
        )


def _expired(config: ServiceConfig) -> Iterator[Wanted]:
    """RouterOS applies the rules of a chain in their order: the last of these drops what those before it left."""
    expired = config.expired_address_list
    if expired is None:
        return
    for host in config.open_hosts:
        if not host.startswith("*."):
            yield Wanted(
                "/ip firewall address-list",
                {"comment": f"{SERVICE}open {host}"},
                {"list": OPEN_LIST, "address": host, "disabled": "no"},
            )
    accept = {"chain": "forward", "action": "accept", "src-address-list": expired, "disabled": "no"}
    rules: dict[str, dict[str, str]] = {
        "portal": {**accept, "dst-address-list": OPEN_LIST},
        "DNS by UDP": {**accept, "protocol": "udp", "dst-port": "53"},
        "DNS by TCP": {**accept, "protocol": "tcp", "dst-port": "53"},
        "rest": {**accept, "action": "drop"},
    }
    for what, rule in rules.items():
        yield Wanted("/ip firewall filter", {"comment": f"{SERVICE}expired {what}"}, rule, first=True)


def duration(seconds: int) -> str:
    """As RouterOS prints it: `1h30m`, `5m`, `90s` as `1m30s`."""
    written_out = ""
    for size_s, letter in ((3600, "h"), (60, "m"), (1, "s")):
        whole, seconds = divmod(seconds, size_s)
        written_out += f"{whole}{letter}" if whole else ""
    return written_out or "0s"


def _hotspot_name(hotspot: Hotspot) -> str:
    return f"{NAMES[0]}{hotspot.interface}"


def _directory(contents: RouterContents) -> str:
    return f"flash/{DIRECTORY}" if contents.flash else DIRECTORY


def _own_address(contents: RouterContents, interface: str) -> str:
    """The router's first on the interface; the checks see to it that there is one."""
    there = contents.find("/ip address", interface=interface)
    found = [row["address"] for row in there if row.get("disabled") != "true"]
    return str(IPv4Interface(found[0]).ip) if found else "0.0.0.0"  # noqa: S104


def _with_length(subnet: Subnet) -> str:
    return f"{subnet.gateway}/{subnet.network.prefixlen}"


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
