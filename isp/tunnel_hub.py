"""The other end of the routers' tunnels: the configuration of WireGuard, xl2tpd with pppd, and accel-ppp for SSTP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from isp.router_tunnel import KEEPALIVE_S, L2TP_PORT, Kind

_MADE = "# Written by `./kibali router tunnel hub`: changes made here are lost."


@dataclass(frozen=True, slots=True)
class Far:
    """A router at the far end."""

    kind: Kind
    label: str
    """For who reads the file: which router of which tenant."""
    address: IPv4Address
    username: str = ""
    """SSTP, L2TP."""
    password: str = field(default="", repr=False)
    """SSTP, L2TP."""
    public_key: str = ""
    """WireGuard."""


@dataclass(frozen=True, slots=True)
class Hub:
    address: IPv4Address
    wireguard_port: int
    wireguard_private_key: str = field(repr=False)
    sstp_port: int
    certificate_file: str
    """PEM, certificate and key together, of the SSTP server."""
    secrets_directory: str
    """Where accel-ppp finds its file of passwords."""


def files(hub: Hub, far: Iterable[Far]) -> dict[str, str]:
    """Name → content; all of them are secret."""
    routers = sorted(far, key=lambda each: each.address)
    l2tp, sstp = ([each for each in routers if each.kind == kind] for kind in ("l2tp", "sstp"))
    return {
        "kibali0.conf": wireguard(hub, [each for each in routers if each.kind == "wireguard"]),
        "xl2tpd.conf": xl2tpd(hub),
        "options.l2tp": pppd_options(),
        "l2tp-secrets": chap_secrets(l2tp),
        "accel-ppp.conf": accel_ppp(hub),
        "sstp-secrets": chap_secrets(sstp),
    }


def wireguard(hub: Hub, routers: Sequence[Far]) -> str:
    """For wg-quick, which also makes a route for each peer."""
    lines = [
        _MADE,
        "[Interface]",
        f"Address = {hub.address}/32",
        f"ListenPort = {hub.wireguard_port}",
        f"PrivateKey = {hub.wireguard_private_key}",
    ]
    for router in routers:
        lines += [
            "",
            f"# {_one_line(router.label)}",
            "[Peer]",
            f"PublicKey = {router.public_key}",
            f"AllowedIPs = {router.address}/32",
        ]
    return "\n".join(lines) + "\n"


def xl2tpd(hub: Hub) -> str:
    # Addresses come from the file of passwords: `ip range` has to be there and is not used.
    return f"""; {_MADE.removeprefix("# ")}
[global]
port = {L2TP_PORT}
access control = no

[lns default]
name = kibali
local ip = {hub.address}
ip range = {hub.address + 1}-{hub.address + 1}
assign ip = no
require authentication = yes
require chap = yes
refuse pap = yes
pppoptfile = /etc/ppp/options.kibali-l2tp
length bit = yes
"""


def pppd_options() -> str:
    return f"""{_MADE}
name kibali
auth
require-mschap-v2
refuse-pap
refuse-chap
refuse-mschap
require-mppe-128
nodefaultroute
noipv6
mtu 1400
mru 1400
lcp-echo-interval {KEEPALIVE_S}
lcp-echo-failure 3
"""


def accel_ppp(hub: Hub) -> str:
    return f"""{_MADE}
[modules]
log_syslog
sstp
auth_mschap_v2
chap-secrets

[core]
thread-count=2

[common]
single-session=replace

[ppp]
verbose=0
min-mtu=1280
mtu=1400
mru=1400
ipv4=require
ipv6=deny
mppe=deny
lcp-echo-interval={KEEPALIVE_S}
lcp-echo-failure=3

[sstp]
verbose=0
port={hub.sstp_port}
accept=ssl
ssl-pemfile={hub.certificate_file}
ssl-protocol=tls1.2,tls1.3

[chap-secrets]
gw-ip-address={hub.address}
chap-secrets={hub.secrets_directory}/sstp-secrets
"""


def chap_secrets(routers: Sequence[Far]) -> str:
    """Both daemons read it: client, server, secret, address."""
    lines = [_MADE]
    for router in routers:
        lines += [f"# {_one_line(router.label)}", f'"{router.username}" * "{router.password}" {router.address}']
    return "\n".join(lines) + "\n"


def _one_line(label: str) -> str:
    return " ".join(label.split())
