"""Sessions of a subject, as entries of its timeline: where each began, and where it ended or is now."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, func, or_, select, union_all
from sqlalchemy.orm import Session

from db.radius_session import RadiusSession, SessionHistory
from db.why_entry import Entry, Window
from db.why_subject import Subject
from isp.entitlement import GHOST_AFTER_INTERVALS

Model = type[RadiusSession] | type[SessionHistory]

_COLUMNS = (
    "session_key",
    "subscription_id",
    "username",
    "router_id",
    "acct_session_id",
    "service",
    "calling_station_id",
    "framed_ip_address",
    "interim_interval_s",
    "started_at",
    "last_seen_at",
    "stopped_at",
    "stop_received",
    "terminate_cause",
    "session_time_s",
    "input_octets",
    "output_octets",
)


def sessions(session: Session, subject: Subject, window: Window) -> list[Entry]:
    """Of the newest `window.limit` sessions, newest first. One that is open is never too old."""
    rows = _rows(session, subject, window)
    entries = [entry for row in rows for entry in _entries(row, window)]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


def _rows(session: Session, subject: Subject, window: Window) -> Sequence[Row[Any]]:
    """One statement, so that a session which is being archived is neither missed nor seen twice."""
    parts = []
    for model in (RadiusSession, SessionHistory):
        last = func.coalesce(model.stopped_at, model.last_seen_at).label("last_at")
        statement = select(*(getattr(model, name) for name in _COLUMNS), last)
        statement = statement.where(_belongs(model, subject), _is_within(model, window))
        if subject.only_device:
            statement = statement.where(model.calling_station_id == subject.mac)
        parts.append(select(statement.order_by(last.desc()).limit(window.limit).subquery()))
    both = union_all(*parts).subquery()
    return session.execute(select(both).order_by(both.c.last_at.desc()).limit(window.limit)).all()


def _is_within(model: Model, window: Window) -> ColumnElement[bool]:
    if model is SessionHistory:
        return SessionHistory.stopped_at >= window.since
    return or_(RadiusSession.stopped_at.is_(None), RadiusSession.stopped_at >= window.since)


def _belongs(model: Model, subject: Subject) -> ColumnElement[bool]:
    """By subscription, and among the few sessions that have none: neither table has an index on names or devices."""
    macs = {*subject.macs, *([subject.mac] if subject.mac else [])}
    strangers = func.lower(model.username).in_([func.lower(name) for name in subject.names])
    nobodys = model.subscription_id.is_(None)
    return or_(
        model.subscription_id.in_(subject.subscription_ids),
        nobodys & strangers,
        nobodys & model.calling_station_id.in_(macs),
    )


def _entries(row: Row[Any], window: Window) -> list[Entry]:
    """Its end, or what it is now, before its beginning; that only if it lies within the window."""
    known: dict[str, Any] = {
        "subscription_id": row.subscription_id,
        "username": row.username,
        "router_id": row.router_id,
        "calling_station_id": row.calling_station_id.upper() if row.calling_station_id else None,
    }
    values: dict[str, Any] = {
        "session_key": str(row.session_key),
        "acct_session_id": row.acct_session_id,
        "service": row.service,
    }
    if row.framed_ip_address is not None:
        values["framed_ip_address"] = str(row.framed_ip_address)
    counters = {name: getattr(row, name) for name in ("session_time_s", "input_octets", "output_octets")}
    if row.stopped_at is not None:
        what, reason = "ended", row.terminate_cause
        counters["stop_received"] = row.stop_received
    else:
        silent = window.now - row.last_seen_at > timedelta(seconds=GHOST_AFTER_INTERVALS * row.interim_interval_s)
        what, reason = ("silent" if silent else "open"), None
        counters["started_at"] = row.started_at.isoformat(timespec="seconds")
        counters["interim_interval_s"] = row.interim_interval_s
    last = Entry(at=row.last_at, source="session", what=what, reason=reason, values=values | counters, **known)
    if row.started_at < window.since:
        return [last]
    return [last, Entry(at=row.started_at, source="session", what="started", values=values, **known)]
