"""What the router of an open session holds, as far as we know: what its Access-Accept gave, then each change.

Beside `session`, whose rows interims change and which therefore stays small.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Uuid, select, text
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, Json, String, TenantId, Timestamp


class SessionHeld(Base):
    __tablename__ = "session_held"
    __table_args__ = (
        Index("session_held_clear_at_idx", "clear_at", postgresql_where="listed IS NOT NULL"),
        Index(
            "session_held_router_id_listed_address_idx",
            "router_id",
            "listed_address",
            postgresql_where="listed IS NOT NULL",
        ),
        CheckConstraint("known_from IN ('login', 'rules', 'follow')", name="known_from"),
        CheckConstraint(
            "(listed IS NULL) = (listed_address IS NULL) AND (listed IS NULL) = (clear_at IS NULL)", name="listed"
        ),
        {"postgresql_with": {"fillfactor": 80}},
    )

    session_key: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    tenant_id: Mapped[TenantId]
    router_id: Mapped[BigInt]
    began_at: Mapped[Timestamp]
    """By our clock, where the login is on record: the router's time-outs and limits count from then."""
    held: Mapped[Json]
    """An Accept as isp.follow writes it, counted from `began_at`."""
    known_from: Mapped[String]
    """The log of the `login`; the `rules`, where that was not found; or what was done since (`follow`)."""
    unconfirmed: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """What its router was sent since and may hold instead, as `held`: nothing is known yet of what came of it."""
    listed: Mapped[String | None]
    """The address list that its address was put into by the router's API, or was to be: the entry outlives the session,
    if nobody takes it out."""
    listed_address: Mapped[str | None] = mapped_column(INET)
    clear_at: Mapped[Timestamp | None]
    """When to see next whether the session is over and the entry can go."""
    not_before: Mapped[Timestamp | None]
    """After a failure nothing is tried before, unless something was changed."""


_UNCONFIRMED_KEPT = 8

# The rows of sessions that left the hot table.
_FORGET = text("""
DELETE FROM session_held WHERE session_key IN (
    SELECT h.session_key FROM session_held h
     WHERE h.listed IS NULL AND NOT EXISTS (SELECT FROM session s WHERE s.session_key = h.session_key)
     LIMIT :limit)
""")

# Where another open session has the address by now and was put into a list itself, the entry is that one's.
CLEARABLE = text("""
SELECT h.session_key, h.router_id, h.listed, host(h.listed_address) AS address,
       EXISTS (SELECT FROM session_held o JOIN session p USING (session_key)
                WHERE o.router_id = h.router_id AND o.listed_address = h.listed_address AND o.listed IS NOT NULL
                  AND o.session_key <> h.session_key AND p.stopped_at IS NULL) AS is_taken
  FROM session_held h LEFT JOIN session s USING (session_key)
 WHERE h.listed IS NOT NULL AND h.clear_at <= now() AND (s.session_key IS NULL OR s.stopped_at IS NOT NULL)
 ORDER BY h.clear_at LIMIT :limit FOR UPDATE OF h SKIP LOCKED
""")

_PUT_OFF_CLEARING = text("""
UPDATE session_held SET clear_at = :until WHERE session_key = ANY(:keys)
""")

# Only as it was when it was asked for: who put the address into a list since has set another time. Should the session
# turn out to go on, it is in no list of ours any more.
_CLEARED = text("""
UPDATE session_held SET listed = NULL, listed_address = NULL, clear_at = NULL, held = held - 'address_list'
 WHERE session_key = ANY(:keys) AND (CAST(:until AS timestamptz) IS NULL OR clear_at = :until)
""")


def of_sessions(session: Session, session_keys: Sequence[UUID], *, lock: bool = False) -> dict[UUID, SessionHeld]:
    statement = select(SessionHeld).where(SessionHeld.session_key.in_(session_keys))
    if lock:
        statement = statement.order_by(SessionHeld.session_key).with_for_update()
    found = session.scalars(statement.execution_options(populate_existing=True))
    return {held.session_key: held for held in found}


def is_sent(held: SessionHeld, accept: dict[str, Any]) -> None:
    """Its router is about to be told that."""
    others = [sent for sent in held.unconfirmed or () if sent != accept]
    held.unconfirmed = [*others, accept][-_UNCONFIRMED_KEPT:]


def is_refused(held: SessionHeld, accept: dict[str, Any]) -> None:
    """Its router did not take that."""
    held.unconfirmed = [sent for sent in held.unconfirmed or () if sent != accept] or None


def put_off_clearing(session: Session, session_keys: Sequence[UUID], until: datetime) -> None:
    session.execute(_PUT_OFF_CLEARING, {"keys": sorted(session_keys), "until": until})


def is_cleared(session: Session, session_keys: Sequence[UUID], until: datetime | None = None) -> None:
    """Their addresses are in no list of ours any more; `until` is what `put_off_clearing` was told, None for rows that
    the transaction has locked since it read them."""
    session.execute(_CLEARED, {"keys": sorted(session_keys), "until": until})


def forget(session: Session, limit: int) -> int:
    """Deletes what is held of sessions that are history; how many."""
    return int(session.execute(_FORGET, {"limit": limit}).rowcount)  # type: ignore[attr-defined]


def put_off(session: Session, held: SessionHeld, until: datetime) -> None:
    held.not_before = until
