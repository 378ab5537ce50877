"""All subscribers with their subscriptions, page by page: however many they are, few are in memory."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from db.plan import Plan
from db.subscriber import Subscriber
from db.subscription import Subscription
from db.subscription_list import macs_of
from isp.subscriber_file import csv_lines
from isp.subscription import Status, state

PAGE = 1_000


def as_csv(session: Session, now: datetime) -> Iterator[str]:
    """With the mark by which spreadsheets know UTF-8."""
    yield "\ufeff" + csv_lines([], with_header=True)
    for page in _pages(session, now):
        yield csv_lines(page, with_header=False)


def as_json(session: Session, now: datetime) -> Iterator[str]:
    """A list of objects."""
    separator = "[\n"
    for page in _pages(session, now):
        yield separator + ",\n".join(json.dumps(row, ensure_ascii=False) for row in page)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _pages(session: Session, now: datetime) -> Iterator[list[dict[str, Any]]]:
    """Each in a transaction of its own, in order of subscribers and their subscriptions."""
    place = func.coalesce(Subscription.id, 0)
    of_one = and_(Subscription.subscriber_id == Subscriber.id, Subscription.status != Status.CANCELLED.value)
    statement = (
        select(Subscriber, Subscription, Plan.name.label("plan"), Plan.grace_hours)
        .outerjoin(Subscription, of_one)
        .outerjoin(Plan, Plan.id == Subscription.plan_id)
        .where(Subscriber.archived_at.is_(None))
        .order_by(Subscriber.id, place)
        .limit(PAGE)
    )
    after = (0, -1)
    while True:
        behind = (Subscriber.id > after[0]) | ((Subscriber.id == after[0]) & (place > after[1]))
        rows = session.execute(statement.where(Subscriber.id >= after[0], behind)).all()
        if not rows:
            return
        macs = macs_of(session, [row.Subscription.id for row in rows if row.Subscription is not None])
        page = [_row(row.Subscriber, row.Subscription, row.plan, row.grace_hours, macs, now) for row in rows]
        after = (rows[-1].Subscriber.id, rows[-1].Subscription.id if rows[-1].Subscription is not None else 0)
        session.rollback()
        session.expunge_all()
        yield page


def _row(
    subscriber: Subscriber,
    subscription: Subscription | None,
    plan: str | None,
    grace_hours: int | None,
    macs: dict[int, list[str]],
    now: datetime,
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": subscriber.name,
        "msisdn": subscriber.msisdn,
        "email": subscriber.email,
        "note": subscriber.note,
        "plan": plan,
        "service": None,
        "username": None,
        "password": None,
        "macs": [],
        "framed_ip_address": None,
        "expires_at": None,
        "subscriber_id": subscriber.id,
        "subscription_id": None,
        "state": None,
    }
    if subscription is not None:
        expires_at = subscription.expires_at
        grace = timedelta(hours=grace_hours or 0)
        address = subscription.framed_ip_address
        row |= {
            "service": subscription.service,
            "username": subscription.username,
            "macs": macs.get(subscription.id, []),
            "framed_ip_address": None if address is None else str(address),
            "expires_at": expires_at.astimezone(UTC).isoformat() if expires_at else None,
            "subscription_id": subscription.id,
            "state": state(Status(subscription.status), expires_at, grace, now).value,
        }
    return row
