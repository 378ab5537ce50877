"""What was found on a router: its items as they were read last, without secrets."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKeyConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, Json, TenantId, Timestamp
from db.refusal import Conflict
from isp.router_contents import RouterContents


class RouterDiscovery(Base):
    __tablename__ = "router_discovery"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),)

    router_id: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[TenantId]
    discovered_at: Mapped[Timestamp]
    contents: Mapped[Json]
    """As isp.router_contents writes them."""


def store(session: Session, tenant_id: int, router_id: int, contents: RouterContents, now: datetime) -> None:
    """In the place of what was found before."""
    found: Mapping[str, Any] = {"discovered_at": now, "contents": contents.without_secrets().to_json()}
    values = {"tenant_id": tenant_id, "router_id": router_id, **found}
    statement = insert(RouterDiscovery).values(values)
    session.execute(statement.on_conflict_do_update(index_elements=["router_id"], set_=found))


def of(session: Session, router_id: int) -> tuple[RouterContents, datetime]:
    """What was found, and when. Raises Conflict if nobody looked yet."""
    row = session.scalar(select(RouterDiscovery).where(RouterDiscovery.router_id == router_id))
    if row is None:
        raise Conflict("This router was not discovered yet. Discover it first.", code="not_discovered")
    return RouterContents.from_json(row.contents), row.discovered_at
