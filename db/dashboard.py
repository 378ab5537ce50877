"""What an operator sees first: figures of a tenant, computed each half minute in bounded time, and kept.

What would have to be summed over history is summed as it goes by: logins per five minutes, money per day. The rest is
counted in what is small: open sessions, open payments, routers, one day of usage.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Date, Index, Integer, PrimaryKeyConstraint, func, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from db import event
from db.base import Base, Counter, Json, String, TenantId, Timestamp
from db.money import Kes
from db.payment import Payment
from db.payment_intent import PaymentIntent
from db.radius_session import RadiusSession, UsageDay
from db.router import Router
from db.tenant import Tenant

BUCKET = timedelta(minutes=5)
# The login log is written within a second, and late only while PostgreSQL is away, when nobody counts either.
_LOOK_BACK = timedelta(minutes=10)
# Nothing is booked into a day that long after it is over.
_DAY_IS_FINAL_AFTER = timedelta(minutes=15)


class LoginCount(Base):
    """Logins answered in five minutes."""

    __tablename__ = "login_count"
    __table_args__ = (PrimaryKeyConstraint("tenant_id", "began_at"), Index("login_count_began_at_idx", "began_at"))

    tenant_id: Mapped[TenantId]
    began_at: Mapped[Timestamp]
    accepts: Mapped[Counter]
    rejects: Mapped[Counter]


class RevenueDay(Base):
    """Money of a local day of the tenant."""

    __tablename__ = "revenue_day"
    __table_args__ = (PrimaryKeyConstraint("tenant_id", "day"),)

    tenant_id: Mapped[TenantId]
    day: Mapped[date] = mapped_column(Date)
    timezone: Mapped[String]
    """The day is of this zone."""
    received_kes: Mapped[Kes]
    reversed_kes: Mapped[Kes]
    payments: Mapped[int] = mapped_column(Integer)
    computed_at: Mapped[Timestamp]


class Dashboard(Base):
    __tablename__ = "dashboard"

    tenant_id: Mapped[TenantId] = mapped_column(primary_key=True, autoincrement=False)
    computed_at: Mapped[Timestamp]
    figures: Mapped[Json]


@dataclass(frozen=True, slots=True)
class Figures:
    """`values` are plain JSON: money as text, octets and counts as numbers."""

    computed_at: datetime
    values: dict[str, Any]


def of_tenant(session: Session, tenant_id: int) -> Figures | None:
    """As they were last computed; None if they never were."""
    row = session.get(Dashboard, tenant_id, populate_existing=True)
    return Figures(row.computed_at, row.figures) if row else None


def count_logins(session: Session, now: datetime) -> None:
    """Of all tenants, since what was last counted."""
    last = session.scalar(select(func.max(LoginCount.began_at)))
    since = min(now, last or now - timedelta(days=2)) - _LOOK_BACK
    statement = text("""
        INSERT INTO login_count (tenant_id, began_at, accepts, rejects)
        SELECT tenant_id, date_bin('5 minutes', logged_at, 'epoch') AS began_at,
               count(*) FILTER (WHERE result = 'accept'), count(*) FILTER (WHERE result = 'reject')
          FROM auth_log
         WHERE logged_at >= date_bin('5 minutes', CAST(:since AS timestamptz), 'epoch') AND logged_at <= :now
         GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (tenant_id, began_at) DO UPDATE SET accepts = excluded.accepts, rejects = excluded.rejects
         WHERE (login_count.accepts, login_count.rejects) IS DISTINCT FROM (excluded.accepts, excluded.rejects)""")
    session.execute(statement, {"since": since, "now": now})


def refresh(session: Session, tenant_id: int, now: datetime) -> Figures:
    """Computes and keeps the figures of a tenant, and tells who watches if they are others than before."""
    before = of_tenant(session, tenant_id)
    zone = ZoneInfo(session.get_one(Tenant, tenant_id).timezone)
    _sum_days(session, tenant_id, zone, now)
    values = compute(session, tenant_id, now, before)
    if before is None or before.values != values:
        data = {**values, "computed_at": now.isoformat()}
        event.record(session, "dashboard.stats", data, tenant_id)
    row = {"tenant_id": tenant_id, "computed_at": now, "figures": values}
    statement = insert(Dashboard).values(row)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=row))
    return Figures(now, values)


def compute(session: Session, tenant_id: int, now: datetime, before: Figures | None = None) -> dict[str, Any]:
    """The figures as they are now. `before`, computed a moment ago, gives the speed of the traffic."""
    zone = ZoneInfo(session.get_one(Tenant, tenant_id).timezone)
    today = now.astimezone(zone).date()
    traffic = _traffic(session, tenant_id, today)
    return {
        "online": _online(session, tenant_id),
        "logins": _logins(session, tenant_id, zone, today, now),
        "revenue": _revenue(session, tenant_id, today),
        "payments": _payments(session, tenant_id),
        "routers": _routers(session, tenant_id),
        "traffic": {"day": today.isoformat(), **traffic, "bits_per_s": _speed(traffic, today, before, now)},
    }


def prune(session: Session, now: datetime) -> None:
    """Forgets what no figure needs any more."""
    session.execute(text("DELETE FROM login_count WHERE began_at < :before"), {"before": now - timedelta(days=35)})
    session.execute(text("DELETE FROM revenue_day WHERE day < :before"), {"before": now.date() - timedelta(days=400)})


def _online(session: Session, tenant_id: int) -> dict[str, int]:
    is_open = (RadiusSession.tenant_id == tenant_id) & RadiusSession.stopped_at.is_(None)
    counts: dict[str, int] = {"hotspot": 0, "pppoe": 0}
    statement = select(RadiusSession.service, func.count()).where(is_open).group_by(RadiusSession.service)
    for service, count in session.execute(statement):
        counts[service] = count
    return {"total": sum(counts.values()), **counts}


def _logins(session: Session, tenant_id: int, zone: ZoneInfo, today: date, now: datetime) -> dict[str, int]:
    def since(began: datetime) -> tuple[int, int]:
        statement = select(
            func.coalesce(func.sum(LoginCount.accepts), 0), func.coalesce(func.sum(LoginCount.rejects), 0)
        ).where(LoginCount.tenant_id == tenant_id, LoginCount.began_at >= began)
        accepts, rejects = session.execute(statement).one()
        return int(accepts), int(rejects)

    accepts_today, rejects_today = since(datetime.combine(today, time.min, zone))
    accepts_lately, rejects_lately = since(now - timedelta(hours=1))
    return {
        "accepts_today": accepts_today,
        "rejects_today": rejects_today,
        "accepts_last_hour": accepts_lately,
        "rejects_last_hour": rejects_lately,
    }


def _revenue(session: Session, tenant_id: int, today: date) -> dict[str, str | int]:
    first = today.replace(day=1)
    statement = select(RevenueDay).where(
        RevenueDay.tenant_id == tenant_id, RevenueDay.day >= first, RevenueDay.day <= today
    )
    days = list(session.scalars(statement.execution_options(populate_existing=True)))
    of_today = [each for each in days if each.day == today]
    return {
        "today_kes": _kes(sum((each.received_kes - each.reversed_kes for each in of_today), Decimal(0))),
        "month_kes": _kes(sum((each.received_kes - each.reversed_kes for each in days), Decimal(0))),
        "payments_today": sum(each.payments for each in of_today),
        "payments_month": sum(each.payments for each in days),
    }


def _payments(session: Session, tenant_id: int) -> dict[str, int]:
    """`pending`: customers who are being asked; `received`: money that is about to be credited."""
    asked = _literally(PaymentIntent.state, "initiated", "prompting", "prompted")
    conditions = {
        "pending": (PaymentIntent.tenant_id == tenant_id, asked),
        "received": (Payment.tenant_id == tenant_id, _literally(Payment.state, "received")),
        "suspense": (Payment.tenant_id == tenant_id, _literally(Payment.state, "suspense")),
    }
    return {name: session.scalar(select(func.count()).where(*each)) or 0 for name, each in conditions.items()}


def _literally(state: InstrumentedAttribute[str], *states: str) -> ColumnElement[bool]:
    """The states stand in the statement itself: behind parameters PostgreSQL does not recognise its partial indexes."""
    written = [literal(each, literal_execute=True) for each in states]
    return state == written[0] if len(written) == 1 else state.in_(written)


def _routers(session: Session, tenant_id: int) -> dict[str, int]:
    there = (Router.tenant_id == tenant_id) & Router.removed_at.is_(None)
    statement = select(Router.status, func.count()).where(there).group_by(Router.status).order_by(Router.status)
    return {row.status: row[1] for row in session.execute(statement)}


def _traffic(session: Session, tenant_id: int, today: date) -> dict[str, int]:
    statement = select(
        func.coalesce(func.sum(UsageDay.input_octets), 0), func.coalesce(func.sum(UsageDay.output_octets), 0)
    ).where(UsageDay.tenant_id == tenant_id, UsageDay.day == today)
    up, down = session.execute(statement).one()
    return {"upload_octets": int(up), "download_octets": int(down)}


def _speed(traffic: dict[str, int], today: date, before: Figures | None, now: datetime) -> int | None:
    """On average since the figures were last computed; None if that was long ago, or yesterday."""
    if before is None or before.values["traffic"]["day"] != today.isoformat():
        return None
    seconds = (now - before.computed_at).total_seconds()
    if not 1 <= seconds <= 300:
        return None
    octets: int = sum(traffic[name] - before.values["traffic"][name] for name in ("upload_octets", "download_octets"))
    return max(0, round(octets * 8 / seconds))


def _sum_days(session: Session, tenant_id: int, zone: ZoneInfo, now: datetime) -> None:
    """Brings the days of the running month up to date: those that are over are summed once."""
    today = now.astimezone(zone).date()
    first = today.replace(day=1)
    summed = select(RevenueDay.day, RevenueDay.computed_at).where(
        RevenueDay.tenant_id == tenant_id, RevenueDay.day >= first, RevenueDay.timezone == zone.key
    )
    known = {row.day: row.computed_at for row in session.execute(summed)}
    for number in range((today - first).days + 1):
        day = first + timedelta(days=number)
        ends = datetime.combine(day + timedelta(days=1), time.min, zone)
        if day not in known or known[day] < ends + _DAY_IS_FINAL_AFTER:
            _sum_day(session, tenant_id, zone, day, ends, now)


def _sum_day(session: Session, tenant_id: int, zone: ZoneInfo, day: date, ends: datetime, now: datetime) -> None:
    """Vouchers are left out: their money came when they were sold."""
    begins = datetime.combine(day, time.min, zone)
    money = (Payment.tenant_id == tenant_id) & (Payment.provider != "voucher")
    received, payments = session.execute(
        select(func.coalesce(func.sum(Payment.amount_kes), 0), func.count()).where(
            money, Payment.booked_at >= begins, Payment.booked_at < ends
        )
    ).one()
    taken_back = session.scalar(
        select(func.coalesce(func.sum(Payment.amount_kes), 0)).where(
            money, Payment.reversed_at >= begins, Payment.reversed_at < ends
        )
    )
    row = {
        "tenant_id": tenant_id,
        "day": day,
        "timezone": zone.key,
        "received_kes": received,
        "reversed_kes": taken_back,
        "payments": payments,
        "computed_at": now,
    }
    statement = insert(RevenueDay).values(row)
    session.execute(statement.on_conflict_do_update(index_elements=["tenant_id", "day"], set_=row))


def _kes(amount: Decimal) -> str:
    return f"{amount:.2f}"
