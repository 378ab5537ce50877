"""Imports from running routers: what was asked, what came of each item. Pools live here too."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Json, String, TenantId, Timestamp
from db.refusal import NotFound

OPEN = ("pending", "running")
STATES = (*OPEN, "completed", "failed")
OUTCOMES = ("new", "imported", "there", "failed")


class IpPool(Base):
    """A router's pool, from which a plan's `framed_pool` may name addresses."""

    __tablename__ = "ip_pool"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        UniqueConstraint("router_id", "name"),
        CheckConstraint("addresses > 0", name="addresses"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    router_id: Mapped[BigInt]
    name: Mapped[String]
    ranges: Mapped[String]
    """`10.0.0.2-10.0.0.254,10.0.1.1`, joined and in order."""
    addresses: Mapped[BigInt]
    created_at: Mapped[CreatedAt]


class RouterImport(Base):
    __tablename__ = "router_import"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        Index("router_import_router_id_id_idx", "router_id", "id"),
        CheckConstraint(f"state IN {STATES}", name="state"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    router_id: Mapped[BigInt]
    job_id: Mapped[BigInt | None]
    dry_run: Mapped[bool] = mapped_column(Boolean)
    plans: Mapped[Json]
    """Profile (`ppp/10M`) → id of the plan that it is."""
    confirmed: Mapped[Json]
    """`{"all": true}` or `{"profiles": [...]}`: whose guessed plans are to be made."""
    state: Mapped[String] = mapped_column(server_default="pending")
    counts: Mapped[Json]
    """Kind → outcome → how many."""
    profiles: Mapped[Json]
    """Profile → `{plan_id, guess, reason, accounts}`."""
    error: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[Timestamp | None]


class RouterImportRow(Base):
    __tablename__ = "router_import_row"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "import_id"], ["router_import.tenant_id", "router_import.id"], ondelete="CASCADE"
        ),
        Index("router_import_row_import_id_outcome_idx", "import_id", "outcome"),
        CheckConstraint(f"outcome IN {OUTCOMES}", name="outcome"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    import_id: Mapped[BigInt]
    kind: Mapped[String]
    """pool, ppp or hotspot."""
    name: Mapped[String]
    outcome: Mapped[String]
    """`new`: a dry run would import it. `there`: Kibali has it already."""
    reason: Mapped[String | None]
    subscription_id: Mapped[BigInt | None]


def create(
    session: Session,
    tenant_id: int,
    router_id: int,
    *,
    dry_run: bool,
    plans: Mapping[str, int],
    confirmed: Mapping[str, Any],
) -> RouterImport:
    made = RouterImport(
        tenant_id=tenant_id,
        router_id=router_id,
        dry_run=dry_run,
        plans=dict(plans),
        confirmed=dict(confirmed),
        counts={},
        profiles={},
    )
    session.add(made)
    session.flush()
    return made


def fail(asked: RouterImport, reason: str, now: datetime) -> None:
    asked.state, asked.error, asked.finished_at = "failed", reason, now


def by_id(session: Session, router_id: int, import_id: int) -> RouterImport:
    """Raises NotFound."""
    found = session.get(RouterImport, import_id)
    if found is None or found.router_id != router_id:
        raise NotFound("import")
    return found


def rows(
    session: Session, import_id: int, *, outcome: str | None = None, limit: int = 1000
) -> Sequence[RouterImportRow]:
    """At most `limit`, in the router's order."""
    statement = select(RouterImportRow).where(RouterImportRow.import_id == import_id)
    if outcome:
        statement = statement.where(RouterImportRow.outcome == outcome)
    return session.scalars(statement.order_by(RouterImportRow.id).limit(limit)).all()


def pools(session: Session, router_id: int) -> Sequence[IpPool]:
    return session.scalars(select(IpPool).where(IpPool.router_id == router_id).order_by(func.lower(IpPool.name))).all()
