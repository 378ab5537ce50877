"""Columns of values as PostgreSQL's arrays, in its binary format.

psycopg's own dumper of lists asks each value for its type, which takes most of the time of a batch; here the column has
one type, and is packed at once.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import repeat
from struct import pack
from uuid import UUID

BOOL, INT8, TEXT, TIMESTAMPTZ, UUID_OID = 16, 20, 25, 1184, 2950

_NULL = b"\xff\xff\xff\xff"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Packed:
    """A value as PostgreSQL receives it."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def text(value: str) -> Packed:
    """In UTF-8. Raises UnicodeEncodeError for half a surrogate pair, which no server takes."""
    return Packed(value.encode())


def int8s(values: Sequence[int | None]) -> Packed:
    """Raises struct.error for a number of more than 64 bits."""
    if None not in values:
        numbers = [part for pair in zip(repeat(8), values) for part in pair]
        return _array(INT8, len(values), pack("!" + "iq" * len(values), *numbers), has_nulls=False)
    return _array(INT8, len(values), b"".join([_NULL if v is None else pack("!iq", 8, v) for v in values]))


def texts(values: Sequence[str | None]) -> Packed:
    """In UTF-8. Raises UnicodeEncodeError for half a surrogate pair, which no server takes."""
    encoded = [None if value is None else value.encode() for value in values]
    return _array(TEXT, len(values), b"".join([_NULL if v is None else pack("!i", len(v)) + v for v in encoded]))


def bools(values: Sequence[bool]) -> Packed:
    elements = b"".join([b"\0\0\0\1\1" if value else b"\0\0\0\1\0" for value in values])
    return _array(BOOL, len(values), elements, has_nulls=False)


def uuids(values: Iterable[UUID]) -> Packed:
    packed = [b"\0\0\0\x10" + value.bytes for value in values]
    return _array(UUID_OID, len(packed), b"".join(packed), has_nulls=False)


def timestamps(values: Sequence[datetime]) -> Packed:
    """Of moments with a time zone."""
    packed = [pack("!iq", 8, (value - _EPOCH) // _MICROSECOND) for value in values]
    return _array(TIMESTAMPTZ, len(values), b"".join(packed), has_nulls=False)


def _array(element_oid: int, size: int, elements: bytes, *, has_nulls: bool = True) -> Packed:
    # One dimension whose first index is 1.
    return Packed(pack("!iiIii", 1, has_nulls, element_oid, size, 1) + elements)
