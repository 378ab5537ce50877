"""Plans: what a subscriber buys. Speeds in kbit/s, sizes in bytes, times in seconds unless the name says otherwise."""

from collections.abc import Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    Time,
    UniqueConstraint,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Conflict, NotFound
from db.subscription import Subscription

SERVICES = ("hotspot", "pppoe", "any")


class Plan(Base):
    __tablename__ = "plan"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index(
            "plan_tenant_id_name_key",
            "tenant_id",
            text("lower(name)"),
            unique=True,
            postgresql_where="archived_at IS NULL",
        ),
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint(f"service IN {SERVICES}", name="service"),
        CheckConstraint("price_kes >= 0", name="price"),
        CheckConstraint("upload_kbps > 0 AND download_kbps > 0", name="speed"),
        CheckConstraint(
            "num_nonnulls(burst_upload_kbps, burst_download_kbps, burst_threshold_upload_kbps,"
            " burst_threshold_download_kbps, burst_time_s) IN (0, 5)",
            name="burst_is_whole",
        ),
        CheckConstraint(
            "burst_upload_kbps >= upload_kbps AND burst_download_kbps >= download_kbps", name="burst_speed"
        ),
        CheckConstraint("burst_time_s > 0", name="burst_time"),
        CheckConstraint("priority BETWEEN 1 AND 8", name="priority"),
        CheckConstraint("num_nonnulls(min_upload_kbps, min_download_kbps) IN (0, 2)", name="minimum_is_whole"),
        CheckConstraint("min_upload_kbps <= upload_kbps AND min_download_kbps <= download_kbps", name="minimum_speed"),
        CheckConstraint("validity_unit IN ('hours', 'days', 'months', 'unlimited')", name="validity_unit"),
        CheckConstraint("(validity_unit = 'unlimited') = (validity_count IS NULL)", name="validity_count_with_unit"),
        CheckConstraint("validity_count BETWEEN 1 AND 100000", name="validity_count"),
        # A century: adding more to a date soon leaves the calendar.
        CheckConstraint("validity_unit <> 'months' OR validity_count <= 1200", name="validity_months"),
        CheckConstraint("validity_from IN ('purchase', 'first_login')", name="validity_from"),
        CheckConstraint("grace_hours BETWEEN 0 AND 8760", name="grace"),
        CheckConstraint("devices >= 1", name="devices"),
        CheckConstraint("on_device_limit IN ('reject', 'drop_oldest')", name="on_device_limit"),
        CheckConstraint("time_limit_s > 0", name="time_limit"),
        CheckConstraint("data_limit_bytes > 0", name="data_limit"),
        CheckConstraint("upload_limit_bytes > 0", name="upload_limit"),
        CheckConstraint("download_limit_bytes > 0", name="download_limit"),
        CheckConstraint("limit_period IN ('validity', 'day', 'week', 'month')", name="limit_period"),
        CheckConstraint("limit_reset_day BETWEEN 1 AND 31", name="limit_reset_day"),
        CheckConstraint("limit_period <> 'week' OR limit_reset_day <= 7", name="limit_reset_weekday"),
        CheckConstraint("after_limit IN ('stop', 'throttle')", name="after_limit"),
        CheckConstraint(
            "(after_limit = 'throttle') = (num_nonnulls(fair_use_upload_kbps, fair_use_download_kbps) = 2)"
            " AND num_nonnulls(fair_use_upload_kbps, fair_use_download_kbps) IN (0, 2)",
            name="fair_use_with_throttle",
        ),
        CheckConstraint("fair_use_upload_kbps > 0 AND fair_use_download_kbps > 0", name="fair_use_speed"),
        CheckConstraint(
            "num_nonnulls(boost_from, boost_until, boost_upload_kbps, boost_download_kbps) IN (0, 4)",
            name="boost_is_whole",
        ),
        CheckConstraint("boost_from <> boost_until", name="boost_times"),
        CheckConstraint("boost_upload_kbps > 0 AND boost_download_kbps > 0", name="boost_speed"),
        CheckConstraint("idle_timeout_s > 0", name="idle_timeout"),
        CheckConstraint("interim_interval_s BETWEEN 60 AND 3600", name="interim_interval"),
        CheckConstraint("on_expiry IN ('reject', 'walled_garden')", name="on_expiry"),
        CheckConstraint(
            "(on_expiry = 'walled_garden') = (walled_garden_address_list IS NOT NULL)", name="walled_garden"
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[String]
    service: Mapped[String] = mapped_column(server_default="any")
    price_kes: Mapped[Decimal] = mapped_column(Numeric(12, 2))

    upload_kbps: Mapped[int] = mapped_column(Integer)
    download_kbps: Mapped[int] = mapped_column(Integer)
    burst_upload_kbps: Mapped[int | None] = mapped_column(Integer)
    burst_download_kbps: Mapped[int | None] = mapped_column(Integer)
    burst_threshold_upload_kbps: Mapped[int | None] = mapped_column(Integer)
    burst_threshold_download_kbps: Mapped[int | None] = mapped_column(Integer)
    burst_time_s: Mapped[int | None] = mapped_column(Integer)
    priority: Mapped[int | None] = mapped_column(SmallInteger)
    min_upload_kbps: Mapped[int | None] = mapped_column(Integer)
    min_download_kbps: Mapped[int | None] = mapped_column(Integer)

    validity_unit: Mapped[String]
    validity_count: Mapped[int | None] = mapped_column(Integer)
    validity_from: Mapped[String] = mapped_column(server_default="purchase")
    grace_hours: Mapped[int] = mapped_column(Integer, server_default="0")

    devices: Mapped[int] = mapped_column(Integer, server_default="1")
    """Sessions at once."""
    on_device_limit: Mapped[String] = mapped_column(server_default="reject")
    time_limit_s: Mapped[BigInt | None]
    data_limit_bytes: Mapped[BigInt | None]
    """Up and down together."""
    upload_limit_bytes: Mapped[BigInt | None]
    download_limit_bytes: Mapped[BigInt | None]
    limit_period: Mapped[String] = mapped_column(server_default="validity")
    limit_reset_day: Mapped[int] = mapped_column(SmallInteger, server_default="1")
    """Day of the month, or of the week (1 Monday to 7), on which the period begins."""
    after_limit: Mapped[String] = mapped_column(server_default="stop")
    fair_use_upload_kbps: Mapped[int | None] = mapped_column(Integer)
    fair_use_download_kbps: Mapped[int | None] = mapped_column(Integer)

    boost_from: Mapped[time | None] = mapped_column(Time)
    """Local time of day from which the boost speed holds; `boost_until` may be on the next day."""
    boost_until: Mapped[time | None] = mapped_column(Time)
    boost_upload_kbps: Mapped[int | None] = mapped_column(Integer)
    boost_download_kbps: Mapped[int | None] = mapped_column(Integer)

    idle_timeout_s: Mapped[int | None] = mapped_column(Integer)
    interim_interval_s: Mapped[int] = mapped_column(Integer, server_default="300")
    framed_pool: Mapped[String | None]
    framed_ipv6_pool: Mapped[String | None]
    delegated_ipv6_pool: Mapped[String | None]
    address_list: Mapped[String | None]
    on_expiry: Mapped[String] = mapped_column(server_default="reject")
    """`walled_garden` lets an expired PPPoE subscriber in, into an address list that reaches the payment page only."""
    walled_garden_address_list: Mapped[String | None]

    created_at: Mapped[CreatedAt]
    archived_at: Mapped[Timestamp | None]


SORTS = {
    "id": Sort(Plan.id, int),
    "name": Sort(func.lower(Plan.name), str),
    "price_kes": Sort(Plan.price_kes, Decimal),
    "created_at": Sort(Plan.created_at, datetime),
}


def create(session: Session, tenant_id: int, values: Mapping[str, Any]) -> Plan:
    plan = Plan(tenant_id=tenant_id, **values)
    session.add(plan)
    session.flush()
    return plan


def by_id(session: Session, plan_id: int) -> Plan:
    """Raises NotFound."""
    return _found(session.get(Plan, plan_id))


def page(session: Session, request: PageRequest, *, service: str | None = None, archived: bool = False) -> Page[Plan]:
    statement = select(Plan).where(Plan.archived_at.is_not(None) if archived else Plan.archived_at.is_(None))
    if service:
        statement = statement.where(Plan.service == service)
    return one_page(session, statement, Plan.id, SORTS, request, lambda row: row.Plan)


def change(session: Session, plan_id: int, values: Mapping[str, Any]) -> Plan:
    """The plan with `values` set. Raises NotFound; Conflict if archived, or if a subscription would not fit."""
    plan = _found(session.get(Plan, plan_id, with_for_update=True))
    if plan.archived_at is not None:
        raise Conflict("This plan is archived.", code="archived")
    service = values.get("service", "any")
    if service != "any" and session.scalar(
        select(exists().where(_holds(plan_id), Subscription.service != service)),
    ):
        raise Conflict("Subscriptions of the other service use this plan.", code="in_use", field="service")
    for name, value in values.items():
        setattr(plan, name, value)
    session.flush()
    return plan


def archive(session: Session, plan_id: int, now: datetime) -> None:
    """Takes the plan off sale for good. Raises NotFound, and Conflict while a subscription holds it."""
    plan = _found(session.get(Plan, plan_id, with_for_update=True))
    if session.scalar(select(exists().where(_holds(plan_id)))):
        raise Conflict("Subscriptions use this plan. Cancel them or move them to another plan first.", code="in_use")
    plan.archived_at = plan.archived_at or now
    session.flush()


def _holds(plan_id: int) -> Any:
    return (Subscription.plan_id == plan_id) & (Subscription.status != "cancelled")


def _found(plan: Plan | None) -> Plan:
    if plan is None:
        raise NotFound("plan")
    return plan
