"""Devices at once, with real logins and accounting: who finds room, and whom nothing may lock out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Barrier

import pytest

from cli.nas import Answer, Nas
from db.subscription import Subscription
from tests.e2e.test_radius import auth_log
from tests.radius import PASSWORD, Radius

PHONE, LAPTOP, TABLET = "BC:24:11:00:00:01", "BC:24:11:00:00:02", "BC:24:11:00:00:03"

_acct_session_ids = (f"{number:08x}" for number in count(0x80000001))


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        yield pool


def log_in(nas: Nas, subscription: Subscription, mac: str) -> Answer:
    return nas.login(subscription.username, PASSWORD, mac=mac)


def start(nas: Nas, subscription: Subscription, mac: str, login: Answer) -> dict[str, str]:
    """The session's Start; what its later packets say again."""
    session = {"User-Name": subscription.username, "Class": login.attributes["Class"], "Calling-Station-Id": mac}
    nas.account("Start", acct_session_id := next(_acct_session_ids), session)
    return {**session, "Acct-Session-Id": acct_session_id}


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("round_", range(20))
def test_of_devices_that_log_in_at_the_same_moment_no_more_get_in_than_may(
    radius: Radius, pool: ThreadPoolExecutor, devices: int, round_: int
) -> None:
    subscription = radius.subscribe({"devices": devices})
    together = Barrier(devices + 1)

    def log_in_together(number: int) -> str:
        nas = radius.nas()
        together.wait(timeout=5)
        return log_in(nas, subscription, f"BC:24:11:00:01:{number:02X}").code

    codes = list(pool.map(log_in_together, range(devices + 1)))
    assert (codes.count("Access-Accept"), codes.count("Access-Reject")) == (devices, 1)
    reasons = [entry["reason"] for entry in auth_log(radius, subscription.username, devices + 1)]
    assert sorted(reasons) == [*["ok"] * devices, "too_many_devices"]


def test_a_device_that_reconnects_is_never_locked_out_by_its_own_ghost(radius: Radius) -> None:
    subscription = radius.subscribe({"devices": 1})
    nas = radius.nas()
    for _ in range(5):  # its cable is pulled each time: no Stop
        login = log_in(nas, subscription, PHONE)
        assert login.code == "Access-Accept"
        start(nas, subscription, PHONE, login)
    query = "SELECT terminate_cause FROM session WHERE subscription_id = %s ORDER BY started_at"
    causes = [row["terminate_cause"] for row in radius.rows(query, subscription.id)]
    assert sorted(causes, key=str) == [None, *["Superseded"] * 4]
    assert log_in(nas, subscription, LAPTOP).attributes["Reply-Message"].startswith("Your plan is in use")


def test_a_ghost_of_a_device_does_not_hide_that_it_just_logged_in_again(radius: Radius) -> None:
    """The ghost does not count; the new login must, though its session has not started yet."""
    subscription = radius.subscribe({"devices": 1})
    nas = radius.nas()
    start(nas, subscription, PHONE, log_in(nas, subscription, PHONE))
    silence = "UPDATE session SET last_seen_at = last_seen_at - interval '1 hour' WHERE subscription_id = %s"
    radius.execute(silence, subscription.id)
    assert log_in(nas, subscription, PHONE).code == "Access-Accept"
    assert log_in(nas, subscription, LAPTOP).code == "Access-Reject"


def test_where_the_plan_drops_the_oldest_nobody_is_turned_away(radius: Radius) -> None:
    subscription = radius.subscribe({"devices": 1, "on_device_limit": "drop_oldest"})
    nas = radius.nas()
    for mac in (PHONE, LAPTOP, TABLET):
        login = log_in(nas, subscription, mac)
        assert login.code == "Access-Accept"
        start(nas, subscription, mac, login)
    assert {entry["reason"] for entry in auth_log(radius, subscription.username, 3)} == {"ok"}


@pytest.mark.parametrize(("session_time_s", "then"), [(0, "Access-Accept"), (60, "Access-Reject")])
def test_who_leaves_at_once_gives_the_place_up_but_not_by_the_late_stop_of_an_older_session(
    radius: Radius, session_time_s: int, then: str
) -> None:
    subscription = radius.subscribe({"devices": 1})
    nas = radius.nas()
    session = start(nas, subscription, PHONE, log_in(nas, subscription, PHONE))
    nas.account("Stop", session["Acct-Session-Id"], {**session, "Acct-Session-Time": session_time_s})
    assert log_in(nas, subscription, LAPTOP).code == then
