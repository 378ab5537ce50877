"""When does a login work? Customers whose time is over and who paid press "log in" until it does."""

import asyncio
import time
from typing import cast

from bench import attributes, packets
from bench.payment_books import Prompt
from bench.population import PASSWORD

EVERY_S = 0.02
GIVES_UP_AFTER_S = 60.0


class Logins:
    """`latencies_s`: from when the callback was due to the Access-Accept. Made and used in a running event loop."""

    def __init__(self, auth_port: int, one_in: int) -> None:
        self.latencies_s: list[float] = []
        self.never = 0
        self._auth_port = auth_port
        self._one_in = one_in
        self._seen = 0
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, prompt: Prompt, due: float) -> None:
        """One in so many of those who have a subscription."""
        if prompt.subscriber is None:
            return
        self._seen += 1
        if self._seen % self._one_in == 0:
            self._tasks.append(asyncio.create_task(self._try(prompt, due)))

    async def wait(self) -> None:
        await asyncio.gather(*self._tasks)

    async def _try(self, prompt: Prompt, due: float) -> None:
        loop = asyncio.get_running_loop()
        transport, router = await loop.create_datagram_endpoint(_Router, remote_addr=("127.0.0.1", self._auth_port))
        try:
            identifier = 0
            while time.monotonic() < due + GIVES_UP_AFTER_S:
                sent_at = time.monotonic()
                if await router.login(prompt, identifier) == packets.ACCESS_ACCEPT:
                    self.latencies_s.append(time.monotonic() - due)
                    return
                identifier = (identifier + 1) % packets.IDENTIFIERS
                await asyncio.sleep(max(0.0, sent_at + EVERY_S - time.monotonic()))
            self.never += 1
        finally:
            transport.close()


class _Router(asyncio.DatagramProtocol):
    """One socket, one login at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # Python 3.11's own is none
        self._waiting: asyncio.Future[int] | None = None
        self._identifier = -1

    async def login(self, prompt: Prompt, identifier: int) -> int:
        """The code of the answer; 0 where none came in a second."""
        assert prompt.subscriber is not None
        authenticator = packets.new_authenticator()
        head = attributes.login_head(prompt.subscriber, prompt.subscriber.number)
        password = packets.pap_password(PASSWORD.encode(), authenticator)
        packet = packets.access_request(
            identifier, head, password, attributes.login_tail(prompt.subscriber), authenticator
        )
        self._identifier, self._waiting = identifier, asyncio.get_running_loop().create_future()
        self._transport.sendto(packet)
        try:
            async with asyncio.timeout(1.0):
                return await self._waiting
        except TimeoutError:
            return 0

    def datagram_received(self, data: bytes, addr: object) -> None:
        if self._waiting and not self._waiting.done() and data[1] == self._identifier:
            self._waiting.set_result(data[0])

    def error_received(self, exc: Exception) -> None:
        """Nothing: the login is tried again."""
