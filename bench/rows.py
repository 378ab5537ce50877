"""Rows into PostgreSQL, fast; and what the sessions of a run must hold in the end, as rows."""

from collections.abc import Iterable, Mapping
from itertools import chain

import psycopg
from psycopg import sql

from bench.population import Session, Subscriber

EXPECTED = "CREATE TEMP TABLE expected (acct_session_id text PRIMARY KEY, input_octets int8, output_octets int8)"


def expected_row(session_number: int, octets: tuple[int, int]) -> dict[str, object]:
    """Of the table EXPECTED."""
    acct_session_id = Session(session_number, Subscriber(0)).acct_session_id
    return {"acct_session_id": acct_session_id, "input_octets": octets[0], "output_octets": octets[1]}


def copy_rows(connection: psycopg.Connection, table: str, rows: Iterable[Mapping[str, object]]) -> None:
    """By COPY. All rows have the same columns in the same order."""
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        return
    columns = sql.SQL(", ").join(map(sql.Identifier, first))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), columns)
    with connection.cursor().copy(statement) as copy:
        for row in chain((first,), iterator):
            copy.write_row(tuple(row.values()))
