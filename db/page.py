"""Lists page by page: each page begins behind the last row of the one before, however many rows there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Row, Select, func, literal, literal_column, select, tuple_, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session

T = TypeVar("T")
Column = ColumnElement[Any] | InstrumentedAttribute[Any]

MAX_LIMIT = 200
MAX_COUNT = 10_000
"""Counting more rows than people look at takes longer than they wait."""


@dataclass(frozen=True, slots=True)
class Sort:
    """A column to order by, and the Python type of its values. A nullable one is a time; NULL comes after all times."""

    column: Column
    type: type
    nullable: bool = False

    def comparable(self, value: Any) -> Any:
        return func.coalesce(value, literal_column("'infinity'::timestamptz")) if self.nullable else value


@dataclass(frozen=True, slots=True)
class Position:
    """A row's place in an order: the value it is sorted by, and its id."""

    value: Any
    id: Any


@dataclass(frozen=True, slots=True)
class PageRequest:
    """At most `limit` rows behind `after` in the order of `sort`."""

    sort: str
    descending: bool = False
    after: Position | None = None
    limit: int = 50
    count: bool = False
    """Whether to say how many rows there are on all pages."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """`next` is where the following page begins; None on the last one."""

    items: list[T]
    next: Position | None
    count: int | None = None
    """Rows on all pages, if it was asked; MAX_COUNT for that many or more."""


def one_page(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    id_column: Column,
    sorts: Mapping[str, Sort],
    request: PageRequest,
    item: Callable[[Row[Any]], T],
) -> Page[T]:
    """A page of `statement`, each row turned into an item by `item`."""
    ordered = in_order(statement, id_column, sorts[request.sort], request)
    rows = session.execute(ordered).all()
    page = rows[: request.limit]
    more = len(rows) > request.limit
    next_ = Position(page[-1].sort_value, page[-1].sort_id) if more else None
    return Page([item(row) for row in page], next_, counted(session, [statement], request))


def counted(session: Session, statements: Sequence[Select[*tuple[Any, ...]]], request: PageRequest) -> int | None:
    """How many rows the statements have together, at most MAX_COUNT; None if the request does not ask."""
    if not request.count:
        return None
    one: ColumnElement[int] = literal_column("1")
    parts: list[Select[Any]] = [
        each.with_only_columns(one, maintain_column_froms=True).limit(MAX_COUNT) for each in statements
    ]
    rows = union_all(*parts).limit(MAX_COUNT).subquery() if len(parts) > 1 else parts[0].subquery()
    return session.scalar(select(func.count()).select_from(rows))


def in_order(statement: Select[*tuple[Any, ...]], id_column: Column, sort: Sort, request: PageRequest) -> Select[Any]:
    """`statement` with the columns sort_value and sort_id: the rows of a page, and one more if others follow."""
    column = sort.comparable(sort.column)
    if request.after is not None:
        place = tuple_(column, id_column)
        value = literal(request.after.value, sort.column.type)
        behind = tuple_(sort.comparable(value), literal(request.after.id, id_column.type))
        statement = statement.where(place < behind if request.descending else place > behind)
    order = [column.desc(), id_column.desc()] if request.descending else [column.asc(), id_column.asc()]
    statement = statement.add_columns(sort.column.label("sort_value"), id_column.label("sort_id"))
    return statement.order_by(*order).limit(request.limit + 1)
