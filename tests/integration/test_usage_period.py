"""What is noted of a plan's period: a login gets from it what the days add up to, whatever comes late."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from threading import Thread
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import usage_period
from db.engine import make_engine, session_factory
from isp.quota import Period, period_start
from isp.session_identity import new_class
from radius_module import accounting, logins
from radius_module.connection import BoundedConnection
from settings import Settings
from tests.integration.test_accounting import NOTED_WRONG, connection, packet, radius
from tests.radius import Radius

__all__ = ["connection", "radius"]

ZONE = ZoneInfo("Africa/Nairobi")
GIB = 1 << 30


@pytest.fixture
def worker(settings: Settings) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(settings, "worker")
    yield session_factory(engine)
    engine.dispose()


class Household:
    """A subscription on a plan that counts by the month or week, and what it uses."""

    def __init__(self, radius: Radius, connection: BoundedConnection, **terms: Any) -> None:
        self.radius, self.connection = radius, connection
        self.subscription = radius.subscribe({"limit_period": "month", "data_limit_bytes": 100 * GIB, **terms})
        self._sessions = 0

    def uses(self, octets: int, at: datetime) -> None:
        """In a session of its own, whose only report comes now, however long ago it was."""
        self._sessions += 1
        accounting.record(
            self.connection,
            [
                packet(
                    "Interim-Update",
                    self.radius.router_id,
                    at,
                    radius_class=new_class(self.subscription.id),
                    subscription_id=self.subscription.id,
                    acct_session_id=f"{self._sessions:08x}",
                    counters=(1, 0, octets),
                )
            ],
        )

    def noted(self) -> date | None:
        (row,) = self.radius.rows("SELECT period_began FROM usage WHERE subscription_id = %s", self.subscription.id)
        began: date | None = row["period_began"]
        return began

    def used(self) -> int:
        """The octets of the running period, as a login gets them."""
        query = logins.LoginQuery(self.radius.router_id, self.subscription.username, None)
        (row,) = logins.find(self.connection, [query])
        assert row is not None
        period = row[-2]
        return period[2] if period else 0


def note(worker: sessionmaker[Session]) -> None:
    with worker.begin() as session:
        usage_period.note(session, after=0, limit=1000)


def noon(days_ago: int) -> datetime:
    return datetime.now(ZONE).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=days_ago)


@pytest.fixture
def household(radius: Radius, connection: BoundedConnection) -> Household:
    """Its week began three days ago."""
    return Household(radius, connection, limit_period="week", limit_reset_day=noon(3).isoweekday())


def test_a_login_gets_the_same_from_the_note_as_from_the_days(
    household: Household, worker: sessionmaker[Session]
) -> None:
    for days_ago in (5, 4, 3, 2, 1, 0):
        household.uses(10**days_ago, noon(days_ago))
    assert (household.noted(), household.used()) == (None, 1111)
    note(worker)
    assert (household.noted(), household.used()) == (noon(3).date(), 1111)
    # Taken from the note, and from nothing else.
    household.radius.execute("UPDATE usage_day SET output_octets = 7")
    assert household.used() == 1111


def test_what_is_used_after_the_note_counts(household: Household, worker: sessionmaker[Session]) -> None:
    household.uses(5, noon(4))
    note(worker)
    household.uses(100, noon(1))
    assert (household.noted(), household.used()) == (noon(3).date(), 100)


def test_what_is_reported_late_for_a_day_before_the_period_is_not_taken_for_the_periods(
    household: Household, worker: sessionmaker[Session]
) -> None:
    household.uses(100, noon(1))
    note(worker)
    household.uses(5, noon(4))
    assert (household.noted(), household.used()) == (None, 100)
    note(worker)
    assert (household.noted(), household.used()) == (noon(3).date(), 100)


def test_a_plan_whose_period_begins_on_another_day_now_is_summed_up_until_that_is_noted(
    household: Household, worker: sessionmaker[Session]
) -> None:
    for days_ago in (2, 1, 0):
        household.uses(10**days_ago, noon(days_ago))
    note(worker)
    household.radius.execute("UPDATE plan SET limit_reset_day = %s", noon(1).isoweekday())
    assert (household.noted(), household.used()) == (noon(3).date(), 11)
    note(worker)
    assert (household.noted(), household.used()) == (noon(1).date(), 11)


def test_a_new_period_begins_with_nothing_used(household: Household, worker: sessionmaker[Session]) -> None:
    household.uses(100, noon(8))
    note(worker)
    # As it was noted a week ago.
    household.radius.execute("UPDATE usage SET period_began = period_began - 7, period_output_octets = 0")
    assert household.used() == 0
    note(worker)
    assert (household.noted(), household.used()) == (noon(3).date(), 0)


@pytest.mark.parametrize("reset_day", [1, 15, 31])
def test_a_month_is_noted_from_the_day_that_the_rule_has(
    radius: Radius, connection: BoundedConnection, worker: sessionmaker[Session], reset_day: int
) -> None:
    household = Household(radius, connection, limit_reset_day=reset_day)
    for days_ago in range(40):
        household.uses(1, noon(days_ago))
    note(worker)
    first = period_start(Period.MONTH, reset_day, noon(0).date())
    assert (household.noted(), household.used()) == (first, (noon(0).date() - first).days + 1)


@pytest.mark.parametrize("limit_period", ["validity", "day"])
def test_what_needs_no_note_gets_none(
    radius: Radius, connection: BoundedConnection, worker: sessionmaker[Session], limit_period: str
) -> None:
    household = Household(radius, connection, limit_period=limit_period)
    household.uses(100, noon(0))
    note(worker)
    assert household.noted() is None
    assert household.used() == (100 if limit_period == "day" else 0)


def test_each_batch_goes_on_behind_the_last(
    radius: Radius, connection: BoundedConnection, worker: sessionmaker[Session]
) -> None:
    households = [Household(radius, connection) for _ in range(5)]
    last: int | None = 0
    lasts = []
    while last is not None:
        with worker.begin() as session:
            last = usage_period.note(session, after=last, limit=2)
        lasts.append(last)
    ids = sorted(household.subscription.id for household in households)
    assert lasts == [ids[1], ids[3], ids[4], None]
    assert all(household.noted() for household in households)


def test_what_accounting_is_about_to_commit_is_waited_for_by_nobody_and_noted_later(
    household: Household, worker: sessionmaker[Session]
) -> None:
    household.uses(100, noon(1))
    household.connection.execute("BEGIN")
    household.uses(5, noon(1))
    noting = Thread(target=note, args=(worker,))
    noting.start()
    noting.join(10)
    was_waiting = noting.is_alive()
    household.connection.execute("COMMIT")
    noting.join()
    assert household.radius.rows(NOTED_WRONG) == []
    assert not was_waiting
    assert (household.noted(), household.used()) == (None, 105)
    note(worker)
    assert (household.noted(), household.used()) == (noon(3).date(), 105)


def test_notes_are_right_while_accounting_goes_on(
    settings: Settings, radius: Radius, connection: BoundedConnection, worker: sessionmaker[Session]
) -> None:
    subscriptions = [radius.subscribe({"limit_period": "week"}) for _ in range(8)]
    first = [
        packet(
            "Interim-Update",
            radius.router_id,
            noon(2),
            radius_class=new_class(subscription.id),
            subscription_id=subscription.id,
            acct_session_id=f"{number:08x}",
        )
        for number, subscription in enumerate(subscriptions)
    ]
    accounting.record(connection, first)
    failed: list[BaseException] = []

    def report(days_ago: int) -> None:
        """Two such threads report the same sessions, one of them as of a day before the others' period."""
        try:
            with BoundedConnection.open(settings.database_dsn("radius")) as own:
                for step in range(1, 150):
                    records = [
                        replace(sent, event_at=noon(days_ago), output_octets=step * 2 + days_ago, session_time_s=step)
                        for sent in first
                    ]
                    accounting.record(own, records)
        except BaseException as error:  # noqa: BLE001 (told by the test's own thread)
            failed.append(error)

    threads = [Thread(target=report, args=(days_ago,)) for days_ago in (0, 3)]
    for thread in threads:
        thread.start()
    rounds = 0
    while any(thread.is_alive() for thread in threads):
        rounds += 1
        radius.execute("UPDATE plan SET limit_reset_day = %s", noon(rounds % 3).isoweekday())
        note(worker)
        assert radius.rows(NOTED_WRONG) == []
    assert failed == []
    assert rounds > 5
    note(worker)
    assert radius.rows(NOTED_WRONG) == []
    assert radius.rows("SELECT subscription_id FROM usage WHERE period_began IS NULL") == []
    (row,) = radius.rows("SELECT sum(output_octets)::int8 AS total FROM usage")
    assert row["total"] == len(subscriptions) * (149 * 2 + 3)
