"""A PostgreSQL connection that never keeps a packet waiting: every wait ends, and reconnecting happens elsewhere."""

from collections.abc import Callable, Generator
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.waiting import Ready, Wait

from radius_module.arrays import Array, ArrayDumper

T = TypeVar("T")

# Only for Python's own signal handling, which has no part in a FreeRADIUS thread.
_INTERVAL_S = 0.1


def statement(text: str) -> str:
    """`text` without its indentation: psycopg keeps what it made of a statement only up to 4,096 characters."""
    return " ".join(text.split())


class DatabaseAway(Exception):
    """PostgreSQL can not be asked now. The packet is to be decided or kept without it."""


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up on the server once `deadline` (monotonic seconds) has passed. psycopg by itself waits without end."""

    deadline: float | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.adapters.register_dumper(Array, ArrayDumper)

    def wait(
        self, gen: Generator[Wait, Ready | int, T], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> T:
        left_s = timeout if self.deadline is None else max(0.0, self.deadline - monotonic())
        return super().wait(gen, interval, left_s)


class Link:
    """One connection and the thread that keeps it: `use` runs at once or raises DatabaseAway at once."""

    def __init__(
        self, dsn: str, name: str, *, statement_timeout_s: float, log: Callable[[str], None], is_durable: bool = True
    ) -> None:
        """Without `is_durable` a commit does not wait for the disk: a crash of PostgreSQL may cost the last moments."""
        self._dsn = dsn
        self._name = name
        self._statement_timeout_s = statement_timeout_s
        self._log = log
        self._is_durable = is_durable
        self._connection: BoundedConnection | None = None
        self._in_use = Lock()
        self._broken = Event()
        self._closing = False
        self._keeper = Thread(target=self._keep, name=f"keep-{name}", daemon=True)

    def start(self) -> None:
        """Connects if that is possible now, and keeps trying in the background."""
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            self._log(f"PostgreSQL is away ({self._name}): {_one_line(error)}")
            self._broken.set()
        self._keeper.start()

    def close(self) -> None:
        self._closing = True
        self._broken.set()
        if self._connection is not None:
            self._connection.close()

    @property
    def is_up(self) -> bool:
        return self._connection is not None

    def use(self, work: Callable[[BoundedConnection], T]) -> T:
        """What `work` returns.

        Raises DatabaseAway when the connection is or breaks down, or the server takes no writes; other errors of
        PostgreSQL (a constraint, a value) pass through, after a rollback.
        """
        with self._in_use:
            connection = self._connection
            if connection is None:
                raise DatabaseAway(self._name)
            connection.deadline = monotonic() + self._statement_timeout_s
            try:
                return work(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
                self._drop(connection, error)
                raise DatabaseAway(self._name) from error
            except psycopg.Error:
                if connection.closed or connection.broken:
                    self._drop(connection, None)
                raise

    def _drop(self, connection: BoundedConnection, error: Exception | None) -> None:
        """After a time-out a late answer would be taken for the next question's: the connection is done for."""
        self._connection = None
        connection.pgconn.finish()
        if not self._closing:
            self._log(f"PostgreSQL is away ({self._name}): {_one_line(error)}")
        self._broken.set()

    def _keep(self) -> None:
        pause_s = 0.1
        while True:
            self._broken.wait()
            if self._closing:
                return
            try:
                connection = self._connect()
            except psycopg.Error:
                Event().wait(pause_s)
                pause_s = min(2.0, pause_s * 2)
                continue
            pause_s = 0.1
            self._broken.clear()
            self._connection = connection
            self._log(f"PostgreSQL is back ({self._name})")

    def _connect(self) -> BoundedConnection:
        connection = BoundedConnection.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=2,
            application_name=f"kibali-radius {self._name}",
            # Our own deadline drops the connection; this one stops the work on the server's side.
            options=f"-c statement_timeout={int(self._statement_timeout_s * 1000)}"
            " -c idle_in_transaction_session_timeout=5000 -c timezone=UTC"
            " -c plan_cache_mode=force_generic_plan -c jit=off"
            + ("" if self._is_durable else " -c synchronous_commit=off"),
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=2,
            prepare_threshold=0,
        )
        assert isinstance(connection, BoundedConnection)
        return connection


def _one_line(error: Exception | None) -> str:
    return " ".join(str(error).split()) if error else "the connection broke"
