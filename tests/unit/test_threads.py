"""Threads for what waits: what comes back from them, what they see, and who waits for whom."""

import asyncio
import threading
from contextvars import ContextVar

import pytest

from api.threads import in_thread

REQUEST = ContextVar("request", default="none")


def test_what_it_returns_and_what_it_raises_come_back() -> None:
    assert asyncio.run(in_thread(divmod, 7, 2)) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_thread(divmod, 7, 0))


def test_it_runs_elsewhere_and_sees_the_callers_context_alone() -> None:
    def look() -> tuple[str, int]:
        seen = REQUEST.get()
        REQUEST.set("its own")
        return seen, threading.get_ident()

    async def ask(name: str) -> tuple[str, int]:
        REQUEST.set(name)
        seen = await in_thread(look)
        assert REQUEST.get() == name
        return seen

    async def many() -> list[tuple[str, int]]:
        return await asyncio.gather(*(ask(f"request {number}") for number in range(200)))

    found = asyncio.run(many())
    assert [name for name, _ in found] == [f"request {number}" for number in range(200)]
    assert threading.get_ident() not in {ident for _, ident in found}


def test_many_wait_at_once_and_more_wait_for_them() -> None:
    barrier = threading.Barrier(40)

    async def many() -> None:
        await asyncio.gather(*(in_thread(barrier.wait, 10) for _ in range(80)))

    asyncio.run(many())


def test_who_is_cancelled_waits_no_longer_and_the_thread_goes_on() -> None:
    may_end, ended = threading.Event(), threading.Event()

    def wait() -> None:
        may_end.wait(10)
        ended.set()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await in_thread(wait)

    asyncio.run(give_up())
    may_end.set()  # after its loop was closed, which nobody notices
    assert ended.wait(10)
    assert asyncio.run(in_thread(divmod, 7, 2)) == (3, 1)


def test_one_thread_serves_who_asks_one_after_the_other() -> None:
    """The one that worked last: its memory is warm. In turn they would answer a fifth fewer requests."""

    async def several() -> set[int]:
        return {await in_thread(threading.get_ident) for _ in range(20)}

    assert len(asyncio.run(several())) <= 2  # the one before may not be back yet
