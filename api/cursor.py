"""Cursors: where a page ended, as text that only this API need understand. Nothing in it is trusted."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel
from pydantic_core import to_json

from api.endpoint import Json, Reply
from api.schemas.base import Listed, ListQuery, Output, rows_as_json
from api.schemas.fields import MAX_ID
from db.page import Page, PageRequest, Position, Sort
from db.refusal import Invalid

T = TypeVar("T")
Out = TypeVar("Out", bound=BaseModel)


def page_request(query: ListQuery, sorts: Mapping[str, Sort], id_type: type = int) -> PageRequest:
    """What page a query asks for. Raises Invalid for a cursor that is damaged or belongs to another order."""
    after = decode(query.cursor, query.sort, sorts, id_type) if query.cursor is not None else None
    name = query.sort.removeprefix("-")
    return PageRequest(name, descending=query.sort != name, after=after, limit=query.limit, count=query.count)


def listing(query: ListQuery, page: Page[T], out: Callable[[T], BaseModel]) -> Reply:
    """`{"items": […], "next": cursor or null}`."""
    return Reply(listed(query, page, out))


def listing_of_rows(query: ListQuery, page: Page[Any], model: type[Output]) -> Reply:
    """The same, of rows that have the columns of `model`."""
    said: dict[str, str | int | None] = {"next": encode(query.sort, page.next) if page.next else None}
    if page.count is not None:
        said["count"] = page.count
    return Reply(Json(b'{"items":' + rows_as_json(model, page.items) + b"," + to_json(said)[1:]))


def listed(query: ListQuery, page: Page[T], out: Callable[[T], Out]) -> Listed[Out]:
    cursor = encode(query.sort, page.next) if page.next else None
    items = [out(item) for item in page.items]
    if page.count is None:
        return Listed.model_construct(items=items, next=cursor)
    return Listed.model_construct(items=items, next=cursor, count=page.count)


def encode(sort: str, position: Position) -> str:
    value = position.value
    if isinstance(value, datetime):
        value = value.astimezone(UTC).isoformat()
    elif isinstance(value, Decimal):
        value = str(value)
    identity = str(position.id) if isinstance(position.id, UUID) else position.id
    text = json.dumps([sort, value, identity], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, sort: str, sorts: Mapping[str, Sort], id_type: type) -> Position:
    """The position that `encode` wrote. Raises Invalid for anything else."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        written, value, identity = json.loads(text)
        if written != sort:
            raise Invalid("This cursor belongs to a list in another order.", field="cursor")
        wanted = sorts[sort.removeprefix("-")]
        if not (value is None and wanted.nullable):
            value = _READ[wanted.type](value)
        return Position(value, _READ[id_type](identity))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise Invalid("This cursor is damaged. Begin again without one.", field="cursor") from None


def _whole_number(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ID:
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    value.encode()
    return value


def _decimal(value: Any) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,6})?", value, re.ASCII):
        raise ValueError(value)
    return Decimal(value)


def _time(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() != timedelta():
        raise ValueError(value)
    return moment


_READ: Mapping[type, Callable[[Any], Any]] = {
    int: _whole_number,
    str: _text,
    Decimal: _decimal,
    datetime: _time,
    UUID: lambda value: UUID(_text(value)),
}
