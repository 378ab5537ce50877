"""Many clients of /api/v1/events/ws in one process: raw sockets, and as little work as can be for each message."""

import base64
import json
import os
import re
import selectors
import socket
import struct
import time
from array import array
from dataclasses import dataclass, field

_NUMBER = re.compile(rb'"number":(\d+)')
_MOST_AT_ONCE = 65_536


@dataclass(slots=True)
class _Client:
    socket: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What all clients were told: the number of an event, and when (CLOCK_MONOTONIC, in ns)."""

    numbers: "array[int]"
    at_ns: "array[int]"
    messages: int


def connect(port: int, token: str, count: int) -> list[_Client]:
    """Clients that were admitted. Raises OSError, RuntimeError."""
    clients: list[_Client] = []
    for _ in range(count):
        clients.append(_connect(port, token))
        if len(clients) % 50 == 0:
            for client in clients:
                _take_pings(client)
    return clients


def listen(clients: list[_Client], expected: int, within_s: float) -> Heard:
    """Until each client has heard `expected` events, or the time is over."""
    selector = selectors.DefaultSelector()
    for client in clients:
        client.socket.setblocking(False)
        selector.register(client.socket, selectors.EVENT_READ, client)
    numbers, at_ns, messages = array("q"), array("q"), 0
    waiting, deadline = len(clients), time.monotonic() + within_s
    while waiting and time.monotonic() < deadline:
        for key, _ in selector.select(0.1):
            client = key.data
            received = client.socket.recv(_MOST_AT_ONCE)
            if not received:
                raise RuntimeError("the API ended a connection")
            now_ns = time.monotonic_ns()
            client.buffer += received
            for payload in _frames(client):
                messages += 1
                found = _NUMBER.findall(payload)
                for number in found:
                    numbers.append(int(number))
                    at_ns.append(now_ns)
                client.seen += len(found)
                if found and client.seen >= expected:
                    waiting -= 1
    selector.close()
    return Heard(numbers, at_ns, messages)


def close(clients: list[_Client]) -> None:
    for client in clients:
        client.socket.close()


def _connect(port: int, token: str) -> _Client:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        f"GET /api/v1/events/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    client = _Client(connection)
    while b"\r\n\r\n" not in client.buffer:
        client.buffer += _received(connection)
    head, _, rest = bytes(client.buffer).partition(b"\r\n\r\n")
    if b" 101 " not in head:
        raise RuntimeError(f"no WebSocket: {head[:100]!r}")
    client.buffer = bytearray(rest)
    hello = json.dumps({"type": "auth", "token": token}).encode()
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(hello))
    connection.sendall(struct.pack("!BB", 0x81, 0x80 | len(hello)) + mask + masked)
    while True:
        client.buffer += _received(connection)
        for payload in _frames(client):
            if b'"ready"' in payload:
                return client
            raise RuntimeError(f"not admitted: {payload[:200]!r}")


def _received(connection: socket.socket) -> bytes:
    received = connection.recv(_MOST_AT_ONCE)
    if not received:
        raise RuntimeError("the API ended a connection")
    return received


def _take_pings(client: _Client) -> None:
    """Answers what came while others connected: who does not answer is dropped after 40 s."""
    client.socket.setblocking(False)
    try:
        client.buffer += client.socket.recv(_MOST_AT_ONCE)
    except BlockingIOError:
        return
    finally:
        client.socket.setblocking(True)
    _frames(client)


def _frames(client: _Client) -> list[bytes]:
    """The payloads of the whole text frames at the beginning of the buffer, which are taken off it; pings answered."""
    buffer = client.buffer
    payloads = []
    place = 0
    while len(buffer) - place >= 2:
        opcode, length, begins = buffer[place] & 0x0F, buffer[place + 1] & 0x7F, place + 2
        if length == 126:
            if len(buffer) < begins + 2:
                break
            length, begins = int.from_bytes(buffer[begins : begins + 2]), begins + 2
        elif length == 127:
            if len(buffer) < begins + 8:
                break
            length, begins = int.from_bytes(buffer[begins : begins + 8]), begins + 8
        if len(buffer) < begins + length:
            break
        if opcode == 1:
            payloads.append(bytes(buffer[begins : begins + length]))
        elif opcode == 9:
            # Masked with zeros, which is a mask like any other.
            client.socket.send(struct.pack("!BB4x", 0x8A, 0x80 | length) + buffer[begins : begins + length])
        place = begins + length
    del buffer[:place]
    return payloads
