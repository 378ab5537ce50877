"""Many datagrams for one system call: Linux's sendmmsg and recvmmsg over connected UDP sockets.

The buffers are laid out once; a datagram costs two writes into an array to send and one look into a buffer to receive.
"""

import ctypes
import os
import socket
from errno import EAGAIN, ECONNREFUSED, EINTR

BATCH = 64
# A reply of RADIUS may hold 4096 octets; ours are far shorter, and a longer one would be cut off and not verify.
REPLY_BYTES = 1024
_SOCKET_BUFFER_BYTES = 4 << 20


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint))


_HEADER_BYTES = ctypes.sizeof(_MMsgHdr)

_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


class ServerGone(Exception):
    """Nothing listens on the port any more."""


def connected_socket(port: int) -> socket.socket:
    """A UDP socket that talks to `port` of this machine, with room for answers that come in a burst."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER_BYTES)
    opened.bind(("127.0.0.1", 0))
    opened.connect(("127.0.0.1", port))
    opened.setblocking(False)
    return opened


class _Messages:
    def __init__(self) -> None:
        self._vectors = (_IoVec * BATCH)()
        self._headers = (_MMsgHdr * BATCH)()
        for number, message in enumerate(self._headers):
            message.header.vectors = ctypes.addressof(self._vectors) + number * ctypes.sizeof(_IoVec)
            message.header.vector_count = 1
        self._at = ctypes.addressof(self._headers)


class Outbox(_Messages):
    """Collects datagrams that lie anywhere in memory for one socket, then sends them all."""

    def __init__(self, sender: socket.socket) -> None:
        super().__init__()
        self._file = sender.fileno()
        self._words = memoryview(self._vectors).cast("B").cast("Q")
        self._count = 0

    def add(self, address: int, length: int) -> None:
        """A datagram by where it lies. Raises ServerGone."""
        if self._count == BATCH:
            self.send()
        at = 2 * self._count
        self._words[at] = address
        self._words[at + 1] = length
        self._count += 1

    def send(self) -> None:
        """Raises ServerGone."""
        sent = 0
        while sent < self._count:
            done = _sendmmsg(self._file, self._at + _HEADER_BYTES * sent, self._count - sent, 0)
            if done < 0:
                _raise_unless_to_be_repeated()
                continue
            sent += done
        self._count = 0


class Inbox(_Messages):
    """Receives up to BATCH datagrams at once; datagram number n begins at `data[n * REPLY_BYTES]`."""

    def __init__(self) -> None:
        super().__init__()
        self.data = bytearray(BATCH * REPLY_BYTES)
        first = ctypes.addressof((ctypes.c_char * len(self.data)).from_buffer(self.data))
        for number, vector in enumerate(self._vectors):
            vector.base = first + number * REPLY_BYTES
            vector.length = REPLY_BYTES

    def receive(self, file: int) -> int:
        """How many have come; 0 if none waits. Raises ServerGone."""
        done: int = _recvmmsg(file, self._at, BATCH, socket.MSG_DONTWAIT, None)
        if done < 0:
            _raise_unless_to_be_repeated()
            return 0
        return done

    def reply(self, number: int) -> bytes:
        start = number * REPLY_BYTES
        return bytes(self.data[start : start + self._headers[number].length])


def _raise_unless_to_be_repeated() -> None:
    number = ctypes.get_errno()
    if number == ECONNREFUSED:
        raise ServerGone
    if number not in (EAGAIN, EINTR):
        raise OSError(number, os.strerror(number))
