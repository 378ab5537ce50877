"""Threads for what waits for PostgreSQL, so that nobody else does.

Every request goes to one and comes back, which takes a third of what anyio does for it.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

MOST_THREADS = 40


class _Call(NamedTuple):
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    context: Context
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"


_lock = threading.Lock()
_waiting: deque[_Call] = deque()
"""For a thread to be free, when all are there."""
_idle: list["SimpleQueue[_Call]"] = []
"""How each thread that has nothing to do is told; the one that worked last comes first, since its memory is warm."""
_started = 0


async def in_thread(function: Callable[[*Args], T], *arguments: *Args) -> T:
    """What the function returns or raises. It sees the caller's context variables; what it sets there is gone with it.

    Whoever is cancelled waits no longer; the function goes on to its end.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    _hand_over(_Call(function, arguments, copy_context(), loop, answer))
    return await answer


def _hand_over(call: _Call) -> None:
    global _started
    with _lock:
        if _idle:
            calls = _idle.pop()
        elif _started < MOST_THREADS:
            _started += 1
            calls = SimpleQueue()
            threading.Thread(target=_work, args=(calls,), name=f"request-{_started}", daemon=True).start()
        else:
            _waiting.append(call)
            return
    calls.put(call)


def _work(calls: "SimpleQueue[_Call]") -> None:
    while True:
        _carry_out(calls.get())
        while (call := _next_or_idle(calls)) is not None:
            _carry_out(call)


def _next_or_idle(calls: "SimpleQueue[_Call]") -> _Call | None:
    with _lock:
        if _waiting:
            return _waiting.popleft()
        _idle.append(calls)
        return None


def _carry_out(call: _Call) -> None:
    result, failure = None, None
    try:
        result = call.context.run(call.function, *call.arguments)
    except BaseException as error:  # noqa: BLE001 - whoever waits is told, whatever it is
        failure = error
    with suppress(RuntimeError):  # the loop was closed: nobody waits
        call.loop.call_soon_threadsafe(_tell, call.answer, result, failure)


def _tell(answer: "asyncio.Future[Any]", result: Any, failure: BaseException | None) -> None:
    if answer.done():
        return
    if failure is None:
        answer.set_result(result)
    else:
        answer.set_exception(failure)
