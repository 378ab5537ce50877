"""Calls that wait at the same time are answered together.

The first caller does the work for all who queued meanwhile, then hands on to one of those who queued since: while it is
quiet a call costs no hand-over between threads, and under load one round trip serves many.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from time import perf_counter
from typing import Generic, TypeVar

from radius_module.tally import Tally

Q = TypeVar("Q")
R = TypeVar("R")

# What a caller waits beyond its time for an answer that is being worked on.
GRACE_S = 0.05


class Overloaded(Exception):
    """No answer within the caller's time."""


class _Call(Generic[Q, R]):
    __slots__ = ("answer", "done", "error", "item")

    def __init__(self, item: Q) -> None:
        self.item = item
        self.answer: R | None = None
        self.error: BaseException | None = None
        self.done = False


class _Waiting(Generic[Q, R]):
    """A queued call and the lock its thread sleeps on. `leads` once it was chosen to lead."""

    __slots__ = ("call", "leads", "wake")

    def __init__(self, call: _Call[Q, R]) -> None:
        self.call = call
        self.leads = False
        self.wake = Lock()
        self.wake.acquire()


class Combiner(Generic[Q, R]):
    """`work` takes a list of items and returns an answer for each, in order, or raises for all of them."""

    def __init__(self, work: Callable[[list[Q]], Sequence[R]], *, max_batch: int, leaders: int = 1) -> None:
        """`leaders`: how many batches may be at work at once."""
        self._work = work
        self._max_batch = max_batch
        self._free_leaders = leaders
        self.tally = Tally()
        self._queue: deque[_Waiting[Q, R]] = deque()
        self._lock = Lock()

    def call(self, item: Q, timeout_s: float) -> R:
        """The answer for `item`. Raises what `work` raised, or Overloaded if it took longer than `timeout_s`."""
        call: _Call[Q, R] = _Call(item)
        with self._lock:
            if self._free_leaders:
                self._free_leaders -= 1
                waiting = None
            else:
                waiting = _Waiting(call)
                self._queue.append(waiting)
        if waiting is not None and not self._sleep(waiting, timeout_s):
            raise Overloaded
        if not call.done:
            self._lead(call)
        if call.error is not None:
            raise call.error
        return call.answer  # type: ignore[return-value]

    def _sleep(self, waiting: _Waiting[Q, R], timeout_s: float) -> bool:
        """True once the call is done or its thread is to lead; False if its time is up."""
        if waiting.wake.acquire(timeout=timeout_s):
            return True
        with self._lock:
            if waiting in self._queue:
                self._queue.remove(waiting)
                return False
            leads = waiting.leads
        if leads:
            # Chosen in this very moment: without handing on, nobody would ever lead again.
            self._hand_on()
            return False
        # Somebody is working on it: a little longer, since its effects will be there.
        return waiting.wake.acquire(timeout=GRACE_S)

    def _lead(self, own: _Call[Q, R]) -> None:
        with self._lock:
            followers = [self._queue.popleft() for _ in range(min(len(self._queue), self._max_batch - 1))]
        calls = [own, *(waiting.call for waiting in followers)]
        began_s = perf_counter()
        try:
            answers = self._work([call.item for call in calls])
            for call, answer in zip(calls, answers, strict=True):
                call.answer = answer
        except BaseException as error:  # noqa: BLE001 (each caller raises it in its own thread)
            for call in calls:
                call.error = error
        for call in calls:
            call.done = True
        self.tally.note(len(calls), perf_counter() - began_s)
        # The next leader first: the database need not wait for our followers to run.
        self._hand_on()
        for waiting in followers:
            waiting.wake.release()

    def _hand_on(self) -> None:
        """Another leads, or nobody until the next call."""
        with self._lock:
            if not self._queue:
                self._free_leaders += 1
                return
            successor = self._queue.popleft()
            successor.leads = True
        successor.wake.release()
