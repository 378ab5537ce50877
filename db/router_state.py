"""How routers do: what changes all the time, apart from the routers themselves, which FreeRADIUS reads."""

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigInt, TenantId, Timestamp


class RouterState(Base):
    __tablename__ = "router_state"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        # Room for the next version of each row in the page of the last.
        {"postgresql_with": {"fillfactor": "50"}},
    )

    router_id: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[TenantId]
    last_seen_at: Mapped[Timestamp | None]
    """When its API answered last."""
    booted_at: Mapped[Timestamp | None]
    """By its uptime."""
