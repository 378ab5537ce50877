"""A subscription as the rules take it: its plan, its use and its open sessions, read for `isp.entitlement`.

FreeRADIUS reads the same with a query of its own (radius_module/logins.py); a test holds the two together.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.plan import Plan
from db.radius_session import RadiusSession, Usage, UsageDay
from db.subscription import Subscription
from isp.entitlement import Account, Boost, OpenSession, PlanTerms
from isp.quota import Limits, Period, Used, UsedDay
from isp.rate_limit import Burst, Rate
from isp.subscription import Status, Validity, ValidityFrom, ValidityUnit

# A month's period begins at most so many days ago.
_DAYS_THAT_COUNT = 32


def account_of(
    session: Session,
    subscription: Subscription,
    plan: Plan,
    router_ids: Sequence[int],
    timezone: ZoneInfo,
    now: datetime,
) -> Account:
    """The account as it is now. `router_ids` are the subscription's only routers, `timezone` its tenant's."""
    bound_mac = subscription.bound_mac
    return Account(
        subscription_id=subscription.id,
        service=subscription.service,
        status=Status(subscription.status),
        plan=plan_terms(plan),
        timezone=timezone,
        activated_at=subscription.activated_at,
        expires_at=subscription.expires_at,
        framed_ip_address=_text(subscription.framed_ip_address),
        delegated_ipv6_prefix=_text(subscription.delegated_ipv6_prefix),
        bound_mac=bound_mac.upper() if bound_mac else None,
        router_ids=router_ids,
        used_in_validity=_used_in_validity(session, subscription.id),
        used_by_day=_used_by_day(session, subscription.id, plan, now.astimezone(timezone).date()),
        open_sessions=_open_sessions(session, subscription.id),
    )


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


def _used_in_validity(session: Session, subscription_id: int) -> Used:
    usage = session.get(Usage, subscription_id)
    if usage is None:
        return Used()
    return Used(
        usage.input_octets - usage.validity_input_octets,
        usage.output_octets - usage.validity_output_octets,
        usage.session_time_s - usage.validity_session_time_s,
    )


def _used_by_day(session: Session, subscription_id: int, plan: Plan, today: date) -> list[UsedDay]:
    if plan.limit_period == Period.VALIDITY:
        return []
    recent = UsageDay.day > today - timedelta(days=_DAYS_THAT_COUNT)
    days = session.scalars(select(UsageDay).where(UsageDay.subscription_id == subscription_id, recent))
    return [[row.day.toordinal(), row.input_octets, row.output_octets, row.session_time_s] for row in days]


def _open_sessions(session: Session, subscription_id: int) -> list[OpenSession]:
    still_open = (RadiusSession.subscription_id == subscription_id) & RadiusSession.stopped_at.is_(None)
    return [
        OpenSession(
            session_key=str(row.session_key),
            calling_station_id=row.calling_station_id.upper() if row.calling_station_id else None,
            started_at=row.started_at.astimezone(UTC),
            last_seen_at=row.last_seen_at.astimezone(UTC),
            interim_interval_s=row.interim_interval_s,
        )
        for row in session.scalars(select(RadiusSession).where(still_open))
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
