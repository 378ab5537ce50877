"""Reads that are a transaction each, and one round trip: what the transaction is confined to, and the question.

A read in a session is three: BEGIN with the tenant, the question, COMMIT.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult
from sqlalchemy import Engine, Select
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler

from db import round_trip
from db.pipeline import Asked, Prepared, ask
from db.round_trip import checked, wrapped

_NUMBERED = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
"""Values as $1, …: PostgreSQL's own way."""
_PREPARED = "kibali.prepared"
"""In a connection's `info`: the names of what is prepared there."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A statement, and what its values are called in their order; `constants` are always the same."""

    statement: Prepared
    names: Sequence[str]
    constants: Mapping[str, Any]

    @classmethod
    def of(cls, statement: Select[*tuple[Any, ...]]) -> "Question":
        compiled = statement.compile(dialect=_NUMBERED)
        assert isinstance(compiled, SQLCompiler)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        return cls(Prepared.of(str(compiled)), compiled.positiontup or (), constants)

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        return [given[name] if name in given else self.constants[name] for name in self.names]


class Opening(Protocol):
    """What confines a transaction."""

    def asked(self) -> Asked: ...

    def check(self, answer: PGresult) -> None:
        """Raises what is to be raised in place of any answer to the question."""


class Reads(Protocol):
    """Raises DBAPIError."""

    def rows(self, question: Question, given: Mapping[str, Any]) -> list[Any]:
        """Rows with names."""


class InSession:
    """In the transaction of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def rows(self, question: Question, given: Mapping[str, Any]) -> list[Any]:
        return round_trip.rows(self._session.connection(), question.statement.text.decode(), question.values(given))


class Reader:
    """Each question a transaction by itself, which sees what its opening lets it see. May raise what that raises."""

    def __init__(self, engine: Engine, opening: Opening) -> None:
        self._engine = engine
        self._opening = opening

    def rows(self, question: Question, given: Mapping[str, Any]) -> list[Any]:
        try:
            pooled = self._engine.raw_connection()
        except psycopg.Error as error:
            raise wrapped(error, self._engine.dialect) from error
        with closing(pooled):
            driver = pooled.driver_connection
            assert isinstance(driver, psycopg.Connection)
            transformer = Transformer.from_context(driver)
            values = question.values(given)
            # As text: of which size a whole number is, is for PostgreSQL to say.
            asked = Asked(question.statement, transformer.dump_sequence(values, [PyFormat.TEXT] * len(values)))
            try:
                opened, found = ask(driver, pooled.info.setdefault(_PREPARED, set()), (self._opening.asked(), asked))
            except BaseException as error:  # what it says next would be taken for another's answer
                pooled.invalidate(error)
                if isinstance(error, psycopg.Error):
                    raise wrapped(error, self._engine.dialect) from error
                raise
            self._opening.check(checked(opened, pooled, self._engine.dialect, driver))
            transformer.set_pgresult(checked(found, pooled, self._engine.dialect, driver))
            names = tuple(found.fname(column) or b"" for column in range(found.nfields))
            return transformer.load_rows(0, found.ntuples, _row(names))


@cache
def _row(names: tuple[bytes, ...]) -> Callable[[Sequence[Any]], Any]:
    made: Any = namedtuple("Row", [name.decode() for name in names], rename=True)  # type: ignore[misc]
    make: Callable[[Sequence[Any]], Any] = made._make
    return make


_SET = Prepared.of("SELECT set_config('kibali.tenant_id', $1, true), set_config('kibali.platform', $2, true)")


@dataclass(frozen=True, slots=True)
class InTenant:
    """None is the platform itself, as in db/engine.py."""

    tenant_id: int | None

    def asked(self) -> Asked:
        return Asked(_SET, (b"", b"on") if self.tenant_id is None else (str(self.tenant_id).encode(), b""))

    def check(self, answer: PGresult) -> None:
        pass
