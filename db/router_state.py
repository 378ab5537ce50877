"""How routers do: what changes all the time, apart from the routers themselves, which FreeRADIUS reads."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Integer, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigInt, String, TenantId, Timestamp


class RouterState(Base):
    __tablename__ = "router_state"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        Index("router_state_watcher_id_idx", "watcher_id"),
        # Room for the next version of each row in the page of the last.
        {"postgresql_with": {"fillfactor": "50"}},
    )

    router_id: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[TenantId]
    last_seen_at: Mapped[Timestamp | None]
    """When its API answered last."""
    booted_at: Mapped[Timestamp | None]
    """By its uptime."""
    probe_due_at: Mapped[Timestamp | None]
    """When it is tried next; None: it is not being probed."""
    probe_tries: Mapped[int] = mapped_column(Integer, server_default="0")
    """How often it was tried in vain since the probing began."""
    watcher_id: Mapped[UUID | None] = mapped_column(Uuid, ForeignKey("watcher.id", ondelete="SET NULL"))
    """Who watches it."""
    failures: Mapped[int] = mapped_column(Integer, server_default="0")
    """In a row, up to now."""
    status_before: Mapped[String | None]
    """What it was before it went offline, and is again when it is back."""
    read_at: Mapped[Timestamp | None]
    """Of what follows."""
    cpu_load_percent: Mapped[int | None] = mapped_column(Integer)
    free_memory_bytes: Mapped[BigInt | None]
    total_memory_bytes: Mapped[BigInt | None]
    free_hdd_bytes: Mapped[BigInt | None]
    total_hdd_bytes: Mapped[BigInt | None]
    hotspot_sessions: Mapped[int | None] = mapped_column(Integer)
    ppp_sessions: Mapped[int | None] = mapped_column(Integer)
    interfaces: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """As InterfaceTraffic in tasks/router_reading.py."""
    backup_due_at: Mapped[Timestamp | None]
    """When its configuration is read next; None: as soon as it answers."""
    backup_error: Mapped[String | None]
    """Why the last reading of its configuration came to nothing."""
