"""Subscribers: the people and businesses that hold subscriptions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, Select, UniqueConstraint, bindparam, exists, func, select
from sqlalchemy.orm import Mapped, Session

from db.base import Base, CreatedAt, Id, String, TenantId, Timestamp
from db.page import Page, PageRequest, PreparedPages, Sort
from db.reading import Reads
from db.refusal import Conflict, NotFound
from db.subscription import Subscription


class Subscriber(Base):
    __tablename__ = "subscriber"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        Index(
            "subscriber_tenant_id_msisdn_key",
            "tenant_id",
            "msisdn",
            unique=True,
            postgresql_where="archived_at IS NULL",
        ),
        Index(
            "subscriber_tenant_id_msisdn_archived_idx",
            "tenant_id",
            "msisdn",
            postgresql_where="archived_at IS NOT NULL",
        ),
        CheckConstraint("length(name) BETWEEN 1 AND 200", name="name"),
        CheckConstraint("msisdn ~ '^[1-9][0-9]{6,14}$'", name="msisdn"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[String]
    msisdn: Mapped[String | None]
    """Phone in E.164 without the plus: 254712345678."""
    email: Mapped[String | None]
    note: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    archived_at: Mapped[Timestamp | None]


SORTS = {
    "id": Sort(Subscriber.id, int),
    "name": Sort(func.lower(Subscriber.name), str),
    "created_at": Sort(Subscriber.created_at, datetime),
}


def create(session: Session, tenant_id: int, values: Mapping[str, Any]) -> Subscriber:
    subscriber = Subscriber(tenant_id=tenant_id, **values)
    session.add(subscriber)
    session.flush()
    return subscriber


def by_id(session: Session, subscriber_id: int) -> Subscriber:
    """Raises NotFound."""
    return _found(session.get(Subscriber, subscriber_id))


def page(
    reads: Reads,
    request: PageRequest,
    *,
    msisdn: str | None = None,
    name: str | None = None,
    archived: bool = False,
) -> Page[Any]:
    """Rows with the columns of Subscriber. `name` finds those whose name contains it, in any case."""
    return _PAGES.page(
        reads, request, msisdn=msisdn or None, name=name.lower() if name else None, archived=archived or None
    )


def _listed(given: frozenset[str]) -> Select[Any]:
    archived_at = Subscriber.archived_at
    statement = select(*Subscriber.__table__.c).where(
        archived_at.is_not(None) if "archived" in given else archived_at.is_(None)
    )
    if "msisdn" in given:
        statement = statement.where(Subscriber.msisdn == bindparam("msisdn"))
    if "name" in given:
        statement = statement.where(func.strpos(func.lower(Subscriber.name), bindparam("name")) > 0)
    return statement


_PAGES = PreparedPages(_listed, Subscriber.id, SORTS)


def change(session: Session, subscriber_id: int, values: Mapping[str, Any]) -> Subscriber:
    """The subscriber with `values` set. Raises NotFound, and Conflict if archived."""
    subscriber = _found(session.get(Subscriber, subscriber_id, with_for_update=True))
    if subscriber.archived_at is not None:
        raise Conflict("This subscriber is archived.", code="archived")
    for name, value in values.items():
        setattr(subscriber, name, value)
    session.flush()
    return subscriber


def archive(session: Session, subscriber_id: int, now: datetime) -> None:
    """Raises NotFound, and Conflict while the subscriber has a subscription that is not cancelled."""
    subscriber = _found(session.get(Subscriber, subscriber_id, with_for_update=True))
    holds = (Subscription.subscriber_id == subscriber_id) & (Subscription.status != "cancelled")
    if session.scalar(select(exists().where(holds))):
        raise Conflict("This subscriber has subscriptions. Cancel them first.", code="in_use")
    subscriber.archived_at = subscriber.archived_at or now
    session.flush()


def _found(subscriber: Subscriber | None) -> Subscriber:
    if subscriber is None:
        raise NotFound("subscriber")
    return subscriber
