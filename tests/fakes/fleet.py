"""Many subscribers at once: a NAS that encodes packets itself and keeps thousands of requests under way.

Each request is repeated as RouterOS repeats it, with the same identifier and authenticator, and given up after its last
try; the next report of the session carries higher counters, so nothing but time is lost by that.
"""

import asyncio
import os
import struct
from dataclasses import dataclass, field
from hashlib import md5
from typing import cast

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCOUNTING_REQUEST, ACCOUNTING_RESPONSE = 1, 2, 3, 4, 5
START, STOP, INTERIM = 1, 2, 3


def attribute(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        value = struct.pack("!I", value)
    elif isinstance(value, str):
        value = value.encode()
    return bytes((number, len(value) + 2)) + value


def hidden_password(password: bytes, secret: bytes, request_authenticator: bytes) -> bytes:
    """User-Password of at most 16 octets, as it is sent (RFC 2865, section 5.2)."""
    pad = md5(secret + request_authenticator).digest()
    return bytes(octet ^ key for octet, key in zip(password.ljust(16, b"\0"), pad, strict=True))


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    attributes: bytes

    def value(self, number: int) -> bytes | None:
        """The first attribute of that number."""
        at = 0
        while at + 2 <= len(self.attributes):
            if self.attributes[at] == number:
                return self.attributes[at + 2 : at + self.attributes[at + 1]]
            at += self.attributes[at + 1]
        return None


@dataclass
class Online:
    """A session as the subscriber's device knows it: the truth that the tables are compared with."""

    user_name: str
    mac: str
    acct_session_id: str
    radius_class: bytes
    input_octets: int = 0
    output_octets: int = 0
    session_time_s: int = 0
    acknowledged: bool = field(default=True)
    """Whether the last report was answered."""

    def report(self, status: int) -> bytes:
        return b"".join(
            (
                attribute(40, status),
                attribute(44, self.acct_session_id),
                attribute(1, self.user_name),
                attribute(31, self.mac),
                attribute(25, self.radius_class),
                attribute(46, self.session_time_s),
                attribute(42, self.input_octets & 0xFFFFFFFF),
                attribute(52, self.input_octets >> 32),
                attribute(43, self.output_octets & 0xFFFFFFFF),
                attribute(53, self.output_octets >> 32),
            )
        )


class _Socket(asyncio.DatagramProtocol):
    """One source port: 256 requests under way."""

    def __init__(self) -> None:
        self.free = asyncio.Queue[int]()
        for identifier in range(256):
            self.free.put_nowait(identifier)
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        waiting = self.waiting.get(data[1]) if len(data) >= 20 else None
        if waiting is not None and not waiting.done():
            waiting.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """The port is closed while the server is down: the same as no answer."""


class Fleet:
    def __init__(
        self, server: str, auth_port: int, acct_port: int, secret: str, *, timeout_s: float = 3.0, tries: int = 3
    ) -> None:
        self._server = server
        self._ports = {ACCESS_REQUEST: auth_port, ACCOUNTING_REQUEST: acct_port}
        self._secret = secret.encode()
        self._timeout_s, self._tries = timeout_s, tries
        self._sockets: dict[int, list[_Socket]] = {}
        self._next = 0

    async def __aenter__(self) -> "Fleet":
        loop = asyncio.get_running_loop()
        for code, port in self._ports.items():
            self._sockets[code] = []
            for _ in range(16):
                _transport, protocol = await loop.create_datagram_endpoint(_Socket, remote_addr=(self._server, port))
                self._sockets[code].append(protocol)
        return self

    async def __aexit__(self, *_error: object) -> None:
        for sockets in self._sockets.values():
            for socket in sockets:
                if socket.transport:
                    socket.transport.close()
        await asyncio.sleep(0)  # the loop closes them on its next turn

    async def login(self, user_name: str, password: str, mac: str) -> Reply | None:
        """By PAP; None without an answer."""
        authenticator = os.urandom(16)
        hidden = hidden_password(password.encode(), self._secret, authenticator)
        attributes = attribute(1, user_name) + attribute(2, hidden) + attribute(31, mac) + attribute(6, 1)
        return await self._exchange(ACCESS_REQUEST, attributes, authenticator)

    async def account(self, online: Online, status: int) -> bool:
        """Whether the report was answered."""
        reply = await self._exchange(ACCOUNTING_REQUEST, online.report(status), None)
        online.acknowledged = reply is not None
        return online.acknowledged

    async def _exchange(self, code: int, attributes: bytes, authenticator: bytes | None) -> Reply | None:
        sockets = self._sockets[code]
        self._next += 1
        socket = sockets[self._next % len(sockets)]
        identifier = await socket.free.get()
        head = struct.pack("!BBH", code, identifier, 20 + len(attributes))
        if authenticator is None:
            authenticator = md5(head + bytes(16) + attributes + self._secret).digest()
        answer = socket.waiting[identifier] = asyncio.get_running_loop().create_future()
        try:
            for _ in range(self._tries):
                assert socket.transport is not None
                socket.transport.sendto(head + authenticator + attributes)
                try:
                    data = await asyncio.wait_for(asyncio.shield(answer), self._timeout_s)
                except TimeoutError:
                    continue
                expected = md5(data[:4] + authenticator + data[20:] + self._secret).digest()
                if data[4:20] != expected:
                    raise AssertionError("a reply with a wrong authenticator")
                return Reply(data[0], data[20:])
            return None
        finally:
            del socket.waiting[identifier]
            socket.free.put_nowait(identifier)
