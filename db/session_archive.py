"""Closed sessions leave the hot table for the history."""

from datetime import timedelta

from sqlalchemy import CursorResult, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.radius_session import RadiusSession, SessionHistory
from isp.session_identity import ARCHIVE_LOCK

# A router may still correct a session that has just ended, with packets that were late.
STAYS_HOT_S = 3600

_KEY = ("session_key", "stopped_at")
_COLUMNS = [column.name for column in SessionHistory.__table__.columns]


def archive(session: Session, *, limit: int) -> int:
    """Moves sessions that stopped more than STAYS_HOT_S ago, the oldest first, at most `limit`; returns how many."""
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ARCHIVE_LOCK})
    over = RadiusSession.stopped_at < func.now() - timedelta(seconds=STAYS_HOT_S)
    chosen = (
        select(RadiusSession.session_key)
        .where(over)
        .order_by(RadiusSession.stopped_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    columns = [RadiusSession.__table__.c[name] for name in _COLUMNS]
    removal = delete(RadiusSession).where(RadiusSession.session_key == chosen.c.session_key)
    moved = removal.returning(*columns).cte("moved")
    statement = insert(SessionHistory).from_select(_COLUMNS, select(moved))
    newer = {name: statement.excluded[name] for name in _COLUMNS if name not in _KEY}
    statement = statement.on_conflict_do_update(index_elements=_KEY, set_=newer)
    result = session.execute(statement.execution_options(preserve_rowcount=True))
    assert isinstance(result, CursorResult)
    return result.rowcount
