"""Periods, what was used in them, and what is left."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.quota import Left, Limits, Period, Used, left, period_start, used_since


@pytest.mark.parametrize(
    ("period", "reset_day", "today", "start"),
    [
        pytest.param(Period.DAY, 1, "2026-11-22", "2026-11-22", id="a day is today"),
        pytest.param(Period.DAY, 31, "2026-11-22", "2026-11-22", id="whatever the reset day"),
        # 22 November 2026 is a Sunday.
        pytest.param(Period.WEEK, 1, "2026-11-22", "2026-11-16", id="Sunday belongs to the week from Monday"),
        pytest.param(Period.WEEK, 1, "2026-11-23", "2026-11-23", id="Monday begins it"),
        pytest.param(Period.WEEK, 7, "2026-11-22", "2026-11-22", id="a week from Sunday begins on Sunday"),
        pytest.param(Period.WEEK, 7, "2026-11-21", "2026-11-15", id="and ends on Saturday"),
        pytest.param(Period.WEEK, 4, "2027-01-01", "2026-12-31", id="a week from Thursday over new year"),
        pytest.param(Period.MONTH, 1, "2026-11-22", "2026-11-01", id="a month from the first"),
        pytest.param(Period.MONTH, 22, "2026-11-22", "2026-11-22", id="on the reset day itself"),
        pytest.param(Period.MONTH, 23, "2026-11-22", "2026-10-23", id="the day before the reset day"),
        pytest.param(Period.MONTH, 15, "2027-01-14", "2026-12-15", id="over new year"),
        pytest.param(Period.MONTH, 31, "2026-11-30", "2026-11-30", id="the 31st in a month of 30 days is the 30th"),
        pytest.param(Period.MONTH, 31, "2026-11-29", "2026-10-31", id="until then the old month counts"),
        pytest.param(Period.MONTH, 31, "2027-02-28", "2027-02-28", id="the 31st in February is the 28th"),
        pytest.param(Period.MONTH, 31, "2028-02-28", "2028-01-31", id="in a leap year the 29th"),
        pytest.param(Period.MONTH, 30, "2027-03-29", "2027-02-28", id="the 30th, seen from March"),
        pytest.param(Period.MONTH, 31, "2027-03-30", "2027-02-28", id="the 31st, seen from March"),
    ],
)
def test_where_a_period_begins(period: Period, reset_day: int, today: str, start: str) -> None:
    assert period_start(period, reset_day, date.fromisoformat(today)) == date.fromisoformat(start)


def test_a_validity_begins_on_no_day_of_the_calendar() -> None:
    with pytest.raises(ValueError, match="validity begins with a purchase"):
        period_start(Period.VALIDITY, 1, date(2026, 11, 22))


@given(st.dates(date(2000, 3, 1), date(2100, 1, 1)), st.integers(1, 31))
def test_a_month_begins_once_a_month_and_holds_its_days(today: date, reset_day: int) -> None:
    start = period_start(Period.MONTH, reset_day, today)
    assert timedelta() <= today - start <= timedelta(days=30)
    assert period_start(Period.MONTH, reset_day, start) == start
    before = period_start(Period.MONTH, reset_day, start - timedelta(days=1))
    assert (before.year * 12 + before.month) == (start.year * 12 + start.month) - 1
    assert start.day == reset_day or (start + timedelta(days=1)).day == 1


@given(st.dates(date(2000, 3, 1), date(2100, 1, 1)), st.integers(1, 7))
def test_a_week_begins_on_its_weekday_within_seven_days(today: date, reset_day: int) -> None:
    start = period_start(Period.WEEK, reset_day, today)
    assert start.isoweekday() == reset_day
    assert timedelta() <= today - start <= timedelta(days=6)


def test_use_is_added_up_from_the_first_day_of_the_period() -> None:
    days = [
        (date(2026, 11, 21).toordinal(), 1, 10, 100),
        (date(2026, 11, 23).toordinal(), 4, 40, 400),
        (date(2026, 11, 22).toordinal(), 2, 20, 200),
    ]
    assert used_since(date(2026, 11, 22), days) == Used(6, 60, 600)
    assert used_since(date(2026, 11, 24), days) == Used()
    assert used_since(date(2026, 11, 22), []) == Used()


GIB = 1 << 30


@pytest.mark.parametrize(
    ("limits", "used", "expected", "data_is_used_up", "time_is_used_up"),
    [
        pytest.param(Limits(), Used(5, 5, 5), Left(None, None, None, None), False, False, id="no limits"),
        pytest.param(
            Limits(total_octets=10), Used(3, 4), Left(None, 3, None, None), False, False, id="up and down together"
        ),
        pytest.param(Limits(total_octets=10), Used(3, 7), Left(None, 0, None, None), True, False, id="total reached"),
        pytest.param(Limits(total_octets=10), Used(9, 9), Left(None, 0, None, None), True, False, id="overshot"),
        pytest.param(Limits(input_octets=10), Used(9, 99), Left(None, None, 1, None), False, False, id="input is up"),
        pytest.param(Limits(input_octets=10), Used(10, 0), Left(None, None, 0, None), True, False, id="up reached"),
        pytest.param(
            Limits(output_octets=10), Used(99, 9), Left(None, None, None, 1), False, False, id="output is down"
        ),
        pytest.param(Limits(output_octets=10), Used(0, 10), Left(None, None, None, 0), True, False, id="down reached"),
        pytest.param(Limits(time_s=60), Used(0, 0, 59), Left(1, None, None, None), False, False, id="a second left"),
        pytest.param(Limits(time_s=60), Used(0, 0, 60), Left(0, None, None, None), False, True, id="time reached"),
        pytest.param(Limits(time_s=60), Used(0, 0, 99), Left(0, None, None, None), False, True, id="time overshot"),
        pytest.param(
            Limits(60, 100, 50, 70), Used(20, 30, 10), Left(50, 50, 30, 40), False, False, id="all limits at once"
        ),
        pytest.param(
            Limits(time_s=60, total_octets=10), Used(5, 5, 60), Left(0, 0, None, None), True, True, id="both used up"
        ),
        pytest.param(Limits(total_octets=0), Used(), Left(None, 0, None, None), True, False, id="a limit of nothing"),
        pytest.param(
            Limits(total_octets=5000 * GIB),
            Used(1500 * GIB, 2500 * GIB),
            Left(None, 1000 * GIB, None, None),
            False,
            False,
            id="far beyond 4 GiB",
        ),
    ],
)
def test_what_is_left(limits: Limits, used: Used, expected: Left, data_is_used_up: bool, time_is_used_up: bool) -> None:
    remaining = left(limits, used)
    assert remaining == expected
    assert remaining.data_is_used_up is data_is_used_up
    assert remaining.time_is_used_up is time_is_used_up


def test_what_was_summed_up_from_a_day_on_counts_as_long_as_the_period_began_no_later() -> None:
    summed = [(date(2026, 11, 22).toordinal(), 7, 70, 700)]
    assert used_since(date(2026, 11, 21), summed) == used_since(date(2026, 11, 22), summed) == Used(7, 70, 700)
    assert used_since(date(2026, 11, 23), summed) == Used()
