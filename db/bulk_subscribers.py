"""Many subscribers with their subscriptions at once: a statement for each table, however many rows.

A role that sees every tenant does this: each statement names the tenant. What is there already is left as it is, so the
same rows may come again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Select, bindparam, func, insert, literal, select, true, update
from sqlalchemy import Row as Found
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from db import tenant
from db.base import Base
from db.plan import Plan
from db.radius_session import Usage
from db.refusal import refusal_of
from db.subscriber import Subscriber
from db.subscription import Device, Subscription
from db.subscription_life import validity_of
from isp import credentials
from isp.encryption import Keyring
from isp.subscriber_file import BadRow, Row
from isp.subscription import Status, ValidityFrom, renew


@dataclass(slots=True)
class Taken:
    """What became of the rows."""

    subscribers: int = 0
    subscriptions: int = 0
    known: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, line: int, error: BadRow) -> None:
        self.errors.append({"line": line, "field": error.field, "message": error.message})


@dataclass(slots=True)
class _Known:
    """What is there of that which the rows name."""

    plans: dict[str, Plan]
    """By name in lower case, and by id as text."""
    subscribers: dict[str, int]
    """By phone."""
    holders: dict[str, tuple[int, str | None]]
    """By username in lower case: the subscriber and their phone."""
    macs: set[str]
    addresses: set[str]

    def add(self, earlier: "_Known") -> None:
        self.subscribers |= earlier.subscribers
        self.holders |= earlier.holders
        self.macs |= earlier.macs
        self.addresses |= earlier.addresses


@dataclass(slots=True)
class Batch:
    """For whom, and when. One is enough for all rows of a file."""

    tenant_id: int
    keyring: Keyring
    now: datetime
    dry_run: bool = False
    would_be: _Known | None = None
    """In a dry run: what the rows so far would have made."""


@dataclass(slots=True)
class _New:
    """A row that makes something. `subscriber_id` 0 until its subscriber is made."""

    line: int
    row: Row
    plan: Plan | None
    username: str
    subscriber_id: int
    is_new_subscriber: bool


def take(session: Session, batch: Batch, rows: Sequence[tuple[int, Row]]) -> Taken:
    """Makes what is not there yet; with `dry_run`, nothing, and says what it would. Commits nothing."""
    taken = Taken()
    known = _known(session, batch.tenant_id, [row for _, row in rows])
    if batch.would_be is not None:
        known.add(batch.would_be)
    new = [each for line, row in rows if (each := _judged(line, row, known, taken)) is not None]
    if batch.dry_run:
        batch.would_be = known
        _count(new, taken)
        return taken
    try:
        with session.begin_nested():
            _make(session, batch, new)
        _count(new, taken)
    except IntegrityError:
        # Something of it was taken meanwhile: one by one, to say which.
        for each in new:
            _make_alone(session, batch, each, taken)
    return taken


def _judged(line: int, row: Row, known: _Known, taken: Taken) -> _New | None:
    """The row, if it makes something; what it makes is known to those after it."""
    try:
        plan = _plan(row, known) if row.plan is not None else None
        username = _username(row, plan)
        subscriber_id = known.subscribers.get(row.msisdn or "", 0)
        if username.lower() in known.holders:
            _, phone = known.holders[username.lower()]
            if row.msisdn is not None and row.msisdn != phone:
                raise BadRow("username", "Another subscriber's subscription has this username.")
            taken.known += 1
            return None
        if plan is None and (row.msisdn is None or row.msisdn in known.subscribers):
            if row.msisdn is None:
                raise BadRow("plan", "There is no subscription with this username: name a plan to make one.")
            taken.known += 1
            return None
        if clash := known.macs & set(row.macs):
            raise BadRow("macs", f"{min(clash)} belongs to another subscription.")
        if row.framed_ip_address in known.addresses:
            raise BadRow("framed_ip_address", "Another subscription has this address.")
    except BadRow as error:
        taken.refuse(line, error)
        return None
    if plan is not None:
        known.holders[username.lower()] = (subscriber_id, row.msisdn)
        known.macs |= set(row.macs)
        known.addresses |= {row.framed_ip_address} - {None}  # type: ignore[arg-type]
    is_new = row.msisdn is None or row.msisdn not in known.subscribers
    if row.msisdn is not None:
        known.subscribers.setdefault(row.msisdn, 0)
    return _New(line, row, plan, username, subscriber_id, is_new)


def _plan(row: Row, known: _Known) -> Plan:
    plan = known.plans.get((row.plan or "").lower())
    if plan is None:
        raise BadRow("plan", "There is no such plan on sale.")
    if row.service is None and plan.service == "any":
        raise BadRow("service", "This plan is for any service: say hotspot or pppoe.")
    if row.service is not None and plan.service not in ("any", row.service):
        raise BadRow("service", f"This plan is for {plan.service}.")
    return plan


def _username(row: Row, plan: Plan | None) -> str:
    """On a hotspot the phone number if no other is given."""
    if row.username is not None or plan is None:
        return row.username or ""
    if (row.service or plan.service) != "hotspot":
        raise BadRow("username", "A PPPoE subscription needs one.")
    return row.msisdn or ""


def _known(session: Session, tenant_id: int, rows: Sequence[Row]) -> _Known:
    mine = Plan.tenant_id == tenant_id
    plans = list(session.scalars(select(Plan).where(mine, Plan.archived_at.is_(None)).with_for_update(read=True)))
    phones = {row.msisdn for row in rows if row.msisdn}
    usernames = {name.lower() for row in rows for name in (row.username, row.msisdn) if name}
    macs = {mac for row in rows for mac in row.macs}
    addresses = {row.framed_ip_address for row in rows if row.framed_ip_address}
    subscriber, subscription = Subscriber.tenant_id == tenant_id, Subscription.tenant_id == tenant_id
    alive = Subscription.status != Status.CANCELLED.value
    of_phone = select(Subscriber.msisdn, Subscriber.id).where(subscriber, Subscriber.archived_at.is_(None))
    of_name = (
        select(Subscription.username_lower.label("name"), Subscriber.id, Subscriber.msisdn)
        .join(Subscriber, Subscriber.id == Subscription.subscriber_id)
        .where(subscription, alive)
    )
    of_mac = select(Device.mac).where(Device.tenant_id == tenant_id)
    of_address = select(Subscription.framed_ip_address).where(subscription, alive)
    return _Known(
        plans={str(plan.id): plan for plan in plans} | {plan.name.lower(): plan for plan in plans},
        subscribers={row.msisdn: row.id for row in _of_each(session, of_phone, Subscriber.msisdn, phones)},
        holders={
            row.name: (row.id, row.msisdn) for row in _of_each(session, of_name, Subscription.username_lower, usernames)
        },
        macs={str(row.mac).upper() for row in _of_each(session, of_mac, Device.mac, macs)},
        addresses={
            str(row.framed_ip_address)
            for row in _of_each(session, of_address, Subscription.framed_ip_address, addresses)
        },
    )


def _of_each(
    session: Session, statement: Select[*tuple[Any, ...]], column: InstrumentedAttribute[Any], values: Collection[str]
) -> Sequence[Found[*tuple[Any, ...]]]:
    """The rows of `statement` whose `column` is one of `values`, each looked for by itself.

    As `column IN (…)`, PostgreSQL reads the tenant's whole table for each batch until the table is analysed: with no
    statistics it takes hundreds of values for most of the table. OFFSET keeps it from making that out of this.
    """
    if not values:
        return []
    unnested = func.unnest(literal(sorted(values), ARRAY(column.type)))
    wanted = unnested.table_valued("value", name="wanted").render_derived()
    found = statement.where(column == wanted.c.value).offset(0).lateral("found")
    return session.execute(select(found).select_from(wanted.join(found, true()))).all()


def _count(new: Iterable[_New], taken: Taken) -> None:
    for each in new:
        taken.subscriptions += each.plan is not None
        taken.subscribers += each.is_new_subscriber


def _make(session: Session, batch: Batch, new: Sequence[_New]) -> None:
    _make_subscribers(session, batch, new)
    if with_plan := [each for each in new if each.plan is not None]:
        _make_subscriptions(session, batch, with_plan)


def _make_alone(session: Session, batch: Batch, each: _New, taken: Taken) -> None:
    alone = Taken()
    known = _known(session, batch.tenant_id, [each.row])
    again = _judged(each.line, each.row, known, alone)
    if again is not None:
        try:
            with session.begin_nested():
                _make(session, batch, [again])
            _count([again], alone)
        except IntegrityError as error:
            refusal = refusal_of(error)
            if refusal is None:
                raise
            alone.refuse(each.line, BadRow(refusal.field or "", refusal.message))
    taken.subscribers += alone.subscribers
    taken.subscriptions += alone.subscriptions
    taken.known += alone.known
    taken.errors += alone.errors


def _make_subscribers(session: Session, batch: Batch, new: Sequence[_New]) -> None:
    """Gives each row its subscriber."""
    groups: dict[str, list[_New]] = {}
    for each in new:
        if not each.subscriber_id:
            # Rows of one phone are one subscriber; a row without one is its own.
            groups.setdefault(each.row.msisdn or f"line {each.line}", []).append(each)
    if not groups:
        return
    rows = [
        {
            "tenant_id": batch.tenant_id,
            "name": first.row.name,
            "msisdn": first.row.msisdn,
            "email": first.row.email,
            "note": first.row.note,
        }
        for first, *_ in groups.values()
    ]
    ids = session.scalars(insert(Subscriber).returning(Subscriber.id, sort_by_parameter_order=True), rows)
    for subscriber_id, of_one in zip(ids, groups.values(), strict=True):
        for each in of_one:
            each.subscriber_id = subscriber_id


def _make_subscriptions(session: Session, batch: Batch, new: Sequence[_New]) -> None:
    zone = tenant.timezone_of(session, batch.tenant_id)
    rows = []
    for each in new:
        plan, row = each.plan, each.row
        assert plan is not None
        activated_at: datetime | None = batch.now
        expires_at = row.expires_at
        if expires_at is None and plan.validity_from == ValidityFrom.FIRST_LOGIN:
            activated_at = None
        elif expires_at is None:
            expires_at = renew(None, validity_of(plan), batch.now, zone)
        rows.append(
            {
                "tenant_id": batch.tenant_id,
                "subscriber_id": each.subscriber_id,
                "plan_id": plan.id,
                "service": row.service or plan.service,
                "username": each.username,
                "password_sealed": b"",
                "activated_at": activated_at,
                "expires_at": expires_at,
                "framed_ip_address": row.framed_ip_address,
            }
        )
    ids = list(session.scalars(insert(Subscription).returning(Subscription.id, sort_by_parameter_order=True), rows))
    table = Base.metadata.tables["subscription"]
    sealed = [
        {
            "the_id": subscription_id,
            "sealed": batch.keyring.seal(
                each.row.password or credentials.new_password(), f"subscription.password:{subscription_id}"
            ),
        }
        for subscription_id, each in zip(ids, new, strict=True)
    ]
    statement = update(table).where(table.c.id == bindparam("the_id")).values(password_sealed=bindparam("sealed"))
    session.connection().execute(statement, sealed)
    session.execute(insert(Usage), [{"subscription_id": each, "tenant_id": batch.tenant_id} for each in ids])
    devices = [
        {"tenant_id": batch.tenant_id, "mac": mac, "subscription_id": subscription_id}
        for subscription_id, each in zip(ids, new, strict=True)
        for mac in each.row.macs
    ]
    if devices:
        session.execute(insert(Device), devices)
