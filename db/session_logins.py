"""The logins that open sessions began with, as the log has them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from db.account import plan_terms
from db.plan import Plan
from db.radius_session import RadiusSession
from isp.follow import Login
from isp.reasons import Reason
from isp.session_identity import subscription_of

# By the Class that the login gave; where the router does not repeat it, the nearest in time. A router's clock, by which
# a session began, may be minutes off.
_FIND = text("""
SELECT k.session_key, a.logged_at, a.reason, a.detail
  FROM unnest(cast(:keys AS uuid[]), cast(:subscriptions AS int8[]), cast(:routers AS int8[]),
              cast(:macs AS macaddr[]), cast(:began AS timestamptz[]),
              cast(:classes AS text[]))
       AS k (session_key, subscription_id, router_id, mac, began_at, class)
 CROSS JOIN LATERAL (
       SELECT l.logged_at, l.reason, l.detail FROM auth_log l
        WHERE l.subscription_id = k.subscription_id AND l.router_id = k.router_id AND l.result = 'accept'
          AND l.logged_at BETWEEN k.began_at - interval '10 minutes' AND k.began_at + interval '10 minutes'
          AND (k.class = l.detail ->> 'class'
               OR k.class IS NULL AND l.calling_station_id IS NOT DISTINCT FROM k.mac)
        ORDER BY abs(extract(epoch FROM l.logged_at - k.began_at)) LIMIT 1
  ) a
""")


def logins_of(session: Session, rows: Sequence[RadiusSession]) -> dict[UUID, Login]:
    """By session, for those whose login is on record."""
    if not rows:
        return {}
    values = {
        "keys": [row.session_key for row in rows],
        "subscriptions": [row.subscription_id for row in rows],
        "routers": [row.router_id for row in rows],
        "macs": [row.calling_station_id for row in rows],
        "began": [row.started_at for row in rows],
        "classes": [row.radius_class if names_its_login(row) else None for row in rows],
    }
    found = session.execute(_FIND, values).all()
    wanted = {plan_id for row in found if isinstance(plan_id := row.detail.get("plan_id"), int)}
    plans = {plan.id: plan_terms(plan) for plan in session.scalars(select(Plan).where(Plan.id.in_(wanted)))}
    return {row.session_key: login for row in found if (login := _login(row, plans))}


def names_its_login(row: RadiusSession) -> bool:
    """Whether the router repeats the Class of ours that the login gave; `logins_of` finds that login or none."""
    return subscription_of(row.radius_class) is not None


def _login(row: Row[Any], plans: dict[int, Any]) -> Login | None:
    """None for an entry that does not say what was given."""
    plan, rate_limit = plans.get(row.detail.get("plan_id", 0)), row.detail.get("rate_limit")
    if plan is None or rate_limit is None:
        return None
    return Login(row.logged_at, Reason(row.reason), rate_limit, row.detail.get("session_timeout_s"), plan)
