"""A PostgreSQL connection that never keeps a packet waiting: every wait ends, and reconnecting happens elsewhere."""

import os
import re
import select
import socket
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Self, TypeVar

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from radius_module.arrays import Packed

T = TypeVar("T")

# Only for Python's own signal handling, which has no part in a FreeRADIUS thread.
_INTERVAL_S = 0.1


# How often the watchdog looks for a question whose time is up, and for connections that died while nobody used them.
_WATCH_EVERY_S = 0.05


class Statement:
    """A statement that is prepared once for a connection. Its parameters are Packed, written `%(name)b`."""

    def __init__(self, text: str) -> None:
        self.parameters = tuple(dict.fromkeys(re.findall(r"%\((\w+)\)b", text)))
        numbers = {name: f"${number}" for number, name in enumerate(self.parameters, start=1)}
        self.text = re.sub(r"%\((\w+)\)b", lambda found: numbers[found[1]], " ".join(text.split())).encode()
        self.name = f"kibali_{id(self):x}".encode()
        self.formats = [1] * len(self.parameters)


class DatabaseAway(Exception):
    """PostgreSQL can not be asked now. The packet is to be decided or kept without it."""


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up on the server once `deadline` (monotonic seconds) has passed. psycopg by itself waits without end."""

    deadline: float | None = None

    @classmethod
    def open(cls, dsn: str, **options: Any) -> Self:
        """Connected, each statement a transaction of its own. Raises psycopg.Error.

        psycopg prepares nothing by itself: after a rollback it would drop all that is prepared, ours too.
        """
        connection = cls.connect(dsn, autocommit=True, prepare_threshold=None, **options)
        assert isinstance(connection, cls)
        return connection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_asking = False
        self._statements: set[bytes] = set()

    def ask(self, statement: Statement, values: Mapping[str, Packed]) -> list[tuple[Any, ...]]:
        """The rows of the answer, by one call of libpq, which gives Python's lock away once. Raises psycopg.Error.

        `execute` gives it away for sending, for each wait and for reading, and waits for it behind the other threads
        each time. libpq by itself waits without end: a Watchdog has to look after the connection.
        """
        packed = [values[name].data for name in statement.parameters]
        self.is_asking = True
        try:
            if statement.name not in self._statements:
                self._check(self.pgconn.prepare(statement.name, statement.text))
                self._statements.add(statement.name)
            result = self.pgconn.exec_prepared(statement.name, packed, statement.formats, 1)
        finally:
            self.is_asking = False
        self._check(result)
        transformer = Transformer(self)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    def is_dead(self) -> bool:
        """Whether the server hung up. Between questions it says nothing else, but for notices."""
        poll = select.poll()
        try:
            poll.register(self.pgconn.socket, select.POLLIN)
            while poll.poll(0):
                self.pgconn.consume_input()
        except (OSError, psycopg.Error):
            return True
        return False

    def hang_up(self) -> None:
        """Ends what the connection waits for in another thread, which gets an OperationalError."""
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.pgconn.socket)) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)

    def _check(self, result: PGresult) -> None:
        if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            return
        if self.pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError(self.pgconn.get_error_message())
        raise error_from_result(result)

    def wait(
        self, gen: Generator[Wait, Ready | int, T], interval: float = _INTERVAL_S, timeout: float | None = None
    ) -> T:
        left_s = timeout if self.deadline is None else max(0.0, self.deadline - monotonic())
        return super().wait(gen, interval, left_s)


class Watchdog:
    """Hangs up on a server that keeps a question beyond its connection's deadline. Finds connections that died while
    nobody used them: else the first login after a restart of PostgreSQL would find out, and get no answer.
    """

    def __init__(self) -> None:
        self._links: list[Link] = []
        self._lock = Lock()
        self._is_running = False

    def look_after(self, link: "Link") -> None:
        with self._lock:
            self._links.append(link)
            if not self._is_running:
                self._is_running = True
                Thread(target=self._run, name="watchdog", daemon=True).start()

    def forget(self, link: "Link") -> None:
        with self._lock, suppress(ValueError):
            self._links.remove(link)

    def _run(self) -> None:
        pause = Event()
        while True:
            pause.wait(_WATCH_EVERY_S)
            with self._lock:
                if not self._links:
                    self._is_running = False
                    return
                links = list(self._links)
            now = monotonic()
            for link in links:
                link.hang_up_if_overdue(now)
                link.drop_if_dead()


_watchdog = Watchdog()


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
        _watchdog.look_after(self)

    def close(self) -> None:
        _watchdog.forget(self)
        self._closing = True
        self._broken.set()
        if self._connection is not None:
            self._connection.close()

    @property
    def is_up(self) -> bool:
        return self._connection is not None

    def hang_up_if_overdue(self, now: float) -> None:
        connection = self._connection
        if connection is not None and connection.is_asking and connection.deadline and now > connection.deadline:
            connection.hang_up()

    def drop_if_dead(self) -> None:
        if not self._in_use.acquire(blocking=False):
            return
        try:
            connection = self._connection
            if connection is not None and connection.is_dead():
                self._drop(connection, psycopg.OperationalError("the server hung up"))
        finally:
            self._in_use.release()

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
        return BoundedConnection.open(
            self._dsn,
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
        )


def _one_line(error: Exception | None) -> str:
    return " ".join(str(error).split()) if error else "the connection broke"
