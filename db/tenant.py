"""Tenants: the operators whose subscribers, routers and money are kept apart."""

from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session

from db.base import Base, CreatedAt, Id, String


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


def by_slug(session: Session, slug: str) -> Tenant | None:
    return session.scalar(select(Tenant).where(Tenant.slug == slug))


def all_tenants(session: Session) -> list[Tenant]:
    """By slug."""
    return list(session.scalars(select(Tenant).order_by(Tenant.slug)))


def create(session: Session, *, slug: str, name: str, language: str, timezone: str) -> Tenant:
    tenant = Tenant(slug=slug, name=name, language=language, timezone=timezone)
    session.add(tenant)
    session.flush()
    return tenant


def timezone_of(session: Session, tenant_id: int) -> ZoneInfo:
    """The zone in which the tenant's days and months begin."""
    return ZoneInfo(session.get_one(Tenant, tenant_id).timezone)
