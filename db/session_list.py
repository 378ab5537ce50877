"""Sessions as they are looked at: the hot ones and the history as one list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select, union_all
from sqlalchemy.orm import Session

from db import session_intent
from db.page import Page, PageRequest, Position, Sort, counted, in_order
from db.radius_session import RadiusSession, SessionHistory
from db.refusal import Conflict, NotFound
from db.subscription import Device, Subscription
from isp.mac import parse_mac

SORTS = {"started_at": Sort(RadiusSession.started_at, datetime)}
Model = type[RadiusSession] | type[SessionHistory]

COLUMNS = (
    "session_key",
    "username",
    "subscription_id",
    "router_id",
    "acct_session_id",
    "calling_station_id",
    "framed_ip_address",
    "started_at",
    "last_seen_at",
    "stopped_at",
    "terminate_cause",
    "session_time_s",
    "input_octets",
    "output_octets",
    "service",
)


@dataclass(frozen=True, slots=True)
class Filters:
    open: bool | None = None
    """True: not known to have ended. False: ended. None: both."""
    subscription_id: int | None = None
    router_id: int | None = None
    username: str | None = None
    """In any case. Of those whose name, or whose device's address, it still is, and of sessions that are nobody's."""


def by_key(session: Session, session_key: UUID) -> Row[Any]:
    """A row of COLUMNS. Raises NotFound."""
    parts = [_columns(model).where(model.session_key == session_key) for model in (RadiusSession, SessionHistory)]
    row = session.execute(union_all(*parts).limit(1)).one_or_none()
    if row is None:
        raise NotFound("session")
    return row


def kick(session: Session, session_key: UUID) -> Row[Any]:
    """Has a session ended by its router: the row, as it still is. Once, however often it is asked for.

    Raises NotFound, and Conflict if it is over.
    """
    row = by_key(session, session_key)
    if row.stopped_at is not None:
        raise Conflict("This session is over.", code="over")
    tenant_id = session.scalars(select(RadiusSession.tenant_id).where(RadiusSession.session_key == session_key)).one()
    session_intent.kick(session, session_key, tenant_id, row.subscription_id, row.router_id)
    return row


def page(session: Session, request: PageRequest, filters: Filters) -> Page[Row[Any]]:
    """Rows of COLUMNS. One statement, so that a session which is being archived is neither missed nor seen twice."""
    statements = _statements(session, filters)
    parts = [
        in_order(statement, model.session_key, Sort(model.started_at, datetime), request).subquery()
        for model, statement in statements
    ]
    both = union_all(*(select(part) for part in parts)).subquery()
    order = (both.c.sort_value, both.c.sort_id)
    statement = select(both).order_by(*(column.desc() if request.descending else column.asc() for column in order))
    rows = session.execute(statement.limit(request.limit + 1)).all()
    items = list(rows[: request.limit])
    more = len(rows) > request.limit
    count = counted(session, [statement for _model, statement in statements], request)
    return Page(items, Position(items[-1].sort_value, items[-1].sort_id) if more else None, count)


def _statements(session: Session, filters: Filters) -> list[tuple[Model, Select[Any]]]:
    """Together the sessions that are asked for, each of them once."""
    # Each part is answered by an index: open ones and closed ones that are not archived yet have an index each.
    parts = [
        (model, _columns(model).where(*_conditions(model, filters), *ended))
        for model in (RadiusSession, SessionHistory)
        for ended in _ends(model, filters.open)
    ]
    if filters.username is None:
        return parts
    # Millions of closed sessions are not searched for a name: they are found by whose they are.
    ids = _of_name(session, filters.username)
    return [
        (model, statement.where(func.lower(model.username) == func.lower(filters.username), whose))
        for model, statement in parts
        for whose in (model.subscription_id.in_(ids), model.subscription_id.is_(None))
    ]


def _ends(model: Model, is_open: bool | None) -> list[tuple[ColumnElement[bool], ...]]:
    """What is asked of the end of the sessions that are in the table, part by part."""
    if model is SessionHistory:
        return [] if is_open else [()]
    ends = {True: model.stopped_at.is_(None), False: model.stopped_at.is_not(None)}
    return [(end,) for wanted, end in ends.items() if is_open in (None, wanted)]


def _of_name(session: Session, username: str) -> Sequence[int]:
    """The subscriptions that log in, or logged in before they were cancelled, by that name."""
    named = select(Subscription.id).where(Subscription.username_lower == func.lower(username))
    mac = parse_mac(username)
    if mac is None:
        return session.scalars(named).all()
    return session.scalars(union_all(named, select(Device.subscription_id).where(Device.mac == mac))).all()


def _columns(model: Model) -> Select[Any]:
    return select(*(getattr(model, name) for name in COLUMNS))


def _conditions(model: Model, filters: Filters) -> list[Any]:
    conditions: list[Any] = []
    if filters.subscription_id is not None:
        conditions.append(model.subscription_id == filters.subscription_id)
    if filters.router_id is not None:
        conditions.append(model.router_id == filters.router_id)
    return conditions
