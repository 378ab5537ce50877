"""Which addresses are of the public internet: what somebody outside names to us may lead there, and nowhere else."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

# NAT64 carries IPv4 in the last 32 bits: of a network that translates, to whatever lies inside of it.
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Not this machine, no private, link-local, reserved or multicast network, and none such inside another."""
    parsed = _bare(address)
    inside = _carried(parsed)
    if any(not is_public(str(each)) for each in inside):
        return False
    if isinstance(parsed, IPv6Address) and (parsed.ipv4_mapped is not None or parsed in _NAT64):
        return True
    if isinstance(parsed, IPv6Address) and parsed.is_site_local:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


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
        address = "127.0.0.1" if is_local else str(_bare(host))
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


def _carried(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to, or by way of."""
    if not isinstance(address, IPv6Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
