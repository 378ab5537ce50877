"""Ranges of IPv4 addresses as RouterOS writes them in a pool: `10.0.0.2-10.0.0.9,10.0.1.1`."""

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network

Range = tuple[int, int]
"""First and last, as numbers."""


def parse_ranges(text: str) -> list[Range]:
    """In order, what touches or overlaps joined. Raises ValueError."""
    return joined(_range(part.strip()) for part in text.split(","))


def joined(ranges: Iterable[Range]) -> list[Range]:
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return found


def size(ranges: Iterable[Range]) -> int:
    """How many addresses they hold."""
    return sum(last - first + 1 for first, last in ranges)


def written(ranges: Iterable[Range]) -> str:
    return ",".join(
        str(IPv4Address(first)) if first == last else f"{IPv4Address(first)}-{IPv4Address(last)}"
        for first, last in ranges
    )


def overlap(one: Iterable[Range], other: Iterable[Range]) -> Range | None:
    """The first stretch that both hold."""
    others = list(other)
    for first, last in one:
        for start, end in others:
            if first <= end and start <= last:
                return max(first, start), min(last, end)
    return None


def of_network(network: IPv4Network) -> Range:
    return int(network.network_address), int(network.broadcast_address)


def without(ranges: Iterable[Range], address: int) -> list[Range]:
    """The ranges with a hole at `address`."""
    pieces = [
        piece for first, last in ranges for piece in ((first, min(last, address - 1)), (max(first, address + 1), last))
    ]
    return joined(piece for piece in pieces if piece[0] <= piece[1])


def _range(text: str) -> Range:
    try:
        if "/" in text:
            return of_network(IPv4Network(text))
        first, dash, last = text.partition("-")
        found = int(IPv4Address(first.strip())), int(IPv4Address(last.strip() if dash else first.strip()))
    except (AddressValueError, ValueError):
        raise ValueError(f"{text[:40]!r} is no range of addresses such as 10.0.0.2-10.0.0.254") from None
    if found[1] < found[0]:
        raise ValueError(f"{text[:40]!r} ends before it begins")
    return found
