"""Fake NASes for tests that are not asynchronous: an event loop in a thread of its own."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Any, TypeVar

from cli.nas import NoAnswer
from tests.fakes.nas import FakeNas, Refused
from tests.fakes.nas_session import OnlineSession, Subscriber

T = TypeVar("T")
Outcome = OnlineSession | Refused | NoAnswer


class NasFleet:
    """`run` and `begin` hand work to the loop. Read the truth in a coroutine, or while all is quiet."""

    def __init__(self, routers: Sequence[FakeNas]) -> None:
        self.routers = list(routers)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="fake NASes", daemon=True)

    def __enter__(self) -> "NasFleet":
        self._thread.start()
        for nas in self.routers:
            self.run(nas.start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for nas in self.routers:
            self.run(nas.stop())
        self.run(asyncio.sleep(0))  # transports close on the loop's next turn
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T], within_s: float = 60.0) -> T:
        return self.begin(work).result(within_s)

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """A plain function, in the loop."""

        async def work() -> T:
            return function(*arguments)

        return self.run(work())

    def online(self) -> list[tuple[FakeNas, OnlineSession]]:
        """Everybody, at one moment."""
        return self.call(lambda: [(nas, session) for nas in self.routers for session in nas.online.values()])

    def log_in(self, subscribers: Sequence[tuple[FakeNas, Subscriber]], at_once: int = 64) -> list[Outcome]:
        """In the order given; a refusal is an outcome as any other."""
        return self.run(self._log_in(subscribers, asyncio.Semaphore(at_once)), within_s=300)

    async def _log_in(
        self, subscribers: Sequence[tuple[FakeNas, Subscriber]], turn: asyncio.Semaphore
    ) -> list[Outcome]:
        async def one(nas: FakeNas, subscriber: Subscriber) -> Outcome:
            async with turn:
                try:
                    return await nas.log_in(subscriber)
                except (Refused, NoAnswer) as error:
                    return error

        return await asyncio.gather(*(one(nas, subscriber) for nas, subscriber in subscribers))
