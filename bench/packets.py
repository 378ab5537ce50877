"""Packets encoded ahead of a run, one after another in memory, and what each of them says."""

import ctypes
import os
import struct
from array import array
from collections.abc import Iterable
from hashlib import md5
from hmac import digest

from bench import attributes as a
from bench.population import ROUTER_SECRET, Session

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE = 1, 2, 3, 4, 5
START, STOP, INTERIM_UPDATE = 1, 2, 3

# Identifiers of one socket; a slot is one identifier of one socket.
IDENTIFIERS = 256
NO_SESSION = (1 << 64) - 1

_SECRET = ROUTER_SECRET.encode()
_USER_REQUEST = 1
_HEADER = struct.Struct("!BBH")
_COUNTERS = struct.Struct("!BBIBBIBBIBBIBBIBBIBBIBBIBBI")
_MESSAGE_AUTHENTICATOR_ZERO = a.octets(a.MESSAGE_AUTHENTICATOR, bytes(16))


class Packets:
    """Packets by number, in the order in which they were added. `queues[slot]` holds the numbers of a slot's packets;
    a slot sends its next only when the one before was answered."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.queues: list[list[int]] = [[] for _ in range(slots)]
        self.lengths = array("Q")
        self.is_login = bytearray()
        self.sessions = array("Q")
        """Number of the session that a record reports of; NO_SESSION for a login."""
        self.input_octets = array("Q")
        self.output_octets = array("Q")
        self._data = bytearray()
        self._offsets = array("Q")

    def __len__(self) -> int:
        return len(self.lengths)

    def add_login(self, slot: int, packet: bytes) -> None:
        self._add(slot, packet, NO_SESSION, (0, 0))

    def add_record(self, slot: int, packet: bytes, session: Session, octets: tuple[int, int]) -> None:
        self._add(slot, packet, session.number, octets)

    def addresses(self) -> "array[int]":
        """Where each lies in memory. Nothing may be added from now on."""
        first = ctypes.addressof((ctypes.c_char * len(self._data)).from_buffer(self._data))
        return array("Q", (first + offset for offset in self._offsets))

    def packet(self, number: int) -> bytes:
        start = self._offsets[number]
        return bytes(self._data[start : start + self.lengths[number]])

    def reported(self, numbers: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Of each session in the records of these numbers, the highest counters."""
        highest: dict[int, tuple[int, int]] = {}
        sessions, inputs, outputs = self.sessions, self.input_octets, self.output_octets
        for number in numbers:
            session = sessions[number]
            if session == NO_SESSION:
                continue
            known = highest.get(session)
            if known is None or outputs[number] >= known[1]:
                highest[session] = inputs[number], outputs[number]
        return highest

    def _add(self, slot: int, packet: bytes, session: int, octets: tuple[int, int]) -> None:
        self.queues[slot].append(len(self.lengths))
        self._offsets.append(len(self._data))
        self._data += packet
        self.lengths.append(len(packet))
        self.is_login.append(session == NO_SESSION)
        self.sessions.append(session)
        self.input_octets.append(octets[0])
        self.output_octets.append(octets[1])


def access_request(identifier: int, head: bytes, password: bytes, tail: bytes, authenticator: bytes) -> bytes:
    """An Access-Request with Message-Authenticator, as RouterOS ≥ 7.15 sends it. `password`: ready attributes."""
    body = head + password + tail + _MESSAGE_AUTHENTICATOR_ZERO
    packet = _HEADER.pack(ACCESS_REQUEST, identifier, 20 + len(body)) + authenticator + body
    return packet[:-16] + digest(_SECRET, packet, "md5")


def pap_password(password: bytes, authenticator: bytes) -> bytes:
    """User-Password of RFC 2865, hidden; up to 16 octets."""
    mask = md5(_SECRET + authenticator).digest()  # noqa: S324
    hidden = int.from_bytes(password.ljust(16, b"\0")) ^ int.from_bytes(mask)
    return b"\x02\x12" + hidden.to_bytes(16)


def mschapv2_password(challenge: bytes, response: bytes) -> bytes:
    return a.vendor(a.MICROSOFT, a.octets(a.MS_CHAP_CHALLENGE, challenge)) + a.vendor(
        a.MICROSOFT, a.octets(a.MS_CHAP2_RESPONSE, response)
    )


def new_authenticator() -> bytes:
    return os.urandom(16)


def start(identifier: int, head: bytes, event_at: int) -> bytes:
    status = a.integer(a.ACCT_STATUS_TYPE, START) + a.integer(a.EVENT_TIMESTAMP, event_at)
    return _accounting_request(identifier, status + head)


def report(
    identifier: int, status_type: int, head: bytes, event_at: int, session_time_s: int, octets: tuple[int, int]
) -> bytes:
    """An Interim-Update or a Stop."""
    (input_gigawords, input_low), (output_gigawords, output_low) = (
        divmod(octets[0], 1 << 32),
        divmod(octets[1], 1 << 32),
    )
    # fmt: off
    counters = _COUNTERS.pack(
        a.ACCT_STATUS_TYPE, 6, status_type,
        a.EVENT_TIMESTAMP, 6, event_at,
        a.ACCT_SESSION_TIME, 6, session_time_s,
        a.ACCT_INPUT_OCTETS, 6, input_low,
        a.ACCT_OUTPUT_OCTETS, 6, output_low,
        a.ACCT_INPUT_PACKETS, 6, octets[0] // 900,
        a.ACCT_OUTPUT_PACKETS, 6, octets[1] // 1300,
        a.ACCT_INPUT_GIGAWORDS, 6, input_gigawords,
        a.ACCT_OUTPUT_GIGAWORDS, 6, output_gigawords,
    )
    # fmt: on
    if status_type == STOP:
        counters += a.integer(a.ACCT_TERMINATE_CAUSE, _USER_REQUEST)
    return _accounting_request(identifier, counters + head)


def _accounting_request(identifier: int, body: bytes) -> bytes:
    header = _HEADER.pack(ACCOUNTING_REQUEST, identifier, 20 + len(body))
    return header + md5(header + bytes(16) + body + _SECRET).digest() + body  # noqa: S324
