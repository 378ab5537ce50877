"""What is done to a subscription: begun, changed, suspended, resumed, cancelled. Each ends in a flush, not a commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session

from db import held, tenant
from db.plan import Plan
from db.radius_session import Usage
from db.refusal import Conflict, Invalid, NotFound
from db.router import Router
from db.subscriber import Subscriber
from db.subscription import Device, Subscription, SubscriptionRouter
from isp import credentials
from isp.encryption import Keyring
from isp.subscription import Status, Validity, ValidityFrom, ValidityUnit, renew


@dataclass(frozen=True, slots=True)
class NewSubscription:
    """What a subscription begins with. None for service, username or password: the plan's, or a made-up one."""

    subscriber_id: int
    plan_id: int
    service: str | None = None
    username: str | None = None
    password: str | None = None
    macs: Sequence[str] = ()
    router_ids: Sequence[int] = ()
    """The only routers it is valid on; empty for all."""
    framed_ip_address: str | None = None
    delegated_ipv6_prefix: str | None = None
    bind_mac: bool = False


@dataclass(frozen=True, slots=True)
class Created:
    """A new subscription and, for the only time, its password in clear."""

    subscription: Subscription
    password: str


def create(session: Session, tenant_id: int, new: NewSubscription, keyring: Keyring, now: datetime) -> Created:
    """Begins a subscription.

    Raises Invalid for a plan, subscriber or router it can not have, Conflict for a device in use.
    """
    created = begin(session, tenant_id, new, keyring, now)
    session.flush()
    return created


def begin(session: Session, tenant_id: int, new: NewSubscription, keyring: Keyring, now: datetime) -> Created:
    """Like `create`, but all that is not its row itself is written with the next flush."""
    subscriber = _subscriber_to_sell_to(session, new.subscriber_id)
    plan = _plan_to_sell(session, new.plan_id)
    service = _service_within(plan, new.service)
    password = new.password or credentials.new_password()
    starts, ends = _first_validity(session, tenant_id, plan, now)
    row = insert(Subscription).values(
        tenant_id=tenant_id,
        subscriber_id=subscriber.id,
        plan_id=plan.id,
        service=service,
        username=new.username or _free_username(session, subscriber, service),
        password_sealed=b"",  # it is sealed for the id
        framed_ip_address=new.framed_ip_address,
        delegated_ipv6_prefix=new.delegated_ipv6_prefix,
        bind_mac=new.bind_mac,
        activated_at=starts,
        expires_at=ends,
    )
    subscription = session.execute(row.returning(Subscription)).scalar_one()
    held.note(session, subscription)
    _seal_password(subscription, password, keyring)
    session.add(Usage(subscription_id=subscription.id, tenant_id=tenant_id))
    if new.macs:
        _set_macs(session, subscription, new.macs)
    if new.router_ids:
        _set_routers(session, subscription, new.router_ids)
    return Created(subscription, password)


def change(
    session: Session, subscription_id: int, values: Mapping[str, Any], keyring: Keyring, now: datetime
) -> Subscription:
    """Sets columns, and beside them `password`, `macs` and `router_ids` (all of them).

    A new plan keeps the expiry that was paid for. Raises NotFound; Conflict if it is cancelled or a device is in use;
    Invalid for a plan or router it can not have.
    """
    subscription = _for_change(session, subscription_id)
    columns = dict(values)
    password, macs, router_ids = (columns.pop(name, None) for name in ("password", "macs", "router_ids"))
    if "plan_id" in columns or "service" in columns:
        _move(session, subscription, columns, now)
    if columns.get("bind_mac") is False:
        columns["bound_mac"] = None
    for name, value in columns.items():
        setattr(subscription, name, value)
    if password is not None:
        _seal_password(subscription, password, keyring)
    if macs is not None:
        _set_macs(session, subscription, macs)
    if router_ids is not None:
        _set_routers(session, subscription, router_ids)
    subscription.updated_at = now
    session.flush()
    return subscription


def suspend(session: Session, subscription_id: int, now: datetime) -> Subscription:
    """Its time runs on. Raises NotFound, and Conflict unless it is active or suspended already."""
    return _switch(session, subscription_id, Status.ACTIVE, Status.SUSPENDED, now)


def resume(session: Session, subscription_id: int, now: datetime) -> Subscription:
    """Raises NotFound, and Conflict unless it is suspended or active already."""
    return _switch(session, subscription_id, Status.SUSPENDED, Status.ACTIVE, now)


def cancel(session: Session, subscription_id: int, now: datetime) -> None:
    """Ends it for good: username, address and devices are free for another. Raises NotFound."""
    subscription = _found(session.get(Subscription, subscription_id, with_for_update=True))
    if subscription.status != Status.CANCELLED:
        subscription.status, subscription.updated_at = Status.CANCELLED.value, now
        session.execute(delete(Device).where(Device.subscription_id == subscription.id))
    session.flush()


def password(subscription: Subscription, keyring: Keyring) -> str:
    """The password in clear. Raises EncryptionError."""
    return keyring.open(subscription.password_sealed, f"subscription.password:{subscription.id}")


def validity_of(plan: Plan) -> Validity:
    return Validity(ValidityUnit(plan.validity_unit), plan.validity_count or 0)


def _begin_validity(session: Session, subscription: Subscription, plan: Plan, now: datetime) -> None:
    """Starts the clock, unless the plan's starts at the first login."""
    if plan.validity_from != ValidityFrom.FIRST_LOGIN:
        begins, ends = _first_validity(session, subscription.tenant_id, plan, now)
        subscription.activated_at, subscription.expires_at = begins, ends


def _first_validity(
    session: Session, tenant_id: int, plan: Plan, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """From when until when; neither is known where the first login begins it."""
    if plan.validity_from == ValidityFrom.FIRST_LOGIN:
        return None, None
    return now, renew(None, validity_of(plan), now, tenant.timezone_of(session, tenant_id))


def _move(session: Session, subscription: Subscription, columns: Mapping[str, Any], now: datetime) -> None:
    """Checks and prepares a change of plan or service."""
    plan_id = columns.get("plan_id", subscription.plan_id)
    moves = plan_id != subscription.plan_id
    plan = _plan_to_sell(session, plan_id) if moves else session.get_one(Plan, plan_id, with_for_update={"read": True})
    _service_within(plan, columns.get("service", subscription.service))
    if not moves:
        return
    subscription.plan_id = plan.id
    unlimited = plan.validity_unit == ValidityUnit.UNLIMITED
    if subscription.activated_at is None:
        _begin_validity(session, subscription, plan, now)
    elif unlimited:
        subscription.expires_at = None
    elif subscription.expires_at is None:
        zone = tenant.timezone_of(session, subscription.tenant_id)
        subscription.expires_at = renew(None, validity_of(plan), now, zone)


def _switch(session: Session, subscription_id: int, old: Status, new: Status, now: datetime) -> Subscription:
    subscription = _for_change(session, subscription_id)
    if subscription.status not in (old, new):
        raise Conflict(f"This subscription is {subscription.status}, not {old.value}.", code=subscription.status)
    if subscription.status != new:
        subscription.status, subscription.updated_at = new.value, now
        session.flush()
    return subscription


def _for_change(session: Session, subscription_id: int) -> Subscription:
    subscription = _found(session.get(Subscription, subscription_id, with_for_update=True))
    if subscription.status == Status.CANCELLED:
        raise Conflict("This subscription is cancelled.", code="cancelled")
    return subscription


def _found(subscription: Subscription | None) -> Subscription:
    if subscription is None:
        raise NotFound("subscription")
    return subscription


def _plan_to_sell(session: Session, plan_id: int) -> Plan:
    """Locked against being archived meanwhile."""
    plan = held.once(
        session, (_plan_to_sell, plan_id), lambda: session.get(Plan, plan_id, with_for_update={"read": True})
    )
    if plan is None:
        raise Invalid("There is no such plan.", field="plan_id", code="not_found")
    if plan.archived_at is not None:
        raise Invalid("This plan is archived.", field="plan_id", code="archived")
    return plan


def _subscriber_to_sell_to(session: Session, subscriber_id: int) -> Subscriber:
    subscriber = held.once(
        session,
        (Subscriber, subscriber_id),
        lambda: session.get(Subscriber, subscriber_id, with_for_update={"read": True}),
    )
    if subscriber is None:
        raise Invalid("There is no such subscriber.", field="subscriber_id", code="not_found")
    if subscriber.archived_at is not None:
        raise Invalid("This subscriber is archived.", field="subscriber_id", code="archived")
    return subscriber


def _service_within(plan: Plan, service: str | None) -> str:
    if service is None and plan.service == "any":
        raise Invalid("This plan is for any service: say hotspot or pppoe.", field="service")
    if service is not None and plan.service not in ("any", service):
        raise Invalid(f"This plan is for {plan.service}.", field="service")
    return service or plan.service


def _free_username(session: Session, subscriber: Subscriber, service: str) -> str:
    """The phone number on a hotspot, where customers know it; otherwise, or if it is taken, a made-up one."""
    phone = subscriber.msisdn if service == "hotspot" else None
    for username in (phone, credentials.new_username(), credentials.new_username()):
        mine = Subscription.tenant_id == subscriber.tenant_id
        taken = mine & (Subscription.username_lower == username) & (Subscription.status != "cancelled")
        if username and not session.scalar(select(exists().where(taken))):
            return username
    return credentials.new_username()


def _seal_password(subscription: Subscription, secret: str, keyring: Keyring) -> None:
    subscription.password_sealed = keyring.seal(secret, f"subscription.password:{subscription.id}")


def _set_macs(session: Session, subscription: Subscription, macs: Sequence[str]) -> None:
    wanted = {mac.upper() for mac in macs}
    elsewhere = select(Device).where(Device.mac.in_(wanted), Device.subscription_id != subscription.id)
    if wanted and (other := session.scalars(elsewhere.order_by(Device.mac)).first()):
        raise Conflict(
            f"{other.mac.upper()} belongs to subscription {other.subscription_id}.", code="taken", field="macs"
        )
    mine = Device.subscription_id == subscription.id
    held = {mac.upper() for mac in session.scalars(select(Device.mac).where(mine))}
    session.execute(delete(Device).where(mine, Device.mac.in_(held - wanted)))
    new = sorted(wanted - held)  # one order for all, so that two requests can not lock each other out
    if new:
        row = {"tenant_id": subscription.tenant_id, "subscription_id": subscription.id}
        session.execute(insert(Device), [{**row, "mac": mac} for mac in new])


def _set_routers(session: Session, subscription: Subscription, router_ids: Sequence[int]) -> None:
    """Raises Invalid for a router that is not there, or not any more."""
    wanted = sorted(set(router_ids))
    mine = SubscriptionRouter.subscription_id == subscription.id
    session.execute(delete(SubscriptionRouter).where(mine))
    if not wanted:
        return
    statement = select(Router.id, Router.removed_at).where(Router.id.in_(wanted)).order_by(Router.id)
    # Locked against being removed meanwhile.
    found = {row.id: row.removed_at for row in session.execute(statement.with_for_update(read=True))}
    for router_id in wanted:
        if router_id not in found:
            raise Invalid(f"There is no router {router_id}.", field="router_ids", code="not_found")
        if found[router_id] is not None:
            raise Invalid(f"Router {router_id} was removed.", field="router_ids", code="removed")
    row = {"tenant_id": subscription.tenant_id, "subscription_id": subscription.id}
    session.execute(insert(SubscriptionRouter), [{**row, "router_id": router_id} for router_id in wanted])
