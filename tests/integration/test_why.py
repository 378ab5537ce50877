"""Why somebody is online or is not: found by every form of a name, told whole and in order, to their tenant only."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner
from psycopg.types.json import Jsonb
from rich.console import Console
from sqlalchemy import Engine, text

import cli.why
from api.schemas.why import WhyOut
from cli.app import kibali
from db import event, why
from db.account import account_of
from db.engine import make_engine, session_factory, use_tenant
from db.job import Job
from db.plan import Plan
from db.subscription import Subscription
from db.subscription_list import router_ids_of
from db.why import Answer
from isp.entitlement import limits_left
from isp.reasons import Reason
from radius_module import logins
from radius_module.connection import BoundedConnection
from radius_module.last_known import LastKnown
from radius_module.plans import Plans
from radius_module.request import AccessRequest
from radius_module.service import Service
from settings import Settings
from tests.integration.api_server import Client, api_of
from tests.radius import Radius

_numbers = count(1)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)  # 15:00 in Nairobi
MAC, OTHER_MAC = "0C:00:00:00:00:01", "0C:00:00:00:00:02"
EXPIRED = "expired (Your plan has expired. Pay to continue.)"
WRONG = "(Wrong username or password. Check both and try again.)"


def other_address() -> str:
    return f"2001:db8:1::{next(_numbers)}"


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


@dataclass
class Story(Radius):
    """The tables with a tenant and a router called roof; what happens in them, and what is asked about it."""

    engine: Engine | None = field(default=None, repr=False)

    def login(self, at: datetime, username: str, reason: str = "ok", **columns: Any) -> None:
        accepts = ("ok", "grace", "fair_use")
        row = {
            "logged_at": at,
            "tenant_id": self.tenant_id,
            "router_id": self.router_id,
            "username": username,
            "service": "hotspot",
            "result": "accept" if reason in accepts else "reject",
            "reason": reason,
            **columns,
        }
        self.insert("auth_log", row)

    def accounted(self, started_at: datetime, *, table: str = "session", **columns: Any) -> None:
        """A session, heard of a minute ago and open unless told otherwise."""
        row = {
            "session_key": uuid4(),
            "tenant_id": self.tenant_id,
            "router_id": self.router_id,
            "username": "jane",
            "calling_station_id": MAC,
            "service": "hotspot",
            "acct_session_id": "80000001",
            "interim_interval_s": 300,
            "started_at": started_at,
            "last_seen_at": columns.get("stopped_at") or ago(1),
            **columns,
        }
        self.insert(table, row)

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        values = [Jsonb(value) if isinstance(value, dict) else value for value in row.values()]
        columns, places = ", ".join(row), ", ".join(["%s"] * len(row))
        self.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", *values)

    def ask(self, who: str, since: timedelta | datetime = timedelta(days=1), limit: int = 200, **more: Any) -> Answer:
        assert self.engine is not None
        tenant_id = more.get("tenant_id", self.tenant_id)
        with session_factory(self.engine)() as session:
            return why.ask(use_tenant(session, tenant_id), tenant_id, who, since, limit, more.get("now", NOW))

    def told(self, who: str, **more: Any) -> list[str]:
        """The timeline, each entry as `login rejected expired`."""
        entries = self.ask(who, **more).entries
        return [" ".join(filter(None, (entry.source, entry.what, entry.reason))) for entry in entries]


@pytest.fixture(scope="module")
def shared(settings_of_module: Settings) -> Settings:
    """A database for all stories: each is a tenant's own, so that they keep apart is tried all along."""
    return settings_of_module


@pytest.fixture(scope="module")
def api_engine(shared: Settings) -> Iterator[Engine]:
    engine = make_engine(shared, "api", pool_size=1)
    yield engine
    engine.dispose()


@pytest.fixture
def story(shared: Settings, api_engine: Engine) -> Iterator[Story]:
    number = next(_numbers)
    made = Story(shared, {}, tenant_id=0, router_id=0, engine=api_engine)
    made.tenant_id = made.add_tenant(f"tenant-{number}")
    made.router_id = made.add_router("roof", f"2001:db8::{number}")
    yield made
    made.close()


@pytest.fixture(scope="module")
def api(shared: Settings) -> Iterator[Client]:
    with api_of(shared) as client:
        yield client


def jane(story: Story, plan: Mapping[str, Any] | None = None, macs: Sequence[str] = (), **more: Any) -> int:
    """Her subscription, which has a week left, and her devices."""
    columns = {"expires_at": NOW + timedelta(days=7), **more.pop("columns", {})}
    subscription = story.subscribe(plan, username="jane", columns=columns, **more)
    for mac in macs:
        owner = {"tenant_id": subscription.tenant_id, "subscription_id": subscription.id}
        story.insert("device", {**owner, "mac": mac})
    return subscription.id


def has_phone(story: Story) -> None:
    story.execute("UPDATE subscriber SET msisdn = '254712345678' WHERE tenant_id = %s", story.tenant_id)


# The verdict.

SESSION_ENDED: dict[str, Any] = {"stopped_at": ago(20), "stop_received": True, "terminate_cause": "User-Request"}
OVER = {"expires_at": NOW - timedelta(hours=1)}

# What happened: subscription columns, logins (minutes ago, reason), sessions (minutes ago, columns).
VERDICTS: dict[str, tuple[Mapping[str, Any], list[tuple[float, str]], list[tuple[float, Mapping[str, Any]]], str]] = {
    "never seen": ({}, [], [], "jane is offline: no login of it is on record. A login now would be accepted."),
    "refused": (OVER, [(57, "expired")], [], f"jane is offline: last login 14:03 rejected: {EXPIRED}"),
    "refused, and paid since": (
        {},
        [(57, "expired")],
        [],
        f"jane is offline: last login 14:03 rejected: {EXPIRED} A login now would be accepted.",
    ),
    "refused for another reason than now": (
        OVER,
        [(57, "suspended")],
        [],
        "jane is offline: last login 14:03 rejected: suspended (Your account is suspended. Contact your provider.)"
        f" A login now would be rejected: {EXPIRED}",
    ),
    "a wrong password": (
        {},
        [(90, "ok"), (57, "wrong_password")],
        [],
        f"jane is offline: last login 14:03 rejected: wrong_password {WRONG}"
        " A login now would be accepted, with the right password.",
    ),
    "let in, and nothing more": (
        {},
        [(5, "ok")],
        [],
        "jane is offline: last login 14:55 accepted, but no session has begun since.",
    ),
    "online": ({}, [(31, "ok")], [(30, {})], "jane is online since 14:30 at roof."),
    "online at an address": (
        {},
        [],
        [(30, {"framed_ip_address": "10.5.0.2"})],
        "jane is online since 14:30 at roof as 10.5.0.2.",
    ),
    "online twice": ({}, [], [(90, {}), (30, {})], "jane is online in 2 sessions, since 13:30."),
    "online, though it is over": (
        OVER,
        [],
        [(90, {})],
        f"jane is online since 13:30 at roof. A login now would be rejected: {EXPIRED}",
    ),
    "online since another day": ({}, [], [(60 * 24, {})], "jane is online since 2026-11-21 15:00 at roof."),
    "silent": (
        {},
        [(91, "ok")],
        [(90, {"last_seen_at": ago(16)})],
        "jane is offline: its session at roof is silent since 14:44. A login now would be accepted.",
    ),
    "logged out": (
        {},
        [(91, "ok")],
        [(90, SESSION_ENDED)],
        "jane is offline: last session ended 14:40: User-Request. A login now would be accepted.",
    ),
    "lost": (
        {},
        [],
        [(90, {**SESSION_ENDED, "stop_received": False, "terminate_cause": "Lost-Carrier"})],
        "jane is offline: last session ended 14:40: Lost-Carrier, which the router did not report."
        " A login now would be accepted.",
    ),
    "refused after a session": (
        OVER,
        [(91, "ok"), (10, "expired")],
        [(90, SESSION_ENDED)],
        f"jane is offline: last login 14:50 rejected: {EXPIRED}",
    ),
    "suspended since": (
        {"status": "suspended"},
        [(91, "ok")],
        [(90, SESSION_ENDED)],
        "jane is offline: last session ended 14:40: User-Request."
        " A login now would be rejected: suspended (Your account is suspended. Contact your provider.)",
    ),
    "long ago": (
        OVER,
        [(60 * 24 * 9, "expired")],
        [],
        f"jane is offline: last login 2026-11-13 15:00 rejected: {EXPIRED}",
    ),
}


@pytest.mark.parametrize("what", VERDICTS)
def test_the_verdict_says_what_stands_in_the_way(story: Story, what: str) -> None:
    columns, its_logins, its_sessions, verdict = VERDICTS[what]
    subscription_id = jane(story, columns=columns)
    for minutes, reason in its_logins:
        story.login(ago(minutes), "jane", reason, subscription_id=subscription_id)
    for minutes, session in its_sessions:
        story.accounted(ago(minutes), subscription_id=subscription_id, **session)
    answer = story.ask("jane")
    assert answer.verdict == verdict
    assert answer.online == what.startswith("online")


@pytest.mark.parametrize("who", ["nobody", "0712345678", "0c:00:00:00:00:09"])
def test_who_was_never_heard_of_is_said_to_be_unknown(story: Story, who: str) -> None:
    answer = story.ask(who)
    assert answer.verdict == f"{who} is unknown: no subscription, no login and no session is on record."
    assert answer.entries == []


def test_a_customer_without_a_subscription_is_named(story: Story) -> None:
    story.insert("subscriber", {"tenant_id": story.tenant_id, "name": "Jane", "msisdn": "254712345678"})
    assert story.ask("0712 345 678").verdict == "0712 345 678 is Jane, who has no subscription."


def test_the_customers_sentence_is_in_the_tenants_language(story: Story) -> None:
    story.execute("UPDATE tenant SET language = 'sw' WHERE id = %s", story.tenant_id)
    story.login(ago(1), "jane", "expired", subscription_id=jane(story, columns=OVER))
    assert "Kifurushi chako kimeisha muda" in story.ask("jane").verdict


def test_of_a_device_the_verdict_is_about_that_device(story: Story) -> None:
    subscription_id = jane(story, {"devices": 1}, macs=[MAC, OTHER_MAC])
    story.accounted(ago(30), subscription_id=subscription_id, calling_station_id=OTHER_MAC)
    story.login(ago(10), "jane", "too_many_devices", subscription_id=subscription_id, calling_station_id=MAC)
    assert story.ask(MAC).verdict.startswith(f"{MAC} is offline: last login 14:50 as jane rejected: too_many_devices")
    assert story.ask(OTHER_MAC).verdict == f"{OTHER_MAC} is online since 14:30 at roof."
    assert story.told(MAC) == ["session started", "login rejected too_many_devices", "session open"]
    story.login(ago(5), "jane", "wrong_password", subscription_id=subscription_id, calling_station_id=OTHER_MAC)
    assert "14:50 as jane rejected: too_many_devices" in story.ask(MAC).verdict
    assert story.ask(MAC).standings[0].verdict.reason is Reason.TOO_MANY_DEVICES
    assert story.ask(OTHER_MAC).standings[0].verdict.reason is Reason.OK


# Who is meant.


@pytest.mark.parametrize("who", ["jane", "JANE", "Jane"])
@pytest.mark.parametrize("written", ["jane", "JANE"])
def test_a_username_is_found_in_any_case(story: Story, who: str, written: str) -> None:
    jane(story)
    story.login(ago(1), written, "too_many_failures")
    answer = story.ask(who)
    assert [entry.username for entry in answer.entries] == [written]
    assert [standing.subscription.username for standing in answer.standings] == ["jane"]


@pytest.mark.parametrize(
    "who", ["0712345678", "712345678", "254712345678", "+254712345678", "+254 712 345-678", "0712 345 678"]
)
def test_a_phone_number_is_found_in_every_kenyan_form(story: Story, who: str) -> None:
    subscription_id = jane(story)
    has_phone(story)
    story.login(ago(2), "jane", subscription_id=subscription_id)
    story.login(ago(1), "254712345678", "unknown_user")
    answer = story.ask(who)
    assert answer.subject.msisdn == "254712345678"
    assert [entry.username for entry in answer.entries] == ["jane", "254712345678"]


@pytest.mark.parametrize(
    "who", ["0C:00:00:00:00:01", "0c-00-00-00-00-01", "0c0000000001", "0C00.0000.0001", "0C00:0000:0001"]
)
@pytest.mark.parametrize("by", ["device", "binding", "login", "session"])
def test_a_device_is_found_in_every_form_and_by_every_tie(story: Story, who: str, by: str) -> None:
    subscription_id = jane(story, macs=[MAC] if by == "device" else [])
    mac: dict[str, Any] = {"calling_station_id": MAC}
    story.login(ago(60 * 24 * 5), "jane", subscription_id=subscription_id, **(mac if by == "login" else {}))
    if by == "binding":
        story.execute("UPDATE subscription SET bound_mac = %s WHERE id = %s", MAC, subscription_id)
        story.login(ago(60 * 24 * 4), "jane", "wrong_device", subscription_id=subscription_id, **mac)
    if by == "session":
        story.accounted(ago(60 * 24 * 3), subscription_id=subscription_id, **mac)
    story.login(ago(1), MAC, "too_many_failures", **mac)
    answer = story.ask(who)
    assert answer.subject.mac == MAC
    assert [standing.subscription.id for standing in answer.standings] == [subscription_id]
    assert (answer.entries[-1].reason or answer.entries[-2].reason) == "too_many_failures"


def test_what_is_nobodys_is_found_by_its_name_and_by_its_device(story: Story) -> None:
    story.login(ago(3), "Stranger", "unknown_user", calling_station_id=MAC)
    story.login(ago(2), "another", "unknown_user", calling_station_id=MAC)
    story.login(ago(1), "another", "unknown_user", calling_station_id=OTHER_MAC)
    assert len(story.ask("stranger").entries) == 1
    assert len(story.ask("ANOTHER").entries) == 2
    assert [entry.username for entry in story.ask(MAC).entries] == ["Stranger", "another"]


def test_a_misspelt_name_is_told_where_the_device_is_known(story: Story) -> None:
    subscription_id = jane(story)
    story.login(ago(60 * 24 * 5), "jane", subscription_id=subscription_id, calling_station_id=MAC)
    story.login(ago(5), "jnae", "unknown_user", calling_station_id=MAC)
    answer = story.ask("jane")
    assert [entry.username for entry in answer.entries] == ["jnae"]
    assert answer.verdict == (
        f"jane is offline: last login 14:55 as jnae rejected: unknown_user {WRONG}"
        " A login now would be accepted, with the right name."
    )


def test_what_another_subscription_did_on_the_same_device_is_not_hers(story: Story) -> None:
    subscription_id = jane(story, macs=[MAC])
    other = story.subscribe(username="john").id
    story.login(ago(5), "john", subscription_id=other, calling_station_id=MAC)
    story.login(ago(4), "jane", subscription_id=subscription_id, calling_station_id=MAC)
    assert [entry.username for entry in story.ask("jane").entries] == ["jane"]
    assert [entry.username for entry in story.ask(MAC).entries] == ["john", "jane"]


def test_a_name_that_was_used_before_stands_as_the_living_one(story: Story) -> None:
    former = jane(story, columns={"status": "cancelled"})
    story.login(ago(20), "jane", "cancelled", subscription_id=former)
    assert [standing.state.value for standing in story.ask("jane").standings] == ["cancelled"]
    living = jane(story)
    story.login(ago(10), "jane", subscription_id=living)
    answer = story.ask("jane")
    assert [standing.subscription.id for standing in answer.standings] == [living]
    assert [entry.subscription_id for entry in answer.entries] == [former, living]


# The timeline.


def test_everything_is_told_in_order_with_the_newest_last(story: Story) -> None:
    subscription_id = jane(story)
    mine: dict[str, Any] = {"subscription_id": subscription_id}
    story.accounted(ago(200), **mine, **SESSION_ENDED | {"stopped_at": ago(150)}, table="session_history")
    story.accounted(ago(100), **mine, **SESSION_ENDED)
    story.accounted(ago(9), **mine)
    for minutes, reason in ((201, "ok"), (101, "ok"), (11, "wrong_password"), (10, "ok")):
        story.login(ago(minutes), "jane", reason, **mine)
    assert story.told("jane") == [
        "login accepted ok",
        "session started",
        "session ended User-Request",
        "login accepted ok",
        "session started",
        "session ended User-Request",
        "login rejected wrong_password",
        "login accepted ok",
        "session started",
        "session open",
    ]


def test_a_session_without_length_begins_before_it_ends(story: Story) -> None:
    story.accounted(ago(5), subscription_id=jane(story), **SESSION_ENDED | {"stopped_at": ago(5)})
    assert story.told("jane") == ["session started", "session ended User-Request"]


def test_before_the_window_only_what_still_holds_is_told(story: Story) -> None:
    mine: dict[str, Any] = {"subscription_id": jane(story)}
    story.login(ago(90), "jane", **mine)
    story.accounted(ago(300), **mine, **SESSION_ENDED | {"stopped_at": ago(120)}, table="session_history")
    story.accounted(ago(89), **mine, last_seen_at=ago(70))
    story.accounted(ago(80), **mine, **SESSION_ENDED)
    assert story.told("jane", since=timedelta(hours=1)) == ["session silent", "session ended User-Request"]


@pytest.mark.parametrize(
    ("since", "begin"),
    [
        (timedelta(hours=2), NOW - timedelta(hours=2)),
        (datetime(2026, 11, 20), datetime(2026, 11, 19, 21, 0, tzinfo=UTC)),  # noqa: DTZ001 (of the tenant's zone)
        (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_a_window_begins_so_long_ago_or_at_a_time_of_the_tenants(
    story: Story, since: timedelta | datetime, begin: datetime
) -> None:
    story.login(begin - timedelta(seconds=1), "jane", "unknown_user")
    story.login(begin, "jane", "unknown_user")
    answer = story.ask("jane", since=since)
    assert answer.since == begin
    assert [entry.at for entry in answer.entries] == [begin]


def test_of_too_many_entries_the_newest_are_told_and_that_there_are_more(story: Story) -> None:
    mine: dict[str, Any] = {"subscription_id": jane(story)}
    for minutes in range(10, 0, -1):
        story.login(ago(minutes), "jane", "wrong_password", **mine)
    assert story.ask("jane", limit=9).more
    assert not story.ask("jane", limit=10).more
    story.accounted(ago(4.5), **mine, **SESSION_ENDED | {"stopped_at": ago(3.5)})
    whole, cut = story.ask("jane", limit=12), story.ask("jane", limit=5)
    assert (len(whole.entries), whole.more) == (12, False)
    assert (cut.entries, cut.more) == (whole.entries[-5:], True)


def test_a_stranger_that_the_router_let_in_is_told(story: Story) -> None:
    story.accounted(ago(50), username="Roof-Camera", calling_station_id=MAC)
    story.accounted(ago(90), username="roof-camera", calling_station_id=None, **SESSION_ENDED, table="session_history")
    assert len(story.ask("roof-camera").entries) == 4
    assert story.told(MAC) == ["session started", "session open"]


def test_events_and_jobs_of_a_subscription_and_events_of_its_router_are_told(story: Story) -> None:
    subscription_id, elsewhere = jane(story), story.add_router("elsewhere", other_address())
    story.login(ago(60), "jane", subscription_id=subscription_id)
    with story.session() as session:
        for type_, about in (
            ("payment.received", {"subscription_id": subscription_id}),
            ("router.offline", {"router_id": story.router_id}),
            ("router.offline", {"router_id": elsewhere}),
            ("payment.received", {"subscription_id": subscription_id + 1, "router_id": story.router_id}),
        ):
            event.record(session, type_, {"amount_kes": "500.00"}, story.tenant_id, **about)
        for number in (subscription_id, subscription_id + 1):
            args = {"subscription_id": number}
            session.add(Job(tenant_id=story.tenant_id, queue="default", task="x.y", args=args, max_attempts=1))
    story.execute("UPDATE event SET created_at = %s WHERE tenant_id = %s", ago(2), story.tenant_id)
    story.execute("UPDATE job SET created_at = %s WHERE tenant_id = %s", ago(1), story.tenant_id)
    answer = story.ask("jane")
    assert story.told("jane") == [
        "login accepted ok",
        "event payment.received",
        "event router.offline",
        "job x.y pending",
    ]
    assert [entry.values.get("amount_kes") for entry in answer.entries] == [None, "500.00", "500.00", None]
    assert answer.entries[2].router_id == story.router_id


# How it stands.


def test_what_is_left_of_each_limit_is_told(story: Story) -> None:
    plan = {"data_limit_bytes": 1000, "download_limit_bytes": 700, "time_limit_s": 3600}
    subscription_id = jane(story, plan)
    used = "input_octets = 300, output_octets = 500, session_time_s = 4000"
    story.execute(f"UPDATE usage SET {used} WHERE subscription_id = %s", subscription_id)
    shown = WhyOut.of_answer(story.ask("jane")).model_dump(mode="json")["subscriptions"][0]
    assert shown["id"] == subscription_id
    assert {limit["name"]: (limit["limit"], limit["left"]) for limit in shown["limits"]} == {
        "time_limit_s": (3600, 0),
        "data_limit_bytes": (1000, 200),
        "download_limit_bytes": (700, 200),
    }
    assert (shown["input_octets"], shown["output_octets"], shown["session_time_s"]) == (300, 500, 4000)
    assert (shown["login_now"]["result"], shown["login_now"]["reason"]) == ("reject", "time_used_up")
    assert shown["login_now"]["message"] == "Your time is used up. Buy more to continue."


def test_a_limit_of_a_period_counts_that_period_only(story: Story) -> None:
    subscription_id = jane(story, {"data_limit_bytes": 1000, "limit_period": "month", "limit_reset_day": 10})
    for day, octets in (("2026-11-09", 500), ("2026-11-10", 100), ("2026-11-22", 20)):
        row = {"subscription_id": subscription_id, "day": day, "tenant_id": story.tenant_id, "input_octets": octets}
        story.insert("usage_day", row)
    (standing,) = story.ask("jane").standings
    assert standing.left.total_octets == 880


def test_a_login_now_is_judged_where_it_was_seen_last(story: Story) -> None:
    elsewhere = story.add_router("elsewhere", other_address())
    subscription_id = jane(story, router_ids=[story.router_id])
    assert story.ask("jane").standings[0].verdict.reason is Reason.OK
    story.login(ago(5), "jane", "wrong_router", subscription_id=subscription_id, router_id=elsewhere)
    assert story.ask("jane").standings[0].verdict.reason is Reason.WRONG_ROUTER


FULL_PLAN = {
    "burst_upload_kbps": 4000,
    "burst_download_kbps": 16000,
    "burst_threshold_upload_kbps": 1000,
    "burst_threshold_download_kbps": 4000,
    "burst_time_s": 8,
    "priority": 3,
    "min_upload_kbps": 10,
    "min_download_kbps": 20,
    "grace_hours": 12,
    "devices": 2,
    "on_device_limit": "drop_oldest",
    "time_limit_s": 7200,
    "data_limit_bytes": 10**10,
    "upload_limit_bytes": 10**9,
    "download_limit_bytes": 10**8,
    "limit_period": "week",
    "limit_reset_day": 3,
    "after_limit": "throttle",
    "fair_use_upload_kbps": 256,
    "fair_use_download_kbps": 512,
    "boost_from": "22:00",
    "boost_until": "06:00",
    "boost_upload_kbps": 9000,
    "boost_download_kbps": 9001,
    "idle_timeout_s": 600,
    "interim_interval_s": 120,
    "framed_pool": "pool",
    "framed_ipv6_pool": "pool6",
    "delegated_ipv6_pool": "prefixes",
    "address_list": "shaped",
    "on_expiry": "walled_garden",
    "walled_garden_address_list": "unpaid",
}


@pytest.mark.parametrize("plan", [{}, FULL_PLAN], ids=["a plain plan", "a plan that has everything"])
def test_the_account_is_the_one_that_freeradius_decides_on(story: Story, plan: Mapping[str, Any]) -> None:
    subscription = story.subscribe(
        plan,
        username="jane",
        framed_ip_address="10.9.8.7",
        delegated_ipv6_prefix="2001:db8:5::/56",
        bind_mac=True,
        router_ids=[story.add_router("other", other_address()), story.router_id],
        columns={"bound_mac": MAC},
    )
    now = datetime.now(UTC)
    story.accounted(now - timedelta(hours=1), subscription_id=subscription.id, last_seen_at=now, calling_station_id=MAC)
    for days_ago in range(10):
        day = {"subscription_id": subscription.id, "day": now.date() - timedelta(days=days_ago)}
        story.insert("usage_day", {**day, "tenant_id": story.tenant_id, "input_octets": 10**days_ago})
    used = "input_octets = 7, output_octets = 8, session_time_s = 9, validity_input_octets = 2"
    story.execute(f"UPDATE usage SET {used} WHERE subscription_id = %s", subscription.id)
    with BoundedConnection.open(story.settings.database_dsn("radius")) as connection:
        (row,) = logins.find(connection, [logins.LoginQuery(story.router_id, "jane", None)])
        assert row is not None
        version = logins.plan_of(row)
        assert version is not None
        plans = Plans(LastKnown(story.settings.var / "last_known.sqlite", print))
        assert plans.missing([version]) == [version]
        plans.load(connection, [version], now)
    with story.session() as session:
        stored = session.get_one(Subscription, subscription.id)
        wanted = logins.read(row, plans.terms(version)).account
        assert wanted is not None
        assert len(wanted.router_ids) == 2
        made = account_of(
            session,
            stored,
            session.get_one(Plan, stored.plan_id),
            router_ids_of(session, [stored.id])[stored.id],
            wanted.timezone,
            now,
        )
    # FreeRADIUS's has the sum of the period's days.
    assert replace(made, used_by_day=()) == replace(wanted, used_by_day=())
    assert limits_left(made, now) == limits_left(wanted, now)
    assert hash(logins.stable(row)) != hash(logins.stable([*row[:-6], [1], *row[-5:]]))


# What FreeRADIUS wrote.


def test_a_decision_is_found_again_with_the_values_it_rested_on(story: Story) -> None:
    subscription = story.subscribe(username="jane", router_ids=[story.router_id])
    elsewhere = story.add_router("elsewhere", other_address())
    service = Service(story.settings, lambda _line: None)
    service.start()
    now = datetime.now(UTC)
    try:
        for router_id in (story.router_id, elsewhere):
            request = AccessRequest(router_id, "Jane", "hotspot", MAC, is_mac_login=False)
            decision = service.login(request)
            service.answered(request, decision, decision.reason.value, now)
    finally:
        service.close()
    answer = story.ask(MAC, now=datetime.now(UTC))
    first, second = WhyOut.of_answer(answer).model_dump(mode="json")["timeline"]
    assert (first["what"], first["reason"], first["router"], first["message"]) == ("accepted", "ok", "roof", None)
    assert first["values"]["rate_limit"] == "2000k/8000k"
    assert first["values"]["plan"] == "plan 1"
    assert first["values"]["open_sessions"] == 0
    assert (second["what"], second["reason"], second["router"]) == ("rejected", "wrong_router", "elsewhere")
    assert second["message"] == "Your plan is not valid at this location. Contact your provider."
    assert second["subscription_id"] == subscription.id
    assert second["calling_station_id"] == MAC


# Tenants apart.


def test_another_tenants_story_is_nobodys(story: Story) -> None:
    subscription_id = jane(story, macs=[MAC])
    has_phone(story)
    story.login(ago(9), "jane", subscription_id=subscription_id, calling_station_id=MAC)
    story.login(ago(8), "stranger", "unknown_user", calling_station_id=OTHER_MAC)
    story.accounted(ago(7), subscription_id=subscription_id, calling_station_id=MAC)
    neighbour = story.add_tenant(f"neighbour-of-{story.tenant_id}")
    for who in ("jane", "0712345678", MAC, OTHER_MAC, "stranger"):
        assert story.ask(who).entries
        assert "is unknown" in story.ask(who, tenant_id=neighbour).verdict
    theirs = jane(story, tenant_id=neighbour, macs=[MAC])
    story.login(ago(1), "jane", "expired", tenant_id=neighbour, subscription_id=theirs, calling_station_id=MAC)
    for who in ("jane", MAC):
        answer = story.ask(who, tenant_id=neighbour)
        assert [entry.reason for entry in answer.entries] == ["expired"]
        assert [standing.subscription.id for standing in answer.standings] == [theirs]
        assert all(entry.reason != "expired" for entry in story.ask(who).entries)


# How it is found.


@pytest.mark.parametrize(
    ("condition", "index_columns"),
    [
        ("subscription_id IS NULL AND username_lower = 'jane'", "username_lower = "),
        ("calling_station_id = '0c:00:00:00:00:01'", "calling_station_id = "),
        ("subscription_id = 1", "subscription_id = "),
    ],
)
def test_row_level_security_leaves_the_indexes_of_use(story: Story, condition: str, index_columns: str) -> None:
    """In the field lower(username) was filtered row by row: lower() is not leakproof, so no index served it."""
    assert story.engine is not None
    with story.engine.connect() as connection:
        connection.execute(text("SET enable_seqscan = off"))
        connection.execute(text("SELECT set_config('kibali.tenant_id', '1', false)"))
        query = f"EXPLAIN SELECT * FROM auth_log WHERE {condition} AND logged_at > now() ORDER BY logged_at DESC"
        plan = list(connection.scalars(text(query)))
    partitions = [line for line in plan if "Index Cond:" in line]
    assert len(partitions) >= 3
    assert all(index_columns in line for line in partitions)


def test_a_month_that_was_not_prepared_keeps_its_logins_when_it_is(story: Story) -> None:
    story.login(datetime(2020, 2, 3, tzinfo=UTC), "Jane", "unknown_user")
    story.execute("SELECT create_month_partition('auth_log', '2020-02-01')")
    query = "SELECT tableoid::regclass::text AS part, username, username_lower FROM auth_log WHERE tenant_id = %s"
    (row,) = story.rows(query, story.tenant_id)
    assert row == {"part": "auth_log_2020_02", "username": "Jane", "username_lower": "jane"}


# Over HTTP and from the shell.


def test_the_shell_and_the_api_tell_the_same(api: Client, server_environ: Mapping[str, str]) -> None:
    urls = {"KIBALI_DATABASE_URL": api.settings.database_url, "KIBALI_REDIS_URL": api.settings.redis_url}
    command = ["why", "jane", "--since", "7d", "--limit", "5", "--tenant", "acme", "--json"]
    made = api.subscription(username="jane", macs=[MAC])
    answered = api.get("/why", who="jane", since="7d", limit=5)
    printed = CliRunner().invoke(kibali, command, env={**server_environ, **urls})
    assert printed.exit_code == 0, printed.output
    said = json.loads(printed.stdout)
    for told in (answered, said):
        assert told.pop("since") < told.pop("until")
        assert 0 <= 30 * 86400 - told["subscriptions"][0]["login_now"].pop("session_timeout_s") < 60
    assert said == answered
    assert answered["verdict"] == "jane is offline: no login of it is on record. A login now would be accepted."
    assert answered["subscriptions"][0]["id"] == made["id"]
    assert answered["timezone"] == "Africa/Nairobi"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "who"),
        ({"who": ""}, "who"),
        ({"who": "a\x00b"}, "who"),
        ({"who": "x" * 254}, "who"),
        ({"who": "jane", "since": "tomorrow"}, "since"),
        ({"who": "jane", "since": "0h"}, "since"),
        ({"who": "jane", "since": "99999d"}, "since"),
        ({"who": "jane", "since": "0001-01-01"}, "since"),
        ({"who": "jane", "since": "2199-01-01"}, "since"),
        ({"who": "jane", "limit": "0"}, "limit"),
        ({"who": "jane", "limit": "1001"}, "limit"),
        ({"who": "jane", "whom": "x"}, "whom"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(api: Client, params: dict[str, str], field: str) -> None:
    response = api.request("GET", "/why", params=params)
    assert response.status_code == 422
    assert response.json()["error"]["field"] == field


@pytest.mark.parametrize(("role", "status"), [("support", 200), ("read-only", 200), ("cashier", 403)])
def test_who_may_look_at_sessions_may_ask_why(api: Client, role: str, status: int) -> None:
    assert api.request("GET", "/why", role=role, params={"who": "jane"}).status_code == status


def test_on_a_terminal_nothing_is_wider_than_a_hundred_columns(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    subscription_id = jane(story, {"data_limit_bytes": 10**10, **{k: FULL_PLAN[k] for k in BURST}}, macs=[MAC])
    detail = {"open_sessions": 0, "rate_limit": "2000k/8000k " * 6, "session_timeout_s": 2_592_000}
    story.login(ago(20), "jane", subscription_id=subscription_id, calling_station_id=MAC, detail=detail)
    story.accounted(ago(19), subscription_id=subscription_id, calling_station_id=MAC, input_octets=9 * 2**30)
    story.login(ago(10), "\x1b[2Jjnae", "unknown_user", calling_station_id=MAC)
    with story.session() as session:
        event.record(session, "note", {"text": "word " * 60}, story.tenant_id, subscription_id=subscription_id)
    story.execute("UPDATE event SET created_at = %s WHERE tenant_id = %s", ago(1), story.tenant_id)
    screen = Console(file=io.StringIO(), width=180, force_terminal=True, color_system=None, highlight=False)
    monkeypatch.setattr(cli.why, "console", lambda: screen)
    cli.why._print(WhyOut.of_answer(story.ask("jane")))
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert lines[0] == "jane is online since 14:41 at roof."
    assert max(map(len, lines)) <= 100
    shown = "\n".join(lines)
    assert "\x1b" not in shown
    for part in (
        "left      9.3 GiB of 9.3 GiB",
        "2026-11-22 (Africa/Nairobi)",
        "14:40:00  login accepted: ok",
        "14:41:00  session started",
        "\N{REPLACEMENT CHARACTER}[2Jjnae, 0C:00:00:00:00:01, at roof",
        "14:59:00  event note",
        "          text word word",
        "14:59:00  session open",
        "9.0 GiB up, 0 B down",
    ):
        assert part in shown


BURST = [name for name in FULL_PLAN if name.startswith("burst")]
