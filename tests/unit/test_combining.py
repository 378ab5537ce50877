"""Calls that wait together: one batch, each its own answer, nobody forgotten."""

from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from time import monotonic, sleep

import pytest

from radius_module import combining
from radius_module.combining import Combiner, Overloaded

LONG_S = 10.0
"""More than any test takes: who gets Overloaded with this was forgotten."""


class Caller(Thread):
    """One call in a thread of its own; `outcome` is the answer or the exception."""

    def __init__(self, combiner: Combiner[int, int], item: int, timeout_s: float = LONG_S) -> None:
        super().__init__(daemon=True)
        self.combiner, self.item, self.timeout_s = combiner, item, timeout_s
        self.outcome: int | BaseException | None = None
        self.took_s = 0.0
        self.start()

    def run(self) -> None:
        began = monotonic()
        try:
            self.outcome = self.combiner.call(self.item, self.timeout_s)
        except BaseException as error:  # noqa: BLE001 (what a caller gets is what is tested)
            self.outcome = error
        self.took_s = monotonic() - began

    def result(self) -> int | BaseException | None:
        self.join(LONG_S)
        assert not self.is_alive(), f"call {self.item} hangs"
        return self.outcome


class Gate:
    """Work that waits at a gate, one `open()` a batch; answers with the tenfold."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.at_work = 0
        self.most_at_work = 0
        self._lock = Lock()
        self._entered = Event()
        self._opened: list[Event] = []

    def work(self, items: list[int]) -> list[int]:
        opened = Event()
        with self._lock:
            self.batches.append(items)
            self._opened.append(opened)
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
        self._entered.set()
        assert opened.wait(LONG_S)
        with self._lock:
            self.at_work -= 1
        return [item * 10 for item in items]

    def wait_for_batches(self, count: int) -> None:
        wait_until(lambda: len(self.batches) >= count)

    def open(self, batch: int) -> None:
        self._opened[batch].set()


def wait_until(condition: Callable[[], bool]) -> None:
    until = monotonic() + LONG_S
    while not condition():
        assert monotonic() < until
        sleep(0.001)


def queued(combiner: Combiner[int, int], count: int) -> None:
    wait_until(lambda: len(combiner._queue) == count)


def in_line(combiner: Combiner[int, int], items: Sequence[int], timeout_s: float = LONG_S) -> list[Caller]:
    """Callers that stand in the queue in this order."""
    callers = []
    already = len(combiner._queue)
    for number, item in enumerate(items, start=1):
        callers.append(Caller(combiner, item, timeout_s))
        queued(combiner, already + number)
    return callers


def test_while_it_is_quiet_a_call_is_a_batch_of_its_own_in_its_own_thread() -> None:
    batches: list[list[int]] = []

    def work(items: list[int]) -> list[int]:
        batches.append(items)
        return [item * 10 for item in items]

    combiner: Combiner[int, int] = Combiner(work, max_batch=64)
    assert [combiner.call(item, 0.0) for item in range(5)] == [0, 10, 20, 30, 40]
    assert batches == [[0], [1], [2], [3], [4]]


def test_calls_that_wait_together_are_one_batch_in_the_order_they_came() -> None:
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=64)
    first = Caller(combiner, 1)
    gate.wait_for_batches(1)
    others = in_line(combiner, [2, 3, 4, 5])
    gate.open(0)
    gate.wait_for_batches(2)
    gate.open(1)
    assert [caller.result() for caller in (first, *others)] == [10, 20, 30, 40, 50]
    assert gate.batches == [[1], [2, 3, 4, 5]]


def test_a_batch_is_no_larger_than_allowed() -> None:
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=3)
    callers = [Caller(combiner, 0)]
    gate.wait_for_batches(1)
    callers += in_line(combiner, range(1, 9))
    for batch in range(4):
        gate.wait_for_batches(batch + 1)
        gate.open(batch)
    assert [caller.result() for caller in callers] == [item * 10 for item in range(9)]
    assert gate.batches == [[0], [1, 2, 3], [4, 5, 6], [7, 8]]


@pytest.mark.parametrize("leaders", [1, 2, 3])
def test_no_more_batches_are_at_work_than_there_are_leaders(leaders: int) -> None:
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=1, leaders=leaders)
    callers = [Caller(combiner, item) for item in range(6)]
    for batch in range(6):
        gate.wait_for_batches(min(6, batch + leaders))
        gate.open(batch)
    assert sorted(caller.result() for caller in callers) == [0, 10, 20, 30, 40, 50]  # type: ignore[type-var]
    assert gate.most_at_work == leaders


class Broken(Exception):
    pass


@pytest.mark.parametrize(
    ("work", "error"),
    [
        pytest.param(lambda items: raises(Broken("down")), Broken, id="an exception"),
        pytest.param(lambda items: raises(SystemExit()), SystemExit, id="even one that ends programs"),
        pytest.param(lambda items: items[1:], ValueError, id="an answer too few"),
        pytest.param(lambda items: [*items, 1], ValueError, id="an answer too many"),
    ],
)
def test_what_the_work_raises_every_caller_of_the_batch_gets(
    work: Callable[[list[int]], list[int]], error: type[BaseException]
) -> None:
    gate = Gate()
    fails = False

    def work_or_fail(items: list[int]) -> list[int]:
        return work(items) if fails else gate.work(items)

    combiner = Combiner(work_or_fail, max_batch=64)
    first = Caller(combiner, 1)
    gate.wait_for_batches(1)
    others = in_line(combiner, [2, 3, 4])
    fails = True
    gate.open(0)
    assert first.result() == 10
    assert [type(caller.result()) for caller in others] == [error] * 3
    # And the next call is served.
    fails = False
    last = Caller(combiner, 5)
    gate.wait_for_batches(2)
    gate.open(1)
    assert last.result() == 50


def raises(error: BaseException) -> list[int]:
    raise error


def test_behind_a_hung_worker_callers_are_told_in_time_and_it_may_come_back() -> None:
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=64)
    hung = Caller(combiner, 1)
    gate.wait_for_batches(1)
    waiting = [Caller(combiner, item, timeout_s=0.1) for item in range(2, 12)]
    assert all(isinstance(caller.result(), Overloaded) for caller in waiting)
    assert all(0.09 <= caller.took_s < 1.0 for caller in waiting)
    assert not combiner._queue
    gate.open(0)
    assert hung.result() == 10
    after = Caller(combiner, 20)
    gate.wait_for_batches(2)
    gate.open(1)
    assert after.result() == 200
    assert gate.batches == [[1], [20]]  # nobody works for those who left


def test_a_caller_whose_item_is_being_worked_on_waits_a_little_longer() -> None:
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=64)
    first = Caller(combiner, 1)
    gate.wait_for_batches(1)
    leader, follower = (*in_line(combiner, [2]), *in_line(combiner, [3], timeout_s=0.3))
    gate.open(0)
    gate.wait_for_batches(2)
    assert gate.batches[1] == [2, 3]
    assert isinstance(follower.result(), Overloaded)
    assert 0.3 + combining.GRACE_S - 0.01 <= follower.took_s < 1.3
    gate.open(1)
    assert (first.result(), leader.result()) == (10, 20)


def test_who_leaves_the_queue_leaves_the_others_in_their_order() -> None:
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=64)
    first = Caller(combiner, 1)
    gate.wait_for_batches(1)
    before = in_line(combiner, [2])
    impatient = in_line(combiner, [3], timeout_s=0.05)
    assert isinstance(impatient[0].result(), Overloaded)
    after = in_line(combiner, [4])
    gate.open(0)
    gate.wait_for_batches(2)
    gate.open(1)
    assert [caller.result() for caller in (first, *before, *after)] == [10, 20, 40]
    assert gate.batches[1] == [2, 4]


class SlowToWake:
    """A lock whose `release()`, as a leader calls it to wake another, is late; `with` is as fast as ever."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.acquire = self._lock.acquire

    def release(self) -> None:
        sleep(0.3)
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_leadership_handed_to_a_caller_whose_time_is_just_up_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    # Between being chosen and being woken a caller may give up: if it then took the lead with it, every later call
    # would time out until the process is restarted.
    monkeypatch.setattr(combining, "Lock", SlowToWake)
    gate = Gate()
    combiner = Combiner(gate.work, max_batch=1)
    first = Caller(combiner, 1)
    gate.wait_for_batches(1)
    chosen = in_line(combiner, [2], timeout_s=0.1)
    next_in_line = in_line(combiner, [3])
    gate.open(0)
    assert isinstance(chosen[0].result(), Overloaded)
    gate.wait_for_batches(2)
    gate.open(1)
    assert next_in_line[0].result() == 30
    assert first.result() == 10
    assert gate.batches == [[1], [3]]
    last = Caller(combiner, 4)
    gate.wait_for_batches(3)
    gate.open(2)
    assert last.result() == 40


@pytest.mark.parametrize("leaders", [1, 2])
def test_32_threads_with_2000_calls_each_get_their_own_answers(leaders: int) -> None:
    batches = 0
    largest = 0

    def work(items: list[int]) -> list[int]:
        nonlocal batches, largest
        batches += 1
        largest = max(largest, len(items))
        return [item * 10 for item in items]

    combiner: Combiner[int, int] = Combiner(work, max_batch=16, leaders=leaders)
    wrong: list[object] = []

    def calls(thread: int) -> None:
        for number in range(thread * 2000, thread * 2000 + 2000):
            try:
                answer = combiner.call(number, LONG_S)
            except Overloaded as error:
                wrong.append(error)
                return
            if answer != number * 10:
                wrong.append((number, answer))

    threads = [Thread(target=calls, args=(thread,), daemon=True) for thread in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert 1 <= largest <= 16
    assert combiner._free_leaders == leaders
    assert not combiner._queue


def test_under_time_limits_nobody_hangs_and_the_lead_is_never_lost() -> None:
    def work(items: list[int]) -> list[int]:
        sleep(0.002)
        return [item * 10 for item in items]

    combiner: Combiner[int, int] = Combiner(work, max_batch=4)
    wrong: list[object] = []
    overloaded: list[int] = []

    def calls(thread: int) -> None:
        for number in range(40):
            item = thread * 1000 + number
            try:
                # From hopeless to ample, so that time is up at every stage of a call.
                if combiner.call(item, (number % 10) * 0.002) != item * 10:
                    wrong.append(item)
            except Overloaded:
                overloaded.append(item)

    threads = [Thread(target=calls, args=(thread,), daemon=True) for thread in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert overloaded  # else the limits were too ample to test anything
    assert combiner._free_leaders == 1
    assert combiner.call(7, 0.0) == 70
