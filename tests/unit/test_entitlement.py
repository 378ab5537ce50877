"""The specification of `decide`: who gets in, and to what.

Every table states one rule; an account is paid up, a hotspot's, and in Nairobi unless a row says otherwise.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.entitlement import Accept, Account, Attempt, Boost, OpenSession, PlanTerms, Reject, decide
from isp.quota import Limits, Period, Used
from isp.rate_limit import Burst, Rate
from isp.reasons import Reason
from isp.subscription import Status, Validity, ValidityFrom, ValidityUnit

NAIROBI = ZoneInfo("Africa/Nairobi")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)  # a Sunday, noon in Nairobi
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
PHONE, LAPTOP, TABLET = "BC:24:11:EB:56:01", "BC:24:11:EB:56:02", "BC:24:11:EB:56:03"


def plan(**terms: Any) -> PlanTerms:
    return PlanTerms(**{"service": "any", "rate": Rate(2000, 8000), **terms})


def account(terms: PlanTerms | None = None, **values: Any) -> Account:
    paid = {"status": Status.ACTIVE, "activated_at": NOW - DAY, "expires_at": NOW + DAY}
    return Account(
        **{"subscription_id": 42, "service": "hotspot", "timezone": NAIROBI, **paid, "plan": terms or plan(), **values}
    )


def attempt(service: str | None = None, calling_station_id: str | None = PHONE, router_id: int = 7) -> Attempt:
    return Attempt(service, calling_station_id, router_id)


def accepted(
    account: Account, now: datetime = NOW, calling_station_id: str | None = PHONE, service: str | None = None
) -> Accept:
    verdict = decide(account, attempt(service, calling_station_id), now)
    assert isinstance(verdict, Accept), verdict
    return verdict


# ---- life cycle, service and walled garden ----

GARDENS = (("hotspot", False), ("hotspot", True), ("pppoe", False), ("pppoe", True))
OK, GRACE, EXPIRED, SUSPENDED = Reason.OK, Reason.GRACE, Reason.EXPIRED, Reason.SUSPENDED
EXPIRED_GARDEN, SUSPENDED_GARDEN = Reason.EXPIRED_WALLED_GARDEN, Reason.SUSPENDED_WALLED_GARDEN
PENDING, CANCELLED = Reason.PENDING, Reason.CANCELLED
ACCEPTS = {OK, GRACE, Reason.FAIR_USE, EXPIRED_GARDEN, SUSPENDED_GARDEN}

# what it is                           status            expires in    grace   | hotspot, with a garden, pppoe, with one
LIFE: dict[str, tuple[Status, timedelta | None, timedelta, tuple[Reason, Reason, Reason, Reason]]] = {
    "pending": (Status.PENDING, None, 0 * HOUR, (PENDING, PENDING, PENDING, PENDING)),
    "pending, expiry past": (Status.PENDING, -DAY, 0 * HOUR, (PENDING, PENDING, PENDING, PENDING)),
    "active": (Status.ACTIVE, DAY, 0 * HOUR, (OK, OK, OK, OK)),
    "active without expiry": (Status.ACTIVE, None, 0 * HOUR, (OK, OK, OK, OK)),
    "in its last second": (Status.ACTIVE, SECOND, 0 * HOUR, (OK, OK, OK, OK)),
    "expiring now": (Status.ACTIVE, 0 * HOUR, 0 * HOUR, (EXPIRED, EXPIRED, EXPIRED, EXPIRED_GARDEN)),
    "expired": (Status.ACTIVE, -DAY, 0 * HOUR, (EXPIRED, EXPIRED, EXPIRED, EXPIRED_GARDEN)),
    "grace begins": (Status.ACTIVE, 0 * HOUR, HOUR, (GRACE, GRACE, GRACE, GRACE)),
    "grace, last second": (Status.ACTIVE, SECOND - HOUR, HOUR, (GRACE, GRACE, GRACE, GRACE)),
    "grace is over": (Status.ACTIVE, -HOUR, HOUR, (EXPIRED, EXPIRED, EXPIRED, EXPIRED_GARDEN)),
    "suspended, paid": (Status.SUSPENDED, DAY, 0 * HOUR, (SUSPENDED, SUSPENDED, SUSPENDED, SUSPENDED_GARDEN)),
    "suspended, expired": (Status.SUSPENDED, -DAY, HOUR, (SUSPENDED, SUSPENDED, SUSPENDED, SUSPENDED_GARDEN)),
    "cancelled, paid": (Status.CANCELLED, DAY, 0 * HOUR, (CANCELLED, CANCELLED, CANCELLED, CANCELLED)),
    "cancelled, expired": (Status.CANCELLED, -DAY, HOUR, (CANCELLED, CANCELLED, CANCELLED, CANCELLED)),
}


@pytest.mark.parametrize("garden", GARDENS, ids=["hotspot", "hotspot+garden", "pppoe", "pppoe+garden"])
@pytest.mark.parametrize("life", LIFE)
def test_state_and_service_decide_who_gets_in(life: str, garden: tuple[str, bool]) -> None:
    status, expires_in, grace, reasons = LIFE[life]
    service, has_garden = garden
    verdict = decide(
        account(
            plan(grace=grace, walled_garden_address_list="unpaid" if has_garden else None),
            service=service,
            status=status,
            expires_at=None if expires_in is None else NOW + expires_in,
        ),
        attempt(service),
        NOW,
    )
    assert verdict.reason is reasons[GARDENS.index(garden)]
    assert isinstance(verdict, Accept) is (verdict.reason in ACCEPTS)


@pytest.mark.parametrize(
    ("values", "framed_ip_address", "framed_pool"),
    [
        pytest.param({}, None, "pool", id="from the pool"),
        pytest.param({"framed_ip_address": "10.0.0.5"}, "10.0.0.5", None, id="a fixed address beats the pool"),
    ],
)
@pytest.mark.parametrize(
    ("status", "expires_at", "reason"),
    [(Status.ACTIVE, NOW - DAY, EXPIRED_GARDEN), (Status.SUSPENDED, NOW + DAY, SUSPENDED_GARDEN)],
)
def test_the_walled_garden_is_slow_short_and_nothing_else(
    status: Status,
    expires_at: datetime,
    reason: Reason,
    values: dict[str, Any],
    framed_ip_address: str | None,
    framed_pool: str | None,
) -> None:
    generous = plan(
        burst=Burst(Rate(4000, 16000), Rate(1500, 6000), 8),
        boost=Boost(time(0), time(23, 59), Rate(9000, 90000)),
        limits=Limits(total_octets=100, time_s=100),
        fair_use=Rate(512, 512),
        idle_timeout_s=600,
        interim_interval_s=120,
        framed_pool="pool",
        framed_ipv6_pool="pool6",
        delegated_ipv6_pool="pool-pd",
        address_list="gold",
        walled_garden_address_list="unpaid",
    )
    behind_on_everything = account(
        generous,
        service="pppoe",
        status=status,
        expires_at=expires_at,
        delegated_ipv6_prefix="2001:db8::/56",
        used_in_validity=Used(1000, 1000, 1000),
        open_sessions=[session(LAPTOP), session(TABLET)],
        **values,
    )
    assert accepted(behind_on_everything) == Accept(
        reason=reason,
        rate_limit="256k/256k",
        session_timeout_s=300,
        idle_timeout_s=None,
        interim_interval_s=120,
        framed_ip_address=framed_ip_address,
        framed_pool=framed_pool,
        address_list="unpaid",
    )


def test_paying_gives_the_full_service_back() -> None:
    terms = plan(walled_garden_address_list="unpaid", address_list="gold")
    expired = account(terms, service="pppoe", expires_at=NOW - DAY)
    paid = account(terms, service="pppoe", expires_at=NOW + DAY)
    assert (accepted(expired).address_list, accepted(expired).rate_limit) == ("unpaid", "256k/256k")
    assert (accepted(paid).address_list, accepted(paid).rate_limit) == ("gold", "2000k/8000k")


# ---- where, how and with what ----


@pytest.mark.parametrize(
    ("router_ids", "router_id", "reason"),
    [
        pytest.param((), 7, OK, id="all of the tenant's"),
        pytest.param((7,), 7, OK, id="its only one"),
        pytest.param((3, 7), 7, OK, id="one of its own"),
        pytest.param((3,), 7, Reason.WRONG_ROUTER, id="another"),
    ],
)
def test_routers(router_ids: tuple[int, ...], router_id: int, reason: Reason) -> None:
    assert decide(account(router_ids=router_ids), attempt(router_id=router_id), NOW).reason is reason


@pytest.mark.parametrize(
    ("service", "attempted", "reason"),
    [
        ("hotspot", "hotspot", OK),
        ("pppoe", "pppoe", OK),
        ("hotspot", "pppoe", Reason.WRONG_SERVICE),
        ("pppoe", "hotspot", Reason.WRONG_SERVICE),
        pytest.param("hotspot", None, OK, id="hotspot, the packet does not say"),
        pytest.param("pppoe", None, OK, id="pppoe, the packet does not say"),
    ],
)
def test_services(service: str, attempted: str | None, reason: Reason) -> None:
    assert decide(account(service=service), attempt(attempted), NOW).reason is reason


@pytest.mark.parametrize(
    ("bound_mac", "calling_station_id", "reason"),
    [
        pytest.param(None, PHONE, OK, id="not bound"),
        pytest.param(None, None, OK, id="not bound, no address"),
        pytest.param(PHONE, PHONE, OK, id="the bound device"),
        pytest.param(PHONE, LAPTOP, Reason.WRONG_DEVICE, id="another device"),
        pytest.param(PHONE, None, Reason.WRONG_DEVICE, id="no address: not the bound device"),
    ],
)
def test_an_account_bound_to_a_device(bound_mac: str | None, calling_station_id: str | None, reason: Reason) -> None:
    verdict = decide(account(bound_mac=bound_mac), attempt(calling_station_id=calling_station_id), NOW)
    assert verdict.reason is reason


def test_of_many_reasons_the_first_to_be_told_is_the_one_to_be_dealt_with_first() -> None:
    faults: dict[str, Any] = {
        "router_ids": (3,),
        "service": "pppoe",
        "bound_mac": LAPTOP,
        "status": Status.SUSPENDED,
        "expires_at": NOW - DAY,
        "used_in_validity": Used(1, 1, 100),
        "open_sessions": [session(LAPTOP)],
    }
    remedies: list[dict[str, Any]] = [
        {},
        {"router_ids": ()},
        {"service": "hotspot"},
        {"bound_mac": None},
        {"status": Status.ACTIVE},
        {"expires_at": NOW + DAY},
        {"used_in_validity": Used(0, 0, 100)},
        {"used_in_validity": Used(0, 0, 99)},
        {"open_sessions": []},
    ]
    told = []
    for remedy in remedies:
        faults |= remedy
        told.append(decide(account(plan(limits=Limits(100, 2)), **faults), attempt("hotspot"), NOW).reason)
    assert told == [
        Reason.WRONG_ROUTER,
        Reason.WRONG_SERVICE,
        Reason.WRONG_DEVICE,
        Reason.SUSPENDED,
        Reason.EXPIRED,
        Reason.DATA_USED_UP,
        Reason.TIME_USED_UP,
        Reason.TOO_MANY_DEVICES,
        Reason.OK,
    ]


# ---- limits ----

DATA, TIME = Reason.DATA_USED_UP, Reason.TIME_USED_UP


@pytest.mark.parametrize(
    ("limits", "used", "reason"),
    [
        pytest.param(Limits(), Used(10**15, 10**15, 10**9), OK, id="no limits"),
        pytest.param(Limits(total_octets=10), Used(4, 5), OK, id="one octet left"),
        pytest.param(Limits(total_octets=10), Used(4, 6), DATA, id="total reached"),
        pytest.param(Limits(total_octets=10), Used(40, 60), DATA, id="total overshot"),
        pytest.param(Limits(input_octets=10), Used(10, 0), DATA, id="upload reached"),
        pytest.param(Limits(input_octets=10), Used(9, 99), OK, id="download does not count as upload"),
        pytest.param(Limits(output_octets=10), Used(0, 10), DATA, id="download reached"),
        pytest.param(Limits(output_octets=10), Used(99, 9), OK, id="upload does not count as download"),
        pytest.param(Limits(time_s=60), Used(0, 0, 60), TIME, id="time reached"),
        pytest.param(Limits(time_s=60), Used(0, 0, 59), OK, id="a second left"),
        pytest.param(Limits(time_s=60, total_octets=1), Used(1, 0, 60), DATA, id="both: the data is named"),
        pytest.param(Limits(total_octets=5 << 32), Used(2 << 32, 3 << 32), DATA, id="beyond 4 GiB"),
    ],
)
def test_a_limit_stops_or_throttles(limits: Limits, used: Used, reason: Reason) -> None:
    stops = account(plan(limits=limits), used_in_validity=used)
    assert decide(stops, attempt(), NOW).reason is reason
    throttles = account(plan(limits=limits, fair_use=Rate(512, 1024)), used_in_validity=used)
    is_slow = reason is not OK
    assert accepted(throttles).reason is (Reason.FAIR_USE if is_slow else OK)
    assert accepted(throttles).rate_limit == ("512k/1024k" if is_slow else "2000k/8000k")


def test_the_session_gets_what_is_left() -> None:
    terms = plan(limits=Limits(time_s=3600, total_octets=10_000, input_octets=4_000, output_octets=8_000))
    got = accepted(account(terms, used_in_validity=Used(1_000, 2_000, 600)))
    assert got.total_limit_octets == 7_000
    assert got.input_limit_octets == 3_000
    assert got.output_limit_octets == 6_000
    assert got.session_timeout_s == 3000


@pytest.mark.parametrize("used", [Used(), Used(10_000, 10_000, 3600)], ids=["before the limit", "after it"])
def test_a_limit_that_throttles_never_ends_a_session(used: Used) -> None:
    terms = plan(limits=Limits(3600, 10_000, 4_000, 8_000), fair_use=Rate(512, 1024))
    got = accepted(account(terms, used_in_validity=used))
    assert (got.total_limit_octets, got.input_limit_octets, got.output_limit_octets) == (None, None, None)
    assert got.session_timeout_s == 86400  # its validity alone


# `used` is spent at 9 octets on each of these days, so that the sum tells how many counted.
NINE_A_DAY = [(date(2026, 10, 20).toordinal() + number, 4, 5, 9) for number in range(34)]


@pytest.mark.parametrize(
    ("period", "reset_day", "days_that_count"),
    [
        pytest.param(Period.DAY, 1, 1, id="today"),
        pytest.param(Period.WEEK, 1, 7, id="since Monday, today is Sunday"),
        pytest.param(Period.WEEK, 7, 1, id="since Sunday"),
        pytest.param(Period.WEEK, 6, 2, id="since Saturday"),
        pytest.param(Period.MONTH, 1, 22, id="since the first"),
        pytest.param(Period.MONTH, 22, 1, id="since today"),
        pytest.param(Period.MONTH, 23, 31, id="since the 23rd of October"),
        pytest.param(Period.MONTH, 31, 23, id="since the 31st of October"),
    ],
)
def test_a_limit_per_period_counts_the_days_of_the_period_alone(
    period: Period, reset_day: int, days_that_count: int
) -> None:
    terms = plan(limits=Limits(time_s=1000, total_octets=1000), limit_period=period, limit_reset_day=reset_day)
    # What was used in the validity has no say.
    got = accepted(account(terms, used_by_day=NINE_A_DAY, used_in_validity=Used(10**6, 10**6, 10**6)))
    assert got.total_limit_octets == 1000 - 9 * days_that_count
    assert got.session_timeout_s == 1000 - 9 * days_that_count


def test_a_limit_per_validity_does_not_look_at_days() -> None:
    got = accepted(account(plan(limits=Limits(total_octets=1000)), used_by_day=NINE_A_DAY, used_in_validity=Used(1, 2)))
    assert got.total_limit_octets == 997


@pytest.mark.parametrize(
    ("zone", "now", "reason"),
    [
        pytest.param(NAIROBI, "2026-11-22T20:59:59+00:00", DATA, id="Nairobi, a second before midnight"),
        pytest.param(NAIROBI, "2026-11-22T21:00:00+00:00", OK, id="Nairobi, midnight"),
        pytest.param(BERLIN, "2026-11-22T22:59:59+00:00", DATA, id="Berlin in winter, a second before midnight"),
        pytest.param(BERLIN, "2026-11-22T23:00:00+00:00", OK, id="Berlin in winter, midnight"),
        pytest.param(BERLIN, "2026-11-23T00:00:00+01:00", OK, id="the clock may be in any zone"),
    ],
)
def test_a_day_ends_at_the_tenants_midnight(zone: ZoneInfo, now: str, reason: Reason) -> None:
    terms = plan(limits=Limits(total_octets=10), limit_period=Period.DAY)
    spent = account(terms, timezone=zone, expires_at=None, used_by_day=[(date(2026, 11, 22).toordinal(), 5, 5, 0)])
    assert decide(spent, attempt(), datetime.fromisoformat(now)).reason is reason


def test_a_day_in_summer_time_ends_an_hour_earlier() -> None:
    terms = plan(limits=Limits(total_octets=10), limit_period=Period.DAY)
    spent = account(terms, timezone=BERLIN, expires_at=None, used_by_day=[(date(2026, 7, 1).toordinal(), 5, 5, 0)])
    assert decide(spent, attempt(), datetime(2026, 7, 1, 21, 59, 59, tzinfo=UTC)).reason is DATA
    assert decide(spent, attempt(), datetime(2026, 7, 1, 22, 0, tzinfo=UTC)).reason is OK


# ---- speed ----

BURST = Burst(Rate(4000, 16000), Rate(1500, 6000), 8)
NIGHT = Boost(time(22), time(6), Rate(5000, 20000))


@pytest.mark.parametrize(
    ("terms", "rate_limit"),
    [
        pytest.param({}, "2000k/8000k", id="plain"),
        pytest.param({"burst": BURST}, "2000k/8000k 4000k/16000k 1500k/6000k 8/8", id="burst"),
        pytest.param({"priority": 2}, "2000k/8000k 2000k/8000k 2000k/8000k 1/1 2", id="priority"),
        pytest.param(
            {"burst": BURST, "priority": 2, "minimum": Rate(256, 512)},
            "2000k/8000k 4000k/16000k 1500k/6000k 8/8 2 256k/512k",
            id="all",
        ),
        pytest.param({"burst": BURST, "boost": NIGHT}, "2000k/8000k 4000k/16000k 1500k/6000k 8/8", id="boost by day"),
    ],
)
def test_speed_at_noon(terms: dict[str, Any], rate_limit: str) -> None:
    assert accepted(account(plan(**terms))).rate_limit == rate_limit


@pytest.mark.parametrize(
    ("start", "until", "local", "holds"),
    [
        pytest.param("08:00", "17:00", "07:59:59", False, id="before"),
        pytest.param("08:00", "17:00", "08:00:00", True, id="from its first second"),
        pytest.param("08:00", "17:00", "16:59:59", True, id="to its last"),
        pytest.param("08:00", "17:00", "17:00:00", False, id="and no longer"),
        pytest.param("22:00", "06:00", "21:59:59", False, id="over midnight: before"),
        pytest.param("22:00", "06:00", "22:00:00", True, id="over midnight: evening"),
        pytest.param("22:00", "06:00", "23:59:59", True, id="over midnight: last second of the day"),
        pytest.param("22:00", "06:00", "00:00:00", True, id="over midnight: midnight"),
        pytest.param("22:00", "06:00", "05:59:59", True, id="over midnight: morning"),
        pytest.param("22:00", "06:00", "06:00:00", False, id="over midnight: over"),
        pytest.param("22:00", "06:00", "12:00:00", False, id="over midnight: noon"),
        pytest.param("18:00", "00:00", "23:59:59", True, id="until midnight: last second"),
        pytest.param("18:00", "00:00", "00:00:00", False, id="until midnight: over"),
        pytest.param("00:00", "06:00", "00:00:00", True, id="from midnight"),
        pytest.param("00:00", "06:00", "23:59:59", False, id="from midnight: not before"),
    ],
)
@pytest.mark.parametrize("zone", [NAIROBI, BERLIN], ids=str)
def test_a_boost_holds_by_the_tenants_clock(start: str, until: str, local: str, holds: bool, zone: ZoneInfo) -> None:
    boost = Boost(time.fromisoformat(start), time.fromisoformat(until), Rate(5000, 20000))
    now = datetime.combine(date(2026, 11, 22), time.fromisoformat(local), zone).astimezone(UTC)
    got = accepted(account(plan(boost=boost), timezone=zone, expires_at=None), now)
    assert got.rate_limit == ("5000k/20000k" if holds else "2000k/8000k")


def test_the_boost_stays_at_its_local_hour_in_summer_time() -> None:
    berlin = account(plan(boost=NIGHT), timezone=BERLIN, expires_at=None)
    assert accepted(berlin, datetime(2026, 7, 1, 20, 0, tzinfo=UTC)).rate_limit == "5000k/20000k"
    assert accepted(berlin, datetime(2026, 12, 1, 20, 0, tzinfo=UTC)).rate_limit == "2000k/8000k"


def test_fair_use_beats_the_boost_and_has_no_burst() -> None:
    midnight = datetime(2026, 11, 22, 21, 0, tzinfo=UTC)
    terms = plan(burst=BURST, priority=1, boost=NIGHT, limits=Limits(total_octets=10), fair_use=Rate(512, 1024))
    assert accepted(account(terms, used_in_validity=Used(9, 0)), midnight).rate_limit == "5000k/20000k"
    assert accepted(account(terms, used_in_validity=Used(10, 0)), midnight).rate_limit == "512k/1024k"


def test_fair_use_is_told_before_grace() -> None:
    terms = plan(grace=HOUR, limits=Limits(total_octets=10), fair_use=Rate(512, 1024))
    late = {"expires_at": NOW - SECOND}
    assert accepted(account(terms, used_in_validity=Used(9), **late)).reason is GRACE
    assert accepted(account(terms, used_in_validity=Used(10), **late)).reason is Reason.FAIR_USE


# ---- devices at once ----


def session(
    calling_station_id: str | None, *, started: timedelta = HOUR, seen: timedelta = 0 * HOUR, interval_s: int = 300
) -> OpenSession:
    """Started and last seen that long ago; its key names device and start."""
    return OpenSession(
        session_key=f"{calling_station_id}@{int(started.total_seconds())}",
        calling_station_id=calling_station_id,
        started_at=NOW - started,
        last_seen_at=NOW - seen,
        interim_interval_s=interval_s,
    )


TOO_MANY = Reason.TOO_MANY_DEVICES
GHOST = timedelta(seconds=901)


@pytest.mark.parametrize(
    ("devices", "open_sessions", "calling_station_id", "reason"),
    [
        pytest.param(1, [], PHONE, OK, id="the first device"),
        pytest.param(1, [session(LAPTOP)], PHONE, TOO_MANY, id="the second where one is allowed"),
        pytest.param(2, [session(LAPTOP)], PHONE, OK, id="the second of two"),
        pytest.param(2, [session(LAPTOP), session(TABLET)], PHONE, TOO_MANY, id="the third of two"),
        pytest.param(1, [session(PHONE)], PHONE, OK, id="the same device again: its session died with its cable"),
        pytest.param(
            1, [session(PHONE, started=HOUR), session(PHONE, started=DAY)], PHONE, OK, id="the same device, many times"
        ),
        pytest.param(1, [session(PHONE), session(LAPTOP)], PHONE, TOO_MANY, id="the same device beside another"),
        pytest.param(2, [session(PHONE), session(LAPTOP)], PHONE, OK, id="the same device beside another, of two"),
        pytest.param(1, [session(LAPTOP, seen=GHOST)], PHONE, OK, id="a ghost never blocks"),
        pytest.param(
            1,
            [session(LAPTOP, seen=GHOST), session(TABLET, seen=DAY), session(None, seen=DAY)],
            PHONE,
            OK,
            id="nor do three",
        ),
        pytest.param(1, [session(LAPTOP, seen=GHOST - SECOND)], PHONE, TOO_MANY, id="three intervals are no ghost yet"),
        pytest.param(
            1, [session(LAPTOP, seen=GHOST, interval_s=600)], PHONE, TOO_MANY, id="a ghost by its own interval"
        ),
        pytest.param(
            1, [session(LAPTOP, seen=181 * SECOND, interval_s=60)], PHONE, OK, id="and by its own interval sooner"
        ),
        pytest.param(1, [session(LAPTOP, seen=-HOUR)], PHONE, TOO_MANY, id="seen in the future is seen"),
        pytest.param(1, [session(None)], PHONE, TOO_MANY, id="a session without an address is another device"),
        pytest.param(1, [session(PHONE)], None, TOO_MANY, id="without an address nobody is known to be the same"),
        pytest.param(1, [session(None)], None, TOO_MANY, id="two without an address are two"),
        pytest.param(2, [session(None)], None, OK, id="two without an address, of two"),
    ],
)
def test_devices_at_once(
    devices: int, open_sessions: list[OpenSession], calling_station_id: str | None, reason: Reason
) -> None:
    verdict = decide(
        account(plan(devices=devices), open_sessions=open_sessions), attempt(None, calling_station_id), NOW
    )
    assert verdict.reason is reason
    # Where the plan drops the oldest nobody is turned away, and somebody gives way only where there was no room.
    dropping = account(plan(devices=devices, drop_oldest=True), open_sessions=open_sessions)
    assert bool(accepted(dropping, calling_station_id=calling_station_id).displaced) is (reason is TOO_MANY)


@pytest.mark.parametrize(
    ("devices", "open_sessions", "displaced"),
    [
        pytest.param(1, [session(LAPTOP)], [session(LAPTOP)], id="the only one gives way"),
        pytest.param(2, [session(LAPTOP)], [], id="there is room"),
        pytest.param(
            2,
            [session(LAPTOP, started=HOUR), session(TABLET, started=DAY)],
            [session(TABLET, started=DAY)],
            id="the oldest start gives way",
        ),
        pytest.param(
            2,
            [session(LAPTOP, started=DAY, seen=0 * HOUR), session(TABLET, started=HOUR, seen=600 * SECOND)],
            [session(LAPTOP, started=DAY)],
            id="the oldest is not the most silent",
        ),
        pytest.param(
            1,
            [session(LAPTOP, started=HOUR), session(None, started=2 * HOUR), session(TABLET, started=3 * HOUR)],
            [session(TABLET, started=3 * HOUR), session(None, started=2 * HOUR), session(LAPTOP, started=HOUR)],
            id="as many as it takes, the oldest first, when the plan was cut",
        ),
        pytest.param(1, [session(PHONE, started=DAY)], [], id="its own old session is not displaced but replaced"),
        pytest.param(1, [session(LAPTOP, started=DAY, seen=GHOST)], [], id="a ghost needs no displacing"),
        pytest.param(
            1,
            [session(PHONE, started=2 * DAY), session(LAPTOP, started=HOUR), session(TABLET, started=DAY, seen=GHOST)],
            [session(LAPTOP, started=HOUR)],
            id="own, other and ghost together",
        ),
    ],
)
def test_drop_oldest(devices: int, open_sessions: list[OpenSession], displaced: list[OpenSession]) -> None:
    got = accepted(account(plan(devices=devices, drop_oldest=True), open_sessions=open_sessions))
    assert list(got.displaced) == [session.session_key for session in displaced]
    assert got.reason is OK


# ---- Session-Timeout ----

FROM_FIRST_LOGIN = {"expires_at": None, "activated_at": None}


@pytest.mark.parametrize(
    ("terms", "values", "session_timeout_s"),
    [
        pytest.param({}, {"expires_at": None}, None, id="no end"),
        pytest.param({}, {"expires_at": NOW + HOUR}, 3600, id="what is left of validity"),
        pytest.param({}, {"expires_at": NOW + SECOND / 2}, 1, id="half a second is rounded up"),
        pytest.param({}, {"expires_at": NOW + HOUR + SECOND / 1000}, 3601, id="so is a fraction of an hour"),
        pytest.param({"grace": HOUR}, {"expires_at": NOW + HOUR}, 7200, id="with its grace"),
        pytest.param({"grace": HOUR}, {"expires_at": NOW - HOUR / 2}, 1800, id="what is left of the grace"),
        pytest.param({"limits": Limits(time_s=60)}, {"expires_at": NOW + HOUR}, 60, id="the time limit ends first"),
        pytest.param({"limits": Limits(time_s=9999)}, {"expires_at": NOW + HOUR}, 3600, id="validity ends first"),
        pytest.param({"limits": Limits(time_s=60)}, {"expires_at": None}, 60, id="a time limit alone"),
        pytest.param(
            {"limits": Limits(time_s=60)},
            {"expires_at": NOW + HOUR, "used_in_validity": Used(0, 0, 59)},
            1,
            id="a last second",
        ),
        pytest.param(
            {"limits": Limits(time_s=60), "fair_use": Rate(1, 1)},
            {"expires_at": NOW + HOUR},
            3600,
            id="a time limit that throttles ends nothing",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.HOURS, 2), "validity_from": ValidityFrom.FIRST_LOGIN},
            FROM_FIRST_LOGIN,
            7200,
            id="the first login of a plan that counts from it",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.HOURS, 2), "validity_from": ValidityFrom.FIRST_LOGIN, "grace": HOUR},
            FROM_FIRST_LOGIN,
            10800,
            id="the first login, with the grace to come",
        ),
        pytest.param(
            {
                "validity": Validity(ValidityUnit.HOURS, 2),
                "validity_from": ValidityFrom.FIRST_LOGIN,
                "limits": Limits(time_s=600),
            },
            FROM_FIRST_LOGIN,
            600,
            id="the first login, time limit first",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.MONTHS, 1), "validity_from": ValidityFrom.FIRST_LOGIN},
            FROM_FIRST_LOGIN,
            30 * 86400,
            id="the first login, a calendar month: November has 30 days",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.UNLIMITED), "validity_from": ValidityFrom.FIRST_LOGIN},
            FROM_FIRST_LOGIN,
            None,
            id="the first login of an unlimited plan",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.HOURS, 2), "validity_from": ValidityFrom.FIRST_LOGIN},
            {"expires_at": NOW + HOUR, "activated_at": NOW - HOUR},
            3600,
            id="the second login does not start the clock again",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.HOURS, 2), "validity_from": ValidityFrom.FIRST_LOGIN},
            {"expires_at": None, "activated_at": NOW - HOUR},
            None,
            id="activated and made unlimited by an admin",
        ),
        pytest.param(
            {"validity": Validity(ValidityUnit.HOURS, 2), "validity_from": ValidityFrom.PURCHASE},
            FROM_FIRST_LOGIN,
            None,
            id="a plan that counts from purchase does not start now",
        ),
    ],
)
def test_session_timeout(terms: dict[str, Any], values: dict[str, Any], session_timeout_s: int | None) -> None:
    assert accepted(account(plan(**terms), **values)).session_timeout_s == session_timeout_s


def test_session_timeout_is_right_when_the_clocks_change_before_expiry() -> None:
    # PostgreSQL's driver hands out times in the zone of the connection.
    expires_at = datetime(2026, 3, 29, 12, 0, tzinfo=BERLIN)
    got = accepted(account(expires_at=expires_at), datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN))
    assert got.session_timeout_s == 23 * 3600


# ---- addresses and the rest ----


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, ("pool", None, "pool6", "pool-pd", None), id="from the plan's pools"),
        pytest.param(
            {"framed_ip_address": "10.0.0.5"},
            (None, "10.0.0.5", "pool6", "pool-pd", None),
            id="an address of its own beats the pool",
        ),
        pytest.param(
            {"delegated_ipv6_prefix": "2001:db8::/56"},
            ("pool", None, "pool6", None, "2001:db8::/56"),
            id="a prefix of its own beats the pool",
        ),
    ],
)
def test_addresses(values: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    terms = plan(framed_pool="pool", framed_ipv6_pool="pool6", delegated_ipv6_pool="pool-pd")
    got = accepted(account(terms, **values))
    assert (
        got.framed_pool,
        got.framed_ip_address,
        got.framed_ipv6_pool,
        got.delegated_ipv6_pool,
        got.delegated_ipv6_prefix,
    ) == expected


def test_the_plans_other_terms_are_passed_on() -> None:
    got = accepted(account(plan(idle_timeout_s=600, interim_interval_s=120, address_list="gold")))
    assert (got.idle_timeout_s, got.interim_interval_s, got.address_list) == (600, 120, "gold")
    assert accepted(account()).idle_timeout_s is None
    assert accepted(account()).address_list is None
    # The garden is for those who have not paid.
    assert accepted(account(plan(walled_garden_address_list="unpaid"))).address_list is None


# ---- whatever the account ----

macs = st.sampled_from([None, PHONE, LAPTOP, TABLET])
spans = st.timedeltas(timedelta(days=-3), timedelta(days=3))
limits = st.builds(Limits, *[st.none() | st.integers(1, 1000)] * 4)
sessions = st.builds(session, macs, started=st.timedeltas(timedelta(), DAY), seen=st.timedeltas(timedelta(), HOUR))
accounts = st.builds(
    lambda terms, **values: account(terms, **values),
    st.builds(
        plan,
        grace=st.sampled_from([timedelta(), HOUR]),
        devices=st.integers(1, 3),
        drop_oldest=st.booleans(),
        limits=limits,
        limit_period=st.sampled_from(Period),
        fair_use=st.none() | st.just(Rate(512, 1024)),
        boost=st.none() | st.just(NIGHT),
        walled_garden_address_list=st.none() | st.just("unpaid"),
    ),
    service=st.sampled_from(["hotspot", "pppoe"]),
    status=st.sampled_from(Status),
    expires_at=st.none() | spans.map(lambda span: NOW + span),
    used_in_validity=st.builds(Used, *[st.integers(0, 1200)] * 3),
    used_by_day=st.lists(st.tuples(st.just(date(2026, 11, 22).toordinal()), *[st.integers(0, 600)] * 3)),
    open_sessions=st.lists(sessions, max_size=5),
)


@given(accounts, macs)
def test_an_accept_is_worth_something_and_ends_when_it_should(account: Account, mac: str | None) -> None:
    verdict = decide(account, attempt(None, mac), NOW)
    assert isinstance(verdict, Reject) is (verdict.reason not in ACCEPTS)
    if isinstance(verdict, Reject):
        return
    assert verdict.session_timeout_s is None or verdict.session_timeout_s >= 1
    assert 0 not in (verdict.total_limit_octets, verdict.input_limit_octets, verdict.output_limit_octets)
    if account.status is Status.ACTIVE and account.expires_at and verdict.reason is not EXPIRED_GARDEN:
        assert verdict.session_timeout_s is not None
        # Whoever is online when Session-Timeout strikes has no validity longer than that, and not a second less.
        ends_at = account.expires_at + account.plan.grace
        if account.service == "pppoe" and account.plan.walled_garden_address_list:
            ends_at += 120 * SECOND  # in which it is moved into the garden
        assert NOW + SECOND * (verdict.session_timeout_s - 1) < ends_at
        others = {session.calling_station_id for session in account.open_sessions if not session.is_ghost(NOW)} - {mac}
        assert account.plan.drop_oldest or len(others) < account.plan.devices


@given(accounts, macs)
def test_the_same_device_is_never_turned_away_for_its_own_sessions(account: Account, mac: str | None) -> None:
    own = [session for session in account.open_sessions if session.calling_station_id == mac and mac is not None]
    alone = [session for session in account.open_sessions if session not in own]
    values = {name: getattr(account, name) for name in Account.__slots__}
    without = Account(**{**values, "open_sessions": alone})
    assert decide(account, attempt(None, mac), NOW) == decide(without, attempt(None, mac), NOW)
