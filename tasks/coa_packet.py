"""CoA-Request and Disconnect-Request (RFC 5176) on pyrad: what they say, how they are encoded, what answers mean."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, ip_address
from typing import Any, Literal

from pyrad.dictionary import Dictionary
from pyrad.packet import CoAACK, CoANAK, CoAPacket, CoARequest, DisconnectACK, DisconnectNAK, DisconnectRequest
from pyrad.packet import PacketError as PyradPacketError

from isp.mac import parse_mac
from settings import CHECKOUT, Secret

Pairs = Iterable[tuple[str, str]]

MAX_PACKET_BYTES = 4096
SESSION_CONTEXT_NOT_FOUND = 503

# By the names of FreeRADIUS's dictionaries.
_ERROR_CAUSES = {
    201: "Residual-Session-Context-Removed",
    202: "Invalid-EAP-Packet",
    401: "Unsupported-Attribute",
    402: "Missing-Attribute",
    403: "NAS-Identification-Mismatch",
    404: "Invalid-Request",
    405: "Unsupported-Service",
    406: "Unsupported-Extension",
    407: "Invalid-Attribute-Value",
    501: "Administratively-Prohibited",
    502: "Proxy-Request-Not-Routable",
    503: "Session-Context-Not-Found",
    504: "Session-Context-Not-Removable",
    505: "Proxy-Processing-Error",
    506: "Resources-Unavailable",
    507: "Request-Initiated",
    508: "Multiple-Session-Selection-Unsupported",
}
_ERROR_CAUSE = 101
_ANSWERS = {DisconnectRequest: (DisconnectACK, DisconnectNAK), CoARequest: (CoAACK, CoANAK)}


class CoaRequestError(ValueError):
    """What was asked for can not be sent; nothing was."""


class BadReply(Exception):
    """`kind` is `malformed` or `unverified`: the datagram says nothing about the request."""

    def __init__(self, kind: Literal["malformed", "unverified"]) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Target:
    """Where a router listens, and the secret it shares with us. Raises CoaRequestError."""

    address: str
    secret: Secret
    port: int = 3799

    def __post_init__(self) -> None:
        try:
            parsed = ip_address(self.address)
        except ValueError:
            raise CoaRequestError(f"{self.address!r} is no IP address of a router.") from None
        if parsed.is_multicast or parsed.is_unspecified:
            raise CoaRequestError(f"{self.address} is no address of one router.")
        if not 1 <= self.port <= 65535:
            raise CoaRequestError(f"{self.port} is no UDP port: a router's CoA port is 1 to 65535, mostly 3799.")
        if not self.secret:
            raise CoaRequestError(f"The router at {self.address} has no RADIUS secret: set one.")


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """A session as its accounting named it, so that the router finds it and no other."""

    service: str
    """`hotspot` or `pppoe`."""
    user_name: str
    acct_session_id: str
    framed_ip_address: str | None
    calling_station_id: str | None
    nas_port_id: str | None = None

    def pairs(self) -> list[tuple[str, str]]:
        """Raises CoaRequestError for a hotspot session without its address."""
        if self.service == "hotspot" and not self.framed_ip_address:
            # By User-Name alone RouterOS ends another client's session, or a wireless association, and says ACK.
            raise CoaRequestError(f"The hotspot session {self.acct_session_id} has no Framed-IP-Address to find it by.")
        station = self.calling_station_id
        named = (
            ("User-Name", self.user_name),
            ("Acct-Session-Id", self.acct_session_id),
            ("Framed-IP-Address", self.framed_ip_address),
            # As RouterOS writes it; PostgreSQL's macaddr comes in lower case.
            ("Calling-Station-Id", parse_mac(station) or station),
            ("NAS-Port-Id", self.nas_port_id),
        )
        return [(name, value) for name, value in named if value]


_IDENTIFYING = frozenset(("User-Name", "Acct-Session-Id", "Framed-IP-Address", "Calling-Station-Id", "NAS-Port-Id"))


@dataclass(frozen=True, slots=True)
class Acked:
    """The router says it did it. RouterOS may say so and do nothing: believe accounting, or the router's own lists."""

    tries: int
    seconds: float
    """From the first try to the answer."""


@dataclass(frozen=True, slots=True)
class Nacked:
    """The router says that it did not, and why."""

    error_cause: int | None
    tries: int
    seconds: float

    @property
    def name(self) -> str:
        """`Session-Context-Not-Found`; a number where RFC 5176 has no name."""
        return "none" if self.error_cause is None else _ERROR_CAUSES.get(self.error_cause, str(self.error_cause))

    @property
    def session_is_gone(self) -> bool:
        """Our record is stale, or an answer to an earlier try was lost."""
        return self.error_cause == SESSION_CONTEXT_NOT_FOUND


@dataclass
class Request:
    """One request, ready but for its identifier."""

    target: Target
    packet: Any = field(repr=False)  # it knows the secret

    def encode(self, identifier: int) -> bytes:
        """The datagram; one with the same identifier is the same."""
        self.packet.id = identifier
        return bytes(self.packet.RequestPacket())

    def error_cause_of(self, datagram: bytes) -> tuple[bool, int | None]:
        """Whether it is an ACK, and its Error-Cause. Raises BadReply."""
        try:
            reply = self.packet.CreateReply(packet=datagram)
            is_ours = reply.code in _ANSWERS[self.packet.code] and self.packet.VerifyReply(reply)
        except (PyradPacketError, ValueError, LookupError, struct.error):
            raise BadReply("malformed") from None
        if not is_ours:
            raise BadReply("unverified")
        error_cause = next(iter(reply.get(_ERROR_CAUSE) or ()), b"")
        is_ack = reply.code in (CoAACK, DisconnectACK)
        return is_ack, int.from_bytes(error_cause) if len(error_cause) == 4 else None


def coa_request(target: Target, session: SessionIdentity, attributes: Pairs, now_s: float) -> Request:
    """Raises CoaRequestError for attributes that are unknown, too long, of a wrong kind, or name the session."""
    changes = list(attributes)
    if not changes:
        raise CoaRequestError("A CoA-Request that changes nothing is none.")
    for name, _ in changes:
        if name in _IDENTIFYING:
            raise CoaRequestError(f"{name} tells which session is meant: CoA can not change it.")
    return _request(CoARequest, target, [*session.pairs(), *changes], now_s)


def disconnect_request(target: Target, session: SessionIdentity, now_s: float) -> Request:
    """Raises CoaRequestError."""
    return _request(DisconnectRequest, target, session.pairs(), now_s)


def _request(code: int, target: Target, pairs: Pairs, now_s: float) -> Request:
    packet = CoAPacket(
        code=code, id=0, secret=target.secret.reveal().encode(), dict=dictionary(), message_authenticator=True
    )
    for name, value in (*pairs, ("Event-Timestamp", str(int(now_s)))):
        _add(packet, name, value)
    if len(packet.RequestPacket()) > MAX_PACKET_BYTES:
        raise CoaRequestError(f"The request is longer than the {MAX_PACKET_BYTES} octets of a RADIUS packet.")
    return Request(target, packet)


def _add(packet: Any, name: str, value: str) -> None:
    known = packet.dict.attributes.get(name)
    if known is None:
        raise CoaRequestError(f"freeradius/pyrad.dictionary has no attribute {name}.")
    longest = 247 if known.vendor else 253
    is_too_long = len(value.encode("utf-8", "surrogatepass")) > longest
    try:
        if known.type == "ipaddr":
            IPv4Address(value)
        if known.type in ("integer", "date") and not known.values.HasForward(value):
            packet.AddAttribute(name, int(value))
        else:
            packet.AddAttribute(name, value)
    except (ValueError, TypeError, struct.error):
        # pyrad's own words would show the value, which may be long or secret.
        problem = f"longer than {longest} octets" if is_too_long else f"no {known.type}"
        raise CoaRequestError(f"The value of {name} is {problem}.") from None
    if is_too_long and known.type == "string":
        raise CoaRequestError(f"The value of {name} is longer than {longest} octets.")


@cache
def dictionary() -> Any:
    return Dictionary(str(CHECKOUT / "freeradius" / "pyrad.dictionary"))
