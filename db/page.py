"""Lists page by page: each page begins behind the last row of the one before, however many rows there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    Row,
    Select,
    bindparam,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.reading import Question, Reads

T = TypeVar("T")
Column = ColumnElement[Any] | InstrumentedAttribute[Any]

MAX_LIMIT = 200
MAX_COUNT = 10_000
"""Counting more rows than people look at takes longer than they wait."""
_AFTER_VALUE, _AFTER_ID, _ROWS = "after_value", "after_id", "rows_and_one"


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


class PreparedPages:
    """A list that is asked for often: the statement of each combination of filters and order is compiled once.

    `build` makes it for the names of the filters that are given, and binds each under its name.
    """

    def __init__(
        self, build: Callable[[frozenset[str]], Select[Any]], id_column: Column, sorts: Mapping[str, Sort]
    ) -> None:
        self._build = build
        self._id_column = id_column
        self._sorts = sorts
        self._questions: dict[object, Question] = {}

    def page(self, reads: Reads, request: PageRequest, **filters: Any) -> Page[Any]:
        """Rows of the statement's columns. A filter of None is not given."""
        given = {name: value for name, value in filters.items() if value is not None}
        names = frozenset(given)
        key = (names, request.sort, request.descending, request.after is None)
        question = self._questions.get(key) or self._prepared(key, lambda: self._ordered(names, request))
        values = given | {_ROWS: request.limit + 1}
        if request.after is not None:
            values |= {_AFTER_VALUE: request.after.value, _AFTER_ID: request.after.id}
        rows = reads.rows(question, values)
        return _cut(rows, request, lambda row: row, self._count(reads, names, given) if request.count else None)

    def _count(self, reads: Reads, names: frozenset[str], given: Mapping[str, Any]) -> int:
        question = self._questions.get(names) or self._prepared(names, lambda: _count_of([self._build(names)]))
        (row,) = reads.rows(question, given)
        return int(row[0])

    def _prepared(self, key: object, statement: Callable[[], Select[Any]]) -> Question:
        # Of two threads at once each is right, and setdefault has them agree.
        return self._questions.setdefault(key, Question.of(statement()))

    def _ordered(self, names: frozenset[str], request: PageRequest) -> Select[Any]:
        sort = self._sorts[request.sort]
        marks = Position(
            bindparam(_AFTER_VALUE, type_=sort.column.type), bindparam(_AFTER_ID, type_=self._id_column.type)
        )
        marked = replace(request, after=None if request.after is None else marks)
        return in_order(self._build(names), self._id_column, sort, marked).limit(bindparam(_ROWS, type_=Integer))


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
    return _cut(rows, request, item, counted(session, [statement], request))


def _cut(rows: Sequence[Any], request: PageRequest, item: Callable[[Any], T], count: int | None) -> Page[T]:
    """The page of rows that are one more than it if others follow."""
    page = rows[: request.limit]
    more = len(rows) > request.limit
    next_ = Position(page[-1].sort_value, page[-1].sort_id) if more else None
    return Page([item(row) for row in page], next_, count)


def counted(session: Session, statements: Sequence[Select[*tuple[Any, ...]]], request: PageRequest) -> int | None:
    """How many rows the statements have together, at most MAX_COUNT; None if the request does not ask."""
    if not request.count:
        return None
    return session.scalar(_count_of(statements))


def _count_of(statements: Sequence[Select[*tuple[Any, ...]]]) -> Select[int]:
    one: ColumnElement[int] = literal_column("1")
    parts: list[Select[Any]] = [
        each.with_only_columns(one, maintain_column_froms=True).limit(MAX_COUNT) for each in statements
    ]
    rows = union_all(*parts).limit(MAX_COUNT).subquery() if len(parts) > 1 else parts[0].subquery()
    return select(func.count()).select_from(rows)


def in_order(statement: Select[*tuple[Any, ...]], id_column: Column, sort: Sort, request: PageRequest) -> Select[Any]:
    """`statement` with the columns sort_value and sort_id: the rows of a page, and one more if others follow."""
    column = sort.comparable(sort.column)
    if request.after is not None:
        place = tuple_(column, id_column)
        value, identity = request.after.value, request.after.id
        if not isinstance(value, BindParameter):
            value, identity = literal(value, sort.column.type), literal(identity, id_column.type)
        behind = tuple_(sort.comparable(value), identity)
        statement = statement.where(place < behind if request.descending else place > behind)
    order = [column.desc(), id_column.desc()] if request.descending else [column.asc(), id_column.asc()]
    statement = statement.add_columns(sort.column.label("sort_value"), id_column.label("sort_id"))
    return statement.order_by(*order).limit(request.limit + 1)
