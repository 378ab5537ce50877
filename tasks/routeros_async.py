"""The same as routeros.py over asyncio: for probing hundreds of routers, of which some hang."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from librouteros.exceptions import LibRouterosError
from librouteros.protocol import AsyncApiProtocol

from tasks.routeros_dialogue import WIRE, Answer, Conversation, Fatal, Listening, T, from_wire, login, to_wire
from tasks.routeros_errors import ConnectionLost, Refused
from tasks.routeros_target import (
    NO_TLS_THERE,
    USUAL,
    Patience,
    Target,
    closed,
    ended,
    lost,
    no_tls,
    not_admitted,
    not_connected,
    silent,
)
from tasks.routeros_tls import check_certificate, tls_context
from tasks.routeros_wire import StreamWire

# It logs every word that is sent, passwords among them.
logging.getLogger("librouteros").disabled = True


async def connect(target: Target, patience: Patience = USUAL) -> "AsyncConnection":
    """A connection that is logged in. Raises RouterError."""
    *earlier, last = target.attempts()
    for port, encrypted in earlier:
        try:
            return await _connect(target, port, encrypted, patience)
        except NO_TLS_THERE:
            continue
    return await _connect(target, *last, patience)


class AsyncConnection:
    """To one router, for one task."""

    def __init__(self, host: str, wire: StreamWire, certificate_sha256: str | None, patience: Patience) -> None:
        """Not logged in yet; `connect` makes one that is."""
        self.host = host
        self.certificate_sha256 = certificate_sha256
        """Of the certificate that the router has; None without TLS."""
        self._patience = patience
        self._wire = wire
        self._protocol = AsyncApiProtocol(transport=wire, encoding=WIRE, timeout=None)
        self._usable = True

    @property
    def heard(self) -> bool:
        """Whether the router ever said anything."""
        return self._wire.heard

    async def talk(self, *words: str, within_s: float | None = None) -> Answer:
        """The answer to one sentence.

        Raises Refused, after which the connection goes on, or another RouterError, after which it is closed; a
        cancellation closes it too.
        """
        if not self._usable:
            raise closed(self.host)
        octets = to_wire(words)
        within_s = self._patience.talk_s if within_s is None else within_s
        self._usable = False
        try:
            async with asyncio.timeout(within_s):
                answer = await self._exchange(words, octets)
        except Refused:
            self._usable = True
            raise
        except Fatal as fatal:
            raise ended(self.host, words, str(fatal)) from None
        except TimeoutError:
            raise silent(self.host, words[0], within_s) from None
        except (LibRouterosError, OSError, ValueError) as error:
            raise lost(self.host, words[0], error) from None
        else:
            self._usable = True
            return answer
        finally:
            if not self._usable:
                self.close()

    async def run(self, conversation: Conversation[T], *, within_s: float | None = None) -> T:
        """What the conversation comes to; `within_s` is for each of its answers. Raises what `talk` or it raises."""
        try:
            words = next(conversation)
            while True:
                try:
                    answer = await self.talk(*words, within_s=within_s)
                except Refused as refused:
                    words = conversation.throw(refused)
                else:
                    words = conversation.send(answer)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            conversation.close()

    def close(self) -> None:
        self._usable = False
        self._wire.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _exchange(self, words: Sequence[str], octets: Sequence[str]) -> Answer:
        self._wire.begin()
        await self._protocol.writeSentence(*octets)
        listening = Listening(self.host, words)
        while True:
            reply = [from_wire(await self._protocol.readWord())]
            listening.check(reply[0])
            while word := await self._protocol.readWord():
                reply.append(from_wire(word))
            answer = listening.take(reply)
            if answer is not None:
                return answer


async def _connect(target: Target, port: int, encrypted: bool, patience: Patience) -> AsyncConnection:
    host = target.host
    wire, certificate_sha256 = await _open(target, port, encrypted, patience)
    connection = AsyncConnection(host, wire, certificate_sha256, patience)
    try:
        await connection.run(login(host, target.username, target.password), within_s=patience.login_s)
    except BaseException as error:
        connection.close()
        if isinstance(error, ConnectionLost) and not connection.heard:
            # RouterOS lets strangers connect and hangs up on them.
            raise not_admitted(host) from None
        raise
    return connection


async def _open(target: Target, port: int, encrypted: bool, patience: Patience) -> tuple[StreamWire, str | None]:
    host = target.host
    try:
        async with asyncio.timeout(patience.connect_s):
            sock = await _tcp(host, port)
    except OSError as error:
        raise not_connected(host, port, error, patience.connect_s) from None
    if not encrypted:
        return StreamWire(*await asyncio.open_connection(sock=sock)), None
    try:
        async with asyncio.timeout(patience.connect_s):
            reader, writer = await asyncio.open_connection(sock=sock, ssl=tls_context(), server_hostname="")
    except OSError as error:
        raise no_tls(host, port, error, patience.connect_s) from None
    wire = StreamWire(reader, writer)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        return wire, check_certificate(host, der, target.certificate_sha256)
    except BaseException:
        wire.abort()
        raise


async def _tcp(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
