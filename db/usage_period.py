"""What a subscription's totals were as its plan's week or month began, noted so that a login need not sum up its days.

The note holds for the day it names, and for no other: the sum of the days since is what the total has grown by. Who
finds another day there, or none, sums up the days. So it may be late or missing, as it is when a period begins, a plan
changes its reset day, or a router reports what was used before the period. A plan that counts by the day needs none.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from isp.period_sql import PERIOD_START

# Accounting adds to the totals and to the days in one statement. While the rows of totals are held, the next statement
# sees what was committed in both, and what was not in neither.
_HOLD = text(f"""
SELECT u.subscription_id, began.on_day
  FROM usage u
  JOIN subscription s ON s.id = u.subscription_id
  JOIN plan p ON p.id = s.plan_id
  JOIN tenant t ON t.id = s.tenant_id,
       LATERAL (SELECT {PERIOD_START} AS on_day
                  FROM (SELECT (now() AT TIME ZONE t.timezone)::date AS today) clock) began
 WHERE u.subscription_id > :after AND p.limit_period IN ('week', 'month') AND s.status <> 'cancelled'
   AND u.period_began IS DISTINCT FROM began.on_day
 ORDER BY u.subscription_id LIMIT :limit
   FOR NO KEY UPDATE OF u SKIP LOCKED
""")  # noqa: S608 (of constants)

_NOTE = text("""
UPDATE usage u
   SET period_began = began.on_day,
       period_input_octets = u.input_octets - since.input_octets,
       period_output_octets = u.output_octets - since.output_octets,
       period_session_time_s = u.session_time_s - since.session_time_s
  FROM unnest(CAST(:subscription_ids AS bigint[]), CAST(:days AS date[])) AS began (subscription_id, on_day),
       LATERAL (SELECT coalesce(sum(d.input_octets), 0) AS input_octets,
                       coalesce(sum(d.output_octets), 0) AS output_octets,
                       coalesce(sum(d.session_time_s), 0) AS session_time_s
                  FROM usage_day d
                 WHERE d.subscription_id = began.subscription_id AND d.day >= began.on_day) since
 WHERE u.subscription_id = began.subscription_id
""")


def note(session: Session, *, after: int, limit: int) -> int | None:
    """Notes what is missing of at most `limit` subscriptions with ids beyond `after`.

    Returns the last of their ids, or None if there was none. Rows that somebody else holds are passed over.
    """
    held = session.execute(_HOLD, {"after": after, "limit": limit}).all()
    if not held:
        return None
    subscription_ids, days = zip(*held, strict=True)
    session.execute(_NOTE, {"subscription_ids": [*subscription_ids], "days": [*days]})
    return int(subscription_ids[-1])
