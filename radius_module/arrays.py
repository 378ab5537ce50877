"""Columns of values as PostgreSQL's arrays, in its binary format.

psycopg's own dumper of lists asks each value for its type, which takes most of the time of a batch; here the column has
one type, and is packed at once. Written into a statement as `%(name)b`, with the array's type behind it.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from struct import pack
from typing import Any
from uuid import UUID

from psycopg.adapt import Dumper
from psycopg.pq import Format

BOOL, INT8, TEXT, TIMESTAMPTZ, UUID_OID = 16, 20, 25, 1184, 2950
# Of an array, by the type of its elements.
_ARRAY_OF = {BOOL: 1000, INT8: 1016, TEXT: 1009, TIMESTAMPTZ: 1185, UUID_OID: 2951}

_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Array:
    """A whole column, packed."""

    __slots__ = ("data", "element_oid")

    def __init__(self, element_oid: int, size: int, elements: bytes, *, has_nulls: bool = True) -> None:
        self.element_oid = element_oid
        # One dimension whose first index is 1.
        self.data = pack("!iiIii", 1, has_nulls, element_oid, size, 1) + elements


def int8s(values: Sequence[int | None]) -> Array:
    """Raises struct.error for a number of more than 64 bits."""
    if None not in values:
        numbers = [part for pair in zip(repeat(8), values) for part in pair]
        return Array(INT8, len(values), pack("!" + "iq" * len(values), *numbers), has_nulls=False)
    return Array(INT8, len(values), b"".join([_NULL if v is None else pack("!iq", 8, v) for v in values]))


def texts(values: Sequence[str | None]) -> Array:
    """In UTF-8. Raises UnicodeEncodeError for half a surrogate pair, which no server takes."""
    encoded = [None if value is None else value.encode() for value in values]
    return Array(TEXT, len(values), b"".join([_NULL if v is None else pack("!i", len(v)) + v for v in encoded]))


def bools(values: Sequence[bool]) -> Array:
    elements = b"".join([b"\0\0\0\1\1" if value else b"\0\0\0\1\0" for value in values])
    return Array(BOOL, len(values), elements, has_nulls=False)


def uuids(values: Iterable[UUID]) -> Array:
    packed = [b"\0\0\0\x10" + value.bytes for value in values]
    return Array(UUID_OID, len(packed), b"".join(packed), has_nulls=False)


def timestamps(values: Sequence[datetime]) -> Array:
    """Of moments with a time zone."""
    packed = [pack("!iq", 8, (value - _EPOCH) // _MICROSECOND) for value in values]
    return Array(TIMESTAMPTZ, len(values), b"".join(packed), has_nulls=False)


class ArrayDumper(Dumper):
    """Register it for `Array` on a connection's adapters."""

    format = Format.BINARY

    def get_key(self, obj: Array, format: Any) -> Any:
        return (self.cls, obj.element_oid)

    def upgrade(self, obj: Array, format: Any) -> "ArrayDumper":
        dumper = type(self)(self.cls)
        dumper.oid = _ARRAY_OF[obj.element_oid]
        return dumper

    def dump(self, obj: Array) -> bytes:
        return obj.data
