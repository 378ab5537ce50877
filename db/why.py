"""Why somebody is online or is not: all on record about a username, a phone number or a device, in one answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.plan import Plan
from db.refusal import Invalid
from db.router import Router
from db.tenant import Tenant
from db.why_entry import Entry, Source, Window
from db.why_events import events, jobs
from db.why_intents import intents
from db.why_logins import logins
from db.why_sessions import sessions
from db.why_standing import Standing, standings
from db.why_subject import Subject, find
from db.why_verdict import Findings, verdict

# A further kind of entry is a function more. Of entries of one moment those of the earlier source come first.
SOURCES: Sequence[Source] = (logins, sessions, intents, events, jobs)

MAX_ENTRIES = 1_000
_OPEN_SESSIONS = 100
# So long logins are kept; a verdict rests on nothing older.
_LOOKS_BACK = timedelta(days=92)


@dataclass(frozen=True, slots=True)
class Answer:
    subject: Subject
    since: datetime
    now: datetime
    timezone: ZoneInfo
    language: str
    verdict: str
    online: bool
    standings: Sequence[Standing]
    """Of each subscription that is not cancelled, or of the last that was."""
    entries: Sequence[Entry]
    """The newest is last: a story is read forwards, and on a terminal its end is what stays in sight."""
    more: bool
    """Older entries were left out, for there are too many."""
    router_names: Mapping[int, str]
    plan_names: Mapping[int, str]


def ask(session: Session, tenant_id: int, who: str, since: timedelta | datetime, limit: int, now: datetime) -> Answer:
    """At most `limit` entries from `since` on: so long ago, or a time, of the tenant's zone if it has none.

    Raises Invalid for a `since` that has not come.
    """
    tenant = session.get_one(Tenant, tenant_id)
    timezone = ZoneInfo(tenant.timezone)
    begin = _begin(since, now, timezone)
    subject = find(session, who)
    findings = _findings(session, subject, tenant.language, timezone, now)
    entries = timeline(session, findings.subject, Window(begin, now, limit + 1))
    shown = entries[-limit:]
    return Answer(
        subject=findings.subject,
        since=begin,
        now=now,
        timezone=timezone,
        language=tenant.language,
        verdict=verdict(findings),
        online=bool(findings.online),
        standings=findings.standings,
        entries=shown,
        more=len(entries) > limit,
        router_names={**_router_names(session, shown), **findings.router_names},
        plan_names=_plan_names(session, shown),
    )


def timeline(session: Session, subject: Subject, window: Window) -> list[Entry]:
    """The newest of all sources, newest last."""
    found = [entry for source in SOURCES for entry in reversed(source(session, subject, window))]
    return sorted(found, key=lambda entry: entry.at)


def _begin(since: timedelta | datetime, now: datetime, timezone: ZoneInfo) -> datetime:
    if isinstance(since, timedelta):
        return now - since
    begin = since if since.tzinfo else since.replace(tzinfo=timezone)
    if begin > now:
        raise Invalid("It must lie in the past.", field="since")
    return begin


def _findings(session: Session, subject: Subject, language: str, timezone: ZoneInfo, now: datetime) -> Findings:
    itself = subject.itself
    still_open = sessions(session, itself, Window(now, now, _OPEN_SESSIONS))
    newest = Window(now - _LOOKS_BACK, now, 1)
    last_session = next(iter(sessions(session, itself, newest)), None)
    last_login = next(iter(logins(session, itself, newest)), None)
    seen = [entry for entry in (*still_open[:1], last_login, last_session) if entry is not None]
    where = dict.fromkeys(entry.router_id for entry in (*seen, *still_open) if entry.router_id is not None)
    return Findings(
        subject=replace(subject, router_ids=tuple(where)),
        open_sessions=still_open,
        last_login=last_login,
        last_session=last_session,
        standings=standings(
            session,
            subject.current,
            timezone,
            now,
            calling_station_id=subject.mac or next((entry.calling_station_id for entry in seen), None),
            router_id=next(iter(where), None),
        ),
        router_names=_router_names(session, seen),
        language=language,
        timezone=timezone,
        now=now,
    )


def _router_names(session: Session, entries: Iterable[Entry]) -> dict[int, str]:
    wanted = {entry.router_id for entry in entries if entry.router_id is not None}
    rows = session.execute(select(Router.id, Router.name).where(Router.id.in_(wanted)))
    return {row.id: row.name for row in rows}


def _plan_names(session: Session, entries: Iterable[Entry]) -> dict[int, str]:
    """Of the plans that decisions rested on."""
    wanted = {entry.values.get("plan_id") for entry in entries if isinstance(entry.values.get("plan_id"), int)}
    rows = session.execute(select(Plan.id, Plan.name).where(Plan.id.in_(wanted)))
    return {row.id: row.name for row in rows}
