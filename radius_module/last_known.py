"""The last known entitlement of everybody who logged in here, on disk: for logins while PostgreSQL is away.

What is kept is the row that decided the login, its password sealed as in the database. It outlives FreeRADIUS, costs no
memory, and is written in the background.
"""

import sqlite3
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from threading import Event, Lock, Thread
from time import sleep
from typing import Any

from msgpack import ExtType, UnpackException, packb, unpackb

MAX_AGE = timedelta(hours=24)
FLUSH_S = 0.1
# A row that says the same is not written again within this time, by which its age is then wrong.
REWRITE_AFTER = timedelta(hours=1)
# Python gives its lock away for each statement, and has to wait for it again behind the logins: so few statements.
ROWS_PER_STATEMENT = 32
# Who was not seen for so long is deleted; looked for now and then, while rows come in.
KEPT = timedelta(days=7)
PRUNE_EVERY = timedelta(hours=1)

# Codes of sqlite for a file whose contents make no sense.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS last_known (
    name TEXT PRIMARY KEY,
    seen_at REAL NOT NULL,
    row BLOB NOT NULL
) WITHOUT ROWID
"""

_INSERT = "INSERT OR REPLACE INTO last_known VALUES (?, ?, ?)"
_INSERT_MANY = _INSERT + ", (?, ?, ?)" * (ROWS_PER_STATEMENT - 1)

Row = Sequence[Any]

_NEVER = datetime.min.replace(tzinfo=UTC)


class LastKnown:
    def __init__(self, path: Path, log: Callable[[str], None]) -> None:
        self._path = path
        self._log = log
        self._lock = Lock()
        self._waiting: dict[str, tuple[datetime, Row]] = {}
        self._written: dict[str, tuple[datetime, int]] = {}
        self._closing = Event()
        self._thread = Thread(target=self._run, name="last-known", daemon=True)
        self._database: sqlite3.Connection | None = None
        self._pruned_at = _NEVER
        self._problem = ""

    def start(self) -> None:
        """Works without a file that can be used too: then nothing is known while PostgreSQL is away."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        self._database = self._open()
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=3)
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def remember(self, name: str, row: Row, stable: Hashable, now: datetime) -> None:
        """Keeps `row` under `name`; `stable` is the part of it whose change matters."""
        fingerprint = hash(stable)
        written = self._written.get(name)
        if written and written[1] == fingerprint and now - written[0] < REWRITE_AFTER:
            return
        self._written[name] = (now, fingerprint)
        self._waiting[name] = (now, row)

    def forget(self, name: str) -> None:
        """The database says that nobody has this name any more."""
        self._written.pop(name, None)
        self._waiting[name] = (_NEVER, ())

    def recall(self, name: str, now: datetime, max_age: timedelta = MAX_AGE) -> tuple[Row, datetime] | None:
        """The row and when it was last seen; None if it is unknown or older than `max_age`."""
        waiting = self._waiting.get(name)
        if waiting is not None:
            return (waiting[1], waiting[0]) if waiting[1] else None
        with self._lock:
            if self._database is None:
                return None
            try:
                found = self._database.execute("SELECT seen_at, row FROM last_known WHERE name = ?", (name,)).fetchone()
            except sqlite3.DatabaseError:
                return None
        if found is None:
            return None
        seen_at = datetime.fromtimestamp(found[0], UTC)
        if now - seen_at > max_age:
            return None
        try:
            return _decode(found[1]), seen_at
        except (ValueError, TypeError, OverflowError, UnpackException):  # damage that sqlite does not notice
            return None

    def _open(self) -> sqlite3.Connection | None:
        """A damaged file is replaced: it is a copy, and the next logins fill it. None if there can be none now."""
        try:
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._delete(error)
                return self._connect()
        except (OSError, sqlite3.Error) as error:
            self._say(f"{self._path} can not be used: {error}")
            return None

    def _delete(self, error: sqlite3.Error) -> None:
        self._log(f"{self._path} is damaged and begun anew: {error}")
        # Left alone, an old write-ahead log would be played into the new file.
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _connect(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = OFF")  # a copy: a power cut may cost its last seconds
            database.execute(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        batch = dict(self._waiting)
        try:
            self._write(batch)
        except sqlite3.Error as error:
            self._say(f"the last known entitlements can not be written: {error}")
            self._recover(error)
            for name in batch:
                self._written.pop(name, None)  # so that the next login tries again
        for name, kept in batch.items():
            if self._waiting.get(name) is kept:
                del self._waiting[name]

    def _write(self, batch: dict[str, tuple[datetime, Row]]) -> None:
        rows = list(_encoded(batch))
        whole = len(rows) - len(rows) % ROWS_PER_STATEMENT
        gone = [(name,) for name, (_at, row) in batch.items() if not row]
        newest = max(at for at, _row in batch.values())
        with self._lock:
            self._database = self._database or self._open()
            if self._database is None:
                raise sqlite3.OperationalError("there is no file")
            self._database.execute("BEGIN")
            for start in range(0, whole, ROWS_PER_STATEMENT):
                self._database.execute(_INSERT_MANY, [*chain.from_iterable(rows[start : start + ROWS_PER_STATEMENT])])
            self._database.executemany(_INSERT, rows[whole:])
            self._database.executemany("DELETE FROM last_known WHERE name = ?", gone)
            if newest - self._pruned_at >= PRUNE_EVERY:
                self._prune(self._database, newest)
            self._database.execute("COMMIT")
        self._problem = ""

    def _prune(self, database: sqlite3.Connection, now: datetime) -> None:
        database.execute("DELETE FROM last_known WHERE seen_at < ?", ((now - KEPT).timestamp(),))
        for name, (at, _fingerprint) in list(self._written.items()):
            if now - at >= REWRITE_AFTER:
                self._written.pop(name, None)
        self._pruned_at = now

    def _recover(self, error: sqlite3.Error) -> None:
        with self._lock:
            if self._database is None:
                return
            if _is_damage(error):
                self._database.close()
                self._delete(error)
                self._database = self._open()
            elif self._database.in_transaction:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")

    def _say(self, problem: str) -> None:
        """Once, however long it lasts."""
        if not self._problem:
            self._log(problem)
        self._problem = problem


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", None) in _DAMAGED


def _encoded(batch: dict[str, tuple[datetime, Row]]) -> Iterator[tuple[str, float, bytes]]:
    for number, (name, (at, row)) in enumerate(batch.items()):
        if row:
            yield name, at.timestamp(), _encode(row)
        if number % 16 == 0:
            sleep(0)  # gives logins that wait for Python's lock their turn


# What MessagePack has no type for, and rows have.
_TIME_OF_DAY = 1


def _encode(row: Row) -> bytes:
    packed: bytes = packb(row, datetime=True, default=_extended)
    return packed


def _decode(packed: bytes) -> Row:
    row = unpackb(packed, timestamp=3, ext_hook=_read_extended)
    if not isinstance(row, list):
        raise ValueError("that is no row")
    return row


def _extended(value: object) -> ExtType:
    if isinstance(value, time):
        return ExtType(_TIME_OF_DAY, value.isoformat().encode())
    raise TypeError(f"a row of a login holds no {type(value).__name__}")


def _read_extended(code: int, data: bytes) -> time:
    if code != _TIME_OF_DAY:
        raise ValueError(f"rows hold no values of type {code}")
    return time.fromisoformat(data.decode())
