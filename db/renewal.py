"""Renewals: each validity that was paid for, and what it made of its subscription, so that it can be taken back.

Here is all that begins a validity after a subscription was made. What is changed is written with the next flush.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    event,
    exists,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held, tenant
from db.base import Base, BigInt, Id, TenantId, Timestamp
from db.ledger import Wallet
from db.money import Kes
from db.per_transaction import kept, taken
from db.plan import Plan
from db.radius_session import RadiusSession
from db.refusal import Conflict, Invalid, NotFound
from db.subscription import Subscription
from db.subscription_life import validity_of
from isp.ledger import covers
from isp.subscription import State, Status, ValidityFrom, ValidityUnit, renew, state


class Renewal(Base):
    __tablename__ = "renewal"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"]),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"]),
        ForeignKeyConstraint(["tenant_id", "posting_id"], ["ledger_posting.tenant_id", "ledger_posting.id"]),
        ForeignKeyConstraint(["tenant_id", "payment_id"], ["payment.tenant_id", "payment.id"]),
        Index(
            "renewal_once_per_expiry_key",
            "subscription_id",
            "old_expires_at",
            unique=True,
            postgresql_where="automatic",
        ),
        Index("renewal_tenant_id_subscription_id_idx", "tenant_id", "subscription_id"),
        Index("renewal_payment_id_idx", "payment_id", postgresql_where="payment_id IS NOT NULL"),
        CheckConstraint("price_kes >= 0", name="price"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    subscription_id: Mapped[BigInt]
    plan_id: Mapped[BigInt]
    posting_id: Mapped[BigInt | None]
    """None if it cost nothing."""
    payment_id: Mapped[BigInt | None]
    """The payment that brought it about; None if it was renewed from the wallet at its expiry."""
    price_kes: Mapped[Kes]
    automatic: Mapped[bool] = mapped_column(Boolean)
    began_at: Mapped[Timestamp]
    """From when on it counts: when it was paid, or the old expiry if that was later."""
    old_expires_at: Mapped[Timestamp | None]
    new_expires_at: Mapped[Timestamp | None]
    """None for a plan that never expires, or that begins with the first login."""
    created_at: Mapped[Timestamp]
    reversed_at: Mapped[Timestamp | None]


def hold(session: Session, subscription_id: int) -> Subscription:
    """The subscription as it is now, and so until the transaction ends; accounting goes on meanwhile."""
    found = held.lock(session, Subscription, subscription_id)
    if found is None:
        raise NotFound("subscription")
    return found


def state_of(subscription: Subscription, plan: Plan, now: datetime) -> State:
    grace = timedelta(hours=plan.grace_hours)
    return state(Status(subscription.status), subscription.expires_at, grace, now)


def can_extend(subscription: Subscription, plan: Plan) -> bool:
    """Whether one more validity would be of any use. Not for a subscription that somebody suspended or cancelled, one
    that never expires, and one that waits for its first login."""
    if subscription.status not in (Status.ACTIVE, Status.PENDING):
        return False
    if subscription.status == Status.PENDING or subscription.plan_id != plan.id:
        return True
    return subscription.expires_at is not None


def check_renewable(subscription: Subscription, plan: Plan, balance_kes: Decimal) -> None:
    """Raises Invalid for a plan that it can not have, Conflict if it can not be extended or the wallet is too empty."""
    if subscription.status in (Status.SUSPENDED, Status.CANCELLED):
        raise Conflict(f"This subscription is {subscription.status}.", code=subscription.status)
    if not can_extend(subscription, plan):
        raise Conflict("It never expires, or waits for its first login.", code="nothing_to_extend")
    if plan.id != subscription.plan_id and plan.archived_at is not None:
        raise Invalid("This plan is archived.", field="plan_id", code="archived")
    if plan.service not in ("any", subscription.service):
        raise Invalid(f"This plan is for {plan.service}.", field="plan_id")
    if not covers(balance_kes, plan.price_kes):
        message = f"The wallet holds KES {balance_kes:.2f}, the plan costs KES {plan.price_kes:.2f}."
        raise Conflict(message, code="not_enough")


def extend(
    session: Session,
    subscription: Subscription,
    plan: Plan,
    now: datetime,
    *,
    price_kes: Decimal,
    posting_id: int | None,
    payment_id: int | None = None,
    automatic: bool = False,
) -> Renewal:
    """One more validity of the held subscription: from its expiry or, if that is over, from now.

    Another plan than it has begins now, and so does one that waited for payment. A plan that counts from the first
    login waits for the next one, unless somebody is online. What the old validity used no longer counts.
    """
    zone = tenant.timezone_of(session, subscription.tenant_id)
    old, is_new_plan = subscription.expires_at, subscription.plan_id != plan.id
    runs_on = not is_new_plan and subscription.status == Status.ACTIVE and old is not None and old > now
    waits = plan.validity_from == ValidityFrom.FIRST_LOGIN and not runs_on and not _is_online(session, subscription.id)
    began_at = max(now, old) if runs_on and old is not None else now
    subscription.plan_id = plan.id
    subscription.status = Status.ACTIVE.value
    if waits:
        subscription.activated_at = subscription.expires_at = None
    else:
        subscription.expires_at = renew(old if runs_on else None, validity_of(plan), now, zone)
        if not runs_on:
            subscription.activated_at = now
    subscription.updated_at = now
    return _record(session, subscription, old, began_at, now, price_kes, posting_id, payment_id, automatic)


def first(
    session: Session,
    subscription: Subscription,
    now: datetime,
    *,
    price_kes: Decimal,
    posting_id: int | None,
    payment_id: int | None,
) -> Renewal:
    """The validity that a subscription was just made with."""
    return _record(
        session, subscription, None, now, now, price_kes, posting_id, payment_id, automatic=False, is_first=True
    )


def take_back(session: Session, renewal: Renewal, now: datetime) -> Subscription | None:
    """Shortens the subscription by what the renewal gave; None if that was taken back before, or it is cancelled."""
    subscription = hold(session, renewal.subscription_id)
    if renewal.reversed_at is not None:
        return None
    renewal.reversed_at = now
    session.flush()
    if subscription.status == Status.CANCELLED:
        return None
    given = _given(session, renewal)
    if given is None or subscription.expires_at is None:
        subscription.expires_at = now
        subscription.activated_at = subscription.activated_at or now
    else:
        subscription.expires_at -= given
    subscription.updated_at = now
    session.flush()
    return subscription


def of_payment(session: Session, payment_id: int) -> list[Renewal]:
    """Those not taken back."""
    statement = select(Renewal).where(Renewal.payment_id == payment_id, Renewal.reversed_at.is_(None))
    return list(session.scalars(statement.order_by(Renewal.id)))


def _record(
    session: Session,
    subscription: Subscription,
    old_expires_at: datetime | None,
    began_at: datetime,
    now: datetime,
    price_kes: Decimal,
    posting_id: int | None,
    payment_id: int | None,
    automatic: bool,
    is_first: bool = False,
) -> Renewal:
    renewal = Renewal(
        tenant_id=subscription.tenant_id,
        subscription_id=subscription.id,
        plan_id=subscription.plan_id,
        posting_id=posting_id,
        payment_id=payment_id,
        price_kes=price_kes,
        automatic=automatic,
        began_at=began_at,
        old_expires_at=old_expires_at,
        new_expires_at=subscription.expires_at,
        created_at=now,
    )
    session.add(renewal)
    if not is_first:  # then nothing is used yet
        _begin_use_anew(session, subscription.id)
    return renewal


def _begin_use_anew(session: Session, subscription_id: int) -> None:
    """As the transaction commits."""
    kept(session, _BEGINS_ANEW, set[int]).add(subscription_id)


@event.listens_for(Session, "before_commit")
def _begin_use_anew_now(session: Session) -> None:
    """Last: accounting holds many of these rows at once, and waits for nothing that is held here. In the same order."""
    if subscription_ids := taken(session, _BEGINS_ANEW, set[int]):
        session.flush()
        session.execute(_USE_BEGINS_ANEW, {"subscription_ids": sorted(subscription_ids)})


_BEGINS_ANEW = "kibali_use_begins_anew"
_USE_BEGINS_ANEW = text("""
WITH mine AS (
    SELECT subscription_id FROM usage WHERE subscription_id = ANY(CAST(:subscription_ids AS bigint[]))
     ORDER BY subscription_id FOR NO KEY UPDATE
)
UPDATE usage
   SET validity_input_octets = input_octets,
       validity_output_octets = output_octets,
       validity_session_time_s = session_time_s
  FROM mine WHERE usage.subscription_id = mine.subscription_id""")


def _given(session: Session, renewal: Renewal) -> timedelta | None:
    """How much time the renewal gave; None for time without end."""
    if renewal.new_expires_at is not None:
        return renewal.new_expires_at - renewal.began_at
    plan = session.get_one(Plan, renewal.plan_id)
    if plan.validity_unit == ValidityUnit.UNLIMITED:
        return None
    ends = validity_of(plan).after(renewal.began_at, tenant.timezone_of(session, renewal.tenant_id))
    return None if ends is None else ends - renewal.began_at


def _is_online(session: Session, subscription_id: int) -> bool:
    online = (RadiusSession.subscription_id == subscription_id) & RadiusSession.stopped_at.is_(None)
    return bool(session.scalar(select(exists().where(online))))


def due(session: Session, now: datetime, limit: int, after_id: int = 0) -> list[int]:
    """Ids, in order, of expired subscriptions whose subscriber's wallet holds the price of their plan."""
    onclause = (Wallet.subscriber_id == Subscription.subscriber_id) & (Wallet.tenant_id == Subscription.tenant_id)
    statement = (
        select(Subscription.id)
        .join(Plan, Plan.id == Subscription.plan_id)
        .join(Wallet, onclause)
        .where(Subscription.id > after_id, Subscription.status == Status.ACTIVE.value, Subscription.auto_renew)
        .where(Subscription.expires_at <= now, Plan.price_kes > 0, Wallet.balance_kes >= Plan.price_kes)
        .where(Wallet.balance_kes > 0)  # which an index knows of
    )
    return list(session.scalars(statement.order_by(Subscription.id).limit(limit)))
