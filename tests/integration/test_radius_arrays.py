"""Columns as the RADIUS module packs them, read back by a real PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest

from radius_module.arrays import Packed, bools, int8s, texts, timestamps, uuids
from radius_module.connection import BoundedConnection, Statement
from settings import Settings

NAIROBI = timezone(timedelta(hours=3))
COLUMNS: dict[str, tuple[Callable[[Sequence[Any]], Packed], str, list[Any]]] = {
    "numbers": (int8s, "int8", [0, -1, 1 << 62, -(1 << 63), (1 << 63) - 1]),
    "numbers, one missing": (int8s, "int8", [None, 7, None]),
    "no numbers": (int8s, "int8", []),
    "texts": (texts, "text", ["", "Zoë", "喂", '"quoted" \\ {a,b}', "NULL", None, "\t\n"]),
    "no texts": (texts, "text", []),
    "truths": (bools, "bool", [True, False, True]),
    "keys": (uuids, "uuid", [UUID(int=0), UUID(int=(1 << 128) - 1)]),
    "moments": (
        timestamps,
        "timestamptz",
        [
            datetime(1999, 12, 31, 23, 59, 59, 999_999, UTC),
            datetime(2000, 1, 1, tzinfo=UTC),
            datetime(2026, 11, 27, 4, 5, 6, 7, NAIROBI),
        ],
    ),
}


@pytest.fixture
def connection(settings: Settings) -> Iterator[BoundedConnection]:
    with BoundedConnection.open(settings.database_dsn("radius")) as connected:
        yield connected


@pytest.mark.parametrize("what", COLUMNS)
def test_a_column_comes_back_as_it_was(connection: BoundedConnection, what: str) -> None:
    packed, element, values = COLUMNS[what]
    query = Statement(f"SELECT value FROM unnest(%(column)b::{element}[]) AS q (value)")
    for _ in range(2):  # as it is prepared, and once it is
        assert [value for (value,) in connection.ask(query, {"column": packed(values)})] == values


def test_text_that_postgresql_can_not_hold_is_refused_by_it(connection: BoundedConnection) -> None:
    with pytest.raises(psycopg.DataError):
        connection.ask(Statement("SELECT %(column)b::text[]"), {"column": texts(["a\0b"])})
    assert connection.ask(Statement("SELECT %(column)b::text[]"), {"column": texts(["ab"])}) == [(["ab"],)]
