"""Accounting against a simple model: whatever happens to the packets on their way, every octet is counted once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.orm import Session, sessionmaker

from db import session_archive, session_ghosts, usage_period
from db.engine import make_engine, session_factory
from isp.session_identity import new_class, session_key
from radius_module import accounting
from radius_module.connection import BoundedConnection
from radius_module.request import AccountingRequest, RouterRestart
from settings import Settings
from tests.radius import Radius

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MAC = "AA:BB:CC:00:00:01"


@pytest.fixture
def radius(settings: Settings, environ: dict[str, str]) -> Iterator[Radius]:
    """The tables with a tenant and a router; no FreeRADIUS."""
    made = Radius(settings, environ, tenant_id=0, router_id=0)
    made.tenant_id = made.add_tenant("test")
    made.router_id = made.add_router("router", "192.0.2.1")
    yield made
    made.close()


@pytest.fixture
def connection(settings: Settings) -> Iterator[BoundedConnection]:
    dsn = settings.database_dsn("radius")
    with BoundedConnection.open(dsn) as connection:
        yield connection


def packet(
    status_type: str,
    router_id: int,
    at: datetime,
    *,
    radius_class: str | None = None,
    subscription_id: int | None = None,
    user_name: str = "somebody",
    acct_session_id: str = "80000001",
    mac: str | None = MAC,
    counters: tuple[int, int, int] = (0, 0, 0),
    **more: Any,
) -> AccountingRequest:
    """`counters`: session time in seconds, input octets, output octets."""
    values: dict[str, Any] = {
        "called_station_id": None,
        "nas_ip_address": None,
        "nas_port": None,
        "nas_port_id": None,
        "framed_ip_address": None,
        "framed_ipv6_prefix": None,
        "delegated_ipv6_prefix": None,
        "terminate_cause": None,
        **more,
    }
    time_s, input_octets, output_octets = counters
    return AccountingRequest(
        status_type=status_type,
        session_key=session_key(router_id, acct_session_id, radius_class, user_name, mac),
        router_id=router_id,
        subscription_id=subscription_id,
        user_name=user_name,
        acct_session_id=acct_session_id,
        radius_class=radius_class,
        service="hotspot",
        calling_station_id=mac,
        event_at=at,
        session_time_s=time_s,
        input_octets=input_octets,
        output_octets=output_octets,
        **values,
    )


# The totals are what they were as the noted day began and what was used on the days since.
NOTED_WRONG = """
    SELECT u.* FROM usage u,
           LATERAL (SELECT coalesce(sum(session_time_s), 0) AS time_s, coalesce(sum(input_octets), 0) AS input,
                           coalesce(sum(output_octets), 0) AS output
                      FROM usage_day d WHERE d.subscription_id = u.subscription_id AND d.day >= u.period_began) since
     WHERE u.period_began IS NOT NULL
       AND (u.session_time_s - u.period_session_time_s, u.input_octets - u.period_input_octets,
            u.output_octets - u.period_output_octets) <> (since.time_s, since.input, since.output)
"""


@dataclass
class Truth:
    """A session as its router knows it, and what of its counters has reached us."""

    subscription_id: int
    radius_class: str
    acct_session_id: str
    router_id: int
    started_at: datetime
    counters: tuple[int, int, int] = (0, 0, 0)
    arrived: tuple[int, int, int] = (0, 0, 0)
    ended: bool = False
    known: bool = False


@dataclass
class Sent:
    truth: Truth
    packet: AccountingRequest


class Deliveries(RuleBasedStateMachine):
    """Packets leave in order and arrive in any: late, twice, never, together; sessions are archived, routers reboot,
    periods are noted.
    """

    radius: Radius
    connection: BoundedConnection
    archiver: sessionmaker[Session]
    subscription_ids: Sequence[int]

    def __init__(self) -> None:
        super().__init__()
        self.now = datetime.now(UTC) - timedelta(days=2)
        self.sessions: list[Truth] = []
        self.on_the_way: list[Sent] = []
        self.count = 0

    @rule(which=st.integers(0, 1))
    def a_session_starts(self, which: int) -> None:
        self.count += 1
        subscription_id = self.subscription_ids[which]
        # RouterOS repeats Acct-Session-Id; only Class tells these sessions apart.
        truth = Truth(subscription_id, new_class(subscription_id), "80000001", self.radius.router_id, self.now)
        self.sessions.append(truth)
        self._send(truth, "Start")

    @precondition(lambda self: any(not truth.ended for truth in self.sessions))
    @rule(
        data=st.data(),
        up=st.integers(0, 2**34),
        down=st.integers(0, 2**34),
        time_s=st.integers(1, 4000),
        status=st.sampled_from(["Interim-Update", "Interim-Update", "Stop"]),
    )
    def traffic_flows(self, data: st.DataObject, up: int, down: int, time_s: int, status: str) -> None:
        truth = data.draw(st.sampled_from([truth for truth in self.sessions if not truth.ended]))
        self.now += timedelta(seconds=time_s)
        spent, sent, received = truth.counters
        truth.counters = (spent + time_s, sent + up, received + down)
        truth.ended = status == "Stop"
        self._send(truth, status)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), keep=st.booleans())
    def packets_arrive_together(self, data: st.DataObject, keep: bool) -> None:
        batch = data.draw(st.lists(st.sampled_from(range(len(self.on_the_way))), min_size=1, max_size=8))
        self._arrive([self.on_the_way[index] for index in batch])
        if not keep:
            self.on_the_way = [sent for index, sent in enumerate(self.on_the_way) if index not in set(batch)]

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def a_packet_is_lost(self, data: st.DataObject) -> None:
        del self.on_the_way[data.draw(st.sampled_from(range(len(self.on_the_way))))]

    @rule()
    def the_router_reboots(self) -> None:
        for truth in self.sessions:
            truth.ended = True
        accounting.record(self.connection, [RouterRestart(self.radius.router_id, self.now)])

    @rule()
    def closed_sessions_are_archived(self) -> None:
        self.radius.execute("UPDATE session SET stopped_at = now() - interval '2 h' WHERE stopped_at IS NOT NULL")
        with self.archiver.begin() as session:
            session_archive.archive(session, limit=1000)

    @rule(days_ago=st.integers(0, 2))
    def periods_are_noted(self, days_ago: int) -> None:
        """When the plans' week began so many days ago."""
        reset_day = (datetime.now(ZoneInfo("Africa/Nairobi")) - timedelta(days=days_ago)).isoweekday()
        self.radius.execute("UPDATE plan SET limit_period = 'week', limit_reset_day = %s", reset_day)
        with self.archiver.begin() as session:
            usage_period.note(session, after=0, limit=1000)

    def _send(self, truth: Truth, status: str) -> None:
        sent = packet(
            status,
            truth.router_id,
            self.now,
            radius_class=truth.radius_class,
            subscription_id=truth.subscription_id,
            acct_session_id=truth.acct_session_id,
            counters=truth.counters,
        )
        self.on_the_way.append(Sent(truth, sent))

    def _arrive(self, batch: list[Sent]) -> None:
        stored = accounting.record(self.connection, [sent.packet for sent in batch])
        assert all(stored)
        for sent in batch:
            seen = (sent.packet.session_time_s, sent.packet.input_octets, sent.packet.output_octets)
            arrived = sent.truth.arrived
            sent.truth.arrived = (max(arrived[0], seen[0]), max(arrived[1], seen[1]), max(arrived[2], seen[2]))
            sent.truth.known = True

    @invariant()
    def every_octet_that_arrived_is_counted_once(self) -> None:
        rows = self.radius.rows(
            "SELECT radius_class, session_time_s, input_octets, output_octets FROM session UNION ALL "
            "SELECT radius_class, session_time_s, input_octets, output_octets FROM session_history"
        )
        stored = [(row["radius_class"], *list(row.values())[1:]) for row in rows]
        assert sorted(stored) == sorted((truth.radius_class, *truth.arrived) for truth in self.sessions if truth.known)
        for subscription_id in self.subscription_ids:
            own = [truth.arrived for truth in self.sessions if truth.subscription_id == subscription_id]
            total = tuple(map(sum, zip(*own, strict=True))) or (0, 0, 0)
            assert self._used("usage", subscription_id) == total
            assert self._used("usage_day", subscription_id) == total

    @invariant()
    def what_is_noted_of_a_period_is_the_sum_of_its_days(self) -> None:
        assert self.radius.rows(NOTED_WRONG) == []

    def _used(self, table: str, subscription_id: int) -> tuple[int, ...]:
        (row,) = self.radius.rows(
            "SELECT coalesce(sum(session_time_s), 0)::int8 AS time, coalesce(sum(input_octets), 0)::int8 AS input,"
            f" coalesce(sum(output_octets), 0)::int8 AS output FROM {table} WHERE subscription_id = %s",
            subscription_id,
        )
        return tuple(row.values())


def test_totals_are_exact_whatever_happens_to_the_packets(radius: Radius, connection: BoundedConnection) -> None:
    class Here(Deliveries):
        def __init__(self) -> None:
            super().__init__()
            radius.execute("TRUNCATE session, session_history, usage_day")
            zero = "session_time_s = 0, input_octets = 0, output_octets = 0, period_began = NULL"
            radius.execute(f"UPDATE usage SET {zero}")

    engine = make_engine(radius.settings, "worker", pool_size=1)
    Here.radius, Here.connection, Here.archiver = radius, connection, session_factory(engine)
    Here.subscription_ids = [radius.subscribe().id, radius.subscribe().id]
    run_state_machine_as_test(
        Here,
        settings=hypothesis_settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    engine.dispose()


def hot(radius: Radius) -> list[dict[str, Any]]:
    return radius.rows("SELECT * FROM session ORDER BY started_at, session_key")


def test_a_stop_before_its_start_stays_a_stop(radius: Radius, connection: BoundedConnection) -> None:
    subscription = radius.subscribe()
    ours: dict[str, Any] = {"radius_class": new_class(subscription.id), "subscription_id": subscription.id}
    stop = packet("Stop", radius.router_id, NOW + timedelta(seconds=60), counters=(60, 5, 6), **ours)
    start = packet("Start", radius.router_id, NOW, **ours)
    accounting.record(connection, [stop])
    accounting.record(connection, [start])
    (row,) = hot(radius)
    assert (row["started_at"], row["stopped_at"], row["input_octets"]) == (NOW, NOW + timedelta(seconds=60), 5)


def test_an_interim_without_a_start_begins_when_the_session_did(radius: Radius, connection: BoundedConnection) -> None:
    accounting.record(connection, [packet("Interim-Update", radius.router_id, NOW, counters=(300, 1, 2))])
    assert hot(radius)[0]["started_at"] == NOW - timedelta(seconds=300)


def test_a_session_taken_for_dead_lives_again_with_its_next_packet(
    radius: Radius, connection: BoundedConnection
) -> None:
    start = packet("Start", radius.router_id, NOW)
    accounting.record(connection, [start])
    accounting.record(connection, [RouterRestart(radius.router_id, NOW + timedelta(seconds=1))])
    assert hot(radius)[0]["terminate_cause"] == "NAS-Reboot"
    late = replace(start, status_type="Interim-Update", event_at=NOW + timedelta(seconds=300), session_time_s=300)
    accounting.record(connection, [late])
    (row,) = hot(radius)
    assert (row["stopped_at"], row["terminate_cause"]) == (None, None)


def test_a_new_session_on_a_port_ends_the_old_one_at_its_last_known_time(
    radius: Radius, connection: BoundedConnection
) -> None:
    old = packet("Start", radius.router_id, NOW, acct_session_id="old", user_name="a", mac=None, nas_port=7)
    new = packet(
        "Start", radius.router_id, NOW + timedelta(hours=1), acct_session_id="new", user_name="b", mac=None, nas_port=7
    )
    accounting.record(connection, [old])
    accounting.record(connection, [new])
    first, second = hot(radius)
    assert (first["stopped_at"], first["terminate_cause"]) == (NOW, "Superseded")
    assert second["stopped_at"] is None


def test_a_device_that_comes_back_replaces_its_own_session(radius: Radius, connection: BoundedConnection) -> None:
    subscription = radius.subscribe()
    for hour in (0, 1):
        ours: dict[str, Any] = {"radius_class": new_class(subscription.id), "subscription_id": subscription.id}
        at = NOW + timedelta(hours=hour)
        accounting.record(connection, [packet("Start", radius.router_id, at, acct_session_id=f"{hour}", **ours)])
    first, second = hot(radius)
    assert (first["terminate_cause"], second["stopped_at"]) == ("Superseded", None)


def test_an_id_repeated_after_a_reboot_is_another_session_even_without_class(
    radius: Radius, connection: BoundedConnection
) -> None:
    def reported(status: str, at: datetime, counters: tuple[int, int, int]) -> AccountingRequest:
        return packet(status, radius.router_id, at, user_name=subscription.username, counters=counters)

    subscription = radius.subscribe()
    accounting.record(connection, [reported("Start", NOW, (0, 0, 0))])
    accounting.record(connection, [reported("Interim-Update", NOW + timedelta(seconds=300), (300, 1000, 2000))])
    again = NOW + timedelta(hours=5)
    accounting.record(connection, [reported("Start", again, (0, 0, 0))])
    accounting.record(connection, [reported("Interim-Update", again + timedelta(seconds=300), (300, 10, 20))])
    late_of_the_first = reported("Interim-Update", NOW + timedelta(seconds=600), (600, 3000, 4000))
    assert accounting.record(connection, [late_of_the_first]) == [False]

    (row,) = hot(radius)
    assert (row["started_at"], row["input_octets"]) == (again, 10)
    (old,) = radius.rows("SELECT * FROM session_history")
    assert (old["input_octets"], old["terminate_cause"]) == (1000, "Superseded")
    (usage,) = radius.rows("SELECT input_octets FROM usage WHERE subscription_id = %s", subscription.id)
    assert usage["input_octets"] == 1010


def test_a_record_that_postgresql_refuses_harms_no_other(radius: Radius, connection: BoundedConnection) -> None:
    bad = packet("Start", radius.router_id, NOW, acct_session_id="bad", framed_ip_address="no address")
    good = packet("Start", radius.router_id, NOW, acct_session_id="good", user_name="b")
    with pytest.raises(psycopg.DataError):
        accounting.record(connection, [bad, good])
    assert hot(radius) == []
    assert accounting.record(connection, [good]) == [True]


def test_a_class_of_another_tenants_subscription_counts_for_nobody(
    radius: Radius, connection: BoundedConnection
) -> None:
    foreign = radius.subscribe(tenant_id=radius.add_tenant("foreign"))
    forged = packet(
        "Stop",
        radius.router_id,
        NOW,
        radius_class=new_class(foreign.id),
        subscription_id=foreign.id,
        counters=(60, 5, 6),
    )
    accounting.record(connection, [forged])
    (row,) = hot(radius)
    assert row["subscription_id"] is None
    (usage,) = radius.rows("SELECT input_octets FROM usage WHERE subscription_id = %s", foreign.id)
    assert usage["input_octets"] == 0


def test_the_first_start_starts_the_clock_and_binds_the_device(radius: Radius, connection: BoundedConnection) -> None:
    terms = {"validity_from": "first_login", "validity_unit": "months", "validity_count": 1}
    subscription = radius.subscribe(terms, bind_mac=True)
    ours: dict[str, Any] = {"radius_class": new_class(subscription.id), "subscription_id": subscription.id}
    for later in (0, 1):
        accounting.record(connection, [packet("Start", radius.router_id, NOW + timedelta(days=later), **ours)])
    (row,) = radius.rows("SELECT * FROM subscription WHERE id = %s", subscription.id)
    assert (row["activated_at"], row["expires_at"]) == (NOW, datetime(2026, 12, 22, 12, 0, tzinfo=UTC))
    assert row["bound_mac"] == MAC.lower()


def test_a_router_that_counts_the_other_way_round_is_read_so(radius: Radius, connection: BoundedConnection) -> None:
    radius.execute("UPDATE router SET swap_octets = true WHERE id = %s", radius.router_id)
    accounting.record(connection, [packet("Stop", radius.router_id, NOW, counters=(1, 5, 6))])
    (row,) = hot(radius)
    assert (row["input_octets"], row["output_octets"]) == (6, 5)


def test_a_session_silent_for_three_intervals_is_ended_at_its_last_known_time(
    radius: Radius, connection: BoundedConnection
) -> None:
    now = datetime.now(UTC)
    silent_since = now - timedelta(seconds=3 * 300 + 5)
    accounting.record(connection, [packet("Start", radius.router_id, silent_since, acct_session_id="silent")])
    alive_since = now - timedelta(seconds=3 * 300 - 30)
    accounting.record(connection, [packet("Start", radius.router_id, alive_since, acct_session_id="alive", mac=None)])
    with radius.session() as session:
        assert session_ghosts.close(session, limit=10) == 1
    silent, alive = hot(radius)
    assert (silent["stopped_at"], silent["terminate_cause"]) == (silent_since, "Lost-Carrier")
    assert alive["stopped_at"] is None
