"""Which addresses are of the public internet: what somebody outside names to us may lead there, and nowhere else."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# NAT64 carries IPv4 in the last 32 bits: of a network that translates, to whatever lies inside of it.
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Not this machine, no private, link-local, reserved or multicast network, and none such inside another."""
    parsed = _bare(address)
    if isinstance(parsed, IPv6Address):
        inside = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
        if parsed in _NAT64:
            inside.append(IPv4Address(int(parsed) & 0xFFFFFFFF))
        if any(each is not None and not is_public(str(each)) for each in inside):
            return False
        if parsed.ipv4_mapped is not None:
            return True
    return parsed.is_global and not parsed.is_multicast


def is_within(address: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    parsed = _bare(address)
    return any(parsed in network for network in networks)


def _bare(address: str) -> IPv4Address | IPv6Address:
    """Without the zone of a link-local address."""
    return ip_address(address.partition("%")[0])
