"""Access-Requests of a subject, as entries of its timeline."""

from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, union_all
from sqlalchemy.orm import Session

from db.auth_log import AuthLog
from db.why_entry import Entry, Window
from db.why_subject import Subject


def logins(session: Session, subject: Subject, window: Window) -> list[Entry]:
    """The newest `window.limit`, newest first."""
    # Each way is read off an index of its own, newest first, and stops at the limit however many rows there are.
    parts = [
        select(AuthLog.__table__)
        .where(way, AuthLog.logged_at >= window.since)
        .order_by(AuthLog.logged_at.desc())
        .limit(window.limit)
        .subquery()
        for way in _ways(subject)
    ]
    found = session.execute(union_all(*(select(part) for part in parts)))
    rows = sorted({row.id: row for row in found}.values(), key=lambda row: (row.logged_at, row.id), reverse=True)
    return [_entry(row) for row in rows[: window.limit]]


def _ways(subject: Subject) -> list[ColumnElement[bool]]:
    """At least one. A row may be found in several."""
    of_device = [AuthLog.calling_station_id == subject.mac] if subject.mac else []
    if subject.only_device:
        return of_device
    nobodys = AuthLog.subscription_id.is_(None)
    return [
        *(AuthLog.subscription_id == subscription_id for subscription_id in subject.subscription_ids),
        *(nobodys & (AuthLog.username_lower == func.lower(name)) for name in subject.names),
        *([nobodys & AuthLog.calling_station_id.in_(subject.macs)] if subject.macs else []),
        *of_device,
    ]


def _entry(row: Row[Any]) -> Entry:
    values: dict[str, Any] = {"service": row.service or None, **row.detail}
    return Entry(
        at=row.logged_at,
        source="login",
        what=f"{row.result}ed",
        reason=row.reason,
        subscription_id=row.subscription_id,
        username=row.username,
        router_id=row.router_id,
        calling_station_id=row.calling_station_id.upper() if row.calling_station_id else None,
        values={name: value for name, value in values.items() if value is not None},
    )
