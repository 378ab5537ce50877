"""What a packet says: the pairs FreeRADIUS hands over, as an AccessRequest or an AccountingRequest.

FreeRADIUS gives every value as text by its dictionaries: integers in decimal, named values by name, octets as 0x….
The pairs of an Access-Request hold the password in clear: they are never logged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import md5
from hmac import compare_digest
from ipaddress import ip_network
from uuid import UUID

from isp.mac import parse_mac
from isp.session_identity import session_key, subscription_of

Pairs = Iterable[tuple[str, str]]

# 4 PiB: a 10 Gbit/s port for a month. Counters beyond are noise and would overflow sums.
MAX_OCTETS = 1 << 52
MAX_SESSION_TIME_S = 10 * 366 * 24 * 3600
MAX_TEXT = 253

# How far from our clock a router's own time of an event is believed; spooled packets may be days old.
OLDEST_EVENT = timedelta(days=30)
NEWEST_EVENT = timedelta(minutes=5)


class MalformedRequest(Exception):
    """The packet lacks what it can not be understood without."""


@dataclass(slots=True)
class Chap:
    """CHAP-Password and the challenge it answers."""

    identifier: bytes
    response: bytes = field(repr=False)
    challenge: bytes

    def is_answered_by(self, password: str) -> bool:
        expected = md5(self.identifier + password.encode() + self.challenge).digest()  # noqa: S324 (RFC 1994)
        return compare_digest(self.response, expected)


# Made for each packet, and not frozen, since that takes three times as long; nothing changes one.


@dataclass(slots=True)
class AccessRequest:
    """A login. `service` is `hotspot`, `pppoe` or None where the packet does not say."""

    router_id: int
    user_name: str
    service: str | None
    calling_station_id: str | None
    """MAC address as AA:BB:CC:DD:EE:FF; None if it is none."""
    is_mac_login: bool
    """The router asks for a device, not a person: the name is the device's own address, the password says no more."""
    pap_password: str | None = field(default=None, repr=False)
    chap: Chap | None = None
    """Both None where FreeRADIUS's modules judge the password (MS-CHAP), or there is none."""
    packet: str = ""
    """As `packet_of`."""


@dataclass(slots=True)
class AccountingRequest:
    """One record of one session. Octets as RFC 2866 has them: `input` is what the subscriber sent."""

    status_type: str
    """`Start`, `Interim-Update` or `Stop`."""
    session_key: UUID
    router_id: int
    subscription_id: int | None
    """The one that Class names, unchecked."""
    user_name: str
    acct_session_id: str
    radius_class: str | None
    service: str
    calling_station_id: str | None
    called_station_id: str | None
    nas_ip_address: str | None
    nas_port: int | None
    nas_port_id: str | None
    framed_ip_address: str | None
    framed_ipv6_prefix: str | None
    delegated_ipv6_prefix: str | None
    event_at: datetime
    session_time_s: int
    input_octets: int
    output_octets: int
    terminate_cause: str | None


@dataclass(frozen=True, slots=True)
class RouterRestart:
    """Accounting-On or -Off: no session of the router outlived it."""

    router_id: int
    event_at: datetime


def access_request(pairs: Pairs) -> AccessRequest:
    """Raises MalformedRequest if the router or the name is missing."""
    values = _first_values(tuple(pairs))
    user_name = values.get("User-Name", "")
    if not user_name:
        raise MalformedRequest("there is no User-Name")
    calling_station_id = parse_mac(values.get("Calling-Station-Id"))
    service = _service(values)
    pap_password, chap = _password(values)
    is_mac_login = (
        calling_station_id is not None
        and service != "pppoe"
        and parse_mac(user_name) == calling_station_id
        and "MS-CHAP-Challenge" not in values
        and (chap is not None or "CHAP-Password" not in values)
        and _password_says_no_more(pap_password, chap, user_name)
    )
    router_id = _router_id(values)
    packet = values.get("Kibali-Packet", "")
    return AccessRequest(router_id, user_name, service, calling_station_id, is_mac_login, pap_password, chap, packet)


def packet_of(pairs: Pairs) -> str:
    """The number by which FreeRADIUS's log names a packet, in parentheses. It begins again at 0 with the server."""
    return dict(pairs).get("Kibali-Packet", "")


def accounting_request(pairs: Pairs, now: datetime) -> AccountingRequest | RouterRestart | None:
    """The record; None for a status type that accounts for nothing.

    Raises MalformedRequest if the router, the status or the session's id is missing.
    """
    pairs = tuple(pairs)
    values = _first_values(pairs)
    status_type = values.get("Acct-Status-Type")
    router_id = _router_id(values)
    event_at = _event_at(values, now)
    if status_type in ("Accounting-On", "Accounting-Off"):
        return RouterRestart(router_id, event_at)
    if status_type is None:
        raise MalformedRequest("there is no Acct-Status-Type")
    if status_type not in ("Start", "Interim-Update", "Stop"):
        return None
    acct_session_id = values.get("Acct-Session-Id", "")[:MAX_TEXT]
    if not acct_session_id:
        raise MalformedRequest("there is no Acct-Session-Id")
    user_name = values.get("User-Name", "")[:MAX_TEXT]
    calling_station_id = parse_mac(values.get("Calling-Station-Id"))
    radius_class = _class(pairs)
    return AccountingRequest(
        status_type=status_type,
        session_key=session_key(router_id, acct_session_id, radius_class, user_name, calling_station_id),
        router_id=router_id,
        subscription_id=subscription_of(radius_class),
        user_name=user_name,
        acct_session_id=acct_session_id,
        radius_class=radius_class,
        service=_service(values) or "hotspot",
        calling_station_id=calling_station_id,
        called_station_id=values.get("Called-Station-Id"),
        nas_ip_address=values.get("NAS-IP-Address") or values.get("NAS-IPv6-Address"),
        nas_port=_number(values, "NAS-Port", (1 << 32) - 1) or None,
        nas_port_id=values.get("NAS-Port-Id"),
        framed_ip_address=values.get("Framed-IP-Address"),
        framed_ipv6_prefix=_prefix(values.get("Framed-IPv6-Prefix")),
        delegated_ipv6_prefix=_prefix(values.get("Delegated-IPv6-Prefix")),
        event_at=event_at,
        session_time_s=_number(values, "Acct-Session-Time", MAX_SESSION_TIME_S),
        input_octets=_octets(values, "Input"),
        output_octets=_octets(values, "Output"),
        terminate_cause=values.get("Acct-Terminate-Cause") if status_type == "Stop" else None,
    )


def _first_values(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Of an attribute that is there more than once the first counts, as for FreeRADIUS's own modules and policies."""
    return dict(reversed(pairs))


def _router_id(values: dict[str, str]) -> int:
    """The row's id, which sites/clients made the client's short name."""
    router_id = values.get("Kibali-Router-Id", "")
    if not (router_id.isascii() and router_id.isdigit() and len(router_id) <= 18):
        raise MalformedRequest("there is no Kibali-Router-Id")
    return int(router_id)


def _service(values: dict[str, str]) -> str | None:
    service_type = values.get("Service-Type")
    if service_type == "Framed-User" or values.get("Framed-Protocol") == "PPP":
        return "pppoe"
    if service_type == "Login-User":
        return "hotspot"
    return None


def _password(values: dict[str, str]) -> tuple[str | None, Chap | None]:
    """In FreeRADIUS's own order: MS-CHAP before CHAP before PAP."""
    if "MS-CHAP-Challenge" in values:
        return None, None
    chap_password = values.get("CHAP-Password")
    if chap_password is None:
        return values.get("User-Password"), None
    try:
        answer = bytes.fromhex(chap_password.removeprefix("0x"))
        challenge = bytes.fromhex(values["CHAP-Challenge"].removeprefix("0x"))
    except (KeyError, ValueError):
        return None, None
    return None, Chap(answer[:1], answer[1:], challenge)


def _password_says_no_more(pap_password: str | None, chap: Chap | None, user_name: str) -> bool:
    """Whether the password is empty or the name again (RouterOS's `mac-as-username-and-password`)."""
    if chap is not None:
        return chap.is_answered_by("") or chap.is_answered_by(user_name)
    given = (pap_password or "").encode("utf-8", "surrogatepass")
    return given == b"" or compare_digest(given, user_name.encode())


def _class(pairs: Pairs) -> str | None:
    """Our own Class if there is one among several, else the first that is text."""
    found = None
    for name, value in pairs:
        if name == "Class":
            try:
                text = bytes.fromhex(value.removeprefix("0x")).decode("ascii")
            except ValueError:
                continue
            if subscription_of(text) is not None:
                return text
            if text and text.isprintable():
                found = found or text
    return found


def _number(values: dict[str, str], name: str, maximum: int) -> int:
    """0 if it is missing or no number; what is larger than the maximum is noise and 0 too."""
    value = values.get(name, "0")
    if not value.isascii() or not value.isdigit() or len(value) > 20:
        return 0
    number = int(value)
    return number if number <= maximum else 0


def _prefix(value: str | None) -> str | None:
    """A network; the bits of a host that some routers leave in it are cleared, since PostgreSQL's cidr takes none."""
    try:
        return str(ip_network(value, strict=False)) if value else None
    except ValueError:
        return None


def _octets(values: dict[str, str], direction: str) -> int:
    octets = _number(values, f"Acct-{direction}-Octets", (1 << 32) - 1)
    gigawords = _number(values, f"Acct-{direction}-Gigawords", (1 << 32) - 1)
    total = (gigawords << 32) + octets
    return total if total <= MAX_OCTETS else 0


def _event_at(values: dict[str, str], now: datetime) -> datetime:
    """When it happened: the router's Event-Timestamp if its clock can be believed, else now less Acct-Delay-Time."""
    event_timestamp = values.get("Event-Timestamp")
    if event_timestamp:
        try:
            event_at = _parse_date(event_timestamp)
        except ValueError:
            event_at = None
        if event_at and now - OLDEST_EVENT <= event_at <= now + NEWEST_EVENT:
            return event_at
    return now - timedelta(seconds=_number(values, "Acct-Delay-Time", 30 * 86400))


@lru_cache(maxsize=64)
def _parse_date(text: str) -> datetime:
    """A date as FreeRADIUS prints it, in the time zone of its process, which is ours: `Nov 22 2026 20:29:48 EAT`."""
    local = datetime.strptime(text, "%b %d %Y %H:%M:%S %Z")  # noqa: DTZ007 (it has the process's zone)
    return local.replace(tzinfo=UTC) if text.endswith((" UTC", " GMT")) else local.astimezone(UTC)
