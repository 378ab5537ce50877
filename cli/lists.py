"""Whole lists, for people and programs that want all rows rather than a page."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from db.page import MAX_LIMIT, Page, PageRequest

T = TypeVar("T")


def every_row(sort: str, page: Callable[[PageRequest], Page[T]]) -> Iterator[T]:
    """The rows of all pages in the order of `sort`, `-name` for descending."""
    name = sort.removeprefix("-")
    after = None
    while True:
        got = page(PageRequest(name, descending=sort != name, after=after, limit=MAX_LIMIT))
        yield from got.items
        after = got.next
        if after is None:
            return


def printable(item: BaseModel, *, as_json: bool) -> dict[str, Any]:
    """A row for `print_rows`: exactly the API's, or for a table with times that people can read (UTC)."""
    if as_json:
        return item.model_dump(mode="json")
    values = ((name, getattr(item, name)) for name in type(item).model_fields)
    return {
        name: f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value
        for name, value in values
    }
