"""Outgoing webhooks: where a tenant wants its events sent, and what became of each.

Events are read in the order of their ids, behind the last one that was looked at, and each that an endpoint wants
becomes a delivery, once. An endpoint's deliveries are sent one at a time, a tenant's by one job at a time.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    CursorResult,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Select,
    Text,
    UniqueConstraint,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import event, held
from db.base import Base, BigInt, CreatedAt, Id, Sealed, String, TenantId, Timestamp
from db.event import Event
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Conflict, NotFound
from isp import webhook_signature
from isp.encryption import Keyring
from isp.event_types import is_seen
from isp.webhook_retry import is_hopeless, next_attempt_at, pause_until

_PURPOSE = "webhook_endpoint.secret:{}"
OLD_SECRET_LIVES = timedelta(hours=24)
MOST = 10
"""Endpoints of a tenant: each event that all of them want is sent so many times."""
STATES = ("pending", "delivered", "failed")


class WebhookEndpoint(Base):
    __tablename__ = "webhook_endpoint"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("length(name) BETWEEN 1 AND 100", name="name"),
        CheckConstraint("url ~ '^https?://'", name="url"),
        CheckConstraint("cardinality(types) BETWEEN 1 AND 50", name="types"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[String]
    url: Mapped[String]
    types: Mapped[list[str]] = mapped_column(ARRAY(Text))
    """Types, or subjects as `payment.*`."""
    secret_sealed: Mapped[Sealed]
    """Sealed for `webhook_endpoint.secret:<id>`."""
    old_secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    old_secret_until: Mapped[Timestamp | None]
    """Until then both secrets sign."""
    after_event_id: Mapped[int] = mapped_column(BigInteger)
    """Events up to this id were looked at."""
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    """In a row."""
    failing_since: Mapped[Timestamp | None]
    paused_until: Mapped[Timestamp | None]
    disabled_at: Mapped[Timestamp | None]
    disabled_reason: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class WebhookDelivery(Base):
    __tablename__ = "webhook_delivery"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "endpoint_id"], ["webhook_endpoint.tenant_id", "webhook_endpoint.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("endpoint_id", "event_id"),
        Index("webhook_delivery_due_idx", "endpoint_id", "due_at", "id", postgresql_where="state = 'pending'"),
        Index("webhook_delivery_tenant_id_endpoint_id_id_idx", "tenant_id", "endpoint_id", "id"),
        Index("webhook_delivery_created_at_idx", "created_at"),
        CheckConstraint(f"state IN {STATES}", name="state"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[BigInt]
    endpoint_id: Mapped[BigInt]
    event_id: Mapped[BigInt | None]
    """None for a test."""
    type: Mapped[String]
    body: Mapped[String]
    """As it is sent."""
    state: Mapped[String] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    due_at: Mapped[CreatedAt]
    created_at: Mapped[CreatedAt]
    attempted_at: Mapped[Timestamp | None]
    response_status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[String | None]
    """Why the last attempt failed."""
    delivered_at: Mapped[Timestamp | None]

    @property
    def webhook_id(self) -> str:
        """The same in each attempt, by which the receiver knows a repetition."""
        return f"msg_{self.id}"


SORTS = {"id": Sort(WebhookEndpoint.id, int), "name": Sort(WebhookEndpoint.name, str)}
DELIVERY_SORTS = {"id": Sort(WebhookDelivery.id, int)}


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one. `error` None: it was taken."""

    status: int | None
    error: str | None
    is_gone: bool = False
    """The receiver wants no more of them (410)."""


def create(
    session: Session, tenant_id: int, values: Mapping[str, Any], keyring: Keyring
) -> tuple[WebhookEndpoint, str]:
    """An endpoint for what happens from now on, and its secret, in clear for the only time. Raises Conflict."""
    _check_room(session, tenant_id)
    endpoint = WebhookEndpoint(
        tenant_id=tenant_id, secret_sealed=b"", after_event_id=_newest(session, tenant_id), **values
    )
    session.add(endpoint)
    session.flush()
    secret = _new_secret(endpoint, keyring)
    session.flush()
    return endpoint, secret


def by_id(session: Session, endpoint_id: int) -> WebhookEndpoint:
    """Raises NotFound."""
    endpoint = session.get(WebhookEndpoint, endpoint_id)
    if endpoint is None:
        raise NotFound("webhook")
    return endpoint


def page(session: Session, request: PageRequest) -> Page[WebhookEndpoint]:
    return one_page(
        session, select(WebhookEndpoint), WebhookEndpoint.id, SORTS, request, lambda row: row.WebhookEndpoint
    )


def change(session: Session, endpoint_id: int, values: Mapping[str, Any], now: datetime) -> WebhookEndpoint:
    """Sets columns, and `enabled`. Enabled again, it gets what happens from then on. Raises NotFound."""
    endpoint = _locked(session, endpoint_id)
    columns = dict(values)
    enabled = columns.pop("enabled", None)
    for name, value in columns.items():
        setattr(endpoint, name, value)
    if enabled is True and endpoint.disabled_at is not None:
        endpoint.disabled_at = endpoint.disabled_reason = endpoint.failing_since = endpoint.paused_until = None
        endpoint.failures, endpoint.after_event_id = 0, _newest(session, endpoint.tenant_id)
    elif enabled is False and endpoint.disabled_at is None:
        endpoint.disabled_at, endpoint.disabled_reason = now, "by an admin"
    endpoint.updated_at = now
    session.flush()
    return endpoint


def remove(session: Session, endpoint_id: int) -> None:
    """With its deliveries. Raises NotFound."""
    session.delete(_locked(session, endpoint_id))
    session.flush()


def rotate_secret(session: Session, endpoint_id: int, keyring: Keyring, now: datetime) -> tuple[WebhookEndpoint, str]:
    """A new secret, in clear for the only time; the old one signs beside it for a day. Raises NotFound."""
    endpoint = _locked(session, endpoint_id)
    endpoint.old_secret_sealed, endpoint.old_secret_until = endpoint.secret_sealed, now + OLD_SECRET_LIVES
    secret = _new_secret(endpoint, keyring)
    endpoint.updated_at = now
    session.flush()
    return endpoint, secret


def secrets_of(endpoint: WebhookEndpoint, keyring: Keyring, now: datetime) -> list[str]:
    """Those that sign, in clear. Raises EncryptionError."""
    sealed = [endpoint.secret_sealed]
    if endpoint.old_secret_sealed is not None and endpoint.old_secret_until is not None:
        sealed += [endpoint.old_secret_sealed] * (endpoint.old_secret_until > now)
    return [keyring.open(each, _PURPOSE.format(endpoint.id)) for each in sealed]


# Deliveries


def add_test(session: Session, endpoint_id: int, now: datetime) -> WebhookDelivery:
    """A delivery that says nothing but that it is a test, due at once. Raises NotFound, Conflict."""
    endpoint = _locked(session, endpoint_id)
    _check_enabled(endpoint)
    content = {"type": "webhook.test", "timestamp": now.astimezone(UTC).isoformat(), "data": {"name": endpoint.name}}
    delivery = WebhookDelivery(
        tenant_id=endpoint.tenant_id, endpoint_id=endpoint.id, type="webhook.test", body=json.dumps(content)
    )
    session.add(delivery)
    endpoint.paused_until = None
    session.flush()
    return delivery


def deliveries(
    session: Session, request: PageRequest, endpoint_id: int, state: str | None = None
) -> Page[WebhookDelivery]:
    """Raises NotFound."""
    statement = select(WebhookDelivery).where(WebhookDelivery.endpoint_id == by_id(session, endpoint_id).id)
    if state is not None:
        statement = statement.where(WebhookDelivery.state == state)
    return one_page(session, statement, WebhookDelivery.id, DELIVERY_SORTS, request, lambda row: row.WebhookDelivery)


def retry(session: Session, endpoint_id: int, delivery_id: int | None, now: datetime) -> int:
    """Sends a delivery again, whatever became of it, or all that failed; how many. Raises NotFound, Conflict."""
    endpoint = _locked(session, endpoint_id)
    _check_enabled(endpoint)
    mine = (WebhookDelivery.endpoint_id == endpoint_id) & (
        WebhookDelivery.state == "failed" if delivery_id is None else WebhookDelivery.id == delivery_id
    )
    afresh = {"state": "pending", "attempts": 0, "due_at": now, "delivered_at": None, "error": None}
    statement = update(WebhookDelivery).where(mine).values(afresh)
    count = _count(session.execute(statement.execution_options(synchronize_session=False)))
    if delivery_id is not None and not count:
        raise NotFound("delivery")
    endpoint.paused_until = None
    session.flush()
    return count


def prune(session: Session, now: datetime, older_than: timedelta, limit: int) -> int:
    """Deletes old deliveries, whatever became of them; how many."""
    old = select(WebhookDelivery.id).where(WebhookDelivery.created_at < now - older_than).limit(limit)
    statement = delete(WebhookDelivery).where(WebhookDelivery.id.in_(old))
    return _count(session.execute(statement.execution_options(synchronize_session=False)))


# For the sweep, which serves all tenants


def look_at_events(session: Session, limit: int = 500) -> int:
    """Makes deliveries of the events that are new to their tenants' endpoints; how many. Call it until it is 0."""
    news = select(Event.id).where(Event.tenant_id == WebhookEndpoint.tenant_id)
    waiting = (
        select(WebhookEndpoint)
        .where(WebhookEndpoint.disabled_at.is_(None), news.where(Event.id > WebhookEndpoint.after_event_id).exists())
        .order_by(WebhookEndpoint.id)
        .with_for_update(skip_locked=True)
    )
    made = 0
    for endpoint in session.scalars(waiting.execution_options(populate_existing=True)).all():
        statement = select(Event).where(Event.tenant_id == endpoint.tenant_id, Event.id > endpoint.after_event_id)
        events = session.scalars(statement.order_by(Event.id).limit(limit)).all()
        rows = [_row(endpoint, each) for each in events if is_seen(each.type, "owner", endpoint.types)]
        if rows:
            session.execute(insert(WebhookDelivery).on_conflict_do_nothing(), rows)
        endpoint.after_event_id = events[-1].id
        made += len(events)
    session.flush()
    return made


def due_tenants(session: Session) -> list[int]:
    """Those that have something to send now, whoever waited longest first."""
    due = _due(func.min(WebhookDelivery.due_at)).where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)
    oldest = due.scalar_subquery()
    statement = (
        select(WebhookEndpoint.tenant_id)
        .where(_may_be_sent_to(), oldest.is_not(None))
        .group_by(WebhookEndpoint.tenant_id)
        .order_by(func.min(oldest))
    )
    return list(session.scalars(statement))


# For the job that sends


def next_due(
    session: Session, tenant_id: int, besides: Collection[int] = ()
) -> list[tuple[WebhookEndpoint, WebhookDelivery]]:
    """What is sent next to each endpoint of the tenant that may be sent to, `besides` those."""
    due = _due(WebhookDelivery.id).where(WebhookDelivery.endpoint_id == WebhookEndpoint.id)
    next_ = due.order_by(WebhookDelivery.due_at, WebhookDelivery.id).limit(1).scalar_subquery()
    statement = (
        select(WebhookEndpoint, next_.label("delivery_id"))
        .where(WebhookEndpoint.tenant_id == tenant_id, WebhookEndpoint.id.not_in(besides), _may_be_sent_to())
        .order_by(WebhookEndpoint.id)
        .execution_options(populate_existing=True)
    )
    found = {row.delivery_id: row.WebhookEndpoint for row in session.execute(statement) if row.delivery_id is not None}
    rows = select(WebhookDelivery).where(WebhookDelivery.id.in_(found)).order_by(WebhookDelivery.endpoint_id)
    deliveries = session.scalars(rows.execution_options(populate_existing=True))
    return [(found[delivery.id], delivery) for delivery in deliveries]


def _may_be_sent_to() -> ColumnElement[bool]:
    is_rested = func.coalesce(WebhookEndpoint.paused_until <= func.now(), True)
    return WebhookEndpoint.disabled_at.is_(None) & is_rested


def _due(what: Any) -> Select[Any]:
    return select(what).where(text("webhook_delivery.state = 'pending'"), WebhookDelivery.due_at <= func.now())


def note(session: Session, delivery_id: int, attempt: Attempt, now: datetime) -> None:
    """What came of an attempt: for the delivery, and for its endpoint, which is paused, or disabled in the end."""
    delivery = session.get(WebhookDelivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is None:  # the endpoint was removed meanwhile
        return
    delivery.attempts += 1
    delivery.attempted_at, delivery.response_status, delivery.error = now, attempt.status, attempt.error
    endpoint = _locked(session, delivery.endpoint_id)
    if attempt.error is None:
        delivery.state, delivery.delivered_at = "delivered", now
        endpoint.failures, endpoint.failing_since, endpoint.paused_until = 0, None, None
        session.flush()
        return
    again_at = next_attempt_at(delivery.attempts, now)
    delivery.state, delivery.due_at = ("failed", delivery.due_at) if again_at is None else ("pending", again_at)
    endpoint.failures += 1
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.paused_until = pause_until(endpoint.failures, now)
    if attempt.is_gone:
        _disable(session, endpoint, "It answered 410 Gone.", now)
    elif is_hopeless(endpoint.failing_since, now):
        _disable(session, endpoint, f"It has taken nothing since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC.", now)
    session.flush()


def _disable(session: Session, endpoint: WebhookEndpoint, reason: str, now: datetime) -> None:
    endpoint.disabled_at, endpoint.disabled_reason = now, reason
    data = {"webhook_id": endpoint.id, "name": endpoint.name, "reason": reason}
    event.record(session, "webhook.disabled", data, endpoint.tenant_id)


def _row(endpoint: WebhookEndpoint, each: Event) -> dict[str, Any]:
    content = {
        "type": each.type,
        "timestamp": each.created_at.astimezone(UTC).isoformat(),
        "id": each.id,
        "subscription_id": each.subscription_id,
        "router_id": each.router_id,
        "data": each.data,
    }
    return {
        "tenant_id": endpoint.tenant_id,
        "endpoint_id": endpoint.id,
        "event_id": each.id,
        "type": each.type,
        "body": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
    }


def _new_secret(endpoint: WebhookEndpoint, keyring: Keyring) -> str:
    secret = webhook_signature.new_secret()
    endpoint.secret_sealed = keyring.seal(secret, _PURPOSE.format(endpoint.id))
    return secret


def _newest(session: Session, tenant_id: int) -> int:
    """Whatever is committed later has a higher id."""
    return session.scalar(select(func.max(Event.id)).where(Event.tenant_id == tenant_id)) or 0


def _check_room(session: Session, tenant_id: int) -> None:
    held.take_turn(session, "webhook_endpoint", tenant_id)
    count = session.scalar(select(func.count()).where(WebhookEndpoint.tenant_id == tenant_id)) or 0
    if count >= MOST:
        raise Conflict(f"There are {count} webhooks; no more than {MOST} may be. Remove one first.", code="too_many")


def _check_enabled(endpoint: WebhookEndpoint) -> None:
    if endpoint.disabled_at is not None:
        raise Conflict("This webhook is disabled. Enable it first.", code="disabled")


def _locked(session: Session, endpoint_id: int) -> WebhookEndpoint:
    endpoint = session.get(WebhookEndpoint, endpoint_id, with_for_update=True, populate_existing=True)
    if endpoint is None:
        raise NotFound("webhook")
    return endpoint


def _count(result: object) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
