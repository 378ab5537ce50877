"""How much of a plan's limits is used, and what is left.

`input` is the subscriber's upload and `output` the download, as RFC 2866 has it. Sizes in octets, times in seconds.
"""

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache


class Period(StrEnum):
    """The time a limit is counted over."""

    VALIDITY = "validity"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Used:
    """Traffic and time. Adds up."""

    input_octets: int = 0
    output_octets: int = 0
    session_time_s: int = 0

    def __add__(self, other: "Used") -> "Used":
        return Used(
            self.input_octets + other.input_octets,
            self.output_octets + other.output_octets,
            self.session_time_s + other.session_time_s,
        )


UsedDay = Sequence[int]
"""What was used on one day, or from that day on: `date.toordinal()`, input and output octets, seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan allows in one period; None is without limit."""

    time_s: int | None = None
    total_octets: int | None = None
    input_octets: int | None = None
    output_octets: int | None = None


@dataclass(slots=True)
class Left:
    """What is left of each limit, never below 0; None is without limit."""

    time_s: int | None
    total_octets: int | None
    input_octets: int | None
    output_octets: int | None

    @property
    def data_is_used_up(self) -> bool:
        return 0 in (self.total_octets, self.input_octets, self.output_octets)

    @property
    def time_is_used_up(self) -> bool:
        return self.time_s == 0


@lru_cache(maxsize=1024)
def period_start(period: Period, reset_day: int, today: date) -> date:
    """First day of the period that holds `today`; VALIDITY has none and raises ValueError.

    `reset_day` is the weekday (1 Monday to 7) or the day of the month, in a shorter month its last day.
    """
    match period:
        case Period.DAY:
            return today
        case Period.WEEK:
            return today - timedelta(days=(today.isoweekday() - reset_day) % 7)
        case Period.MONTH:
            start = _reset_in_month(today.year, today.month, reset_day)
            if start > today:
                year, month = (today.year, today.month - 1) if today.month > 1 else (today.year - 1, 12)
                start = _reset_in_month(year, month, reset_day)
            return start
        case Period.VALIDITY:
            raise ValueError("a validity begins with a purchase, not on a day of the calendar")


def used_since(start: date, days: Iterable[UsedDay]) -> Used:
    """The sum of the days from `start` on."""
    first = start.toordinal()
    input_octets = output_octets = session_time_s = 0
    for day, day_input, day_output, day_time_s in days:
        if day >= first:
            input_octets += day_input
            output_octets += day_output
            session_time_s += day_time_s
    return Used(input_octets, output_octets, session_time_s)


def left(limits: Limits, used: Used) -> Left:
    return Left(
        time_s=_remaining(limits.time_s, used.session_time_s),
        total_octets=_remaining(limits.total_octets, used.input_octets + used.output_octets),
        input_octets=_remaining(limits.input_octets, used.input_octets),
        output_octets=_remaining(limits.output_octets, used.output_octets),
    )


def _remaining(limit: int | None, spent: int) -> int | None:
    return None if limit is None else max(0, limit - spent)


def _reset_in_month(year: int, month: int, reset_day: int) -> date:
    return date(year, month, min(reset_day, calendar.monthrange(year, month)[1]))
