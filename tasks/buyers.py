"""Who pays and for which of their subscriptions. Subscribers and subscriptions that payments make are made here."""

from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db import held, renewal, subscription_life
from db.payment import Payment
from db.payment_intent import PaymentIntent
from db.plan import Plan
from db.subscriber import Subscriber
from db.subscription import Device, Subscription
from db.subscription_life import NewSubscription
from isp.encryption import Keyring
from isp.subscription import State, Status

# Of a plan for any service: who pays on a phone is on a hotspot.
_USUAL_SERVICE = "hotspot"


def buyer_of(session: Session, paid: Payment, intent: PaymentIntent | None) -> Subscriber | None:
    """The subscriber whom the payment is credited to; None if that is not certain.

    Made anew for a phone that confirmed a prompt, and for who redeems a voucher. A phone number that only came with a
    payment makes nobody.
    """
    for subscriber_id in (paid.subscriber_id, intent.subscriber_id if intent is not None else None):
        if subscriber_id is not None:
            return session.get_one(Subscriber, subscriber_id)
    for subscription_id in (paid.subscription_id, intent.subscription_id if intent is not None else None):
        if subscription_id is not None:
            return session.get_one(Subscriber, session.get_one(Subscription, subscription_id).subscriber_id)
    if intent is not None:
        return _of_phone(session, paid.tenant_id, intent.msisdn, paid.payer_name)
    if paid.provider == "voucher" and paid.msisdn is not None:
        return _of_phone(session, paid.tenant_id, paid.msisdn, None)
    if paid.provider == "voucher":
        return _of_device(session, paid) or _made(session, paid.tenant_id, f"Voucher {paid.receipt}", None)
    return None


def only_subscription_of(session: Session, subscriber: Subscriber) -> int | None:
    """None if there are several, or none, that are not cancelled."""
    _write_what_changed(session, subscriber)
    mine = (Subscription.subscriber_id == subscriber.id) & (Subscription.status != Status.CANCELLED.value)
    ids = session.scalars(select(Subscription.id).where(mine).limit(2)).all()
    return ids[0] if len(ids) == 1 else None


def subscription_for(session: Session, subscriber: Subscriber, plan: Plan, now: datetime) -> Subscription | None:
    """Which of the subscriber's subscriptions, held, a validity of `plan` is for; None for a new one.

    One that somebody suspended comes first: nobody buys a way around it. Then one of the same plan; then one whose own
    time is over. One that still runs on another plan is left to run.
    """
    if held.facts(session).pop((_HAS_NOTHING, subscriber.id), False):
        return None
    _write_what_changed(session, subscriber)
    statement = (
        select(Subscription)
        .where(Subscription.subscriber_id == subscriber.id, Subscription.status != Status.CANCELLED.value)
        .order_by(Subscription.id)
        .with_for_update(key_share=True)
    )
    mine = list(session.scalars(statement.execution_options(populate_existing=True)))
    for each in mine:
        held.note(session, each)
    fitting = [each for each in mine if plan.service in ("any", each.service)]
    for each in fitting:
        if each.status == Status.SUSPENDED:
            return each
    for each in fitting:
        if each.plan_id == plan.id:
            return each
    over = (State.PENDING, State.GRACE, State.EXPIRED)
    for each in fitting:
        if renewal.state_of(each, session.get_one(Plan, each.plan_id), now) in over:
            return each
    return None


def new_subscription(
    session: Session, subscriber: Subscriber, plan: Plan, keyring: Keyring, now: datetime
) -> Subscription:
    """With credentials of its own: on a hotspot the phone number, where that is free, and a made-up password."""
    service = _USUAL_SERVICE if plan.service == "any" else plan.service
    new = NewSubscription(subscriber_id=subscriber.id, plan_id=plan.id, service=service)
    return subscription_life.begin(session, subscriber.tenant_id, new, keyring, now).subscription


def remember_device(session: Session, subscription: Subscription, mac: str) -> None:
    """The device that pays gets in by its address, whoever's it was before. Of a hotspot; PPPoE has names."""
    if subscription.service != "hotspot":
        return
    row = {"tenant_id": subscription.tenant_id, "mac": mac, "subscription_id": subscription.id}
    session.execute(_REMEMBER_DEVICE, row)


_REMEMBER_DEVICE = text("""
INSERT INTO device (tenant_id, mac, subscription_id) VALUES (:tenant_id, CAST(:mac AS macaddr), :subscription_id)
    ON CONFLICT (tenant_id, mac) DO UPDATE SET subscription_id = excluded.subscription_id""")


def _write_what_changed(session: Session, subscriber: Subscriber) -> None:
    """A payment before this one may have changed, in the same transaction, what is about to be read."""
    changed = (each for each in session.dirty if isinstance(each, Subscription))
    if any(each.subscriber_id == subscriber.id for each in changed):
        session.flush()


def _of_phone(session: Session, tenant_id: int, msisdn: str, name: str | None) -> Subscriber:
    mine = (Subscriber.tenant_id == tenant_id) & (Subscriber.msisdn == msisdn) & Subscriber.archived_at.is_(None)
    return session.scalar(select(Subscriber).where(mine)) or _made(session, tenant_id, name or msisdn, msisdn)


def _of_device(session: Session, paid: Payment) -> Subscriber | None:
    if paid.mac is None:
        return None
    of_device = (Device.tenant_id == paid.tenant_id) & (Device.mac == paid.mac)
    statement = (
        select(Subscriber)
        .join(Subscription, Subscription.subscriber_id == Subscriber.id)
        .join(Device, Device.subscription_id == Subscription.id)
        .where(of_device, Subscriber.archived_at.is_(None))
    )
    return session.scalar(statement)


def _made(session: Session, tenant_id: int, name: str, msisdn: str | None) -> Subscriber:
    """A new subscriber; or, if another transaction made one of this phone meanwhile, that one."""
    made: Subscriber | None = session.scalar(_MAKE, {"tenant_id": tenant_id, "name": name[:200], "msisdn": msisdn})
    if made is not None:
        held.note(session, made)
        held.facts(session)[_HAS_NOTHING, made.id] = True
        return made
    there = (Subscriber.tenant_id == tenant_id) & (Subscriber.msisdn == msisdn) & Subscriber.archived_at.is_(None)
    return session.execute(select(Subscriber).where(there)).scalar_one()


_HAS_NOTHING = "has no subscription yet"
_MAKE = select(Subscriber).from_statement(
    text(
        "INSERT INTO subscriber (tenant_id, name, msisdn) VALUES (:tenant_id, :name, :msisdn)"
        " ON CONFLICT DO NOTHING RETURNING *"
    )
)
