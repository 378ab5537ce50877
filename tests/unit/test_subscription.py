"""The life of a subscription: state, validity and renewal. Local times are what the customer's clock shows."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.subscription import State, Status, Validity, ValidityUnit, grace_ends_at, renew, state

NAIROBI = ZoneInfo("Africa/Nairobi")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
NONE = timedelta()


@pytest.mark.parametrize(
    ("status", "expires_at", "grace", "expected"),
    [
        pytest.param(Status.PENDING, None, NONE, State.PENDING, id="pending"),
        pytest.param(Status.PENDING, NOW - DAY, NONE, State.PENDING, id="pending does not expire"),
        pytest.param(Status.ACTIVE, None, NONE, State.ACTIVE, id="active without an expiry never expires"),
        pytest.param(Status.ACTIVE, NOW + DAY, NONE, State.ACTIVE, id="active until tomorrow"),
        pytest.param(Status.ACTIVE, NOW + SECOND, NONE, State.ACTIVE, id="active for one more second"),
        pytest.param(Status.ACTIVE, NOW, NONE, State.EXPIRED, id="expired at the very moment"),
        pytest.param(Status.ACTIVE, NOW - SECOND, NONE, State.EXPIRED, id="expired"),
        pytest.param(Status.ACTIVE, NOW, HOUR, State.GRACE, id="grace begins at the very moment"),
        pytest.param(Status.ACTIVE, NOW - HOUR + SECOND, HOUR, State.GRACE, id="the last second of grace"),
        pytest.param(Status.ACTIVE, NOW - HOUR, HOUR, State.EXPIRED, id="grace is over at the very moment"),
        pytest.param(Status.ACTIVE, NOW + SECOND, HOUR, State.ACTIVE, id="no grace before expiry"),
        pytest.param(Status.SUSPENDED, NOW + DAY, NONE, State.SUSPENDED, id="suspended while paid"),
        pytest.param(Status.SUSPENDED, NOW - DAY, HOUR, State.SUSPENDED, id="suspended after expiry"),
        pytest.param(Status.CANCELLED, NOW + DAY, NONE, State.CANCELLED, id="cancelled while paid"),
        pytest.param(Status.CANCELLED, None, NONE, State.CANCELLED, id="cancelled"),
    ],
)
def test_what_a_subscription_is(status: Status, expires_at: datetime | None, grace: timedelta, expected: State) -> None:
    assert state(status, expires_at, grace, NOW) is expected


def test_an_hour_of_grace_is_an_hour_when_the_clocks_change() -> None:
    # PostgreSQL's driver hands out times in the zone of the connection.
    expires_at = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN)  # 00:30 UTC; at 01:00 UTC clocks go forward
    assert grace_ends_at(expires_at, HOUR) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert state(Status.ACTIVE, expires_at, HOUR, datetime(2026, 3, 29, 1, 29, tzinfo=UTC)) is State.GRACE
    assert state(Status.ACTIVE, expires_at, HOUR, datetime(2026, 3, 29, 1, 30, tzinfo=UTC)) is State.EXPIRED


HOURS, DAYS, MONTHS = ValidityUnit.HOURS, ValidityUnit.DAYS, ValidityUnit.MONTHS


@pytest.mark.parametrize(
    ("zone", "start", "unit", "count", "end"),
    [
        pytest.param(NAIROBI, "2026-11-22 12:00", HOURS, 1, "2026-11-22 13:00", id="an hour"),
        pytest.param(NAIROBI, "2026-11-22 23:30", HOURS, 24, "2026-11-23 23:30", id="24 hours"),
        pytest.param(NAIROBI, "2026-11-22 23:30", DAYS, 1, "2026-11-23 23:30", id="a day"),
        pytest.param(NAIROBI, "2026-12-31 00:30", DAYS, 7, "2027-01-07 00:30", id="a week over new year"),
        pytest.param(NAIROBI, "2028-02-28 10:00", DAYS, 1, "2028-02-29 10:00", id="a day to a leap day"),
        pytest.param(NAIROBI, "2026-11-22 12:00", MONTHS, 1, "2026-12-22 12:00", id="a month"),
        pytest.param(NAIROBI, "2026-12-05 12:00", MONTHS, 1, "2027-01-05 12:00", id="December to January"),
        pytest.param(NAIROBI, "2026-11-30 12:00", MONTHS, 1, "2026-12-30 12:00", id="November to December"),
        pytest.param(NAIROBI, "2026-01-31 12:00", MONTHS, 1, "2026-02-28 12:00", id="31 January to February"),
        pytest.param(NAIROBI, "2028-01-31 12:00", MONTHS, 1, "2028-02-29 12:00", id="31 January of a leap year"),
        pytest.param(NAIROBI, "2026-01-31 12:00", MONTHS, 2, "2026-03-31 12:00", id="two months do not lose a day"),
        pytest.param(NAIROBI, "2026-01-31 12:00", MONTHS, 3, "2026-04-30 12:00", id="31 January to April"),
        pytest.param(NAIROBI, "2028-02-29 12:00", MONTHS, 12, "2029-02-28 12:00", id="a year from a leap day"),
        pytest.param(NAIROBI, "2026-03-01 01:00", MONTHS, 1, "2026-04-01 01:00", id="the local month, not that of UTC"),
        pytest.param(NAIROBI, "2026-01-31 02:30", MONTHS, 1, "2026-02-28 02:30", id="the local day, not that of UTC"),
        pytest.param(BERLIN, "2026-03-28 12:00", HOURS, 24, "2026-03-29 13:00", id="24 hours into summer time"),
        pytest.param(BERLIN, "2026-03-28 12:00", DAYS, 1, "2026-03-29 12:00", id="a day into summer time: 23 hours"),
        pytest.param(BERLIN, "2026-10-24 12:00", HOURS, 24, "2026-10-25 11:00", id="24 hours out of summer time"),
        pytest.param(BERLIN, "2026-10-24 12:00", DAYS, 1, "2026-10-25 12:00", id="a day out of it: 25 hours"),
        pytest.param(BERLIN, "2026-03-01 08:00", MONTHS, 1, "2026-04-01 08:00", id="a month into summer time"),
        pytest.param(BERLIN, "2026-03-28 02:30", DAYS, 1, "2026-03-29 03:30", id="02:30 does not exist: 03:30"),
        pytest.param(BERLIN, "2026-02-28 02:30", MONTHS, 1, "2026-03-28 02:30", id="a month, clocks change next day"),
    ],
)
@pytest.mark.parametrize("given_in", ["UTC", "its own zone", "a fixed offset"])
def test_when_a_validity_ends(
    zone: ZoneInfo, start: str, unit: ValidityUnit, count: int, end: str, given_in: str
) -> None:
    starts_at = datetime.fromisoformat(start).replace(tzinfo=zone)
    if given_in == "UTC":
        starts_at = starts_at.astimezone(UTC)
    elif given_in == "a fixed offset":
        starts_at = starts_at.astimezone(timezone(timedelta(hours=-5)))
    ends_at = Validity(unit, count).after(starts_at, zone)
    assert ends_at is not None
    assert ends_at.astimezone(UTC) == datetime.fromisoformat(end).replace(tzinfo=zone).astimezone(UTC)
    assert ends_at.tzinfo == starts_at.tzinfo


def test_unlimited_never_ends() -> None:
    assert Validity(ValidityUnit.UNLIMITED).after(NOW, NAIROBI) is None
    assert Validity(ValidityUnit.UNLIMITED, 3).after(NOW, NAIROBI) is None


THIRTY_DAYS = Validity(DAYS, 30)
A_MONTH = Validity(MONTHS, 1)


@pytest.mark.parametrize(
    ("expires_at", "validity", "expected"),
    [
        pytest.param(NOW + 3 * DAY, THIRTY_DAYS, NOW + 33 * DAY, id="before expiry: nothing is lost"),
        pytest.param(NOW + SECOND, THIRTY_DAYS, NOW + SECOND + 30 * DAY, id="in the last second"),
        pytest.param(NOW, THIRTY_DAYS, NOW + 30 * DAY, id="at the very moment"),
        pytest.param(NOW - SECOND, THIRTY_DAYS, NOW + 30 * DAY, id="just after: from now"),
        pytest.param(NOW - 100 * DAY, THIRTY_DAYS, NOW + 30 * DAY, id="long after: nothing is charged for the gap"),
        pytest.param(None, THIRTY_DAYS, NOW + 30 * DAY, id="the first purchase"),
        pytest.param(NOW + 3 * DAY, Validity(ValidityUnit.UNLIMITED), None, id="to an unlimited plan"),
        pytest.param(
            datetime(2026, 12, 31, 9, tzinfo=UTC), A_MONTH, datetime(2027, 1, 31, 9, tzinfo=UTC), id="month on month"
        ),
        pytest.param(
            datetime(2027, 1, 31, 9, tzinfo=UTC), A_MONTH, datetime(2027, 2, 28, 9, tzinfo=UTC), id="into February"
        ),
    ],
)
def test_a_renewal_extends_from_the_later_of_now_and_expiry(
    expires_at: datetime | None, validity: Validity, expected: datetime | None
) -> None:
    assert renew(expires_at, validity, NOW, NAIROBI) == expected


moments = st.integers(0, 20 * 366 * 86400).map(lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + seconds * SECOND)
validities = st.builds(Validity, st.sampled_from([HOURS, DAYS, MONTHS]), st.integers(1, 1000))


@given(moments, validities, st.sampled_from([NAIROBI, BERLIN, ZoneInfo("America/New_York")]))
def test_a_longer_start_never_ends_sooner_and_every_validity_lasts(
    start: datetime, validity: Validity, zone: ZoneInfo
) -> None:
    end = validity.after(start, zone)
    later = validity.after(start + DAY, zone)
    assert end is not None
    assert later is not None
    assert start < end <= later


@given(st.none() | moments, validities, moments)
def test_a_renewal_is_worth_its_validity_whenever_it_is_paid(
    expires_at: datetime | None, validity: Validity, now: datetime
) -> None:
    renewed = renew(expires_at, validity, now, NAIROBI)
    assert renewed is not None
    assert renewed > now
    assert state(Status.ACTIVE, renewed, NONE, now) is State.ACTIVE
    assert renewed == validity.after(now if expires_at is None else max(expires_at, now), NAIROBI)
