"""The specification of `isp.follow`: what a session is entitled to, what its router was told, when to look."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from isp.coa import Standing, change
from isp.entitlement import Accept, Account, Boost, OpenSession, PlanTerms, Reject
from isp.follow import (
    ENDS_BY_ITSELF_S,
    REGULAR_LOOK,
    Login,
    entitlement,
    held_since_login,
    next_look,
    read,
    wait_for_router,
    watch,
    written,
)
from isp.quota import Limits, Period, Used
from isp.rate_limit import Rate
from isp.reasons import Reason
from isp.subscription import Status

NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)  # noon in Nairobi
HOUR = timedelta(hours=1)
MB = 1_000_000


def session(number: int, started: timedelta, mac: str | None = "", seen: timedelta = timedelta()) -> OpenSession:
    device = f"02:00:00:00:00:{number:02X}" if mac == "" else mac
    return OpenSession(f"key {number}", device, NOW - started, NOW - seen, 300)


def account(*sessions: OpenSession, **values: Any) -> Account:
    terms = {name: values.pop(name) for name in list(values) if name in PlanTerms.__dataclass_fields__}
    known = {"expires_at": NOW + timedelta(days=10), "service": "hotspot", **values}
    plan = PlanTerms(**{"service": "any", "rate": Rate(2000, 8000), **terms})
    return Account(
        subscription_id=1,
        status=Status.ACTIVE,
        plan=plan,
        timezone=ZoneInfo("Africa/Nairobi"),
        open_sessions=sessions,
        **known,
    )


def verdicts(of: Account, service: str = "hotspot") -> list[str]:
    return [entitlement(of, own, service, 1, NOW).reason.value for own in of.open_sessions]


OLD, MIDDLE, NEW = session(1, 3 * HOUR), session(2, 2 * HOUR), session(3, HOUR)
SILENT = session(4, 4 * HOUR, seen=timedelta(minutes=16))
TOO_MANY = "too_many_devices"

# who is online                          devices, drops the oldest     | what each is entitled to
DEVICES: dict[str, tuple[tuple[OpenSession, ...], int, bool, list[str]]] = {
    "as many as the plan allows": ((OLD, MIDDLE), 2, False, ["ok", "ok"]),
    "one too many: the newest": ((OLD, MIDDLE, NEW), 2, False, ["ok", "ok", TOO_MANY]),
    "one too many: the oldest": ((OLD, MIDDLE, NEW), 2, True, [TOO_MANY, "ok", "ok"]),
    "two too many": ((OLD, MIDDLE, NEW), 1, True, [TOO_MANY, TOO_MANY, "ok"]),
    "the order of the rows is no matter": ((NEW, OLD), 1, False, [TOO_MANY, "ok"]),
    "two sessions of one device": ((OLD, session(1, HOUR)), 1, False, ["ok", "ok"]),
    "a device counts since its first session": (
        (session(2, 5 * HOUR), OLD, session(2, HOUR)),
        1,
        True,
        [TOO_MANY, "ok", TOO_MANY],
    ),
    "a silent one counts for nobody": ((SILENT, NEW), 1, False, ["ok", "ok"]),
    "without an address each is a device": (
        (session(1, HOUR, mac=None), session(2, 2 * HOUR, mac=None)),
        1,
        False,
        [TOO_MANY, "ok"],
    ),
    "itself is not another, even without an address": ((session(1, HOUR, mac=None),), 1, False, ["ok"]),
}


@pytest.mark.parametrize(("online", "devices", "drop_oldest", "expected"), DEVICES.values(), ids=DEVICES)
def test_of_too_many_devices_only_those_beyond_the_limit_go(
    online: tuple[OpenSession, ...], devices: int, drop_oldest: bool, expected: list[str]
) -> None:
    assert verdicts(account(*online, devices=devices, drop_oldest=drop_oldest)) == expected


def test_a_session_is_judged_where_it_is_and_by_its_device() -> None:
    assert verdicts(account(OLD, router_ids=[2])) == ["wrong_router"]
    assert verdicts(account(OLD, bound_mac="02:00:00:00:00:99")) == ["wrong_device"]
    assert verdicts(account(OLD), service="pppoe") == ["wrong_service"]
    # A session that does not say what it is.
    assert verdicts(account(OLD, service="pppoe")) == ["ok"]


FULL = Login(NOW - HOUR, Reason.OK, "2000k/8000k", 11 * 86400, PlanTerms("any", Rate(2000, 8000)))
STANDING = Standing(3600, 10 * MB, 90 * MB)


def test_what_the_log_says_was_given_is_held_whatever_holds_now() -> None:
    slow = replace(FULL, rate_limit="1k/1k", session_timeout_s=7200)
    held = held_since_login(slow, account(), Reject(Reason.SUSPENDED), STANDING)
    assert (held.rate_limit, held.session_timeout_s, held.reason) == ("1k/1k", 7200, Reason.OK)


def test_a_login_that_nothing_has_changed_since_needs_nothing() -> None:
    of = account(OLD, limits=Limits(total_octets=1000 * MB), used_in_validity=Used(10 * MB, 90 * MB))
    now = entitlement(of, OLD, "pppoe", 1, NOW)
    assert isinstance(now, Accept) is False  # a hotspot's account
    of = replace(of, service="pppoe")
    now = entitlement(of, OLD, "pppoe", 1, NOW)
    assert isinstance(now, Accept)
    login = Login(NOW - HOUR, Reason.OK, now.rate_limit, (now.session_timeout_s or 0) + 3600, of.plan)
    held = held_since_login(login, of, now, STANDING)
    assert held.total_limit_octets == 1000 * MB
    assert change(held, now, STANDING, "pppoe").__class__.__name__ == "Nothing"


def test_who_logged_in_to_the_garden_is_in_its_list() -> None:
    plan = PlanTerms("pppoe", Rate(2000, 8000), address_list="gold", walled_garden_address_list="unpaid")
    login = Login(NOW - HOUR, Reason.EXPIRED_WALLED_GARDEN, "256k/256k", 300, plan)
    held = held_since_login(login, account(service="pppoe"), Reject(Reason.EXPIRED), STANDING)
    assert (held.address_list, held.total_limit_octets, held.session_timeout_s) == ("unpaid", None, 300)


def test_without_a_log_all_is_taken_to_be_as_it_is_now() -> None:
    now = entitlement(account(OLD), OLD, "hotspot", 1, NOW)
    assert isinstance(now, Accept)
    held = held_since_login(None, account(OLD), now, STANDING)
    assert held.session_timeout_s == 3600 + 10 * 86400


# the end the router knows, from now  | what it is entitled to    | until when it is the router's
WAITS: dict[str, tuple[int | None, Any, int | None]] = {
    "it ends now": (0, Reject(Reason.EXPIRED), ENDS_BY_ITSELF_S),
    "it ends in a moment": (5, Reject(Reason.EXPIRED), 5 + ENDS_BY_ITSELF_S),
    "it should have ended": (-ENDS_BY_ITSELF_S, Reject(Reason.EXPIRED), None),
    "it ends much later": (3600, Reject(Reason.SUSPENDED), None),
    "it never ends": (None, Reject(Reason.EXPIRED), None),
    "it is to go on": (0, Accept(Reason.OK, "1k/1k", 600, None, 300), None),
}


@pytest.mark.parametrize(("ends_in_s", "desired", "waits_s"), WAITS.values(), ids=WAITS)
def test_a_router_that_is_about_to_end_a_session_is_let_do_it(
    ends_in_s: int | None, desired: Any, waits_s: int | None
) -> None:
    held = Accept(Reason.OK, "1k/1k", None if ends_in_s is None else 3600 + ends_in_s, None, 300)
    expected = None if waits_s is None else NOW + timedelta(seconds=waits_s)
    assert wait_for_router(held, NOW - HOUR, desired, NOW) == expected


# what the account has                                                      | when it is looked at next
LOOKS: dict[str, tuple[dict[str, Any], datetime]] = {
    "nothing of its own": ({}, NOW + REGULAR_LOOK - timedelta(seconds=1)),
    "an end": ({"expires_at": NOW + timedelta(minutes=5)}, NOW + timedelta(minutes=5)),
    "a grace": ({"expires_at": NOW - HOUR / 2, "grace": HOUR * 0.6}, NOW + timedelta(minutes=6)),
    "a boost to come": ({"boost": Boost(time(12, 10), time(13), Rate(1, 1))}, NOW + timedelta(minutes=10)),
    "a boost that ends": ({"boost": Boost(time(11), time(12, 3), Rate(1, 1))}, NOW + timedelta(minutes=3)),
}


@pytest.mark.parametrize(("values", "expected"), LOOKS.values(), ids=LOOKS)
def test_it_is_looked_at_when_the_clock_may_change_something(values: dict[str, Any], expected: datetime) -> None:
    assert next_look(account(**values), NOW) == expected


def test_a_daily_limit_is_looked_at_when_the_day_begins() -> None:
    evening = datetime(2026, 11, 27, 20, 45, tzinfo=UTC)
    of = account(limit_period=Period.DAY, limits=Limits(total_octets=1))
    assert next_look(of, evening) == datetime(2026, 11, 27, 21, 0, tzinfo=UTC)


def test_use_is_watched_from_when_it_may_reach_a_limit() -> None:
    # (2000 + 8000) kbit/s, twice: 2.5 MB/s.
    of = account(OLD, limits=Limits(total_octets=1000 * MB), used_in_validity=Used(100 * MB, 400 * MB))
    found = watch(of, Used(1100 * MB, 2400 * MB), NOW)
    assert found is not None
    assert (found.octets_per_s, found.total_octets) == (2_500_000, 4000 * MB)
    assert found.begins_at == NOW + timedelta(seconds=500 / 2.5 - 10)
    two = watch(replace(of, open_sessions=(OLD, NEW)), Used(), NOW)
    assert two is not None
    assert two.begins_at == NOW + timedelta(seconds=100 - 10)


@pytest.mark.parametrize(
    "values",
    [{}, {"limits": Limits(total_octets=MB), "used_in_validity": Used(MB, 0)}],
    ids=["no limit", "used up by now"],
)
def test_what_can_not_be_reached_any_more_is_not_watched(values: dict[str, Any]) -> None:
    assert watch(account(OLD, **values), Used(), NOW) is None


def test_what_is_written_reads_back() -> None:
    accept = Accept(Reason.GRACE, "1k/1k", 5, None, 300, total_limit_octets=7, address_list="a", displaced=("x",))
    assert read(written(accept)) == replace(accept, displaced=())
    assert written(Reject(Reason.EXPIRED)) == {"reject": "expired"}
