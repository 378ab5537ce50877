"""What follows for open sessions: what each is entitled to now, what its router was told at its login, when to look
again. The tables of the tests are the specification.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from isp.coa import GARDENS, Standing, since_start
from isp.entitlement import Accept, Account, Attempt, OpenSession, PlanTerms, Reject, decide, limits_left
from isp.quota import Left, Period, Used
from isp.rate_limit import Rate
from isp.reasons import Reason
from isp.reply import MAX_SESSION_TIMEOUT_S
from isp.subscription import grace_ends_at

# Nothing that we do not know of stays unnoticed for longer.
REGULAR_LOOK = timedelta(minutes=30)

# So long a router has to end a session by its own Session-Timeout, and to say so, before we do it.
ENDS_BY_ITSELF_S = 10

# Near its limits use is compared each round: reports are not to be waited for. Far from them it is compared now and
# then as well, lest a router that does not hold its speeds be trusted.
_NEARLY_S = 10
_FAR = timedelta(minutes=10)

_NOT_OF_A_SESSION = ("room_left", "displaced")


def entitlement(account: Account, own: OpenSession, service: str, router_id: int, now: datetime) -> Accept | Reject:
    """What one of the account's open sessions is entitled to at `now`: as a new login of its device at its router
    would be, if of the other devices only those were online that go before it.

    The longest online go first; where the plan drops the oldest, the newest.
    """
    before = _going_before(account, own, now)
    attempt = Attempt(
        # A session that does not say is taken for a hotspot's.
        service=service if service == "pppoe" else None,
        calling_station_id=own.calling_station_id,
        router_id=router_id,
    )
    verdict = decide(replace(account, open_sessions=before), attempt, now)
    if isinstance(verdict, Reject):
        return verdict
    if account.plan.drop_oldest and len({_device(session) for session in before}) >= account.plan.devices:
        return Reject(Reason.TOO_MANY_DEVICES)
    return replace(verdict, room_left=None, displaced=())


def _going_before(account: Account, own: OpenSession, now: datetime) -> list[OpenSession]:
    living = [session for session in account.open_sessions if not session.is_ghost(now)]
    since: dict[str, tuple[datetime, str]] = {}
    for session in living:
        began = (session.started_at, _device(session))
        since[_device(session)] = min(since.get(_device(session), began), began)
    mine = since.get(_device(own), (own.started_at, _device(own)))
    if account.plan.drop_oldest:
        first = {device for device, began in since.items() if began > mine}
    else:
        first = {device for device, began in since.items() if began < mine}
    return [session for session in living if _device(session) in first]


def _device(session: OpenSession) -> str:
    return session.calling_station_id or session.session_key


@dataclass(frozen=True, slots=True)
class Login:
    """What the log says an Access-Accept gave."""

    at: datetime
    reason: Reason
    rate_limit: str
    session_timeout_s: int | None
    plan: PlanTerms


def held_since_login(
    login: Login | None, account: Account, now_entitled: Accept | Reject, standing: Standing
) -> Accept:
    """What the router of a session was told as it began, counted from then. The log has the speed and the end; data
    limits, addresses and lists follow from the plan of that login. Without a log all is taken to be as it would be now.
    """
    if login is None:
        if isinstance(now_entitled, Accept):
            return since_start(now_entitled, standing)
        return Accept(now_entitled.reason, "", None, None, account.plan.interim_interval_s)
    plan = login.plan
    in_garden = login.reason in GARDENS
    limited = plan.fair_use is None and not in_garden
    remaining = limits_left(replace(account, plan=plan), login.at) if limited else Left(None, None, None, None)
    fixed = account.framed_ip_address
    then = Accept(
        reason=login.reason,
        rate_limit=login.rate_limit,
        session_timeout_s=None,
        idle_timeout_s=None if in_garden else plan.idle_timeout_s,
        interim_interval_s=plan.interim_interval_s,
        total_limit_octets=remaining.total_octets,
        input_limit_octets=remaining.input_octets,
        output_limit_octets=remaining.output_octets,
        framed_ip_address=fixed,
        framed_pool=None if fixed else plan.framed_pool,
        framed_ipv6_pool=None if in_garden else plan.framed_ipv6_pool,
        delegated_ipv6_pool=None if in_garden or account.delegated_ipv6_prefix else plan.delegated_ipv6_pool,
        delegated_ipv6_prefix=None if in_garden else account.delegated_ipv6_prefix,
        address_list=plan.walled_garden_address_list if in_garden else plan.address_list,
    )
    # What is left now and what the session has used itself is about what was left at its login.
    held = since_start(then, standing)
    timeout_s = login.session_timeout_s
    return replace(held, session_timeout_s=None if timeout_s is None else min(timeout_s, MAX_SESSION_TIMEOUT_S))


def router_ends_at(held: Accept, began_at: datetime) -> datetime | None:
    """When the router will end the session by itself; None if it was not told to."""
    return None if held.session_timeout_s is None else began_at + timedelta(seconds=held.session_timeout_s)


def wait_for_router(held: Accept, began_at: datetime, desired: Accept | Reject, now: datetime) -> datetime | None:
    """Until when a session that has reached its end is the router's to end; None if it is ours."""
    ends_at = router_ends_at(held, began_at)
    if ends_at is None or not isinstance(desired, Reject):
        return None
    ours_from = ends_at + timedelta(seconds=ENDS_BY_ITSELF_S)
    about_to_end = timedelta(seconds=ENDS_BY_ITSELF_S) >= ends_at - now
    return ours_from if about_to_end and now < ours_from else None


def next_look(account: Account, now: datetime) -> datetime:
    """When the entitlement may change next by the clock alone, at the latest after REGULAR_LOOK."""
    plan = account.plan
    # Spread out: what was looked at together is not looked at together for ever.
    spread = timedelta(seconds=account.subscription_id % 300)
    moments = [now + REGULAR_LOOK - spread]
    if account.expires_at is not None:
        moments.append(grace_ends_at(account.expires_at, plan.grace))
        moments.append(account.expires_at)
    if plan.boost is not None:
        moments += [_next_at(account, edge, now) for edge in (plan.boost.start, plan.boost.until)]
    if plan.limit_period is not Period.VALIDITY:
        moments.append(_next_at(account, datetime.min.time(), now))
    return min(moment for moment in moments if moment > now)


def _next_at(account: Account, time_of_day: Any, now: datetime) -> datetime:
    """The next time that clocks on the wall show `time_of_day`."""
    local = now.astimezone(account.timezone)
    for days in (0, 1, 2):
        moment = datetime.combine(local.date() + timedelta(days=days), time_of_day, account.timezone).astimezone(UTC)
        if moment > now:
            return moment
    raise AssertionError("a day after tomorrow that is past")


@dataclass(frozen=True, slots=True)
class Watch:
    """The running totals of a subscription at which a limit of its plan is reached, and from when that may be."""

    begins_at: datetime
    octets_per_s: int
    """The most that its sessions can use."""
    sessions: int
    input_octets: int | None
    output_octets: int | None
    total_octets: int | None
    session_time_s: int | None


def watch(account: Account, totals: Used, now: datetime) -> Watch | None:
    """None where no limit is left to be reached. `totals` are all that the subscription ever used."""
    remaining = limits_left(account, now)
    if remaining.data_is_used_up or remaining.time_is_used_up:
        return None
    data = [left for left in (remaining.total_octets, remaining.input_octets, remaining.output_octets) if left]
    if not data and remaining.time_s is None:
        return None
    living = [session for session in account.open_sessions if not session.is_ghost(now)]
    sessions = max(1, len(living))
    speed = _fastest_octets_per_s(account.plan) * sessions
    seconds = [left / speed for left in data]
    if remaining.time_s is not None:
        seconds.append(remaining.time_s / sessions)
    # The totals are of the last reports; what came since shows with the next ones.
    reported_at = min((session.last_seen_at for session in living), default=now)
    spare = timedelta(seconds=min(_FAR.total_seconds(), max(0.0, min(seconds) - _NEARLY_S)))
    return Watch(
        begins_at=max(now, min(reported_at, now) + spare),
        octets_per_s=speed,
        sessions=sessions,
        input_octets=_plus(remaining.input_octets, totals.input_octets),
        output_octets=_plus(remaining.output_octets, totals.output_octets),
        total_octets=_plus(remaining.total_octets, totals.input_octets + totals.output_octets),
        session_time_s=_plus(remaining.time_s, totals.session_time_s),
    )


def _fastest_octets_per_s(plan: PlanTerms) -> int:
    rates: list[Rate | None] = [plan.rate, plan.burst.rate if plan.burst else None, plan.fair_use]
    rates.append(plan.boost.rate if plan.boost else None)
    # Twice that: a router's own queue lets some more through before it holds.
    return max(1, *(ceil((rate.upload_kbps + rate.download_kbps) * 250) for rate in rates if rate))


def _plus(left: int | None, total: int) -> int | None:
    return None if left is None else left + total


# As JSON, for tables.


def written(verdict: Accept | Reject) -> dict[str, Any]:
    """What `read` reads; a reject has its reason alone."""
    if isinstance(verdict, Reject):
        return {"reject": verdict.reason.value}
    fields = asdict(verdict)
    return {name: value for name, value in fields.items() if value is not None and name not in _NOT_OF_A_SESSION}


def read(values: Mapping[str, Any]) -> Accept:
    """What `written` wrote of an Accept."""
    known: dict[str, Any] = {"session_timeout_s": None, "idle_timeout_s": None, **values}
    return Accept(**{**known, "reason": Reason(known["reason"])})
