"""When the sessions of a subscription are to be looked at next, and by which use of it.

Triggers write here what somebody changes (db/migrations/sql/0008_follow.sql), the follower what time and use will
change. Rows are of subscriptions that were online lately; without foreign keys, which would lock those rows.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Index, Integer, delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, String, Timestamp
from isp.entitlement import GHOST_AFTER_INTERVALS

# What nobody changed is a cause as well.
SESSION_BEGAN, LIMIT_REACHED, PLAN_TERMS, TIME = "session_began", "limit_reached", "plan_terms", "time"
CHANNEL = "kibali_follow"


class Follow(Base):
    __tablename__ = "follow"
    __table_args__ = (
        Index("follow_look_at_idx", "look_at"),
        Index("follow_watch_from_idx", "watch_from", postgresql_where="watch_from IS NOT NULL"),
        {"postgresql_with": {"fillfactor": 70}},
    )

    subscription_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[BigInt]
    look_at: Mapped[Timestamp]
    cause: Mapped[String]
    """Why then: what was changed, or one of the constants above."""
    watch_from: Mapped[Timestamp | None]
    """From when its use may reach what follows; None if nothing does."""
    octets_per_s: Mapped[int] = mapped_column(BigInteger, server_default="0")
    sessions: Mapped[int] = mapped_column(Integer, server_default="0")
    input_octets: Mapped[BigInt | None]
    """Of `usage`, as the next three: the totals at which a limit is reached."""
    output_octets: Mapped[BigInt | None]
    total_octets: Mapped[BigInt | None]
    session_time_s: Mapped[BigInt | None]


class FollowPlan(Base):
    """A plan whose terms were changed: its subscriptions are gone through from `after_id` on."""

    __tablename__ = "follow_plan"

    plan_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[BigInt]
    after_id: Mapped[int] = mapped_column(BigInteger, server_default="0")


# Each tenant's newest sessions, by the index on (tenant_id, started_at).
DISCOVER = text(f"""
INSERT INTO follow AS f (subscription_id, tenant_id, look_at, cause)
SELECT DISTINCT ON (s.subscription_id) s.subscription_id, s.tenant_id, now(), '{SESSION_BEGAN}'
  FROM tenant t CROSS JOIN LATERAL (
       SELECT n.subscription_id, n.tenant_id, n.session_key FROM session n
        WHERE n.tenant_id = t.id AND n.started_at >= now() - make_interval(secs => :since_s)
          AND n.stopped_at IS NULL AND n.subscription_id IS NOT NULL
  ) s
 WHERE NOT EXISTS (SELECT FROM session_held h WHERE h.session_key = s.session_key)
 ORDER BY s.subscription_id LIMIT :limit
ON CONFLICT (subscription_id) DO UPDATE SET look_at = least(f.look_at, now()),
   cause = CASE WHEN f.look_at <= now() THEN f.cause ELSE excluded.cause END
""")  # noqa: S608 (of constants)

# All open sessions: also those whose beginning was told late.
DISCOVER_ALL = text(f"""
INSERT INTO follow AS f (subscription_id, tenant_id, look_at, cause)
SELECT DISTINCT ON (s.subscription_id) s.subscription_id, s.tenant_id, now(), '{SESSION_BEGAN}'
  FROM session s
 WHERE s.stopped_at IS NULL AND s.subscription_id IS NOT NULL
   AND s.last_seen_at > now() - make_interval(secs => {GHOST_AFTER_INTERVALS} * s.interim_interval_s)
   AND (NOT EXISTS (SELECT FROM session_held h WHERE h.session_key = s.session_key)
        OR NOT EXISTS (SELECT FROM follow o WHERE o.subscription_id = s.subscription_id))
 ORDER BY s.subscription_id LIMIT :limit
ON CONFLICT (subscription_id) DO UPDATE SET look_at = least(f.look_at, now())
""")  # noqa: S608 (of constants)

DUE = text("""
SELECT subscription_id, tenant_id, look_at, cause FROM follow
 WHERE look_at <= now() ORDER BY look_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

# What its sessions can not reach before the next report but one is compared again when they can.
WATCH = text(f"""
WITH near AS MATERIALIZED (
    SELECT f.subscription_id, f.octets_per_s, f.sessions, p.interim_interval_s,
           f.input_octets - u.input_octets AS input, f.output_octets - u.output_octets AS output,
           f.total_octets - u.input_octets - u.output_octets AS total, f.session_time_s - u.session_time_s AS time_s
      FROM follow f JOIN usage u USING (subscription_id)
      JOIN subscription n ON n.id = f.subscription_id JOIN plan p ON p.id = n.plan_id
     WHERE f.watch_from <= now()
), spare AS (
    SELECT subscription_id, interim_interval_s AS unreported_s,
           least(input / octets_per_s, output / octets_per_s, total / octets_per_s, time_s / sessions) AS seconds,
           least(input, output, total, time_s) <= 0 AS is_reached
      FROM near
)
UPDATE follow f SET look_at = CASE WHEN s.is_reached THEN now() ELSE f.look_at END,
                    cause = CASE WHEN s.is_reached AND f.look_at > now() THEN '{LIMIT_REACHED}' ELSE f.cause END,
                    watch_from = CASE WHEN s.is_reached THEN NULL
                                      ELSE now() + least(600, s.seconds - s.unreported_s) * interval '1 second' END
  FROM spare s
 WHERE f.subscription_id = s.subscription_id AND (s.is_reached OR s.seconds > s.unreported_s + 30)
""")  # noqa: S608 (of constants)

_NEXT_OF_PLAN = text("""
SELECT coalesce(max(id), 0) AS last, count(*) AS found, array_agg(id) AS ids FROM (
    SELECT id FROM subscription WHERE tenant_id = :tenant_id AND plan_id = :plan_id AND id > :after_id
     ORDER BY id LIMIT :limit) s
""")


# Locked in one order.
_LOOK_AT_THESE = text(f"""
UPDATE follow SET look_at = now(), cause = '{PLAN_TERMS}' WHERE subscription_id IN
    (SELECT subscription_id FROM follow WHERE subscription_id = ANY(:ids) ORDER BY 1 FOR UPDATE)
""")  # noqa: S608 (of a constant)

_PLANS_AT_ONCE = 100


def discover(session: Session, since: timedelta, limit: int) -> int:
    """Has sessions that began lately and were not looked at yet looked at now; how many subscriptions."""
    return _count(session, DISCOVER, {"since_s": since.total_seconds(), "limit": limit})


def discover_all(session: Session, limit: int) -> int:
    """Has every open session looked at that nobody follows."""
    return _count(session, DISCOVER_ALL, {"limit": limit})


def notice_use(session: Session) -> int:
    """Has those looked at now whose use has reached a limit."""
    return _count(session, WATCH, {})


def follow_plans(session: Session, limit: int) -> int:
    """Has the next `limit` subscriptions of changed plans looked at; how many are taken care of."""
    ids: list[int] = []
    for waiting in session.query(FollowPlan).limit(_PLANS_AT_ONCE).with_for_update(skip_locked=True):
        values = {"tenant_id": waiting.tenant_id, "plan_id": waiting.plan_id, "after_id": waiting.after_id}
        room = limit - len(ids)
        row = session.execute(_NEXT_OF_PLAN, {**values, "limit": room}).one()
        ids += row.ids or ()
        if row.found < room:
            session.delete(waiting)
        else:
            waiting.after_id = row.last
            break
    if ids:
        session.execute(_LOOK_AT_THESE, {"ids": ids})
    session.flush()
    return len(ids)


# Many rows as one parameter: a statement for each took an eighth of the time that a mass expiry takes.
_LOOK_AGAIN = text("""
UPDATE follow f
   SET look_at = r.look_at, cause = r.cause, watch_from = r.watch_from, octets_per_s = r.octets_per_s,
       sessions = r.sessions, input_octets = r.input_octets, output_octets = r.output_octets,
       total_octets = r.total_octets, session_time_s = r.session_time_s
  FROM jsonb_to_recordset(cast(:rows AS jsonb))
       AS r (subscription_id int8, look_at timestamptz, cause text, watch_from timestamptz, octets_per_s int8,
             sessions int4, input_octets int8, output_octets int8, total_octets int8, session_time_s int8)
 WHERE f.subscription_id = r.subscription_id
""")


def look_again(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Sets all columns but `tenant_id` of rows that are held, each by its `subscription_id`."""
    if rows:
        session.execute(_LOOK_AGAIN, {"rows": json.dumps(rows, default=datetime.isoformat)})


def forget(session: Session, subscription_ids: Sequence[int]) -> None:
    """Those that have no open session."""
    if subscription_ids:
        session.execute(delete(Follow).where(Follow.subscription_id.in_(subscription_ids)))


def look_now(session: Session, subscription_id: int, tenant_id: int, cause: str, now: datetime) -> None:
    """Has the sessions of a subscription looked at, for a cause that no trigger sees."""
    statement = insert(Follow).values(subscription_id=subscription_id, tenant_id=tenant_id, look_at=now, cause=cause)
    changed = {"look_at": statement.excluded.look_at, "cause": statement.excluded.cause}
    session.execute(statement.on_conflict_do_update(index_elements=["subscription_id"], set_=changed))


def _count(session: Session, statement: object, values: dict[str, object]) -> int:
    return int(session.execute(statement, values).rowcount)  # type: ignore[call-overload]
