"""The specification of logins, by the rules alone: each row as PostgreSQL would hand it over, then decided."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from isp.entitlement import Accept, Attempt, decide
from isp.quota import Period, Used, period_start
from isp.reasons import Reason, sentence
from isp.reply import attributes
from radius_module import logins, plans
from tests.specification import DAY, NUMBER_OF, ROWS, Open, Row, calling_station_id, where_it_is_noon

HERE, ELSEWHERE = 7, 8
SECOND = DAY / 86400

MOMENTS = [
    datetime(2026, 11, 22, 9, 0, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2027, 2, 28, 0, 30, tzinfo=UTC),
    datetime(2028, 2, 29, 12, 0, tzinfo=UTC),
    datetime(2028, 3, 30, 17, 15, tzinfo=UTC),
]
FOUND = {what: row for what, row in ROWS.items() if row.is_found}


def selected(query: str) -> Iterator[str]:
    """Each column that the query selects, by the first name in its expression: `s.bound_mac`, `u.input_octets`."""
    expressions, depth = [""], 0
    for token in re.findall(r"\w+|\W", query.partition("SELECT")[2]):
        depth += (token in "([") - (token in ")]")
        if token == "FROM" and depth == 0:
            break
        if token == "," and depth == 0:
            expressions.append("")
        else:
            expressions[-1] += token
    for expression in expressions:
        if "subscription_router" in expression:
            yield "router_ids"
        else:
            name = re.search(r"[a-z]+\.\w+", expression)
            assert name, expression
            yield name[0]


def database_rows(what: str, now: datetime) -> tuple[list[Any], list[Any]]:
    """The row of the login query, without its number, and that of its plan's query, without id and version."""
    row, number, today = ROWS[what], NUMBER_OF[what], now.date()
    plan = row.plan_on(today)
    used = row.used
    values: dict[str, Any] = {
        "t.id": 1,
        "t.language": row.language,
        "t.timezone": where_it_is_noon(now),
        "s.id": number,
        "s.device_login": row.by_address,
        "s.service": row.service,
        "s.status": row.status,
        "s.password_sealed": b"sealed",
        "s.activated_at": now - DAY if row.activated else None,
        "s.expires_at": now + row.expires_in if row.expires_in is not None else None,
        "s.framed_ip_address": row.framed_ip_address,
        "s.delegated_ipv6_prefix": row.delegated_ipv6_prefix,
        "s.bound_mac": calling_station_id(number, row.bound_to),
        "p.id": number,
        "p.xmin": 4711,
        "u.input_octets": used and used.input_octets,
        "u.output_octets": used and used.output_octets,
        "u.session_time_s": used and used.session_time_s,
        "period.used": used_in_period(row, plan, today),
        "open.sessions": [session(number, *item, now) for item in enumerate(row.open_sessions)] or None,
        "router_ids": [HERE if router == "here" else ELSEWHERE for router in row.routers],
    }
    of_login, of_plan = list(selected(logins._SELECT.text.decode()))[1:], list(selected(plans._SELECT))[2:]
    return [values[name] for name in of_login], [plan.get(name[2:]) for name in of_plan]


def used_in_period(row: Row, plan: Mapping[str, Any], today: date) -> list[int] | None:
    """As PostgreSQL sums it up: the day that the period began on, and what was used since."""
    if not row.used_by_day or plan["limit_period"] == "validity":
        return None
    start = period_start(Period(plan["limit_period"]), plan["limit_reset_day"], today)
    used = [used for offset, used in row.used_by_day.items() if today + offset * DAY >= start]
    total = sum(used, Used())
    return [start.toordinal(), total.input_octets, total.output_octets, total.session_time_s] if used else None


def session(number: int, index: int, session: Open, now: datetime) -> list[str | None]:
    last_seen_at = (now - session.silent_s * SECOND).timestamp()
    mac = calling_station_id(number, session.device)
    return [str(UUID(int=index)), mac, str(last_seen_at - 3600), str(last_seen_at), str(session.interim_interval_s)]


@pytest.mark.parametrize("now", MOMENTS, ids=lambda now: f"{now:%Y-%m-%d_%H:%M}")
@pytest.mark.parametrize("what", FOUND)
def test_the_rules_decide_as_specified(what: str, now: datetime) -> None:
    row = ROWS[what]
    of_login, of_plan = database_rows(what, now)
    assert logins.plan_of(of_login) == (NUMBER_OF[what], 4711)
    found = logins.read(of_login, plans.read(of_plan))
    assert found.account is not None
    verdict = decide(
        found.account, Attempt(row.attempted_service, calling_station_id(NUMBER_OF[what], row.device), HERE), now
    )
    if row.wrong_password:
        # Whether the password is right is not theirs to say: what they say is what must not be told.
        assert verdict.reason is row.hides
        return
    assert verdict.reason is row.answer.reason
    assert (dict(attributes(verdict, row.service)) if isinstance(verdict, Accept) else None) == row.attributes
    assert found.by_device is row.by_address
    assert found.language == row.language


def test_every_reject_is_specified_in_both_languages() -> None:
    for language in ("en", "sw"):
        told = {row.answer.reason for row in ROWS.values() if row.attributes is None and row.language == language}
        rejects = {reason for reason in Reason if reason.value not in ACCEPTS}
        # Those two are no row's: what came before this login decides one, a packet that can not be read the other.
        assert rejects - told == {Reason.TOO_MANY_FAILURES, Reason.MALFORMED}
    assert {row.answer.reason.value for row in ROWS.values() if row.attributes is not None} == ACCEPTS


ACCEPTS = {"ok", "grace", "fair_use", "expired_walled_garden", "suspended_walled_garden"}


@pytest.mark.parametrize("language", ["en", "sw"])
def test_a_wrong_password_reads_the_same_whoever_it_is(language: str) -> None:
    hidden = {row.hides for row in ROWS.values() if row.wrong_password}
    assert {Reason.OK, Reason.EXPIRED, Reason.CANCELLED, Reason.SUSPENDED, Reason.TOO_MANY_DEVICES} <= hidden
    assert sentence(Reason.WRONG_PASSWORD, language) == sentence(Reason.UNKNOWN_USER, language)
