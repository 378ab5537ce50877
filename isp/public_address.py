"""Which addresses are of the public internet: what somebody outside names to us may lead there, and nowhere else."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

# Written out, for Python's own `is_global` is another in each of its releases. IANA's registries of special addresses
# (RFC 6890), without the exceptions in 192.0.0.0/24 and 2001::/23: anycast for protocols, where no web server is.
_SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared with a provider's customers
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local, where clouds tell a machine its secrets
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4, which are no more (RFC 7526)
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, by way of somebody's relay
            "3fff::/20",  # documentation
        ),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All of IPv6 that was ever given out."""
# IPv4 in the last 32 bits: written as IPv6, and of a network that translates (NAT64).
_MAPPED, _NAT64 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether it is an address that somebody on the public internet may have. One with a zone is not."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            return False
        if parsed in _MAPPED or parsed in _NAT64:
            return is_public(str(IPv4Address(int(parsed) & 0xFFFFFFFF)))
        if parsed not in _GLOBAL_UNICAST:
            return False
    return not any(parsed in network for network in _SPECIAL)


def is_within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    """Whether it is in one of them, or another way to write an IPv4 address that is."""
    parsed = _bare(address)
    same = [parsed]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        same.append(parsed.ipv4_mapped)
    return any(each in network for network in networks for each in same)


def why_not(url: str, allowed: Iterable[IPv4Network | IPv6Network]) -> str | None:
    """What forbids a URL that somebody outside names, so far as it can be told without looking its host up.

    `allowed` are networks that may be reached although they are not public, by http too.
    """
    parts, allowed = urlsplit(url), tuple(allowed)
    try:
        host = parts.hostname or ""
        is_local = host == "localhost" or host.endswith(".localhost")
        address = "127.0.0.1" if is_local else str(ip_address(host))
    except ValueError:  # a name: what it leads to is looked at each time
        return None if parts.scheme == "https" or allowed else "It must begin with https."
    if is_within(address, allowed):
        return None
    if not is_public(address):
        return f"{host} is not on the public internet. Whoever runs Kibali may allow it: KIBALI_GATEWAY_NETWORKS."
    return None if parts.scheme == "https" else "It must begin with https."


def _bare(address: str) -> IPv4Address | IPv6Address:
    """Without the zone of a link-local address."""
    return ip_address(address.partition("%")[0])
