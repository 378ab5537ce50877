"""MikroTik routers to test against: RouterOS's API over real TCP and TLS, menus that remember, RouterOS's own words.

`with fake_router("7.16") as router:` runs one in a thread, `with fake_routers(…)` hundreds; `python -m
tests.fakes.routeros --version 7.16 --port 8728` one that stays. What it holds is in `router.machine.tables`, what it
was asked in `router.heard`, what it is to do wrong in `router.faults`.
"""

import asyncio
import socket
import sys
import threading
from asyncio import StreamReader, StreamReaderProtocol, StreamWriter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import click

from settings import Secret
from tasks.routeros_target import Target
from tests.fakes import routeros_script
from tests.fakes.routeros_certificate import alert_without_certificate, server_tls
from tests.fakes.routeros_factory import CHR, HAP, VERSIONS
from tests.fakes.routeros_faults import Fault, Faults, How
from tests.fakes.routeros_machine import Machine, admits
from tests.fakes.routeros_session import Heard, Session

USERNAME, PASSWORD = "kibali", "Jambo-7%"


class FakeRouter:
    def __init__(self, version: str = "7.16", *, latency_s: float = 0.0, mute: bool = False, **options: Any) -> None:
        """`mute`: connections are made and nothing is ever said. `options` are Machine's."""
        self.machine = Machine(version, **options)
        self.machine.tables.changed = self._changed
        self.faults = Faults()
        self.heard: list[Heard] = []
        self.latency_s = latency_s
        self.mute = mute
        self.connections = 0
        """Made so far, logged in or not."""
        self.ports = {"api": 0, "api-ssl": 0}
        """Where they really are; /ip service shows RouterOS's own."""
        self._listeners: dict[str, socket.socket] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._soon: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def target(self, **changes: Any) -> Target:
        known: dict[str, Any] = {
            "host": "127.0.0.1",
            "username": USERNAME,
            "password": Secret(PASSWORD),
            "api_port": self.ports["api"],
            "api_ssl_port": self.ports["api-ssl"],
        }
        return Target(**{**known, **changes})

    def fail(self, at: str, how: How, **details: Any) -> None:
        """See Fault."""
        self.faults.append(Fault(at, how, **details))

    def commands(self) -> list[str]:
        """What it was asked after the login, without arguments."""
        return [heard.words[0] for heard in self.heard if heard.words[0] != "/login"]

    async def start(self) -> None:
        """Listens where its services are enabled; on the ports it had before, if it had."""
        self._loop = loop = asyncio.get_running_loop()
        for name in self.ports:
            if self.machine.service(name)["disabled"] != "true" and name not in self._listeners:
                listener = self._listeners[name] = _listener(self.ports[name])
                self.ports[name] = listener.getsockname()[1]
                loop.add_reader(listener, self._accept, name, listener)

    async def stop(self) -> None:
        """As if its power were cut; it does not come back by itself."""
        for task in self._soon - {asyncio.current_task()}:
            task.cancel()
        await self._fall_silent()

    async def _fall_silent(self) -> None:
        for name in list(self._listeners):
            self._stop_listening(name)
        tasks = list(self._serving)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # in which asyncio closes their sockets

    async def reboot(self, seconds: float) -> None:
        await self._fall_silent()
        self.machine.restart()
        await asyncio.sleep(seconds)
        await self.start()

    def _accept(self, name: str, listener: socket.socket) -> None:
        sock, (peer, _) = listener.accept()
        sock.setblocking(False)
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(name, sock, peer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        task.add_done_callback(lambda _task: sock.close())  # also of one that never began

    def _stop_listening(self, name: str) -> None:
        listener = self._listeners.pop(name)
        asyncio.get_running_loop().remove_reader(listener)
        listener.close()

    async def _serve(self, name: str, sock: socket.socket, peer: str) -> None:
        reader = StreamReader()
        protocol = StreamReaderProtocol(reader)
        transport: asyncio.BaseTransport | None = None
        try:
            if self.mute:
                await asyncio.Event().wait()
            if not admits(self.machine.service(name)["address"], peer):
                return
            tls = None
            loop = asyncio.get_running_loop()
            if name == "api-ssl":
                certificate = self.machine.certificate()
                if certificate is None:
                    await loop.sock_sendall(sock, alert_without_certificate(await loop.sock_recv(sock, 65536)))
                    return
                tls = server_tls(certificate)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=tls)
            writer = StreamWriter(cast(asyncio.WriteTransport, transport), protocol, reader, loop)
            await self._session(peer, tls is not None).serve(reader, writer)
            writer.close()
            async with asyncio.timeout(1):
                await writer.wait_closed()
        except OSError:
            pass  # the other side went away
        finally:
            if transport is not None:
                with suppress(AttributeError):  # Python 3.11's of TLS, when the other side was faster
                    cast(asyncio.WriteTransport, transport).abort()

    def _session(self, peer: str, encrypted: bool) -> Session:
        return Session(self.machine, self.faults, self.heard, self._reboot_soon, self.latency_s, peer, encrypted)

    def _reboot_soon(self, seconds: float) -> None:
        self._later(lambda: self.reboot(seconds))

    def _changed(self, path: str) -> None:
        """By a command: a service may have been enabled or disabled."""
        if path == "/ip/service" and self._loop is not None:
            self._loop.call_soon_threadsafe(self._later, self._listen_as_set)

    async def _listen_as_set(self) -> None:
        for name in list(self._listeners):
            if self.machine.service(name)["disabled"] == "true":
                self._stop_listening(name)
        await self.start()

    def _later(self, what: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(what())
        self._soon.add(task)
        task.add_done_callback(self._soon.discard)


class RunningRouter(FakeRouter):
    """One that runs in another thread."""

    def power_off(self) -> None:
        self._wait(self.stop())

    def power_on(self) -> None:
        self._wait(self.start())

    def restart(self, seconds: float = 0.0) -> None:
        self._wait(self.reboot(seconds))

    def _wait(self, what: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(what, self._loop).result(20)


@contextmanager
def fake_routers(routers: Sequence[RunningRouter]) -> Iterator[None]:
    """All of them in one thread of this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-routers", daemon=True)
    thread.start()

    async def all_do(what: Callable[[FakeRouter], Coroutine[Any, Any, None]]) -> None:
        for router in routers:
            await what(router)

    try:
        asyncio.run_coroutine_threadsafe(all_do(FakeRouter.start), loop).result(60)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(all_do(FakeRouter.stop), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@contextmanager
def fake_router(version: str = "7.16", *, certificate: bool = True, **options: Any) -> Iterator[RunningRouter]:
    """One that Kibali's user may log in to. `certificate`: api-ssl has one. `options` are FakeRouter's."""
    router = ready_router(version, certificate=certificate, **options)
    with fake_routers([router]):
        yield router


def unpacked_router(version: str = "7.16", **options: Any) -> RunningRouter:
    """As it leaves its box: nobody has let us in."""
    return RunningRouter(version, **options)


def ready_router(version: str = "7.16", *, certificate: bool = True, **options: Any) -> RunningRouter:
    router = RunningRouter(version, **options)
    router.machine.give_user(USERNAME, PASSWORD)
    if certificate:
        router.machine.give_certificate()
    return router


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    listener.setblocking(False)
    return listener


async def _run(routers: Sequence[FakeRouter]) -> None:
    for router in routers:
        await router.start()
        click.echo(f"api 127.0.0.1:{router.ports['api']}  api-ssl 127.0.0.1:{router.ports['api-ssl']}")
    await asyncio.Event().wait()


@click.command()
@click.option("--version", default="7.16", show_default=True, help=f"Of RouterOS: {', '.join(VERSIONS)}, or in full.")
@click.option(
    "--port", default=8728, show_default=True, help="Of its API on 127.0.0.1, the next with TLS; 0: free ones."
)
@click.option("--number", default=1, show_default=True, help="How many routers; each takes the next two ports.")
@click.option("--latency-ms", default=0, show_default=True, help="Before each answer.")
@click.option("--device-mode", help="home forbids the hotspot; RouterOS 7.")
@click.option("--paste", is_flag=True, help="A new router, into which the script on standard input is pasted.")
@click.option("--chr", "is_chr", is_flag=True, help="A CHR without configuration, not a hAP with MikroTik's.")
def main(
    version: str, port: int, number: int, latency_ms: int, device_mode: str | None, paste: bool, is_chr: bool
) -> None:
    """Runs fake routers until Ctrl-C."""
    script = sys.stdin.read() if paste else None
    routers = []
    for index in range(number):
        router = (unpacked_router if paste else ready_router)(
            version,
            latency_s=latency_ms / 1000,
            model=CHR if is_chr else HAP,
            number=index + 1,
            configured=not is_chr,
            device_mode=device_mode,
        )
        if script is not None:
            routeros_script.paste(router.machine, script)
        if port:
            router.ports.update({"api": port + 2 * index, "api-ssl": port + 2 * index + 1})
        routers.append(router)
    if script is None:
        click.echo(f"RouterOS {'.'.join(map(str, routers[0].machine.version))}, user {USERNAME}, password {PASSWORD}")
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(routers))


if __name__ == "__main__":
    main()
