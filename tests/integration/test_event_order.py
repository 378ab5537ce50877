"""Ids of events are in the order of their commits: who asks for what is above the last id they saw misses nothing."""

import random
import threading
import time

import psycopg

from settings import Settings
from tests.integration.event_client import add_event, writer


def stored(settings: Settings, after: int = 0) -> list[tuple[int, int]]:
    """(id, number) of all events behind `after`, in the order of their ids."""
    with psycopg.connect(settings.database_dsn("worker")) as connection:
        statement = "SELECT id, (data ->> 'number')::int FROM event WHERE id > %s ORDER BY id"
        return connection.execute(statement, (after,)).fetchall()


def test_a_transaction_that_commits_late_gets_the_later_id(settings: Settings) -> None:
    with writer(settings) as early, writer(settings) as late:
        add_event(late, None, 1)  # written first, committed last
        add_event(early, None, 2)
        early.commit()
        seen = stored(settings)
        assert [number for _, number in seen] == [2]
        late.commit()
        assert [number for _, number in stored(settings, after=seen[-1][0])] == [1]


def test_an_id_is_never_given_twice_and_keeps_the_order_within_a_transaction(settings: Settings) -> None:
    with writer(settings) as one, writer(settings) as other:
        for number in range(5):
            add_event(one, None, number)
        for number in range(5, 8):
            add_event(other, None, number)
        other.commit()
        one.commit()
    assert [number for _, number in stored(settings)] == [5, 6, 7, 0, 1, 2, 3, 4]


def test_what_is_rolled_back_leaves_no_event_and_holds_nobody_up(settings: Settings) -> None:
    with writer(settings) as undone, writer(settings) as done:
        add_event(undone, None, 1)
        add_event(done, None, 2)
        undone.rollback()
        done.commit()
        add_event(undone, None, 3)
        undone.execute("DELETE FROM event WHERE data ->> 'number' = '3'")
        undone.commit()
    assert [number for _, number in stored(settings)] == [2]


def test_a_long_transaction_holds_no_other_up(settings: Settings) -> None:
    with writer(settings) as long, writer(settings) as short:
        add_event(long, None, 1)
        began = time.monotonic()
        for number in range(2, 12):
            add_event(short, None, number)
            short.commit()
        assert time.monotonic() - began < 5
        assert len(stored(settings)) == 10


def test_savepoints_and_several_tables_make_no_difference(settings: Settings) -> None:
    with writer(settings) as one, writer(settings) as other:
        add_event(one, None, 1)
        with one.transaction():
            add_event(one, None, 2)
        with one.transaction(force_rollback=True):
            add_event(one, None, 3)
        add_event(other, None, 4)
        other.commit()
        one.commit()
    assert [number for _, number in stored(settings)] == [4, 1, 2]


def test_a_reader_among_many_interleaved_writers_sees_each_event_once(settings: Settings) -> None:
    """Without ids in commit order this loses several events in each run."""
    writers, each = 8, 60
    over = threading.Event()
    seen: list[int] = []
    order: list[int] = []

    def write(worker: int) -> None:
        chance = random.Random(worker)
        with writer(settings) as connection:
            for turn in range(each):
                for part in range(chance.choice((1, 1, 1, 3))):
                    add_event(connection, None, worker * 10_000 + turn * 10 + part)
                time.sleep(chance.random() * 0.004)
                connection.commit()

    def read() -> None:
        last = 0
        while True:
            is_last = over.is_set()
            for event_id, number in stored(settings, last):
                last = event_id
                order.append(event_id)
                seen.append(number)
            if is_last:
                return

    reader = threading.Thread(target=read)
    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(writers)]
    reader.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    over.set()
    reader.join(60)
    everything = [number for _, number in stored(settings)]
    assert len(everything) >= writers * each
    assert seen == everything
    assert order == sorted(set(order))
