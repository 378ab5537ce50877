"""Source ports for requests: each has 256 identifiers for each router; when they are taken, another port is opened."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

IDENTIFIERS = 256
# A RADIUS packet has up to 4096 octets.
_LARGEST_DATAGRAM = 4096
_DATAGRAMS_AT_ONCE = 64
_SOCKET_BUFFER_BYTES = 1 << 20

Address = tuple[str, int]
"""An IP address, as the kernel writes it, and a UDP port."""


@dataclass
class Slot:
    """One identifier of one port towards one router, until `release`."""

    port: "_Port"
    address: Address
    identifier: int
    on_datagram: Callable[[bytes], None]
    """Gets what comes from that address with that identifier."""

    def send(self, datagram: bytes) -> str | None:
        """What the kernel says against it; such a datagram is as lost as any other."""
        try:
            self.port.socket.sendto(datagram, self.address)
        except OSError as error:
            return error.strerror or str(error)
        return None

    def release(self) -> None:
        del self.port.slots[self.address, self.identifier]
        # To the end, so that a late answer seldom finds another request under its identifier.
        self.port.free[self.address].append(self.identifier)


@dataclass
class _Port:
    socket: socket.socket
    slots: dict[tuple[Address, int], Slot] = field(default_factory=dict)
    free: dict[Address, deque[int]] = field(default_factory=dict)
    """By router; one that is not there has all of them."""


class SourcePorts:
    """Belongs to one event loop. `on_stray` is told of what nobody waits for: whether its sender is a router asked."""

    def __init__(self, on_stray: Callable[[bool], None]) -> None:
        self._ports: dict[int, list[_Port]] = {socket.AF_INET: [], socket.AF_INET6: []}
        self._on_stray = on_stray

    def __len__(self) -> int:
        return sum(map(len, self._ports.values()))

    def take(self, address: Address, on_datagram: Callable[[bytes], None]) -> Slot:
        """A slot that nobody has. Raises OSError if no port can be opened."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        for port in self._ports[family]:
            free = port.free.setdefault(address, deque(range(IDENTIFIERS)))
            if free:
                break
        else:
            port = self._open(family)
            free = port.free[address] = deque(range(IDENTIFIERS))
        slot = Slot(port, address, free.popleft(), on_datagram)
        port.slots[address, slot.identifier] = slot
        return slot

    def close(self) -> None:
        for ports in self._ports.values():
            while ports:
                opened = ports.pop().socket
                asyncio.get_running_loop().remove_reader(opened)
                opened.close()

    def _open(self, family: int) -> _Port:
        opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER_BYTES)
        opened.bind(("", 0))
        port = _Port(opened)
        self._ports[family].append(port)
        asyncio.get_running_loop().add_reader(opened, self._receive, port)
        return port

    def _receive(self, port: _Port) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram, sender = port.socket.recvfrom(_LARGEST_DATAGRAM)
            except OSError:
                return
            address = sender[0], sender[1]
            slot = port.slots.get((address, datagram[1])) if len(datagram) > 1 else None
            if slot:
                slot.on_datagram(datagram)
            else:
                self._on_stray(address in port.free)
