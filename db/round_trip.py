"""What every request asks of PostgreSQL beside its own question: of libpq directly, and in as few messages as can be.

SQLAlchemy's layers and the driver's would take longer over it than over the question itself.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, NoReturn

import psycopg
from psycopg import pq
from psycopg.errors import error_from_result
from psycopg.pq.abc import PGresult
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Dialect, Engine, exc
from sqlalchemy.pool import PoolProxiedConnection

_DONE = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


def begin(connection: Connection, values: Mapping[str, str], source: bytes = b"") -> PGresult:
    """Sets parameters for the transaction, in one message with the BEGIN that the driver would send by itself.

    From the `source` of a SELECT, for each row that is `found` there: the first column of the result, as JSON. Raises
    DBAPIError.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    message, escaping = bytearray(), pq.Escaping(driver.pgconn)
    if driver.pgconn.transaction_status == pq.TransactionStatus.IDLE:
        level = driver.isolation_level
        message += f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')};".encode() if level else b"BEGIN;"
    quoted = ((name.encode(), bytes(escaping.escape_literal(value.encode()))) for name, value in values.items())
    settings = b", ".join(b"set_config('%s', %s, true)" % each for each in quoted)
    message += b"SELECT to_json(found), %s FROM %s" % (settings, source) if source else b"SELECT " + settings
    return _done(lambda: driver.pgconn.exec_(bytes(message)), connection, connection.dialect, driver)


def ask(engine: Engine, statement: bytes, values: Sequence[bytes]) -> list[bytes | None]:
    """The first column of what one statement with values ($1, …) answers: a transaction by itself, in one round trip.

    Raises DBAPIError.
    """
    try:
        connection = engine.raw_connection()
    except psycopg.Error as error:
        raise wrapped(error, engine.dialect) from error
    with closing(connection):
        driver = connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        result = _done(lambda: driver.pgconn.exec_params(statement, values), connection, engine.dialect, driver)
        return [result.get_value(row, 0) for row in range(result.ntuples)]


def rows(connection: Connection, statement: str, values: Sequence[Any]) -> list[Any]:
    """What a statement with values ($1, …) answers, in the connection's transaction: rows with names.

    Raises DBAPIError.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        with psycopg.RawCursor(driver, row_factory=namedtuple_row) as cursor:
            return cursor.execute(statement.encode(), values).fetchall()
    except psycopg.Error as error:
        _fail(connection, connection.dialect, driver, error)


def _done(
    message: Callable[[], PGresult],
    connection: Connection | PoolProxiedConnection,
    dialect: Dialect,
    driver: psycopg.Connection[Any],
) -> PGresult:
    """The result. Raises DBAPIError."""
    try:
        result = message()
    except psycopg.Error as error:  # it was gone before it was asked
        _fail(connection, dialect, driver, error)
    return checked(result, connection, dialect, driver)


def checked(
    result: PGresult,
    connection: Connection | PoolProxiedConnection,
    dialect: Dialect,
    driver: psycopg.Connection[Any],
) -> PGresult:
    """The result, if it is none of a failure. Raises DBAPIError."""
    if result.status not in _DONE:
        is_gone = driver.broken or driver.closed
        text = result.get_error_message()
        _fail(connection, dialect, driver, psycopg.OperationalError(text) if is_gone else error_from_result(result))
    return result


def _fail(
    connection: Connection | PoolProxiedConnection,
    dialect: Dialect,
    driver: psycopg.Connection[Any],
    error: psycopg.Error,
) -> NoReturn:
    """Raises DBAPIError."""
    if driver.broken or driver.closed:
        connection.invalidate(error)
    raise wrapped(error, dialect) from error


def wrapped(error: psycopg.Error, dialect: Dialect) -> Exception:
    """As SQLAlchemy does with what is asked through it."""
    return exc.DBAPIError.instance(None, None, error, psycopg.Error, hide_parameters=True, dialect=dialect)
