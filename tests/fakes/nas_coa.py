"""What the fake NAS hears on its CoA port, and what it answers. Authenticators are checked by hand, without pyrad."""

import hmac
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Any

import pyrad.packet

from tests.fakes.nas_session import OnlineSession, is_rate_limit
from tests.fakes.nas_wire import Behaviour, Sender, dictionary

DISCONNECT_REQUEST, COA_REQUEST = 40, 43
UNSUPPORTED_ATTRIBUTE, MISSING_ATTRIBUTE, INVALID_ATTRIBUTE_VALUE, SESSION_CONTEXT_NOT_FOUND = 401, 402, 407, 503
_ERROR_CAUSE, _MESSAGE_AUTHENTICATOR = 101, 80
_ANSWERS_KEPT = 1024

_IDENTIFYING = frozenset(("User-Name", "Acct-Session-Id", "Framed-IP-Address", "Calling-Station-Id", "NAS-Port-Id"))
_AROUND = frozenset(("Message-Authenticator", "Event-Timestamp", "NAS-IP-Address", "NAS-Identifier", "Proxy-State"))
# As the manual has it.
_CHANGEABLE = (
    *("Mikrotik-Rate-Limit", "Mikrotik-Group", "Mikrotik-Mark-Id", "Filter-Id", "Session-Timeout", "Idle-Timeout"),
    *("Mikrotik-Recv-Limit", "Mikrotik-Recv-Limit-Gigawords", "Mikrotik-Xmit-Limit", "Mikrotik-Xmit-Limit-Gigawords"),
)
_UNLISTED = ("Mikrotik-Address-List", "Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords")


@dataclass(frozen=True)
class Heard:
    """A request that verified, and what was answered: `ACK`, or the number of a NAK's Error-Cause."""

    code: int
    attributes: dict[str, Any]
    answer: str | int
    session: OnlineSession | None


class CoaServer:
    """`disconnect` ends a session and sends its Stop; `changed` is told of one that has other limits now."""

    def __init__(
        self,
        secret: str,
        behaviour: Behaviour,
        online: Mapping[str, OnlineSession],
        disconnect: Callable[[OnlineSession], None],
        changed: Callable[[OnlineSession], None],
    ) -> None:
        self.secret = secret
        self.heard: list[Heard] = []
        self.refused = 0
        """Datagrams that no answer was due to: not from the RADIUS server, malformed, or not verified."""
        self.repeated = 0
        self._behaviour, self._online = behaviour, online
        self._disconnect, self._changed = disconnect, changed
        self._answers: dict[tuple[Sender, bytes], bytes] = {}

    def answer(self, datagram: bytes, sender: Sender) -> bytes | None:
        """To a request; None where RouterOS says nothing."""
        request = self._verified(datagram)
        if request is None:
            self.refused += 1
            return None
        known = (sender, datagram[:20])
        if self._behaviour.detects_duplicates and known in self._answers:
            self.repeated += 1
            return self._answers[known]
        values = {name: request[name][0] for name in request.keys() if isinstance(name, str)}  # noqa: SIM118
        session = self._find(values)
        error_cause = SESSION_CONTEXT_NOT_FOUND if session is None else self._act(request.code, session, values)
        self.heard.append(Heard(request.code, values, error_cause or "ACK", session))
        reply = self._answers[known] = self._reply(datagram, error_cause)
        while len(self._answers) > _ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]
        return reply

    def _verified(self, datagram: bytes) -> Any:
        """The request, decoded; None if it is none of ours."""
        if len(datagram) < 20 or datagram[0] not in (DISCONNECT_REQUEST, COA_REQUEST):
            return None
        length = int.from_bytes(datagram[2:4])
        if not 20 <= length <= len(datagram):
            return None
        datagram, secret = datagram[:length], self.secret.encode()
        if md5(datagram[:4] + bytes(16) + datagram[20:] + secret).digest() != datagram[4:20]:
            return None
        at = _position(datagram, _MESSAGE_AUTHENTICATOR)
        if at is None:
            if self._behaviour.wants_message_authenticator:
                return None
        else:
            # RFC 5176 has it computed with the Request Authenticator and itself as zeros.
            blank = datagram[:4] + bytes(16) + datagram[20 : at + 2] + bytes(16) + datagram[at + 18 :]
            if hmac.digest(secret, blank, "md5") != datagram[at + 2 : at + 18]:
                return None
        try:
            return pyrad.packet.CoAPacket(secret=secret, dict=dictionary, packet=datagram)
        except pyrad.packet.PacketError:
            return None

    def _find(self, values: dict[str, Any]) -> OnlineSession | None:
        """The session that is all that is said of it."""
        said = {name: value for name, value in values.items() if name in _IDENTIFYING}
        number = said.get("Acct-Session-Id")
        for session in self._online.values() if number is None else filter(None, [self._online.get(number)]):
            own = session.report("Start")
            if said and all(own.get(name) == value for name, value in said.items()):
                return session
        return None

    def _act(self, code: int, session: OnlineSession, values: dict[str, Any]) -> int | None:
        """Does it; or the Error-Cause why not."""
        changes = {name: value for name, value in values.items() if name not in _IDENTIFYING | _AROUND}
        if code == DISCONNECT_REQUEST:
            if changes:
                return UNSUPPORTED_ATTRIBUTE
            # Without its address a hotspot session stays, and something else is dropped (PacketFence#7703, 7.9.2).
            is_named = session.subscriber.service != "hotspot" or "Framed-IP-Address" in values
            if is_named and not self._behaviour.acks_and_does_nothing:
                self._disconnect(session)
            return None
        if self._behaviour.refuses_coa_with is not None:
            return self._behaviour.refuses_coa_with
        if not changes:
            return MISSING_ATTRIBUTE
        obeyed = _CHANGES_BY[self._behaviour.unlisted]
        if any(name not in obeyed for name in changes):
            return UNSUPPORTED_ATTRIBUTE
        if not is_rate_limit(changes.get("Mikrotik-Rate-Limit", "1k")):
            return INVALID_ATTRIBUTE_VALUE
        if not self._behaviour.acks_and_does_nothing:
            applied = {name: value for name, value in changes.items() if obeyed[name]}
            if self._behaviour.coa_counts_from == "now":
                _count_from_now(session, applied)
            session.attributes |= applied
            self._changed(session)
        return None

    def _reply(self, request: bytes, error_cause: int | None) -> bytes:
        body = b"" if error_cause is None else struct.pack("!BBI", _ERROR_CAUSE, 6, error_cause)
        signed = self._behaviour.answers_with_message_authenticator
        code = request[0] + (1 if error_cause is None else 2)
        head = struct.pack("!BBH", code, request[1], 20 + len(body) + 18 * signed)
        if signed:
            blank = head + request[4:20] + bytes((_MESSAGE_AUTHENTICATOR, 18)) + bytes(16) + body
            mac = hmac.digest(self.secret.encode(), blank, "md5")
            body = bytes((_MESSAGE_AUTHENTICATOR, 18)) + mac + body
        return head + md5(head + request[4:20] + body + self.secret.encode()).digest() + body


_LISTED = dict.fromkeys(_CHANGEABLE, True)
_CHANGES_BY: dict[str, dict[str, bool]] = {
    "ignored": {**_LISTED, **dict.fromkeys(_UNLISTED, False)},
    "applied": {**_LISTED, **dict.fromkeys(_UNLISTED, True)},
    "refused": _LISTED,
}
"""Attributes that a CoA-Request may hold, and whether they are obeyed."""


def _count_from_now(session: OnlineSession, applied: dict[str, Any]) -> None:
    """Makes what is given from now on into what it is from the session's start."""
    if "Session-Timeout" in applied:
        applied["Session-Timeout"] += int(session.session_time_s)
    used = {
        "Recv": session.input_octets,
        "Xmit": session.output_octets,
        "Total": session.input_octets + session.output_octets,
    }
    for direction, octets in used.items():
        name = f"Mikrotik-{direction}-Limit"
        if applied.get(name):
            limit = applied[name] + (applied.get(f"{name}-Gigawords", 0) << 32) + octets
            applied[f"{name}-Gigawords"], applied[name] = divmod(limit, 1 << 32)


def _position(datagram: bytes, number: int) -> int | None:
    """Where the first attribute of that number begins, if it is as long as a Message-Authenticator."""
    at = 20
    while at + 2 <= len(datagram) and datagram[at + 1] >= 2:
        if datagram[at] == number:
            return at if datagram[at + 1] == 18 and at + 18 <= len(datagram) else None
        at += datagram[at + 1]
    return None
