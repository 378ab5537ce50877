"""Live sessions follow: for each thing that changes what they are entitled to, their router does what it should.

Real FreeRADIUS and real packets; the truth is the fake NAS's own.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from db import renewal, session_list
from db.plan import Plan
from settings import CHECKOUT
from tests.fakes.nas_coa import DISCONNECT_REQUEST, UNSUPPORTED_ATTRIBUTE
from tests.fakes.nas_session import OnlineSession
from tests.following import Following, StartFollowing
from tests.servers import kibali_command, process_environ

WITHIN_S = 2.0
MB = 1_000_000


@pytest.fixture(scope="module")
def world(start_following: StartFollowing) -> Iterator[Following]:
    with start_following(routers=3) as running:
        yield running


@contextmanager
def behaving(world: Following, **behaviour: Any) -> Iterator[None]:
    """The first router."""
    usual = {name: getattr(world.nas.behaviour, name) for name in behaviour}
    for name, value in behaviour.items():
        setattr(world.nas.behaviour, name, value)
    try:
        yield
    finally:
        for name, value in usual.items():
            setattr(world.nas.behaviour, name, value)


def heard(world: Following, session: OnlineSession) -> list[tuple[int, str | int]]:
    """What the first router heard about a session, and what it answered."""
    number = session.acct_session_id
    mac = session.subscriber.mac
    return [
        (each.code, each.answer)
        for each in world.nas.heard
        if each.attributes.get("Acct-Session-Id") == number and each.attributes.get("Calling-Station-Id") == mac
    ]


def finished(world: Following, subscription: Any, within_s: float = 20) -> list[dict[str, Any]]:
    world.until(
        lambda: (found := world.intents(subscription)) and all(intent["finished_at"] for intent in found),
        "what was done is written down",
        within_s,
    )
    return world.intents(subscription)


def set_(world: Following, subscription: Any, **columns: Any) -> None:
    names = ", ".join(f"{name} = %s" for name in columns)
    world.radius.execute(f"UPDATE subscription SET {names} WHERE id = %s", *columns.values(), subscription.id)


# ---- each trigger, and what is written down ----


def test_a_suspended_session_is_ended_and_why_tells_by_what_packet(world: Following) -> None:
    subscription, session = world.online()
    set_(world, subscription, status="suspended")
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    (intent,) = finished(world, subscription)
    assert (intent["cause"], intent["action"], intent["reason"]) == ("suspended", "disconnect", "suspended")
    assert [packet["answer"] for packet in intent["packets"]] == ["Disconnect-ACK"]
    assert (intent["state"], intent["outcome"]) == ("done", "the session ended: Admin-Reset")


def test_another_plan_is_another_speed_at_once(world: Following) -> None:
    subscription, session = world.online()
    other = world.radius.subscribe({"upload_kbps": 5000, "download_kbps": 20000})
    set_(world, subscription, plan_id=other.plan_id)
    world.until(lambda: session.rate_limit == "5000k/20000k", "it has the new speed", WITHIN_S)
    (intent,) = finished(world, subscription)
    assert (intent["cause"], intent["action"]) == ("plan_changed", "adjust")
    assert intent["packets"][0]["attributes"] == {"Mikrotik-Rate-Limit": "5000k/20000k"}
    assert world.is_online(session)


def test_changes_that_come_together_are_one(world: Following) -> None:
    subscription, session = world.online()
    with behaving(world, delay_s=0.3):
        for speed in (3000, 4000, 6000):
            world.radius.execute("UPDATE plan SET download_kbps = %s WHERE id = %s", speed, subscription.plan_id)
            time.sleep(0.05)
        world.until(lambda: session.rate_limit == "2000k/6000k", "it has the newest speed", 5)
        time.sleep(1)
    assert session.rate_limit == "2000k/6000k"
    assert len(finished(world, subscription)) <= 2
    assert 1 <= len(heard(world, session)) <= 3


def test_a_renewal_moves_the_end_of_the_session(world: Following) -> None:
    subscription, session = world.online({"validity_unit": "hours", "validity_count": 1})
    assert session.left_s == pytest.approx(3600, abs=5)
    with world.radius.session() as database:
        held = renewal.hold(database, subscription.id)
        plan = database.get_one(Plan, subscription.plan_id)
        renewal.extend(database, held, plan, datetime.now(UTC), price_kes=Decimal(0), posting_id=None)
    world.until(lambda: (session.left_s or 0) > 7000, "its end moved", WITHIN_S)
    assert session.left_s == pytest.approx(7200, abs=5)
    assert [intent["cause"] for intent in finished(world, subscription)] == ["extended"]


def test_what_was_taken_back_ends_the_session(world: Following) -> None:
    subscription, session = world.online()
    set_(world, subscription, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    (intent,) = finished(world, subscription)
    assert (intent["cause"], intent["reason"]) == ("shortened", "expired")


@pytest.mark.parametrize("service", ["hotspot", "pppoe"])
def test_a_session_that_ends_by_itself_at_its_expiry_is_left_to_its_router(world: Following, service: Any) -> None:
    subscription, session = world.online(
        service=service, columns={"expires_at": datetime.now(UTC) + timedelta(seconds=3)}
    )
    world.until(lambda: not world.is_online(session), "it is offline", 6)
    assert session.terminate_cause == "Session-Timeout"
    time.sleep(1)
    assert heard(world, session) == []
    assert world.intents(subscription) == []


def test_a_session_that_outlives_its_expiry_is_ended(world: Following) -> None:
    """Its router counts a Session-Timeout of a CoA-Request from the request."""
    subscription, session = world.online()
    world.fleet.call(lambda: session.attributes.update({"Session-Timeout": 86_400}))
    rows = "UPDATE session_held SET held = held || '{\"session_timeout_s\": 4}' WHERE session_key IN"
    world.radius.execute(f"{rows} (SELECT session_key FROM session WHERE subscription_id = %s)", subscription.id)
    world.radius.execute(
        "UPDATE subscription SET expires_at = (SELECT h.began_at FROM session_held h JOIN session s USING (session_key)"
        " WHERE s.subscription_id = subscription.id) + interval '4 seconds' WHERE id = %s",
        subscription.id,
    )
    world.until(lambda: not world.is_online(session), "it is offline", 20)
    (intent,) = finished(world, subscription)
    assert intent["reason"] == "expired"
    # Ten seconds are its router's, and it was not asked before.
    assert intent["created_at"] >= datetime.now(UTC) - timedelta(seconds=15)


def test_the_end_of_full_speed_comes_with_the_report_that_shows_it(world: Following) -> None:
    throttled = {"fair_use_upload_kbps": 256, "fair_use_download_kbps": 512, "after_limit": "throttle"}
    subscription, session = world.online({"data_limit_bytes": 20 * MB, **throttled})
    world.fleet.call(world.nas.use, session, 9 * MB, 10 * MB)
    world.fleet.run(world.nas.report(session))
    time.sleep(1.5)
    assert session.rate_limit == "2000k/8000k"
    world.fleet.call(world.nas.use, session, 1 * MB, 0)
    world.fleet.run(world.nas.report(session))
    world.until(lambda: session.rate_limit == "256k/512k", "it is slow", WITHIN_S)
    assert [intent["cause"] for intent in finished(world, subscription)] == ["limit_reached"]


def test_data_that_two_devices_used_up_together_ends_both(world: Following) -> None:
    """Neither reaches the limit that its router was given."""
    subscription, first = world.online(
        {"data_limit_bytes": 20 * MB, "devices": 2}, service="hotspot", mac="02:00:00:00:01:01"
    )
    second = world.log_in(subscription, service="hotspot", mac="02:00:00:00:01:02")
    for session in (first, second):
        world.fleet.call(world.nas.use, session, 0, 12 * MB)
        world.fleet.run(world.nas.report(session))
    world.until(lambda: not world.is_online(first) and not world.is_online(second), "both are offline", WITHIN_S)
    assert {intent["reason"] for intent in finished(world, subscription)} == {"data_used_up"}


def test_a_session_that_reaches_its_own_limit_is_left_to_its_router(world: Following) -> None:
    subscription, session = world.online({"data_limit_bytes": 50 * MB}, service="hotspot")
    world.fleet.call(world.nas.use, session, 0, 50 * MB)
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    time.sleep(1.5)
    assert (heard(world, session), world.intents(subscription)) == ([], [])


def test_a_boost_begins_and_ends_by_the_clock_on_the_wall(world: Following) -> None:
    local = datetime.now(ZoneInfo("Africa/Nairobi"))
    begins, ends = (local + timedelta(seconds=each) for each in (4, 8))
    subscription, session = world.online(
        {
            "boost_from": begins.time(),
            "boost_until": ends.time(),
            "boost_upload_kbps": 9000,
            "boost_download_kbps": 9000,
        }
    )
    assert session.rate_limit == "2000k/8000k"
    world.until(lambda: session.rate_limit == "9000k/9000k", "it is fast", 4 + WITHIN_S)
    assert datetime.now(UTC) >= begins
    world.until(lambda: session.rate_limit == "2000k/8000k", "it is as before", 4 + WITHIN_S)
    assert datetime.now(UTC) >= ends
    assert [intent["cause"] for intent in finished(world, subscription)] == ["time", "time"]


def test_the_newest_device_takes_the_place_of_the_longest_online(world: Following) -> None:
    subscription, oldest = world.online(
        {"devices": 2, "on_device_limit": "drop_oldest"}, service="hotspot", mac="02:00:00:00:02:01"
    )
    time.sleep(1)
    middle = world.log_in(subscription, service="hotspot", mac="02:00:00:00:02:02")
    time.sleep(1)
    device = world.device(subscription, service="hotspot", mac="02:00:00:00:02:03")
    newest = world.fleet.run(world.nas.log_in(device))
    world.until(lambda: not world.is_online(oldest), "the oldest is offline", WITHIN_S)
    time.sleep(1)
    assert world.is_online(middle)
    assert world.is_online(newest)
    (intent,) = finished(world, subscription)
    assert (intent["cause"], intent["reason"]) == ("session_began", "too_many_devices")


def test_a_plan_for_fewer_devices_keeps_those_that_were_first(world: Following) -> None:
    subscription, first = world.online({"devices": 2}, service="hotspot", mac="02:00:00:00:03:01")
    time.sleep(1)
    second = world.log_in(subscription, service="hotspot", mac="02:00:00:00:03:02")
    world.radius.execute("UPDATE plan SET devices = 1 WHERE id = %s", subscription.plan_id)
    world.until(lambda: not world.is_online(second), "the second is offline", WITHIN_S)
    time.sleep(1)
    assert world.is_online(first)


def test_a_subscription_that_is_bound_to_other_routers_leaves_this_one(world: Following) -> None:
    subscription, session = world.online()
    world.radius.execute(
        "INSERT INTO subscription_router (tenant_id, subscription_id, router_id) VALUES (%s, %s, %s)",
        world.radius.tenant_id,
        subscription.id,
        world.routers[1],
    )
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    (intent,) = finished(world, subscription)
    assert (intent["cause"], intent["reason"]) == ("routers_changed", "wrong_router")
    there = world.log_in(subscription, nas=world.fleet.routers[1])
    time.sleep(1)
    assert world.is_online(there)


def test_a_change_between_the_login_and_its_start_is_not_missed(world: Following) -> None:
    """What the Access-Accept gave is read from the log, not worked out from what holds now."""
    world.kill()
    subscription = world.radius.subscribe(service="pppoe")
    session = world.fleet.run(world.nas.log_in(world.device(subscription, service="pppoe")))
    world.until(
        lambda: world.radius.rows("SELECT FROM session WHERE subscription_id = %s", subscription.id), "it is stored"
    )
    world.until(
        lambda: world.radius.rows("SELECT FROM auth_log WHERE subscription_id = %s", subscription.id), "it is logged"
    )
    world.radius.execute("UPDATE plan SET download_kbps = 7777 WHERE id = %s", subscription.plan_id)
    world.radius.execute("DELETE FROM follow_plan")
    world.start()
    world.until(lambda: session.rate_limit == "2000k/7777k", "it has the new speed", 5)
    held = world.held(session)
    assert held is not None


def test_a_session_is_kicked_once_and_may_come_back(world: Following) -> None:
    subscription, session = world.online(service="hotspot")
    key = world.radius.rows("SELECT session_key FROM session WHERE subscription_id = %s", subscription.id)[0]
    with world.radius.session() as database:
        for _ in range(3):
            session_list.kick(database, key["session_key"])
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    again = world.log_in(subscription, service="hotspot")
    (intent,) = finished(world, subscription)
    assert (intent["cause"], intent["state"]) == ("kick", "done")
    time.sleep(1)
    assert world.is_online(again)
    assert [code for code, _ in heard(world, session)] == [DISCONNECT_REQUEST]


def kibali(world: Following, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        kibali_command(*arguments),
        cwd=CHECKOUT,
        env=process_environ(world.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_operator_kicks_by_name_and_asks_why(world: Following) -> None:
    subscription, session = world.online(service="hotspot")
    name = str(subscription.username)
    done = kibali(world, "session", "kick", "--username", name, "--wait", "30", "--json")
    assert done.returncode == 0, done.stderr
    assert [(row["state"], row["outcome"]) for row in json.loads(done.stdout)] == [
        ("done", "the session ended: Admin-Reset")
    ]
    assert not world.is_online(session)
    told = json.loads(kibali(world, "why", name, "--json").stdout)
    (entry,) = [each for each in told["timeline"] if each["source"] == "follow"]
    assert (entry["what"], entry["reason"], entry["values"]["state"]) == ("disconnect", "kick", "done")
    assert "Disconnect-Request -> Disconnect-ACK" in kibali(world, "why", name).stdout
    again = kibali(world, "session", "kick", "--username", name)
    assert (again.returncode, again.stderr.strip()) == (1, f"kibali: {name} has no open session.")


def test_of_several_sessions_one_that_is_over_keeps_no_other_from_being_kicked(world: Following) -> None:
    gone, left = world.online(service="hotspot"), world.online(service="hotspot")
    query = "SELECT session_key::text FROM session WHERE subscription_id = %s"
    keys = [world.radius.rows(query, subscription.id)[0]["session_key"] for subscription, _ in (gone, left)]
    world.fleet.run(world.nas.log_out(gone[1]))
    over = "SELECT 1 FROM session WHERE session_key = %s::uuid AND stopped_at IS NOT NULL"
    world.until(lambda: world.radius.rows(over, keys[0]), "it is over", WITHIN_S)
    done = kibali(world, "session", "kick", *keys, "--wait", "30", "--json")
    assert done.returncode == 0, done.stderr
    assert [(row["state"], row["outcome"]) for row in json.loads(done.stdout)] == [
        ("over", "had ended"),
        ("done", "the session ended: Admin-Reset"),
    ]
    assert not world.is_online(left[1])
    alone = kibali(world, "session", "kick", keys[0])
    assert (alone.returncode, alone.stderr.strip()) == (1, "kibali: This session is over.")


# ---- routers that do not obey ----


def test_who_says_yes_and_does_nothing_is_asked_again_and_then_told_of(world: Following) -> None:
    subscription, session = world.online()
    with behaving(world, acks_and_does_nothing=True):
        set_(world, subscription, status="suspended")
        (intent,) = finished(world, subscription, within_s=30)
    assert (intent["state"], intent["attempts"]) == ("failed", 3)
    assert "said yes 3 times" in intent["outcome"]
    assert [answer for _, answer in heard(world, session)] == ["ACK"] * 3
    event = world.events("session.not_followed")[-1]
    assert (event["subscription_id"], event["data"]["reason"]) == (subscription.id, "suspended")
    # What is changed by somebody is tried at once.
    set_(world, subscription, status="cancelled")
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)


def test_a_session_that_its_router_does_not_know_is_over(world: Following) -> None:
    subscription, session = world.online()
    world.fleet.call(lambda: world.nas._end(session, "Lost-Carrier"))  # without a Stop
    set_(world, subscription, status="suspended")
    (intent,) = finished(world, subscription)
    assert (intent["state"], intent["outcome"]) == ("done", "the router answered Session-Context-Not-Found")
    (row,) = world.radius.rows("SELECT * FROM session WHERE subscription_id = %s", subscription.id)
    assert (row["stopped_at"], row["terminate_cause"]) == (row["last_seen_at"], "Lost-Service")


def test_a_speed_that_the_router_refuses_becomes_a_new_login(world: Following) -> None:
    subscription, session = world.online(redials_after_s=0.2)

    def speeds() -> list[str | None]:
        return [other.rate_limit for _, other in world.fleet.online() if other.subscriber == session.subscriber]

    with behaving(world, refuses_coa_with=UNSUPPORTED_ATTRIBUTE):
        world.radius.execute("UPDATE plan SET download_kbps = 1234 WHERE id = %s", subscription.plan_id)
        world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    world.until(lambda: speeds() == ["2000k/1234k"], "it is back with the new speed", 5)
    time.sleep(1.5)
    # The new session is told nothing: it has what its own login gave.
    (intent,) = finished(world, subscription)
    assert [packet["answer"] for packet in intent["packets"]] == ["CoA-NAK Unsupported-Attribute", "Disconnect-ACK"]
    assert speeds() == ["2000k/1234k"]


def test_more_time_that_the_router_refuses_ends_nobody(world: Following) -> None:
    subscription, session = world.online({"validity_unit": "days", "validity_count": 1})
    with behaving(world, refuses_coa_with=UNSUPPORTED_ATTRIBUTE):
        set_(world, subscription, expires_at=datetime.now(UTC) + timedelta(days=2))
        (intent,) = finished(world, subscription)
    assert (intent["state"], intent["outcome"]) == ("failed", "the router answered Unsupported-Attribute")
    assert world.is_online(session)


def test_a_silent_router_delays_its_own_sessions_alone(world: Following) -> None:
    there = [world.online(nas=world.fleet.routers[2]) for _ in range(40)]
    here = [world.online() for _ in range(40)]
    world.fleet.routers[2].behaviour.dead = True
    try:
        ids = [subscription.id for subscription, _ in (*there, *here)]
        world.radius.execute("UPDATE subscription SET status = 'suspended' WHERE id = ANY(%s)", ids)
        world.until(lambda: not any(world.is_online(session) for _, session in here), "they are offline", WITHIN_S)
        time.sleep(12)
        set_(world, world.online()[0], status="suspended")
        late, session = world.online()
        set_(world, late, status="suspended")
        world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    finally:
        world.fleet.routers[2].behaviour.dead = False
    # It is asked by one after pauses that double, and then by all.
    took_s = world.until(
        lambda: not any(world.is_online(session) for _, session in there), "those of the router that is back", 40
    )
    assert took_s < 40


@pytest.mark.parametrize("counts_from", ["start", "now"])
def test_an_end_that_moves_is_kept_however_the_router_counts(world: Following, counts_from: Any) -> None:
    """From the CoA it lasts longer than it should; then it is ended."""
    with behaving(world, coa_counts_from=counts_from):
        subscription, session = world.online()
        time.sleep(2)
        ends_at = datetime.now(UTC) + timedelta(seconds=60)
        set_(world, subscription, expires_at=ends_at)
        world.until(lambda: (session.left_s or 0) < 100, "its end moved", WITHIN_S)
        assert session.left_s == pytest.approx(60 if counts_from == "start" else 62, abs=2)
        assert world.is_online(session)
