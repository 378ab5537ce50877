"""The script an operator pastes into a new router, once or many times: it lets Kibali in, and nobody else.

Everything it makes is named `kibali` or has a comment that begins with `kibali: `, so that it is found again and can be
removed. It is one block: RouterOS reads it whole before it does any of it. It needs neither fetch nor scheduler, which
device-mode may forbid.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Literal

from isp.router_language import NO, YES, Keyword, block, ensure, find, quoted, unless_there, values
from isp.router_tunnel import INTERFACE, KINDS, MENUS, Kind, Tunnel

Major = Literal[6, 7]


TAG = "kibali"
COMMENT = f"{TAG}: "
CERTIFICATE = f"{TAG}-api"

# read, write: configure. test: ping. sensitive: read passwords, to import. ftp: files, for the portal's pages and the
# export. Not policy: our user cannot make itself more than it is, nor make others.
POLICIES = ("api", "read", "write", "test", "sensitive", "ftp")


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What one router is told. Addresses are ours, as the router sees them: behind a tunnel those of its other end."""

    username: str
    password: str = field(repr=False)
    server_addresses: tuple[IPv4Address, ...]
    """From which the API is used and CoA is sent."""
    radius_address: IPv4Address
    radius_secret: str = field(repr=False)
    identity: str | None = None
    """None: it keeps its own."""
    radius_src_address: IPv4Address | None = None
    """The router's own, that packets are to come from; None: as its routes have it."""
    authentication_port: int = 1812
    accounting_port: int = 1813
    coa_port: int = 3799
    api_port: int = 8728
    api_ssl_port: int = 8729
    tunnel: Tunnel | None = None
    """None: it is reached without one."""


def bootstrap_script(bootstrap: Bootstrap, major: Major) -> str:
    """For RouterOS 6 or 7. The /radius entry is added disabled: a deployment enables it last."""
    return block(
        f"Kibali: prepares this router (RouterOS {major}). Pasting it again changes nothing.",
        [
            *_only_for(major),
            *_identity(bootstrap),
            *_tunnel(bootstrap.tunnel, major),
            *_user(bootstrap),
            *_certificate(),
            *_services(bootstrap),
            *_firewall(bootstrap),
            *_radius(bootstrap),
            f':put ("Kibali: ready. Certificate " . [/certificate get {find(name=CERTIFICATE)} fingerprint])',
        ],
    )


def removal_script(username: str, major: Major, tunnel: Kind | None = None) -> str:
    """Takes away all that `bootstrap_script` made. The identity stays, and so does CoA, which nobody can use then.

    `tunnel`: the kind it has, which is removed last; who removes it through the tunnel is cut off there.
    """
    ours = f"[find where comment~{quoted('^' + COMMENT)}]"
    return block(
        f"Kibali: removes what prepared this router (RouterOS {major}).",
        [
            *_only_for(major),
            f"/radius remove {ours}",
            f"/ip firewall filter remove {ours}",
            f"/ip firewall address-list remove {ours}",
            "/ip service set api-ssl certificate=none",
            *(f'/ip service set {service} address=""' for service in ("api", "api-ssl")),
            f"/certificate remove {find(name=CERTIFICATE)}",
            f"/user remove {find(name=username)}",
            f"/user group remove {find(name=username)}",
            *_no_tunnel(() if tunnel is None else (tunnel,)),
            ':put "Kibali: removed."',
        ],
    )


def _only_for(major: Major) -> list[str]:
    other = f"This script is for RouterOS {major}. Take the other one from Kibali."
    return [f':if ([:pick [/system resource get version] 0 2] != "{major}.") do={{ :error {quoted(other)} }}']


def _identity(bootstrap: Bootstrap) -> list[str]:
    return [] if bootstrap.identity is None else [f"/system identity set name={quoted(bootstrap.identity)}"]


def _tunnel(tunnel: Tunnel | None, major: Major) -> list[str]:
    if tunnel is None:
        return []
    if tunnel.kind == "wireguard" and major < 7:
        raise ValueError("RouterOS 6 has no WireGuard")
    others = [kind for kind in KINDS if kind != tunnel.kind and (kind != "wireguard" or major >= 7)]
    comment = f"{COMMENT}tunnel"
    statements = [
        *_no_tunnel(others),
        ensure(tunnel.menu, {"name": INTERFACE}, {**tunnel.interface(), "comment": comment}),
    ]
    if tunnel.kind == "wireguard":
        # PPP brings the addresses of both ends by itself.
        address = {"network": Keyword(tunnel.hub_address), "interface": INTERFACE, "disabled": NO}
        own = {"address": Keyword(f"{tunnel.address}/32"), **address}
        statements += [
            ensure("/interface wireguard peers", {"comment": comment}, tunnel.peer()),
            ensure("/ip address", {"comment": comment}, own),
        ]
    return statements


def _no_tunnel(kinds: Iterable[Kind]) -> list[str]:
    """Without those of `kinds` that are ours."""
    ours = f"[find where comment={quoted(f'{COMMENT}tunnel')}]"
    statements = []
    for kind in kinds:
        if kind == "wireguard":
            statements += [f"/ip address remove {ours}", f"/interface wireguard peers remove {ours}"]
        statements.append(f"{MENUS[kind]} remove {ours}")
    return statements


def _user(bootstrap: Bootstrap) -> list[str]:
    name = bootstrap.username
    user = {
        "group": name,
        "password": bootstrap.password,
        "address": _networks(bootstrap.server_addresses),
        "disabled": NO,
        "comment": f"{COMMENT}API",
    }
    return [
        ensure("/user group", {"name": name}, {"policy": Keyword(",".join(POLICIES))}),
        ensure("/user", {"name": name}, user),
    ]


def _certificate() -> list[str]:
    unsigned = f"[:len [/certificate get {find(name=CERTIFICATE)} fingerprint]] = 0"
    make = values(
        {"name": CERTIFICATE, "common-name": CERTIFICATE, "key-size": Keyword(2048), "days-valid": Keyword(3650)}
    )
    # Signing takes its time on small routers; some versions do not wait for it.
    return [
        f":if ([:len [/certificate find name={quoted(CERTIFICATE)}]] = 0) do={{ /certificate add {make} }}",
        f":if ({unsigned}) do={{ /certificate sign {quoted(CERTIFICATE)} }}",
        ":local waited 0",
        f":while (({unsigned}) and ($waited < 60)) do={{ :delay 1s; :set waited ($waited + 1) }}",
    ]


def _services(bootstrap: Bootstrap) -> list[str]:
    # By name, not by find: from 7.20 the menu also lists the connections of each service under its name.
    limited = values({"disabled": NO, "address": _networks(bootstrap.server_addresses)})
    return [
        f"/ip service set api-ssl port={bootstrap.api_ssl_port} certificate={quoted(CERTIFICATE)} {limited}",
        f"/ip service set api port={bootstrap.api_port} {limited}",
    ]


def _firewall(bootstrap: Bootstrap) -> list[str]:
    """MikroTik's default firewall drops what does not come from the LAN."""
    servers = {f"{COMMENT}server {address}": Keyword(address) for address in bootstrap.server_addresses}
    ours = f"comment~{quoted(f'^{COMMENT}server ')}"
    gone = " and ".join([ours, *(f"comment!={quoted(comment)}" for comment in servers)])
    rules = {
        "API": {"protocol": Keyword("tcp"), "dst-port": Keyword(f"{bootstrap.api_port},{bootstrap.api_ssl_port}")},
        "CoA": {"protocol": Keyword("udp"), "dst-port": Keyword(bootstrap.coa_port)},
    }
    return [
        f"/ip firewall address-list remove [find where {gone}]",
        *(
            ensure("/ip firewall address-list", {"comment": comment}, {"list": TAG, "address": address})
            for comment, address in servers.items()
        ),
        *(_first_rule(f"{COMMENT}{what} from the server", match) for what, match in rules.items()),
    ]


def _first_rule(comment: str, match: Mapping[str, str]) -> str:
    """A rule that accepts input before all others; where it is there already, it keeps its place."""
    rule = {"chain": Keyword("input"), "action": Keyword("accept"), "src-address-list": TAG, **match, "disabled": NO}
    add = f"/ip firewall filter add {values({**rule, 'comment': comment})}"
    others = "[/ip firewall filter find dynamic=no]"
    add_first = f":if ([:len {others}] = 0) do={{ {add} }} else={{ {add} place-before=[:pick {others} 0] }}"
    return unless_there("/ip firewall filter", {"comment": comment}, add_first, rule)


def _radius(bootstrap: Bootstrap) -> list[str]:
    entry = {
        "address": Keyword(bootstrap.radius_address),
        "secret": bootstrap.radius_secret,
        "authentication-port": Keyword(bootstrap.authentication_port),
        "accounting-port": Keyword(bootstrap.accounting_port),
        "timeout": Keyword("3s"),
        "src-address": Keyword(bootstrap.radius_src_address or "0.0.0.0"),  # noqa: S104 (none in particular)
    }
    found = {"comment": f"{COMMENT}RADIUS"}
    # What a deployment may have changed since is given to a new entry only.
    add = f"/radius add {values({**found, 'service': Keyword('hotspot,ppp'), **entry, 'disabled': YES})}"
    return [
        unless_there("/radius", found, add, entry),
        f"/radius incoming set {values({'accept': YES, 'port': Keyword(bootstrap.coa_port)})}",
    ]


def _networks(addresses: Iterable[IPv4Address]) -> Keyword:
    return Keyword(",".join(f"{address}/32" for address in addresses))
