"""What is to be done to a live session: at most one unfinished intent for each, which a later change makes another.

It holds what the session is to get, each packet about it and what came of it, for `why`. An intent is carried out by
what the session is entitled to at that moment, so an older one can not undo a newer one.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Integer, Uuid, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Json, String, TenantId, Timestamp

KICK = "kick"
KEEP_DAYS = 31

OPEN_STATES = ("waiting", "sent", "verifying")


class SessionIntent(Base):
    __tablename__ = "session_intent"
    __table_args__ = (
        Index(
            "session_intent_session_key_key",
            "session_key",
            unique=True,
            postgresql_where="finished_at IS NULL AND cause <> 'kick'",
        ),
        Index(
            "session_intent_kick_key",
            "session_key",
            unique=True,
            postgresql_where="finished_at IS NULL AND cause = 'kick'",
        ),
        Index("session_intent_due_at_idx", "due_at", postgresql_where="finished_at IS NULL"),
        Index("session_intent_created_at_idx", "created_at"),
        Index("session_intent_session_key_idx", "session_key"),
        Index("session_intent_subscription_id_created_at_idx", "subscription_id", "created_at"),
        CheckConstraint("action IN ('adjust', 'disconnect')", name="action"),
        CheckConstraint(
            "state IN ('waiting', 'sent', 'verifying', 'done', 'failed', 'superseded')",
            name="state",
        ),
        CheckConstraint("way IN ('coa', 'disconnect', 'api')", name="way"),
        CheckConstraint(
            "(state IN ('done', 'failed', 'superseded')) = (finished_at IS NOT NULL)"
            " AND (finished_at IS NULL) = (due_at IS NOT NULL)",
            name="finished",
        ),
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    session_key: Mapped[UUID] = mapped_column(Uuid)
    subscription_id: Mapped[BigInt | None]
    router_id: Mapped[BigInt]
    cause: Mapped[String]
    action: Mapped[String]
    reason: Mapped[String]
    """Of the entitlement; of a Disconnect for another cause, that."""
    desired: Mapped[Json]
    """As isp.follow writes a verdict."""
    state: Mapped[String] = mapped_column(server_default="waiting")
    """waiting (for `due_at`), sent (to a router; at `due_at` whoever sent it is taken for dead), verifying (its answer
    is being checked), done, failed, superseded (no longer needed)."""
    version: Mapped[int] = mapped_column(Integer, server_default="1")
    """Counts the changes of what it is for."""
    due_at: Mapped[Timestamp | None] = mapped_column(server_default=text("now()"))
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    way: Mapped[String] = mapped_column(server_default="coa")
    """How it is to be done: `coa` as the rules say; once that failed, by `disconnect`, then by the router's `api`."""
    packets: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    outcome: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[Timestamp | None]


_PRUNE = text("""
DELETE FROM session_intent WHERE id IN (
    SELECT id FROM session_intent
     WHERE created_at < now() - make_interval(days => :days) AND finished_at IS NOT NULL LIMIT :limit)
""")


def due(session: Session, limit: int) -> list[SessionIntent]:
    """Unfinished ones whose time has come, locked; of each router's the oldest first."""
    statement = (
        select(SessionIntent)
        .where(SessionIntent.finished_at.is_(None), SessionIntent.due_at <= text("now()"))
        .order_by(SessionIntent.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(statement))


def unfinished(session: Session, session_keys: Sequence[UUID]) -> dict[UUID, SessionIntent]:
    """Locked, by session; kicks left out."""
    statement = select(SessionIntent).where(
        SessionIntent.session_key.in_(session_keys), SessionIntent.finished_at.is_(None), SessionIntent.cause != KICK
    )
    locked = statement.order_by(SessionIntent.id).with_for_update().execution_options(populate_existing=True)
    return {intent.session_key: intent for intent in session.scalars(locked)}


def by_ids(session: Session, ids: Sequence[int]) -> dict[int, SessionIntent]:
    """Locked."""
    statement = select(SessionIntent).where(SessionIntent.id.in_(ids)).order_by(SessionIntent.id)
    locked = statement.with_for_update().execution_options(populate_existing=True)
    return {intent.id: intent for intent in session.scalars(locked)}


def kick(session: Session, session_key: UUID, tenant_id: int, subscription_id: int | None, router_id: int) -> None:
    """Has the session ended, whatever it is entitled to; once, however often it is asked for."""
    statement = insert(SessionIntent).values(
        tenant_id=tenant_id,
        session_key=session_key,
        subscription_id=subscription_id,
        router_id=router_id,
        cause=KICK,
        action="disconnect",
        reason=KICK,
        desired={"reject": KICK},
        way="disconnect",
    )
    session.execute(statement.on_conflict_do_nothing())


def kicked(session: Session, session_keys: Sequence[UUID]) -> set[UUID]:
    """Those of the sessions that are being ended."""
    is_kick = SessionIntent.finished_at.is_(None) & (SessionIntent.cause == KICK)
    return set(
        session.scalars(select(SessionIntent.session_key).where(SessionIntent.session_key.in_(session_keys), is_kick))
    )


def last_kicks(session: Session, session_keys: Sequence[UUID]) -> dict[UUID, SessionIntent]:
    """The newest kick of each session."""
    of_these = SessionIntent.session_key.in_(session_keys) & (SessionIntent.cause == KICK)
    statement = select(SessionIntent).where(of_these).order_by(SessionIntent.id)
    return {intent.session_key: intent for intent in session.scalars(statement)}


def prune(session: Session, limit: int) -> int:
    """Deletes those that were finished and are older than KEEP_DAYS; how many."""
    return int(session.execute(_PRUNE, {"days": KEEP_DAYS, "limit": limit}).rowcount)  # type: ignore[attr-defined]
