"""Bounds that are counted in each process and settled with Redis: exact in one, a second late among several."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from api.failure_limit import FAILURES
from api.request_limit import MOST_KNOWN, SETTLE_EVERY_S, RequestLimit, Verdict

FINE, TOO_MANY, FAILED = Verdict.FINE, Verdict.TOO_MANY_REQUESTS, Verdict.TOO_MANY_FAILURES


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Process:
    """One of those that share a Redis."""

    url: str
    allowed: int
    clock: Clock
    asked: int = 0
    limit: RequestLimit = field(init=False)

    def __post_init__(self) -> None:
        client = redis.Redis.from_url(self.url, socket_timeout=1)
        pipeline = client.pipeline

        def counted(transaction: bool = True) -> object:
            self.asked += not transaction
            return pipeline(transaction=transaction)

        client.pipeline = counted  # type: ignore[method-assign, assignment]
        self.limit = RequestLimit(client, self.allowed, self.clock)

    def ask(self, credential: str = "token", who: str = "address:192.0.2.1") -> Verdict:
        return self.limit.check(who, credential)


def test_one_process_lets_through_exactly_what_is_allowed(redis_url: str) -> None:
    process = Process(redis_url, 10, Clock())
    assert [process.ask() for _ in range(13)] == [FINE] * 10 + [TOO_MANY] * 3
    assert process.ask("another") == FINE


def test_requests_at_once_are_counted_each(redis_url: str) -> None:
    process, barrier = Process(redis_url, 100, Clock()), threading.Barrier(20)
    verdicts: list[Verdict] = []

    def ask() -> None:
        barrier.wait()
        verdicts.extend(process.ask() for _ in range(10))

    at_once([ask] * 20)
    assert (verdicts.count(FINE), verdicts.count(TOO_MANY)) == (100, 100)


def test_redis_is_asked_once_a_second_and_not_for_each_request(redis_url: str) -> None:
    process = Process(redis_url, 1000, Clock())
    for _ in range(5):
        assert {process.ask() for _ in range(100)} == {FINE}
        process.clock.now += SETTLE_EVERY_S
    assert process.asked == 5
    assert redis.Redis.from_url(redis_url).get("kibali:requests:token") == b"401"


def test_what_others_count_is_known_within_a_second(redis_url: str) -> None:
    clock = Clock()
    one, other = Process(redis_url, 10, clock), Process(redis_url, 10, clock)
    assert one.ask() == other.ask() == FINE
    assert [one.ask() for _ in range(8)] == [FINE] * 8
    assert other.ask() == FINE, "it knows only of its own, for this second"
    clock.now += SETTLE_EVERY_S
    assert one.ask() == TOO_MANY, "ten it counted itself, and one of the other's"
    assert other.ask() == TOO_MANY


def test_a_new_minute_begins_for_who_was_turned_away(redis_url: str) -> None:
    process = Process(redis_url, 5, Clock())
    assert [process.ask() for _ in range(7)][-2:] == [TOO_MANY] * 2
    redis.Redis.from_url(redis_url).delete("kibali:requests:token")  # as it expires
    assert [process.ask() for _ in range(6)] == [FINE] * 5 + [TOO_MANY]


def test_failures_of_another_process_bar_an_address_within_a_second(redis_url: str) -> None:
    clock = Clock()
    one, other = Process(redis_url, 0, clock), Process(redis_url, 0, clock)
    who = "address:192.0.2.1"
    assert one.ask() == other.ask() == FINE
    for _ in range(FAILURES):
        assert one.ask() == FINE
        one.limit.failed(who)
    assert one.ask() == FAILED, "its own are known at once"
    clock.now += SETTLE_EVERY_S
    assert other.ask() == FAILED
    assert other.ask(who="address:192.0.2.2") == FINE


def test_while_redis_is_away_nobody_is_barred_and_nobody_waits_for_it_each_time() -> None:
    away = Process("redis://127.0.0.1:1/0", 2, Clock())
    assert {away.ask() for _ in range(100)} == {FINE}
    assert away.asked == 1
    away.clock.now += SETTLE_EVERY_S
    assert {away.ask() for _ in range(100)} == {FINE}
    assert away.asked == 2


def test_strangers_who_make_up_tokens_fill_no_memory() -> None:
    process = Process("redis://127.0.0.1:1/0", 2, Clock())
    for number in range(MOST_KNOWN + 500):
        process.ask(f"token {number}", f"address:{number}")
    assert len(process.limit._requests) == len(process.limit._failures) == MOST_KNOWN


def at_once(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
