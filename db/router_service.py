"""What routers are to serve, each change a version of its own."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Integer, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Json, TenantId
from db.refusal import NotFound
from db.router import Router


class RouterServiceConfig(Base):
    __tablename__ = "router_service_config"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("router_id", "version"),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        CheckConstraint("version > 0", name="version"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    router_id: Mapped[BigInt]
    version: Mapped[int] = mapped_column(Integer)
    config: Mapped[Json]
    """As isp.router_service reads it."""
    admin_id: Mapped[BigInt | None]
    """Who said so; None: on the command line."""
    created_at: Mapped[CreatedAt]


def of(session: Session, router_id: int, version: int | None = None) -> RouterServiceConfig:
    """That version, or the newest. Raises NotFound."""
    statement = select(RouterServiceConfig).where(RouterServiceConfig.router_id == router_id)
    if version is not None:
        statement = statement.where(RouterServiceConfig.version == version)
    found = session.scalars(statement.order_by(RouterServiceConfig.version.desc()).limit(1)).one_or_none()
    if found is None:
        raise NotFound("service configuration")
    return found


def put(session: Session, router: Router, config: Mapping[str, Any], admin_id: int | None) -> RouterServiceConfig:
    """The newest version, which is `config` from now on; it is a new one only if it differs."""
    session.refresh(router, with_for_update=True)  # versions of one router are made one after the other
    last = session.scalar(
        select(func.max(RouterServiceConfig.version)).where(RouterServiceConfig.router_id == router.id)
    )
    if last is not None:
        newest = of(session, router.id, last)
        if newest.config == config:
            return newest
    made = RouterServiceConfig(
        tenant_id=router.tenant_id,
        router_id=router.id,
        version=(last or 0) + 1,
        config=dict(config),
        admin_id=admin_id,
    )
    session.add(made)
    session.flush()
    return made
