"""Looks at subscriptions whose time has come: what of their sessions is to be changed becomes an intent of each."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from db import account, follow, session_intent
from db.account import Facts
from db.session_held import SessionHeld
from db.session_intent import SessionIntent
from isp.coa import Disconnect, Nothing, change, since_start
from isp.entitlement import Reject
from isp.follow import next_look, read, watch, written
from tasks.follow_cases import AbilitiesOf, Case, cases_of

# What nobody has done: it is not tried again at once after a failure.
_BY_ITSELF = frozenset({follow.TIME, follow.SESSION_BEGAN, follow.LIMIT_REACHED})


def look(session: Session, abilities_of: AbilitiesOf, now: datetime, limit: int) -> int:
    """Looks at the subscriptions that are due, at most `limit`, those due longest first; how many there were."""
    due = session.execute(follow.DUE, {"limit": limit}).all()
    if not due:
        return 0
    facts = account.facts_of(session, [row.subscription_id for row in due], now)
    cases, held = cases_of(session, facts.values(), abilities_of, now)
    unfinished = session_intent.unfinished(session, [case.row.session_key for case in cases])
    by_subscription: dict[int, list[Case]] = {}
    for case in cases:
        by_subscription.setdefault(case.row.subscription_id or 0, []).append(case)
    rows: list[dict[str, Any]] = []
    for row in due:
        known = facts.get(row.subscription_id)
        if known is None or not known.sessions:
            continue
        again = [next_look(known.account, now)]
        for case in by_subscription.get(row.subscription_id, []):
            again.append(_intend(session, case, held[case.row.session_key], unfinished, row.cause, now))
        rows.append(_follow(known, min(again), now))
    follow.look_again(session, rows)
    follow.forget(session, [row.subscription_id for row in due if not _is_online(facts.get(row.subscription_id))])
    session.flush()
    return len(due)


def _is_online(facts: Facts | None) -> bool:
    return facts is not None and bool(facts.sessions)


def _intend(
    session: Session,
    case: Case,
    held: SessionHeld,
    unfinished: dict[UUID, SessionIntent],
    cause: str,
    now: datetime,
) -> datetime:
    """Has done to a session what is to be done to it; when to look at it again for its own sake."""
    far = datetime.max.replace(tzinfo=now.tzinfo)
    intent = unfinished.get(case.row.session_key)
    if case.wait_until is not None:
        return case.wait_until
    if isinstance(case.change, Nothing) and intent is None:
        return far
    if intent is None:
        if held.not_before is not None and held.not_before > now and cause in _BY_ITSELF:
            return held.not_before
        session.add(
            SessionIntent(
                tenant_id=case.row.tenant_id,
                session_key=case.row.session_key,
                subscription_id=case.row.subscription_id,
                router_id=case.row.router_id,
                cause=cause,
                due_at=now,
                **described(case),
            )
        )
    elif not _is_the_same(intent, case):
        # One intent for all that came meanwhile; who has sent the older one out sees that it is another now.
        intent.cause, intent.version = cause, intent.version + 1
        for name, value in described(case).items():
            setattr(intent, name, value)
        if intent.state != "sent":
            intent.state, intent.due_at = "waiting", now
    return far


def described(case: Case) -> dict[str, Any]:
    """Columns of an intent that say what is done, by which way and for what reason."""
    if isinstance(case.change, Disconnect):
        reason = case.change.reason.value
        return {"action": "disconnect", "way": "disconnect", "reason": reason, "desired": _target(case)}
    return {"action": "adjust", "way": "coa", "reason": case.desired.reason.value, "desired": _target(case)}


def _target(case: Case) -> dict[str, Any]:
    """Counted from the beginning of the session, so that it stays the same while time passes."""
    desired = case.desired
    return written(desired if isinstance(desired, Reject) else since_start(desired, case.standing))


def _is_the_same(intent: SessionIntent, case: Case) -> bool:
    """Whether the intent is for what the session is entitled to now."""
    if isinstance(case.desired, Reject) or "reject" in intent.desired:
        return intent.desired == _target(case)
    return isinstance(change(read(intent.desired), case.desired, case.standing, case.row.service), Nothing)


def _follow(facts: Facts, look_at: datetime, now: datetime) -> dict[str, Any]:
    watched = watch(facts.account, facts.totals, now)
    return {
        "subscription_id": facts.subscription.id,
        "look_at": look_at,
        "cause": follow.TIME,
        "watch_from": watched.begins_at if watched else None,
        "octets_per_s": watched.octets_per_s if watched else 0,
        "sessions": watched.sessions if watched else 0,
        "input_octets": watched.input_octets if watched else None,
        "output_octets": watched.output_octets if watched else None,
        "total_octets": watched.total_octets if watched else None,
        "session_time_s": watched.session_time_s if watched else None,
    }
