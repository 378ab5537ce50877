"""What a subscription is entitled to at one moment: the one rule behind Access-Accept, CoA and the router's API.

`decide` takes everything as arguments, the clock too; the table of its tests is its specification.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from isp.quota import Left, Limits, Period, Used, UsedDay, left, period_start, used_since
from isp.rate_limit import Burst, Rate, rate_limit
from isp.reasons import Reason
from isp.subscription import State, Status, Validity, ValidityFrom, ValidityUnit, grace_ends_at, state

WALLED_GARDEN_RATE = Rate(256, 256)
WALLED_GARDEN_SESSION_TIMEOUT_S = 300
# A session that is to be moved into the garden at its expiry ends by itself only so much later.
WALLED_GARDEN_MOVE_S = 120
GHOST_AFTER_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Boost:
    """Another speed from one local time of day until another, past midnight if need be."""

    start: time
    until: time
    rate: Rate

    def holds(self, at: time) -> bool:
        if self.start <= self.until:
            return self.start <= at < self.until
        return at >= self.start or at < self.until


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """A plan as far as it decides a session."""

    service: str
    rate: Rate
    burst: Burst | None = None
    priority: int | None = None
    minimum: Rate | None = None
    validity: Validity = Validity(ValidityUnit.UNLIMITED)
    validity_from: ValidityFrom = ValidityFrom.PURCHASE
    grace: timedelta = timedelta()
    devices: int = 1
    drop_oldest: bool = False
    limits: Limits = Limits()
    limit_period: Period = Period.VALIDITY
    limit_reset_day: int = 1
    fair_use: Rate | None = None
    """Speed once a limit is used up; None stops the service instead."""
    boost: Boost | None = None
    idle_timeout_s: int | None = None
    interim_interval_s: int = 300
    framed_pool: str | None = None
    framed_ipv6_pool: str | None = None
    delegated_ipv6_pool: str | None = None
    address_list: str | None = None
    walled_garden_address_list: str | None = None
    """Where expired and suspended PPPoE subscribers go; None rejects them."""
    rate_limit: str = field(init=False)
    """Its own speed as Mikrotik-Rate-Limit."""

    def __post_init__(self) -> None:
        rate = self.rate
        limit = rate_limit(
            rate.upload_kbps, rate.download_kbps, burst=self.burst, priority=self.priority, minimum=self.minimum
        )
        object.__setattr__(self, "rate_limit", limit)


# The classes from here on are made anew for each packet. None of them is changed once it is made, but they are not
# frozen: to make a frozen one takes three times as long.


@dataclass(slots=True)
class OpenSession:
    """A session of the subscription that is not known to have ended."""

    session_key: str
    calling_station_id: str | None
    started_at: datetime
    last_seen_at: datetime
    interim_interval_s: int

    def is_ghost(self, now: datetime) -> bool:
        """Whether it has been silent for three intervals."""
        return now - self.last_seen_at > timedelta(seconds=GHOST_AFTER_INTERVALS * self.interim_interval_s)


@dataclass(slots=True)
class Account:
    """All that is known of a subscription when it logs in."""

    subscription_id: int
    service: str
    status: Status
    plan: PlanTerms
    timezone: ZoneInfo
    activated_at: datetime | None = None
    expires_at: datetime | None = None
    framed_ip_address: str | None = None
    delegated_ipv6_prefix: str | None = None
    bound_mac: str | None = None
    router_ids: Sequence[int] = ()
    """The only routers it may use; empty for all of its tenant's."""
    used_in_validity: Used = Used()
    used_by_day: Sequence[UsedDay] = ()
    open_sessions: Sequence[OpenSession] = ()


@dataclass(slots=True)
class Attempt:
    """A login: from which device, by which service (None if the request does not say), at which router."""

    service: str | None
    calling_station_id: str | None
    router_id: int


@dataclass(slots=True)
class Accept:
    """The entitlement. Octet limits are what is left for this session; None leaves the router's default."""

    reason: Reason
    rate_limit: str
    session_timeout_s: int | None
    idle_timeout_s: int | None
    interim_interval_s: int
    total_limit_octets: int | None = None
    input_limit_octets: int | None = None
    output_limit_octets: int | None = None
    framed_ip_address: str | None = None
    framed_pool: str | None = None
    framed_ipv6_pool: str | None = None
    delegated_ipv6_pool: str | None = None
    delegated_ipv6_prefix: str | None = None
    address_list: str | None = None
    room_left: int | None = None
    """How many more devices could be online beside this one; None where the oldest gives way."""
    displaced: Sequence[str] = field(default=())
    """Keys of the sessions that this one takes the place of, where the plan drops the oldest."""


@dataclass(slots=True)
class Reject:
    reason: Reason


def decide(account: Account, attempt: Attempt, now: datetime) -> Accept | Reject:
    """Whether the subscription may log in at `now`, and to what. The password is judged elsewhere."""
    plan = account.plan
    if account.router_ids and attempt.router_id not in account.router_ids:
        return Reject(Reason.WRONG_ROUTER)
    if attempt.service is not None and attempt.service != account.service:
        return Reject(Reason.WRONG_SERVICE)
    if account.bound_mac and attempt.calling_station_id != account.bound_mac:
        return Reject(Reason.WRONG_DEVICE)

    current = state(account.status, account.expires_at, plan.grace, now)
    match current:
        case State.PENDING:
            return Reject(Reason.PENDING)
        case State.CANCELLED:
            return Reject(Reason.CANCELLED)
        case State.EXPIRED:
            return _walled_garden(account, Reason.EXPIRED_WALLED_GARDEN) or Reject(Reason.EXPIRED)
        case State.SUSPENDED:
            return _walled_garden(account, Reason.SUSPENDED_WALLED_GARDEN) or Reject(Reason.SUSPENDED)

    remaining = limits_left(account, now)
    used_up = remaining.data_is_used_up or remaining.time_is_used_up
    if used_up and plan.fair_use is None:
        return Reject(Reason.DATA_USED_UP if remaining.data_is_used_up else Reason.TIME_USED_UP)

    others = _other_devices(account.open_sessions, attempt.calling_station_id, now)
    excess = len(others) + 1 - plan.devices
    if excess > 0 and not plan.drop_oldest:
        return Reject(Reason.TOO_MANY_DEVICES)
    displaced = [session for device in others[: max(0, excess)] for session in device]

    counts_down = plan.fair_use is None
    if used_up:
        reason = Reason.FAIR_USE
    else:
        reason = Reason.GRACE if current is State.GRACE else Reason.OK
    return Accept(
        reason=reason,
        rate_limit=_speed(account, used_up, now),
        session_timeout_s=_session_timeout_s(account, remaining.time_s if counts_down else None, now),
        idle_timeout_s=plan.idle_timeout_s,
        interim_interval_s=plan.interim_interval_s,
        total_limit_octets=remaining.total_octets if counts_down else None,
        input_limit_octets=remaining.input_octets if counts_down else None,
        output_limit_octets=remaining.output_octets if counts_down else None,
        framed_ip_address=account.framed_ip_address,
        framed_pool=None if account.framed_ip_address else plan.framed_pool,
        framed_ipv6_pool=plan.framed_ipv6_pool,
        delegated_ipv6_pool=None if account.delegated_ipv6_prefix else plan.delegated_ipv6_pool,
        delegated_ipv6_prefix=account.delegated_ipv6_prefix,
        address_list=plan.address_list,
        room_left=None if plan.drop_oldest else -excess,
        displaced=tuple(session.session_key for session in displaced if session.session_key),
    )


def _other_devices(
    sessions: Sequence[OpenSession], calling_station_id: str | None, now: datetime
) -> list[list[OpenSession]]:
    """The living sessions by device, the longest online first, without the one that logs in.

    A session without an address is a device of its own.
    """
    devices: dict[str, list[OpenSession]] = {}
    for number, session in enumerate(sorted(sessions, key=lambda session: session.started_at)):
        device = session.calling_station_id or f"unknown {number}"
        if device != calling_station_id and not session.is_ghost(now):
            devices.setdefault(device, []).append(session)
    return list(devices.values())


def limits_left(account: Account, now: datetime) -> Left:
    """What is left of the plan's limits in the period that holds `now`."""
    plan = account.plan
    if plan.limit_period is Period.VALIDITY:
        used = account.used_in_validity
    else:
        today = now.astimezone(account.timezone).date()
        used = used_since(period_start(plan.limit_period, plan.limit_reset_day, today), account.used_by_day)
    return left(plan.limits, used)


def _walled_garden(account: Account, reason: Reason) -> Accept | None:
    """A slow, short session that reaches the payment page only; None where the plan has no such thing."""
    plan = account.plan
    if account.service != "pppoe" or plan.walled_garden_address_list is None:
        return None
    return Accept(
        reason=reason,
        rate_limit=str(WALLED_GARDEN_RATE),
        session_timeout_s=WALLED_GARDEN_SESSION_TIMEOUT_S,
        idle_timeout_s=None,
        interim_interval_s=plan.interim_interval_s,
        framed_ip_address=account.framed_ip_address,
        framed_pool=None if account.framed_ip_address else plan.framed_pool,
        address_list=plan.walled_garden_address_list,
    )


def _speed(account: Account, throttled: bool, now: datetime) -> str:
    """Fair use beats the boost, which beats the plan's own speed; only that has a burst."""
    plan = account.plan
    if throttled and plan.fair_use:
        return str(plan.fair_use)
    if plan.boost and plan.boost.holds(now.astimezone(account.timezone).time()):
        return str(plan.boost.rate)
    return plan.rate_limit


def _session_timeout_s(account: Account, time_left_s: int | None, now: datetime) -> int | None:
    """What is left of validity (with its grace) or of the time limit, whichever ends first; at least 1."""
    ends_at = account.expires_at
    if ends_at is None and account.activated_at is None and account.plan.validity_from is ValidityFrom.FIRST_LOGIN:
        ends_at = account.plan.validity.after(now, account.timezone)
    bounds = []
    if ends_at is not None:
        is_moved = account.service == "pppoe" and account.plan.walled_garden_address_list is not None
        left_s = ceil((grace_ends_at(ends_at, account.plan.grace) - now).total_seconds())
        bounds.append(left_s + (WALLED_GARDEN_MOVE_S if is_moved else 0))
    if time_left_s is not None:
        bounds.append(time_left_s)
    return max(1, min(bounds)) if bounds else None
