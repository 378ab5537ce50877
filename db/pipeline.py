"""Statements as one transaction and in one round trip.

They are prepared on each connection once. Neither BEGIN nor COMMIT is sent: what lies between two Sync messages of the
extended protocol is a transaction by itself (PostgreSQL's documentation, "Pipelining").
"""

import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

ANSWERED_WITHIN_S = 60.0
"""Longer than PostgreSQL lets a statement of a request take: that it is gone without a word."""
_UNKNOWN_STATEMENT = b"26000"
_numbers = count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A statement with values ($1, …), by a name of its own."""

    name: bytes
    text: bytes

    @classmethod
    def of(cls, text: str) -> "Prepared":
        return cls(f"kibali_{next(_numbers)}".encode(), text.encode())


@dataclass(frozen=True, slots=True)
class Asked:
    statement: Prepared
    values: Sequence[bytes | bytearray | memoryview | None]
    """As text."""


def ask(connection: psycopg.Connection[Any], prepared: set[bytes], asked: Sequence[Asked]) -> list[PGresult]:
    """A result for each; behind one that failed, that it was not carried out. `prepared` is what the connection knows.

    Raises psycopg.Error; the connection is no good then.
    """
    results = _ask(connection, prepared, asked)
    # psycopg forgets all that is prepared (DEALLOCATE ALL) after some rollbacks. Nothing was done then.
    if any(result.error_field(pq.DiagnosticField.SQLSTATE) == _UNKNOWN_STATEMENT for result in results):
        prepared.clear()
        results = _ask(connection, prepared, asked)
    return results


def _ask(connection: psycopg.Connection[Any], prepared: set[bytes], asked: Sequence[Asked]) -> list[PGresult]:
    pgconn = connection.pgconn
    pgconn.enter_pipeline_mode()
    new = [each.statement.name not in prepared for each in asked]
    for each, is_new in zip(asked, new, strict=True):
        if is_new:
            pgconn.send_prepare(each.statement.name, each.statement.text)
        pgconn.send_query_prepared(each.statement.name, each.values)
    pgconn.pipeline_sync()
    answers = _Answers(pgconn, time.monotonic() + ANSWERED_WITHIN_S)
    results = []
    for each, is_new in zip(asked, new, strict=True):
        if not is_new:
            results.append(answers.result())
            continue
        preparing, result = answers.result(), answers.result()
        if preparing.status == pq.ExecStatus.COMMAND_OK:
            prepared.add(each.statement.name)
        results.append(preparing if preparing.status == pq.ExecStatus.FATAL_ERROR else result)
    answers.end()
    pgconn.exit_pipeline_mode()
    return results


class _Answers:
    """What comes back, in order. libpq would wait for it with Python's lock."""

    def __init__(self, pgconn: PGconn, until: float) -> None:
        self._pgconn = pgconn
        self._until = until
        self._poll = select.poll()
        while self._pgconn.flush():
            self._wait(select.POLLIN | select.POLLOUT)

    def result(self) -> PGresult:
        result = self._next()
        if result is None or self._next() is not None:
            raise psycopg.OperationalError("an answer was expected")
        return result

    def end(self) -> None:
        result = self._next()
        if result is None or result.status != pq.ExecStatus.PIPELINE_SYNC:
            raise psycopg.OperationalError("the end of the answers was expected")

    def _next(self) -> PGresult | None:
        while self._pgconn.is_busy():
            self._wait(select.POLLIN)
        return self._pgconn.get_result()

    def _wait(self, for_: int) -> None:
        self._poll.register(self._pgconn.socket, for_)
        if not self._poll.poll(max(0.0, self._until - time.monotonic()) * 1000):
            raise psycopg.OperationalError("PostgreSQL did not answer in time")
        self._pgconn.consume_input()
