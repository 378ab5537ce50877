"""The fake NAS's side of the network: real UDP from its own address, with loss, delay and death; and RADIUS over it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import pyrad.packet
from pyrad.dictionary import Dictionary

from cli.nas import DICTIONARY, NoAnswer

Sender = tuple[str, int]

dictionary = Dictionary(str(DICTIONARY))


@dataclass
class Behaviour:
    """What may be wrong with a router and with the way to it. Change it at any time."""

    dead: bool = False
    """Hears and says nothing; its sessions go on."""
    loss: float = 0.0
    """The share of datagrams that is lost, in each direction."""
    delay_s: float = 0.0
    """Of each datagram that comes in."""
    acks_and_does_nothing: bool = False
    refuses_coa_with: int | None = None
    """The Error-Cause of every CoA-Request."""
    detects_duplicates: bool = True
    """Answers a repeated CoA or Disconnect as it did the first time, instead of acting on it anew."""
    answers_with_message_authenticator: bool = True
    wants_message_authenticator: bool = True
    coa_counts_from: Literal["start", "now"] = "start"
    """Time-outs and limits of a CoA-Request."""
    unlisted: Literal["ignored", "applied", "refused"] = "ignored"
    """What becomes of attributes of a CoA-Request that the manual neither lists nor excludes."""


class Wire(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, behaviour: Behaviour, chance: random.Random, receive: Callable[[bytes, Sender], None]) -> None:
        self._behaviour, self._chance, self._receive = behaviour, chance, receive
        self._transport: asyncio.DatagramTransport | None = None

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    async def open(self, address: str, port: int = 0) -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=(address, port))

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def send(self, datagram: bytes, to: Sender) -> None:
        if self._transport and not self._is_lost():
            self._transport.sendto(datagram, to)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._is_lost():
            return
        if self._behaviour.delay_s:
            asyncio.get_running_loop().call_later(self._behaviour.delay_s, self._receive, data, addr[:2])
        else:
            self._receive(data, addr[:2])

    def error_received(self, exc: Exception) -> None:
        """The server is down: the same as no answer."""

    def _is_lost(self) -> bool:
        return self._behaviour.dead or self._chance.random() < self._behaviour.loss


class RadiusSide:
    """Asks one port of a RADIUS server as RouterOS does: the same datagram until it is answered, then no more."""

    def __init__(
        self, server: Sender, secret: str, behaviour: Behaviour, chance: random.Random, timeout_s: float, tries: int
    ) -> None:
        self._server, self.secret = server, secret
        self._timeout_s, self._tries = timeout_s, tries
        self._wire = Wire(behaviour, chance, self._receive)
        self._free = asyncio.Queue[int]()
        for identifier in range(256):
            self._free.put_nowait(identifier)
        self._waiting: dict[int, tuple[Any, asyncio.Future[Any]]] = {}

    async def open(self, address: str) -> None:
        await self._wire.open(address)

    def close(self) -> None:
        self._wire.close()

    async def ask(self, packet: Any) -> Any:
        """The reply, verified. Raises NoAnswer."""
        identifier = packet.id = await self._free.get()
        datagram = packet.RequestPacket()
        answer = asyncio.get_running_loop().create_future()
        self._waiting[identifier] = packet, answer
        try:
            for _ in range(self._tries):
                self._wire.send(datagram, self._server)
                await asyncio.wait({answer}, timeout=self._timeout_s)
                if answer.done():
                    return answer.result()
            raise NoAnswer(f"no answer from {self._server[0]}")
        finally:
            del self._waiting[identifier]
            self._free.put_nowait(identifier)

    def _receive(self, datagram: bytes, sender: Sender) -> None:
        packet, answer = self._waiting.get(datagram[1], (None, None)) if len(datagram) >= 20 else (None, None)
        if packet is None or answer is None or answer.done() or sender != self._server:
            return
        try:
            reply = packet.CreateReply(packet=datagram)
        except pyrad.packet.PacketError:
            return
        # RouterOS ≥ 7.15 drops an answer to an Access-Request that has no Message-Authenticator.
        if packet.VerifyReply(reply, enforce_ma=True):
            answer.set_result(reply)
