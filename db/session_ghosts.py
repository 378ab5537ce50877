"""Sessions that fell silent: ended by us, until a packet of theirs says otherwise."""

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from isp.entitlement import GHOST_AFTER_INTERVALS

# No index covers last_seen_at, which every Interim-Update changes: the open sessions are read through, once a minute.
_CLOSE = text("""
UPDATE session SET stopped_at = last_seen_at, terminate_cause = 'Lost-Carrier'
 WHERE session_key IN (
     SELECT session_key FROM session
      WHERE stopped_at IS NULL AND last_seen_at < now() - make_interval(secs => :intervals * interim_interval_s)
      ORDER BY session_key LIMIT :limit FOR UPDATE SKIP LOCKED)
""")


def close(session: Session, *, limit: int) -> int:
    """Ends at most `limit` sessions without a packet for three of their intervals; returns how many."""
    result = session.execute(_CLOSE, {"intervals": GHOST_AFTER_INTERVALS, "limit": limit})
    assert isinstance(result, CursorResult)
    return result.rowcount
