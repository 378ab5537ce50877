"""The life of a subscription: its states, its validity, and what a renewal adds."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Status(StrEnum):
    """What somebody decided about a subscription; time decides the rest (see `state`)."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


class State(StrEnum):
    """What a subscription is at one moment."""

    PENDING = "pending"
    ACTIVE = "active"
    GRACE = "grace"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    CANCELLED = "cancelled"


_STATE_OF = {status: State(status.value) for status in Status}


class ValidityUnit(StrEnum):
    HOURS = "hours"
    DAYS = "days"
    MONTHS = "months"
    UNLIMITED = "unlimited"


class ValidityFrom(StrEnum):
    """When the clock of a plan starts."""

    PURCHASE = "purchase"
    FIRST_LOGIN = "first_login"


@dataclass(frozen=True, slots=True)
class Validity:
    """How long a plan lasts: `count` units, `count` ignored for UNLIMITED."""

    unit: ValidityUnit
    count: int = 0

    def after(self, start: datetime, timezone: ZoneInfo) -> datetime | None:
        """When a validity that starts at `start` ends; None for never.

        Hours are hours; days and months keep the local time of day, and a month without that day ends on its last.
        """
        match self.unit:
            case ValidityUnit.UNLIMITED:
                return None
            case ValidityUnit.HOURS:
                # Adding to a local time would add to what the clock on the wall shows.
                return (start.astimezone(UTC) + timedelta(hours=self.count)).astimezone(start.tzinfo)
            case ValidityUnit.DAYS:
                local = start.astimezone(timezone)
                return (local + timedelta(days=self.count)).astimezone(start.tzinfo)
            case ValidityUnit.MONTHS:
                local = start.astimezone(timezone)
                years, month = divmod(local.year * 12 + local.month - 1 + self.count, 12)
                day = min(local.day, calendar.monthrange(years, month + 1)[1])
                return local.replace(year=years, month=month + 1, day=day).astimezone(start.tzinfo)


def grace_ends_at(expires_at: datetime, grace: timedelta) -> datetime:
    """When service ends for good; in UTC, so that an hour of grace is an hour in every time zone."""
    return expires_at.astimezone(UTC) + grace


def state(status: Status, expires_at: datetime | None, grace: timedelta, now: datetime) -> State:
    """What the subscription is at `now`. An active one without an expiry never expires."""
    if status is not Status.ACTIVE or expires_at is None or now < expires_at:
        return _STATE_OF[status]
    return State.GRACE if now < grace_ends_at(expires_at, grace) else State.EXPIRED


def renew(expires_at: datetime | None, validity: Validity, now: datetime, timezone: ZoneInfo) -> datetime | None:
    """The expiry after one more validity: from the later of now and the old expiry."""
    return validity.after(max(now, expires_at) if expires_at else now, timezone)
