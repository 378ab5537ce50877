"""The API of a MikroTik router, one command at a time; what can go wrong is in routeros_errors.py.

A connection survives a trap, which is a whole answer, and nothing else: after a time-out, a lost byte or an interrupt
in the middle it is closed, so that no late answer is ever taken for the next question's. For hundreds of routers at
once there is the same over asyncio, in routeros_async.py.
"""

import logging
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from librouteros.exceptions import LibRouterosError
from librouteros.protocol import ApiProtocol

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
from tasks.routeros_wire import SocketWire

# It logs every word that is sent, passwords among them.
logging.getLogger("librouteros").disabled = True


def connect(target: Target, patience: Patience = USUAL) -> "Connection":
    """A connection that is logged in. Raises RouterError."""
    *earlier, last = target.attempts()
    for port, encrypted in earlier:
        try:
            return _connect(target, port, encrypted, patience)
        except NO_TLS_THERE:
            continue
    return _connect(target, *last, patience)


class Connection:
    """To one router, for one thread."""

    def __init__(self, host: str, sock: socket.socket, certificate_sha256: str | None, patience: Patience) -> None:
        """Not logged in yet; `connect` makes one that is."""
        self.host = host
        self.certificate_sha256 = certificate_sha256
        """Of the certificate that the router has; None without TLS."""
        self._patience = patience
        self._wire = SocketWire(sock)
        self._protocol = ApiProtocol(transport=self._wire, encoding=WIRE)
        self._usable = True

    @property
    def heard(self) -> bool:
        """Whether the router ever said anything."""
        return self._wire.heard

    def talk(self, *words: str, within_s: float | None = None) -> Answer:
        """The answer to one sentence.

        Raises Refused, after which the connection goes on, or another RouterError, after which it is closed.
        """
        if not self._usable:
            raise closed(self.host)
        octets = to_wire(words)
        within_s = self._patience.talk_s if within_s is None else within_s
        self._usable = False
        try:
            answer = self._exchange(words, octets, within_s)
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

    def run(self, conversation: Conversation[T], *, within_s: float | None = None) -> T:
        """What the conversation comes to; `within_s` is for each of its answers. Raises what `talk` or it raises."""
        try:
            words = next(conversation)
            while True:
                try:
                    answer = self.talk(*words, within_s=within_s)
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
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exchange(self, words: Sequence[str], octets: Sequence[str], within_s: float) -> Answer:
        self._wire.begin(within_s)
        self._protocol.writeSentence(*octets)
        listening = Listening(self.host, words)
        while True:
            reply = [from_wire(self._protocol.readWord())]
            listening.check(reply[0])
            while word := self._protocol.readWord():
                reply.append(from_wire(word))
            answer = listening.take(reply)
            if answer is not None:
                return answer


def _connect(target: Target, port: int, encrypted: bool, patience: Patience) -> Connection:
    host = target.host
    try:
        sock = socket.create_connection((host, port), patience.connect_s)
    except OSError as error:
        raise not_connected(host, port, error, patience.connect_s) from None
    try:
        certificate_sha256 = None
        if encrypted:
            try:
                sock = tls = tls_context().wrap_socket(sock)
            except OSError as error:
                raise no_tls(host, port, error, patience.connect_s) from None
            certificate_sha256 = check_certificate(host, tls.getpeercert(True), target.certificate_sha256)
        connection = Connection(host, sock, certificate_sha256, patience)
    except BaseException:
        sock.close()
        raise
    try:
        connection.run(login(host, target.username, target.password), within_s=patience.login_s)
    except BaseException as error:
        connection.close()
        if isinstance(error, ConnectionLost) and not connection.heard:
            # RouterOS lets strangers connect and hangs up on them.
            raise not_admitted(host) from None
        raise
    return connection
