"""The API's threads share one processor; a password is checked on any."""

import os
import threading

from api.one_processor import keep_on_one_processor, on_any_processor


def test_a_thread_and_those_it_makes_keep_to_one_processor_but_for_what_takes_long() -> None:
    allowed = os.sched_getaffinity(0)
    seen: list[set[int]] = []
    policies: list[int] = []

    def look() -> None:
        seen.append(os.sched_getaffinity(0))
        policies.append(os.sched_getscheduler(0))

    def work() -> None:
        keep_on_one_processor()
        look()
        made = threading.Thread(target=look)
        made.start()
        made.join()
        with on_any_processor():
            look()
        look()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    one, inherited, any_, after = seen
    assert len(one) == 1
    assert one == inherited == after
    assert any_ == allowed
    assert os.sched_getaffinity(0) == allowed, "who makes it is left alone"
    assert set(policies) == {os.SCHED_BATCH}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_it_leaves_the_last_one_to_freeradius_where_there_is_another() -> None:
    seen: list[set[int]] = []

    def work() -> None:
        keep_on_one_processor()
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    allowed = os.sched_getaffinity(0)
    assert seen == [{max(allowed)}] if len(allowed) == 1 else max(allowed) not in seen[0]
