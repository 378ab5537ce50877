"""Tenants: the operators whose subscribers, routers and money are kept apart."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session

from db import held
from db.base import Base, CreatedAt, Id, String, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import NotFound


class Tenant(Base):
    __tablename__ = "tenant"
    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="slug"),
        CheckConstraint("language IN ('en', 'sw')", name="language"),
    )

    id: Mapped[Id]
    slug: Mapped[String]
    """Short name in commands and addresses."""
    name: Mapped[String]
    language: Mapped[String]
    """Of messages to its customers: `en` or `sw`."""
    timezone: Mapped[String]
    created_at: Mapped[CreatedAt]
    closed_at: Mapped[Timestamp | None]
    """Its admins are shut out. Its subscribers are not: closing says nothing of them."""


SORTS = {
    "id": Sort(Tenant.id, int),
    "slug": Sort(Tenant.slug, str),
    "created_at": Sort(Tenant.created_at, datetime),
}


def by_slug(session: Session, slug: str) -> Tenant | None:
    return session.scalar(select(Tenant).where(Tenant.slug == slug))


def by_id(session: Session, tenant_id: int) -> Tenant:
    """Raises NotFound."""
    return _found(session.get(Tenant, tenant_id))


def page(session: Session, request: PageRequest) -> Page[Tenant]:
    return one_page(session, select(Tenant), Tenant.id, SORTS, request, lambda row: row.Tenant)


def all_tenants(session: Session) -> list[Tenant]:
    """By slug."""
    return list(session.scalars(select(Tenant).order_by(Tenant.slug)))


def create(session: Session, *, slug: str, name: str, language: str, timezone: str) -> Tenant:
    tenant = Tenant(slug=slug, name=name, language=language, timezone=timezone)
    session.add(tenant)
    session.flush()
    return tenant


def change(session: Session, tenant_id: int, values: Mapping[str, Any]) -> Tenant:
    """Raises NotFound."""
    tenant = _found(session.get(Tenant, tenant_id, with_for_update=True))
    for name, value in values.items():
        setattr(tenant, name, value)
    session.flush()
    return tenant


def close(session: Session, tenant_id: int, now: datetime) -> None:
    """Shuts its admins out, until it is opened again by `closed_at` None. Raises NotFound."""
    tenant = _found(session.get(Tenant, tenant_id, with_for_update=True))
    tenant.closed_at = tenant.closed_at or now
    session.flush()


def timezone_of(session: Session, tenant_id: int) -> ZoneInfo:
    """The zone in which the tenant's days and months begin."""
    return held.once(session, (ZoneInfo, tenant_id), lambda: ZoneInfo(session.get_one(Tenant, tenant_id).timezone))


def _found(tenant: Tenant | None) -> Tenant:
    if tenant is None:
        raise NotFound("tenant")
    return tenant
