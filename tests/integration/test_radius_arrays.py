"""Columns as the RADIUS module packs them, read back by a real PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest

from radius_module.arrays import Array, bools, int8s, texts, timestamps, uuids
from radius_module.connection import BoundedConnection
from settings import Settings

NAIROBI = timezone(timedelta(hours=3))
COLUMNS: dict[str, tuple[Callable[[Sequence[Any]], Array], str, list[Any]]] = {
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
def connection(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    with BoundedConnection.connect(settings.database_dsn("radius"), autocommit=True, prepare_threshold=0) as connected:
        yield connected


@pytest.mark.parametrize("what", COLUMNS)
def test_a_column_comes_back_as_it_was(connection: psycopg.Connection[Any], what: str) -> None:
    packed, element, values = COLUMNS[what]
    query = f"SELECT value, pg_typeof(value)::text FROM unnest(%(column)b::{element}[]) AS q (value)"
    for _ in range(2):  # as it is prepared, and once it is
        rows = connection.execute(query, {"column": packed(values)}, binary=True).fetchall()
        assert [value for value, _type in rows] == values


def test_text_that_postgresql_can_not_hold_is_refused_by_it(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.DataError):
        connection.execute("SELECT %(column)b::text[]", {"column": texts(["a\0b"])})
