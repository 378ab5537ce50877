"""The specification of logins through FreeRADIUS: rows in the real tables, real packets, and exactly what comes back.

All rows are written in one transaction and asked one after the other; the tests then look at the answers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4
from zoneinfo import ZoneInfo

import pyrad.client
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from cli.nas import Nas
from db import plan, router, subscriber, subscription_life, tenant
from db.radius_session import RadiusSession, Usage, UsageDay
from db.subscription import Subscription
from db.subscription_life import NewSubscription
from isp.encryption import Keyring
from isp.reasons import sentence
from tests.radius import PASSWORD, SECRET, Radius
from tests.specification import DAY, NUMBER_OF, ROWS, Row, calling_station_id, where_it_is_noon

Method = Literal["pap", "chap", "mschapv2"]

# Counted before the validity began: no row may see it.
BEFORE = 10**13

# By CHAP and MS-CHAPv2 too.
SAMPLE = (
    "active, hotspot",
    "expired, PPPoE",
    "expired, PPPoE with a garden",
    "in its grace, PPPoE",
    "everything at once",
    "4 GiB and an octet left",
    "another device is online",
    "a PPPoE subscription on a hotspot",
    "active, PPPoE, wrong password",
    "expired, hotspot, wrong password, in Swahili",
)
OF_ANY_REPLY = {"Message-Authenticator"}
OF_MSCHAP_ACCEPTS = {
    "MS-CHAP2-Success",
    "MS-MPPE-Recv-Key",
    "MS-MPPE-Send-Key",
    "MS-MPPE-Encryption-Policy",
    "MS-MPPE-Encryption-Types",
}


@dataclass(frozen=True, slots=True)
class Site:
    """A tenant of one language, with two routers; its packets come from the first."""

    tenant_id: int
    router_ids: dict[str, int]
    nas: Nas


@dataclass(slots=True)
class Told:
    """What came back, each attribute with all its values, and what was logged."""

    code: str
    attributes: dict[str, list[Any]]
    elapsed_s: int
    """From the moment the row was written for until the answer, rounded up."""
    log: dict[str, Any]


def user_name(what: str) -> str:
    row, number = ROWS[what], NUMBER_OF[what]
    return (calling_station_id(number, row.device) or "") if row.by_address else f"row{number}"


@pytest.fixture(scope="module")
def answers(radius: Radius) -> dict[tuple[str, Method], Told]:
    now = datetime.now().astimezone()
    with radius.session() as session:
        sites = {language: add_site(session, radius, language, now) for language in ("en", "sw")}
        for what, row in ROWS.items():
            if row.exists:
                write(session, sites[row.language], what, radius.keyring, now)
    return ask_all(radius, sites, now)


def add_site(session: Session, radius: Radius, language: str, now: datetime) -> Site:
    zone = where_it_is_noon(now)
    owner = tenant.create(session, slug=f"noon-{language}", name=language, language=language, timezone=zone)
    here = "127.0.0.2" if language == "en" else "127.0.0.3"
    router_ids = {
        name: router.create(
            session, owner.id, {"name": name, "nas_address": address}, radius_secret=SECRET, keyring=radius.keyring
        ).id
        for name, address in {"here": here, "elsewhere": here.replace("127.0.0", "127.0.1")}.items()
    }
    return Site(owner.id, router_ids, radius.nas(source=here))


def write(session: Session, site: Site, what: str, keyring: Keyring, now: datetime) -> None:
    row, number = ROWS[what], NUMBER_OF[what]
    today = now.astimezone(ZoneInfo(where_it_is_noon(now))).date()
    terms = plan.create(session, site.tenant_id, {"name": what, "price_kes": 500, **row.plan_on(today)})
    holder = subscriber.create(session, site.tenant_id, {"name": what})
    known = calling_station_id(number, row.knows)
    new = NewSubscription(
        subscriber_id=holder.id,
        plan_id=terms.id,
        service=row.service,
        username=f"row{number}",
        password=PASSWORD,
        macs=[known] if known else [],
        framed_ip_address=row.framed_ip_address,
        delegated_ipv6_prefix=row.delegated_ipv6_prefix,
        bind_mac=row.bound_to is not None,
    )
    subscription = subscription_life.create(session, site.tenant_id, new, keyring, now).subscription
    subscription.status = row.status
    subscription.activated_at = now - DAY if row.activated else None
    subscription.expires_at = None if row.expires_in is None else now + row.expires_in
    subscription.bound_mac = calling_station_id(number, row.bound_to)
    write_usage(session, subscription, row, now)
    session.add_all(open_sessions(subscription, row, number, site, now))
    for name in row.routers:
        session.execute(
            text(
                "INSERT INTO subscription_router (tenant_id, subscription_id, router_id) VALUES (:tenant, :id, :router)"
            ),
            {"tenant": site.tenant_id, "id": subscription.id, "router": site.router_ids[name]},
        )
    session.flush()


def write_usage(session: Session, subscription: Subscription, row: Row, now: datetime) -> None:
    if row.used is not None:
        total = session.get_one(Usage, subscription.id)
        for name in ("input_octets", "output_octets", "session_time_s"):
            setattr(total, name, BEFORE + getattr(row.used, name))
            setattr(total, f"validity_{name}", BEFORE)
    today = now.astimezone(ZoneInfo(where_it_is_noon(now))).date()
    for offset, used in (row.used_by_day or {}).items():
        counters = {name: getattr(used, name) for name in ("input_octets", "output_octets", "session_time_s")}
        key = {"subscription_id": subscription.id, "tenant_id": subscription.tenant_id, "day": today + offset * DAY}
        session.add(UsageDay(**key, **counters))


def open_sessions(
    subscription: Subscription, row: Row, number: int, site: Site, now: datetime
) -> Iterator[RadiusSession]:
    for index, open_ in enumerate(row.open_sessions):
        last_seen_at = now - timedelta(seconds=open_.silent_s)
        yield RadiusSession(
            session_key=uuid4(),
            tenant_id=site.tenant_id,
            router_id=site.router_ids["elsewhere"],
            subscription_id=subscription.id,
            service=row.service,
            username=subscription.username,
            acct_session_id=f"{number:x}-{index}",
            calling_station_id=calling_station_id(number, open_.device),
            interim_interval_s=open_.interim_interval_s,
            started_at=last_seen_at - timedelta(hours=1),
            last_seen_at=last_seen_at,
        )


def ask_all(radius: Radius, sites: dict[str, Site], now: datetime) -> dict[tuple[str, Method], Told]:
    answers: dict[tuple[str, Method], Told] = {}
    replies: list[Any] = []
    send = pyrad.client.Client.SendPacket

    def keep(client: Any, packet: Any) -> Any:
        replies.append(send(client, packet))
        return replies[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyrad.client.Client, "SendPacket", keep)
        methods: tuple[Method, ...] = ("pap", "chap", "mschapv2")
        for method in methods:
            for what in ROWS if method == "pap" else SAMPLE:
                row = ROWS[what]
                answer = sites[row.language].nas.login(
                    user_name(what),
                    "" if row.by_address else "wrong" if row.wrong_password else PASSWORD,
                    method,
                    service=row.attempted_service,
                    mac=calling_station_id(NUMBER_OF[what], row.device) or "port 7",
                )
                # Of unknown attributes too, which the NAS itself passes over.
                attributes = {str(name): replies[-1][name] for name in replies[-1].keys()}  # noqa: SIM118
                elapsed_s = int((datetime.now().astimezone() - now).total_seconds()) + 1
                answers[what, method] = Told(answer.code, attributes, elapsed_s, {})
    add_logs(radius, sites, answers)
    return answers


def add_logs(radius: Radius, sites: dict[str, Site], answers: dict[tuple[str, Method], Told]) -> None:
    """Each answer's row of auth_log, which is written in the background, in the order of the answers."""
    query = "SELECT * FROM auth_log WHERE tenant_id = ANY(%s) ORDER BY logged_at, id"
    deadline = time.monotonic() + 10
    while len(logged := radius.rows(query, [site.tenant_id for site in sites.values()])) < len(answers):
        assert time.monotonic() < deadline, f"{len(logged)} of {len(answers)} logins are in auth_log"
        time.sleep(0.05)
    for entry, told in zip(logged, answers.values(), strict=True):
        told.log = entry


@pytest.mark.parametrize("what", ROWS)
def test_freeradius_answers_as_specified(answers: dict[tuple[str, Method], Told], what: str) -> None:
    check(what, "pap", answers[what, "pap"])


@pytest.mark.parametrize("method", ["chap", "mschapv2"])
@pytest.mark.parametrize("what", SAMPLE)
def test_freeradius_answers_the_same_by_any_method(
    answers: dict[tuple[str, Method], Told], what: str, method: Method
) -> None:
    check(what, method, answers[what, method])


def check(what: str, method: Method, told: Told) -> None:
    row = ROWS[what]
    assert (told.log["username"], told.log["reason"]) == (user_name(what), row.answer.reason.value)
    assert told.log["result"] == ("reject" if row.attributes is None else "accept")
    assert (told.log["subscription_id"] is not None) is row.is_found
    values = dict(told.attributes)
    assert {name for name, held in values.items() if len(held) != 1} <= OF_MSCHAP_ACCEPTS
    for name in OF_ANY_REPLY:
        values.pop(name)
    if row.attributes is None:
        check_reject(row, method, told.code, values)
    else:
        check_accept(row, method, told, values)


def check_reject(row: Row, method: Method, code: str, values: dict[str, list[Any]]) -> None:
    assert code == "Access-Reject"
    if method == "mschapv2" and row.wrong_password:
        values.pop("MS-CHAP-Error")
    (message,) = values.pop("Reply-Message")
    assert message == sentence(row.answer.reason, row.language)
    assert len(message.encode()) <= 200
    assert values == {}


def check_accept(row: Row, method: Method, told: Told, values: dict[str, list[Any]]) -> None:
    assert told.code == "Access-Accept"
    assert row.attributes is not None
    (radius_class,) = values.pop("Class")
    assert radius_class.startswith(b"k1.")
    if method == "mschapv2":
        for name in OF_MSCHAP_ACCEPTS:
            values.pop(name)
    got, expected = {name: str(held[0]) for name, held in values.items()}, dict(row.attributes)
    if "Session-Timeout" in got and "Session-Timeout" in expected:
        # The rows were written a moment ago, and time runs.
        left_s, at_most_s = int(got.pop("Session-Timeout")), int(expected.pop("Session-Timeout"))
        assert at_most_s - told.elapsed_s <= left_s <= at_most_s
    assert got == expected
