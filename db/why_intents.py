"""What was done to a subject's sessions at their routers, as entries of its timeline."""

from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from db.radius_session import RadiusSession
from db.session_intent import SessionIntent
from db.why_entry import Entry, Window
from db.why_subject import Subject


def intents(session: Session, subject: Subject, window: Window) -> list[Entry]:
    """Newest first, each at the time it was caused."""
    strangers = select(RadiusSession.session_key).where(
        RadiusSession.subscription_id.is_(None), RadiusSession.calling_station_id.in_(_macs(subject))
    )
    about_it: ColumnElement[bool] = SessionIntent.subscription_id.in_(subject.subscription_ids)
    if _macs(subject):
        about_it = or_(about_it, SessionIntent.session_key.in_(strangers))
    statement = select(SessionIntent).where(about_it, SessionIntent.created_at >= window.since)
    newest = statement.order_by(SessionIntent.created_at.desc(), SessionIntent.id.desc()).limit(window.limit)
    return [_entry(intent) for intent in session.scalars(newest)]


def _macs(subject: Subject) -> list[str]:
    return [*subject.macs, *([subject.mac] if subject.mac else [])]


def _entry(intent: SessionIntent) -> Entry:
    values: dict[str, Any] = {
        "intent_id": intent.id,
        "session_key": str(intent.session_key),
        "cause": intent.cause,
        "state": intent.state,
        "attempts": intent.attempts,
        "desired": intent.desired,
        "packets": intent.packets,
    }
    if intent.outcome:
        values["outcome"] = intent.outcome
    if intent.finished_at is not None:
        values["finished_at"] = intent.finished_at.isoformat(timespec="milliseconds")
    if intent.finished_at is None and intent.due_at is not None and intent.state == "waiting" and intent.attempts:
        values["next_try_at"] = intent.due_at.isoformat(timespec="seconds")
    return Entry(
        at=intent.created_at,
        source="follow",
        what=intent.action,
        reason=intent.reason,
        subscription_id=intent.subscription_id,
        router_id=intent.router_id,
        values=values,
    )
