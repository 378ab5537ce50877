"""The last known entitlement of everybody who logged in here, on disk: for logins while PostgreSQL is away.

What is kept is the row that decided the login, its password sealed as in the database. It outlives FreeRADIUS, costs no
memory, and is written in the background.
"""

import json
import sqlite3
from base64 import b64decode, b64encode
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

MAX_AGE = timedelta(hours=24)
FLUSH_S = 1.0
# A row that says the same is not written again within this time; its age only has to be right to the minute.
REWRITE_AFTER = timedelta(minutes=10)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS last_known (
    name TEXT PRIMARY KEY,
    seen_at REAL NOT NULL,
    row TEXT NOT NULL
) WITHOUT ROWID
"""

Row = Sequence[Any]


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

    def start(self) -> None:
        """A damaged file is replaced: it is a copy, and the next logins fill it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        try:
            self._database = self._open()
        except sqlite3.DatabaseError as error:
            self._log(f"{self._path} is damaged and begun anew: {error}")
            self._path.unlink(missing_ok=True)
            self._database = self._open()
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(timeout=3)

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
        if self._written.pop(name, None):
            self._waiting[name] = (datetime.min.replace(tzinfo=UTC), ())

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
        return (_decode(found[1]), seen_at) if now - seen_at <= max_age else None

    def _open(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")  # a copy: a power cut may cost its last seconds
        database.execute(_SCHEMA)
        return database

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        if not self._waiting or self._database is None:
            return
        batch = dict(self._waiting)
        rows = [(name, at.timestamp(), _encode(row)) for name, (at, row) in batch.items() if row]
        gone = [(name,) for name, (_at, row) in batch.items() if not row]
        try:
            with self._lock:
                self._database.execute("BEGIN")
                self._database.executemany("INSERT OR REPLACE INTO last_known VALUES (?, ?, ?)", rows)
                self._database.executemany("DELETE FROM last_known WHERE name = ?", gone)
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._log(f"the last known entitlements can not be written: {error}")
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
        for name, kept in batch.items():
            if self._waiting.get(name) is kept:
                del self._waiting[name]


def _encode(row: Row) -> str:
    return json.dumps(row, default=_tagged, separators=(",", ":"))


def _decode(text: str) -> Row:
    row: Row = json.loads(text, object_hook=_untagged)
    return row


def _tagged(value: object) -> dict[str, str]:
    match value:
        case bytes() | memoryview():
            return {"bytes": b64encode(value).decode()}
        case datetime():
            return {"datetime": value.isoformat()}
        case time():
            return {"time": value.isoformat()}
    raise TypeError(f"a row of a login holds no {type(value).__name__}")


def _untagged(tagged: dict[str, str]) -> Any:
    ((kind, text),) = tagged.items()
    match kind:
        case "bytes":
            return b64decode(text)
        case "datetime":
            return datetime.fromisoformat(text)
        case _:
            return time.fromisoformat(text)
