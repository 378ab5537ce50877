"""What librouteros reads from and writes to, bounded: one deadline for a whole exchange, and a size for its answer."""

import socket
import time
from asyncio import IncompleteReadError, StreamReader, StreamWriter

from librouteros.exceptions import ConnectionClosed

# A menu with 65,534 items of 1,000 bytes: far more than a router is asked for.
MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024


class AnswerTooLong(ValueError):
    pass


class SocketWire:
    """librouteros's own would wait anew for each byte, and call the kernel for the length of each word."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._at = 0
        self._deadline = 0.0
        self._left = 0
        self.heard = False
        """Whether the router ever said anything."""

    def begin(self, within_s: float) -> None:
        """An exchange, which ends with TimeoutError if it takes longer."""
        self._deadline = time.monotonic() + within_s
        self._left = MOST_BYTES

    def write(self, data: bytes) -> None:
        self._sock.settimeout(self._remaining_s())
        self._sock.sendall(data)

    def read(self, length: int) -> bytes:
        if self._at + length > len(self._buffer):
            self._fill(length)
        data = bytes(self._buffer[self._at : self._at + length])
        self._at += length
        return data

    def close(self) -> None:
        self._sock.close()

    def _fill(self, length: int) -> None:
        del self._buffer[: self._at]
        self._at = 0
        while len(self._buffer) < length:
            if length - len(self._buffer) > self._left:
                raise AnswerTooLong
            self._sock.settimeout(self._remaining_s())
            got = self._sock.recv(_CHUNK)
            if not got:
                raise ConnectionClosed
            self.heard = True
            self._buffer += got
            self._left -= len(got)

    def _remaining_s(self) -> float:
        remaining_s = self._deadline - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s


class StreamWire:
    """The same over asyncio's streams; the deadline is an `asyncio.timeout` around the exchange."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._left = 0
        self.heard = False

    def begin(self) -> None:
        self._left = MOST_BYTES

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read(self, length: int) -> bytes:
        self._left -= length
        if self._left < 0:
            raise AnswerTooLong
        try:
            data = await self._reader.readexactly(length)
        except IncompleteReadError:
            raise ConnectionClosed from None
        self.heard = True
        return data

    async def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Without waiting for a router that may never say goodbye."""
        self._writer.transport.abort()
