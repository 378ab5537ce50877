"""What a running router knows of its customers, in Kibali's terms: pools, plans guessed from profiles, accounts.

Values are the router's own words: a password `true` or a name `12` is text.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Any, Literal

from isp.address_ranges import parse_ranges, size, written
from isp.mac import parse_mac
from isp.msisdn import parse_msisdn

Kind = Literal["ppp", "hotspot"]
SERVICES: Mapping[Kind, str] = {"ppp": "pppoe", "hotspot": "hotspot"}
_UNLIMITED_USERS = "unlimited"
_MOST_DEVICES = 1000


@dataclass(frozen=True, slots=True)
class Pool:
    name: str
    ranges: str
    addresses: int
    unfit: str | None = None
    """Why it can not be imported."""


@dataclass(frozen=True, slots=True)
class Profile:
    """`key` is `ppp/NAME` or `hotspot/NAME`: what a mapping to plans names it by."""

    kind: Kind
    name: str
    guess: Mapping[str, Any] | None
    """Columns of a plan; None where nothing can be guessed."""
    why_not: str | None = None

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Account:
    kind: Kind
    name: str
    password: str = field(repr=False)
    profile: str
    disabled: bool
    comment: str
    framed_ip_address: str | None = None
    mac: str | None = None
    unfit: str | None = None
    """Why it can not be imported."""

    @property
    def profile_key(self) -> str:
        return f"{self.kind}/{self.profile}"

    @property
    def msisdn(self) -> str | None:
        """A phone number that is its name, or stands in its comment."""
        return parse_msisdn(self.name) or next(
            (found for word in re.split(r"[,;|/\s]+", self.comment) if (found := parse_msisdn(word))), None
        )


def pool(row: Mapping[str, str]) -> Pool:
    name = row.get("name", "")
    try:
        ranges = parse_ranges(row.get("ranges", ""))
    except ValueError as error:
        return Pool(name, row.get("ranges", ""), 0, f"{error}.")
    return Pool(name, written(ranges), size(ranges))


def profile(kind: Kind, row: Mapping[str, str]) -> Profile:
    name = row.get("name", "")
    try:
        guess = plan_columns(row.get("rate-limit", ""))
    except ValueError as error:
        return Profile(kind, name, None, f"{error}: say which plan it is.")
    guess |= {
        "name": name[:100],
        "service": SERVICES[kind],
        "price_kes": 0,
        "validity_unit": "unlimited",
        "devices": _devices(row.get("shared-users", "1")),
        "idle_timeout_s": _seconds(row.get("idle-timeout", "")),
        "framed_pool": _pool_name(row.get("address-pool") or row.get("remote-address") or ""),
        "address_list": row.get("address-list") or None,
    }
    return Profile(kind, name, guess)


def account(kind: Kind, row: Mapping[str, str]) -> Account:
    name = row.get("name", "")
    address, unfit = _address(row.get("remote-address" if kind == "ppp" else "address", ""))
    service = row.get("service", "any")
    if not name:
        unfit = "It has no name."
    elif len(name) > 64 or any(not character.isprintable() for character in name):
        unfit = "Its name is longer than 64 characters, or has control characters in it."
    elif kind == "ppp" and service not in ("any", "pppoe"):
        unfit = f"It is for {service}, and Kibali serves PPPoE."
    elif not row.get("password") and not (kind == "hotspot" and parse_mac(name)):
        unfit = "It has no password, so everybody who knows its name would get in."
    elif len(row.get("password", "").encode()) > 128:
        unfit = "Its password is longer than 128 bytes."
    return Account(
        kind=kind,
        name=name,
        password=row.get("password", ""),
        profile=row.get("profile", "default"),
        disabled=row.get("disabled") == "true",
        comment=row.get("comment", ""),
        framed_ip_address=address,
        mac=parse_mac(row.get("caller-id" if kind == "ppp" else "mac-address", "")),
        unfit=unfit,
    )


def accounts(kind: Kind, rows: Iterable[Mapping[str, str]]) -> list[Account]:
    """Without those that RouterOS makes itself."""
    return [account(kind, row) for row in rows if row.get("dynamic") != "true" and row.get("name") != "default-trial"]


def plan_columns(rate_limit: str) -> dict[str, Any]:
    """Of a plan, in kbit/s. Raises ValueError for what is none, or has no limit.

    `rx[/tx] [burst] [threshold] [time] [priority] [minimum]` from the router's view: rx is the customer's upload.
    """
    fields = rate_limit.split()
    if not fields:
        raise ValueError("it has no rate limit")
    upload, download = _pair(fields[0])
    if not upload or not download:
        raise ValueError("its rate limit leaves a direction unlimited")
    columns: dict[str, Any] = {"upload_kbps": upload, "download_kbps": download}
    if len(fields) >= 4:
        burst, threshold, times = _pair(fields[1]), _pair(fields[2]), fields[3].split("/")
        seconds = _seconds(times[-1]) or 0
        if burst[0] >= upload and burst[1] >= download and all(threshold) and seconds and burst != (upload, download):
            columns |= {
                "burst_upload_kbps": burst[0],
                "burst_download_kbps": burst[1],
                "burst_threshold_upload_kbps": threshold[0],
                "burst_threshold_download_kbps": threshold[1],
                "burst_time_s": seconds,
            }
    if len(fields) >= 5 and re.fullmatch(r"[1-8](/[1-8])?", fields[4]):
        columns["priority"] = int(fields[4][0])
    if len(fields) >= 6:
        minimum = _pair(fields[5])
        if 0 < minimum[0] <= upload and 0 < minimum[1] <= download:
            columns |= {"min_upload_kbps": minimum[0], "min_download_kbps": minimum[1]}
    return columns


def _pair(text: str) -> tuple[int, int]:
    first, slash, second = text.partition("/")
    return _kbps(first), _kbps(second if slash else first)


def _kbps(text: str) -> int:
    found = re.fullmatch(r"(\d{1,12})([kMG]?)", text, re.ASCII)
    if found is None:
        raise ValueError(f"its rate limit has {text[:20]!r} in it")
    bits = int(found[1]) * {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}[found[2]]
    return -(-bits // 1000)


def _seconds(text: str) -> int | None:
    found = re.fullmatch(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", text, re.ASCII)
    clock = re.fullmatch(r"(\d+):(\d\d):(\d\d)", text, re.ASCII)
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3]) or None
    if found is None:
        return None
    sizes = (604_800, 86_400, 3_600, 60, 1)
    return sum(int(part or 0) * size_s for part, size_s in zip(found.groups(), sizes, strict=True)) or None


def _devices(text: str) -> int:
    if text == _UNLIMITED_USERS:
        return _MOST_DEVICES
    return max(1, min(int(text), _MOST_DEVICES)) if text.isascii() and text.isdigit() else 1


def _pool_name(text: str) -> str | None:
    """A profile's remote address may be an address instead."""
    return None if not text or text == "none" or _address(text)[0] else text[:63]


def _address(text: str) -> tuple[str | None, str | None]:
    """The address, if it is one of a customer; of a secret it may also be the name of a pool."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return None, None
    if address.is_unspecified:
        return None, None
    if address.is_multicast or address.is_loopback or address.is_reserved:
        return None, f"{address} is no address that a customer can have."
    return str(address), None
