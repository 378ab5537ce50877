"""Subscriptions as they are looked at: with their devices and routers, and what their plan makes of their expiry."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from db.page import Page, PageRequest, Sort, one_page
from db.plan import Plan
from db.refusal import NotFound
from db.subscription import Device, Subscription, SubscriptionRouter
from isp.subscription import State, Status, state

SORTS = {
    "id": Sort(Subscription.id, int),
    "username": Sort(Subscription.username_lower, str),
    "created_at": Sort(Subscription.created_at, datetime),
    "expires_at": Sort(Subscription.expires_at, datetime, nullable=True),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A subscription, its plan's grace, the MAC addresses of its devices and its only routers, both in order."""

    subscription: Subscription
    grace: timedelta
    macs: list[str]
    router_ids: list[int]

    def state(self, now: datetime) -> State:
        subscription = self.subscription
        return state(Status(subscription.status), subscription.expires_at, self.grace, now)


@dataclass(frozen=True, slots=True)
class Filters:
    subscriber_id: int | None = None
    plan_id: int | None = None
    service: str | None = None
    username: str | None = None
    """In any case."""
    mac: str | None = None
    """One of its devices."""
    state: str | None = None


def by_id(session: Session, subscription_id: int) -> Listed:
    """Raises NotFound."""
    statement = select(Subscription, Plan.grace_hours).join(Plan, Plan.id == Subscription.plan_id)
    row = session.execute(statement.where(Subscription.id == subscription_id)).one_or_none()
    if row is None:
        raise NotFound("subscription")
    return _listed(session, [(row.Subscription, row.grace_hours)])[0]


def page(session: Session, request: PageRequest, filters: Filters, now: datetime) -> Page[Listed]:
    statement = select(Subscription, Plan.grace_hours).join(Plan, Plan.id == Subscription.plan_id)
    statement = statement.where(*_conditions(filters, now))
    rows = one_page(
        session, statement, Subscription.id, SORTS, request, lambda row: (row.Subscription, row.grace_hours)
    )
    return Page(_listed(session, rows.items), rows.next, rows.count)


def _listed(session: Session, rows: list[tuple[Subscription, int]]) -> list[Listed]:
    ids = [subscription.id for subscription, _ in rows]
    macs, router_ids = macs_of(session, ids), router_ids_of(session, ids)
    return [
        Listed(
            subscription,
            timedelta(hours=grace_hours),
            macs.get(subscription.id, []),
            router_ids.get(subscription.id, []),
        )
        for subscription, grace_hours in rows
    ]


def macs_of(session: Session, subscription_ids: Collection[int]) -> dict[int, list[str]]:
    """By subscription, in order; those without a device are left out."""
    macs: dict[int, list[str]] = {}
    statement = select(Device).where(Device.subscription_id.in_(subscription_ids)).order_by(Device.mac)
    for device in session.scalars(statement):
        macs.setdefault(device.subscription_id, []).append(device.mac.upper())
    return macs


def router_ids_of(session: Session, subscription_ids: Collection[int]) -> dict[int, list[int]]:
    """By subscription, in order; those that are valid on all routers are left out."""
    router_ids: dict[int, list[int]] = {}
    bound = SubscriptionRouter.subscription_id.in_(subscription_ids)
    for row in session.scalars(select(SubscriptionRouter).where(bound).order_by(SubscriptionRouter.router_id)):
        router_ids.setdefault(row.subscription_id, []).append(row.router_id)
    return router_ids


def _conditions(filters: Filters, now: datetime) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.subscriber_id is not None:
        conditions.append(Subscription.subscriber_id == filters.subscriber_id)
    if filters.plan_id is not None:
        conditions.append(Subscription.plan_id == filters.plan_id)
    if filters.service is not None:
        conditions.append(Subscription.service == filters.service)
    if filters.username is not None:
        conditions.append(Subscription.username_lower == func.lower(filters.username))
    if filters.mac is not None:
        owner = select(Device.subscription_id).where(Device.mac == filters.mac)
        conditions.append(Subscription.id.in_(owner))
    if filters.state is not None:
        conditions.append(_is_in(State(filters.state), now))
    return conditions


def _is_in(wanted: State, now: datetime) -> ColumnElement[bool]:
    """isp.subscription.state as a condition."""
    expires_at, active = Subscription.expires_at, Subscription.status == Status.ACTIVE.value
    ends = expires_at + func.make_interval(0, 0, 0, 0, Plan.grace_hours)
    match wanted:
        case State.ACTIVE:
            return and_(active, or_(expires_at.is_(None), expires_at > now))
        case State.GRACE:
            return and_(active, expires_at <= now, ends > now)
        case State.EXPIRED:
            return and_(active, ends <= now)
        case _:
            return Subscription.status == wanted.value


def usernames(session: Session, tenant_id: int) -> set[str]:
    """Of all that are not cancelled, in lower case."""
    mine = (Subscription.tenant_id == tenant_id) & (Subscription.status != "cancelled")
    return set(session.scalars(select(Subscription.username_lower).where(mine)))
