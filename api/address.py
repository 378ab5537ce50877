"""Addresses of callers, as PostgreSQL stores them and as failures are counted by."""

from ipaddress import IPv4Address, IPv6Address, ip_address

Address = IPv4Address | IPv6Address


def parsed(host: str) -> Address | None:
    """Without a zone, IPv4 within IPv6 as IPv4; None for what a proxy of ours wrote instead of an address."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def counted_as(host: str) -> str:
    """Who is behind an address: one customer of an ISP has an IPv6 /64 at least."""
    address = parsed(host)
    if isinstance(address, IPv6Address):
        return f"address:{IPv6Address(int(address) >> 64 << 64)}/64"
    return f"address:{host[:64] if address is None else address}"
