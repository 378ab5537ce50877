"""What a property of a menu may hold, how the API prints it, and RouterOS's words when it is something else."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_network

Version = tuple[int, ...]


class Trap(Exception):
    """The router refuses. `messages`: of one !trap each."""

    def __init__(self, *messages: str, category: int | None = None) -> None:
        super().__init__(", ".join(messages))
        self.messages = messages
        self.category = category


@dataclass(frozen=True, slots=True)
class Property:
    read: Callable[[str, str], str]
    """(name, value as sent) → value as printed. Raises Trap."""
    default: str | None = None
    """None: absent until set."""
    required: bool = False
    read_only: bool = False
    secret: bool = False
    refers_to: str | None = None
    """The menu whose item's name it must be, unless it is one of `also`."""
    also: tuple[str, ...] = ()
    since: Version = (0,)
    before: Version = (99,)

    def known_in(self, version: Version) -> bool:
        return self.since <= version < self.before


def since(version: Version, known: Property) -> Property:
    return replace(known, since=version)


def required(known: Property) -> Property:
    return replace(known, required=True)


def text(default: str | None = None, *, secret: bool = False) -> Property:
    return Property(lambda _name, value: value, default, secret=secret)


def shown(default: str | None = None) -> Property:
    return Property(lambda _name, value: value, default, read_only=True)


def all_shown(names: str) -> dict[str, Property]:
    """`names` are separated by spaces."""
    return {name: shown() for name in names.split()}


def flag(default: str | None = "false", *, read_only: bool = False) -> Property:
    def read(name: str, value: str) -> str:
        if value not in ("yes", "no", "true", "false"):
            raise _no_such_value(name)
        return "true" if value in ("yes", "true") else "false"

    return Property(read, default, read_only=read_only)


def number(lowest: int, highest: int, default: str | None = None) -> Property:
    def read(name: str, value: str) -> str:
        if not re.fullmatch(r"\d+", value, re.ASCII):
            raise Trap(f"invalid value for argument {name}", category=1)
        if not lowest <= int(value) <= highest:
            raise Trap(f"value of {name} out of range ({lowest}..{highest})", category=1)
        return str(int(value))

    return Property(read, default)


def choice(*values: str, default: str | None = None) -> Property:
    def read(name: str, value: str) -> str:
        if value not in values:
            raise _no_such_value(name)
        return value

    return Property(read, default)


def choices(*values: str, default: str | None = None) -> Property:
    """Some of them, separated by commas."""

    def read(name: str, value: str) -> str:
        given = value.split(",") if value else []
        if not set(given) <= set(values):
            raise _no_such_value(name)
        return ",".join(one for one in values if one in given)

    return Property(read, default)


def policies(default: str | None = None) -> Property:
    """Of a group: printed whole, what it lacks behind an exclamation mark."""

    def read(name: str, value: str) -> str:
        given = [one for one in value.split(",") if one and not one.startswith("!")]
        if not set(given) <= set(POLICIES):
            raise _no_such_value(name)
        return ",".join(one if one in given else f"!{one}" for one in POLICIES)

    return Property(read, default)


def contents() -> Property:
    """Of a file: the API carries no more than 60 KiB."""

    def read(_name: str, value: str) -> str:
        if len(value.encode("utf-8", "surrogateescape")) > 60 * 1024:
            raise Trap("failure: contents too long", category=4)
        return value

    return Property(read)


def named(menu: str, *also: str, default: str | None = None) -> Property:
    return Property(lambda _name, value: value, default, refers_to=menu, also=also)


def address(default: str | None = None) -> Property:
    def read(name: str, value: str) -> str:
        try:
            return str(ip_address(value))
        except ValueError:
            raise Trap(f"invalid value for argument {name}", category=1) from None

    return Property(read, default)


def interface_address() -> Property:
    """With its prefix length; without one it is a host's."""

    def read(name: str, value: str) -> str:
        try:
            return str(IPv4Interface(value))
        except ValueError:
            raise Trap(f"invalid value for argument {name}", category=1) from None

    return Property(read)


def prefixes(default: str | None = "") -> Property:
    """Networks, separated by commas; an address is a network of one."""

    def read(name: str, value: str) -> str:
        try:
            return ",".join(str(ip_network(one)) for one in value.split(",") if one)
        except ValueError:
            raise Trap(f"invalid value for argument {name}", category=1) from None

    return Property(read, default)


def ranges() -> Property:
    """Of a pool: `10.0.0.2-10.0.0.9,10.0.1.0/24`; RouterOS writes a network as a range."""

    def read(name: str, value: str) -> str:
        try:
            return ",".join(_range(one) for one in value.split(","))
        except ValueError:
            raise Trap(f"invalid value for argument {name}", category=1) from None

    return Property(read)


def _range(text: str) -> str:
    if "/" in text:
        network = ip_network(text)
        return f"{network[0]}-{network[-1]}"
    first, dash, last = text.partition("-")
    if dash and IPv4Address(last) < IPv4Address(first):
        raise ValueError("a range that ends before it begins")
    return f"{IPv4Address(first)}-{IPv4Address(last)}" if dash else str(IPv4Address(first))


_TIME = re.compile(
    r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+):(\d\d)(?::(\d\d))?|(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?)(?:(\d+)ms)?", re.ASCII
)


def duration(default: str | None = None, *also: str) -> Property:
    """Printed as `1d2h3m4s`, whichever way it was given."""

    def read(name: str, value: str) -> str:
        if value in also:
            return value
        found = _TIME.fullmatch(value)
        if not found or not value:
            raise Trap(f"invalid value for argument {name}", category=1)
        weeks, days, hours, minutes, seconds, h, m, s, milliseconds = (int(part or 0) for part in found.groups())
        return _time(
            weeks * 604800 + days * 86400 + (hours + h) * 3600 + (minutes + m) * 60 + seconds + s, milliseconds
        )

    return Property(read, default, also=also)


def _time(total_s: int, milliseconds: int = 0) -> str:
    written = f"{milliseconds}ms" if milliseconds else ""
    for size_s, letter in ((60, "s"), (60, "m"), (24, "h"), (7, "d"), (1 << 30, "w")):
        total_s, part = divmod(total_s, size_s)
        written = f"{part}{letter}{written}" if part else written
    return written or "0s"


def time_of(seconds: float) -> str:
    """As `uptime` is printed."""
    return _time(int(seconds))


def _no_such_value(name: str) -> Trap:
    return Trap(f"input does not match any value of {name}", category=1)


POLICIES = (
    "local",
    "telnet",
    "ssh",
    "ftp",
    "reboot",
    "read",
    "write",
    "policy",
    "test",
    "winbox",
    "password",
    "web",
    "sniff",
    "sensitive",
    "api",
    "romon",
)
