"""A subscription as the rules take it: its plan, its use and its open sessions, read for `isp.entitlement`.

FreeRADIUS reads the same with a query of its own (radius_module/logins.py); a test holds the two together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.plan import Plan
from db.radius_session import RadiusSession, Usage, UsageDay
from db.subscription import Subscription, SubscriptionRouter
from db.tenant import Tenant
from isp.entitlement import Account, Boost, OpenSession, PlanTerms
from isp.quota import Limits, Period, Used, UsedDay
from isp.rate_limit import Burst, Rate
from isp.subscription import Status, Validity, ValidityFrom, ValidityUnit

# A month's period begins at most so many days ago.
_DAYS_THAT_COUNT = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides a subscription's sessions, read together."""

    account: Account
    subscription: Subscription
    totals: Used
    """What it used in all its validities."""
    sessions: Sequence[RadiusSession]
    """Those that are open."""


def account_of(
    session: Session,
    subscription: Subscription,
    plan: Plan,
    router_ids: Sequence[int],
    timezone: ZoneInfo,
    now: datetime,
) -> Account:
    """The account as it is now. `router_ids` are the subscription's only routers, `timezone` its tenant's."""
    (facts,) = _facts(session, [(subscription, plan, router_ids, timezone)], now)
    return facts.account


def facts_of(session: Session, subscription_ids: Sequence[int], now: datetime) -> dict[int, Facts]:
    """Of many subscriptions, as they are now; one that does not exist is left out. As many queries as of one."""
    statement = (
        select(Subscription, Plan, Tenant.timezone)
        .join(Plan, Plan.id == Subscription.plan_id)
        .join(Tenant, Tenant.id == Subscription.tenant_id)
        .where(Subscription.id.in_(subscription_ids))
        .execution_options(populate_existing=True)
    )
    rows = session.execute(statement).all()
    router_ids: dict[int, list[int]] = {}
    bound = select(SubscriptionRouter.subscription_id, SubscriptionRouter.router_id)
    for row in session.execute(bound.where(SubscriptionRouter.subscription_id.in_(subscription_ids))):
        router_ids.setdefault(row.subscription_id, []).append(row.router_id)
    found = [
        (row.Subscription, row.Plan, router_ids.get(row.Subscription.id, []), ZoneInfo(row.timezone)) for row in rows
    ]
    return {facts.subscription.id: facts for facts in _facts(session, found, now)}


def _facts(
    session: Session, found: Sequence[tuple[Subscription, Plan, Sequence[int], ZoneInfo]], now: datetime
) -> list[Facts]:
    ids = [subscription.id for subscription, *_ in found]
    usage = {
        row.subscription_id: row
        for row in session.scalars(
            select(Usage).where(Usage.subscription_id.in_(ids)).execution_options(populate_existing=True)
        )
    }
    by_day = _used_by_day(session, [(subscription.id, plan) for subscription, plan, *_ in found], now)
    sessions = _open_sessions(session, ids)
    terms: dict[int, PlanTerms] = {}
    facts = []
    for subscription, plan, router_ids, timezone in found:
        bound_mac = subscription.bound_mac
        used, its_sessions = usage.get(subscription.id), sessions.get(subscription.id, [])
        today = now.astimezone(timezone).date()
        account = Account(
            subscription_id=subscription.id,
            service=subscription.service,
            status=Status(subscription.status),
            plan=terms.get(plan.id) or terms.setdefault(plan.id, plan_terms(plan)),
            timezone=timezone,
            activated_at=subscription.activated_at,
            expires_at=subscription.expires_at,
            framed_ip_address=_text(subscription.framed_ip_address),
            delegated_ipv6_prefix=_text(subscription.delegated_ipv6_prefix),
            bound_mac=bound_mac.upper() if bound_mac else None,
            router_ids=router_ids,
            used_in_validity=_used_in_validity(used),
            used_by_day=[
                used for used in by_day.get(subscription.id, []) if used[0] > (today - _DAYS_THAT_COUNT).toordinal()
            ],
            open_sessions=[_open_session(row) for row in its_sessions],
        )
        totals = Used(used.input_octets, used.output_octets, used.session_time_s) if used else Used()
        facts.append(Facts(account, subscription, totals, its_sessions))
    return facts


def plan_terms(plan: Plan) -> PlanTerms:
    boost = None
    if plan.boost_from is not None and plan.boost_until is not None:
        rate = _rate(plan.boost_upload_kbps, plan.boost_download_kbps)
        assert rate is not None
        boost = Boost(plan.boost_from, plan.boost_until, rate)
    fair_use = _rate(plan.fair_use_upload_kbps, plan.fair_use_download_kbps)
    return PlanTerms(
        service=plan.service,
        rate=Rate(plan.upload_kbps, plan.download_kbps),
        burst=_burst(plan),
        priority=plan.priority,
        minimum=_rate(plan.min_upload_kbps, plan.min_download_kbps),
        validity=Validity(ValidityUnit(plan.validity_unit), plan.validity_count or 0),
        validity_from=ValidityFrom(plan.validity_from),
        grace=timedelta(hours=plan.grace_hours),
        devices=plan.devices,
        drop_oldest=plan.on_device_limit == "drop_oldest",
        limits=Limits(
            time_s=plan.time_limit_s,
            total_octets=plan.data_limit_bytes,
            input_octets=plan.upload_limit_bytes,
            output_octets=plan.download_limit_bytes,
        ),
        limit_period=Period(plan.limit_period),
        limit_reset_day=plan.limit_reset_day,
        fair_use=fair_use if plan.after_limit == "throttle" else None,
        boost=boost,
        idle_timeout_s=plan.idle_timeout_s,
        interim_interval_s=plan.interim_interval_s,
        framed_pool=plan.framed_pool,
        framed_ipv6_pool=plan.framed_ipv6_pool,
        delegated_ipv6_pool=plan.delegated_ipv6_pool,
        address_list=plan.address_list,
        walled_garden_address_list=plan.walled_garden_address_list,
    )


def _burst(plan: Plan) -> Burst | None:
    rate = _rate(plan.burst_upload_kbps, plan.burst_download_kbps)
    threshold = _rate(plan.burst_threshold_upload_kbps, plan.burst_threshold_download_kbps)
    return Burst(rate, threshold, plan.burst_time_s) if rate and threshold and plan.burst_time_s else None


def _rate(upload_kbps: int | None, download_kbps: int | None) -> Rate | None:
    return None if upload_kbps is None or download_kbps is None else Rate(upload_kbps, download_kbps)


def _used_in_validity(usage: Usage | None) -> Used:
    if usage is None:
        return Used()
    return Used(
        usage.input_octets - usage.validity_input_octets,
        usage.output_octets - usage.validity_output_octets,
        usage.session_time_s - usage.validity_session_time_s,
    )


def _used_by_day(session: Session, found: Sequence[tuple[int, Plan]], now: datetime) -> dict[int, list[UsedDay]]:
    """Of those whose plan counts by days."""
    ids = [subscription_id for subscription_id, plan in found if plan.limit_period != Period.VALIDITY]
    if not ids:
        return {}
    recent = UsageDay.day > now.date() - _DAYS_THAT_COUNT - timedelta(days=1)  # whatever the time zone
    days: dict[int, list[UsedDay]] = {}
    for row in session.scalars(select(UsageDay).where(UsageDay.subscription_id.in_(ids), recent)):
        used = [row.day.toordinal(), row.input_octets, row.output_octets, row.session_time_s]
        days.setdefault(row.subscription_id, []).append(used)
    return days


def _open_sessions(session: Session, subscription_ids: Sequence[int]) -> dict[int, list[RadiusSession]]:
    still_open = RadiusSession.subscription_id.in_(subscription_ids) & RadiusSession.stopped_at.is_(None)
    found: dict[int, list[RadiusSession]] = {}
    statement = select(RadiusSession).where(still_open).execution_options(populate_existing=True)
    for row in session.scalars(statement):
        assert row.subscription_id is not None
        found.setdefault(row.subscription_id, []).append(row)
    return found


def _open_session(row: RadiusSession) -> OpenSession:
    return OpenSession(
        session_key=str(row.session_key),
        calling_station_id=row.calling_station_id.upper() if row.calling_station_id else None,
        started_at=row.started_at.astimezone(UTC),
        last_seen_at=row.last_seen_at.astimezone(UTC),
        interim_interval_s=row.interim_interval_s,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
