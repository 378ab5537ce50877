"""Events page by page, as a role sees them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from db.event import Event
from db.page import Page, PageRequest, Sort, one_page
from isp.event_types import SUBJECTS, hidden_subjects, sees_the_rest

SORTS = {"id": Sort(Event.id, int)}


def page(
    session: Session,
    request: PageRequest,
    *,
    role: str,
    tenant_id: int | None = None,
    types: Sequence[str] = (),
    subscription_id: int | None = None,
    router_id: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page[Event]:
    """Those of `types`, each a type or a subject as `payment.*`; none means all. Of one tenant, or of all in sight."""
    statement = select(Event).where(*_visible(role))
    if types:
        statement = statement.where(or_(*(_is(type_) for type_ in types)))
    wanted = (
        (Event.tenant_id, tenant_id),
        (Event.subscription_id, subscription_id),
        (Event.router_id, router_id),
    )
    for column, value in wanted:
        if value is not None:
            statement = statement.where(column == value)
    if since is not None:
        statement = statement.where(Event.created_at >= since)
    if until is not None:
        statement = statement.where(Event.created_at < until)
    return one_page(session, statement, Event.id, SORTS, request, lambda row: row.Event)


def _visible(role: str) -> list[ColumnElement[bool]]:
    subject = func.split_part(Event.type, ".", 1)
    conditions: list[ColumnElement[bool]] = []
    if hidden := hidden_subjects(role):
        conditions.append(subject.not_in(hidden))
    if not sees_the_rest(role):
        conditions.append(subject.in_(SUBJECTS))
    return conditions


def _is(type_: str) -> ColumnElement[bool]:
    if not type_.endswith(".*"):
        return Event.type == type_
    # LIKE would see rows before row-level security has, which so keeps it from the index; these operators may.
    subject = type_.removesuffix(".*")
    begins = and_(Event.type.op("~>=~")(f"{subject}."), Event.type.op("~<~")(f"{subject}/"))
    return or_(begins, Event.type == subject)
