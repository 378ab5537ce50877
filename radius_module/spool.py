"""Accounting records on disk while PostgreSQL is away: flushed before the router is answered, stored later.

A segment is a file of lines, each a checksum and a record as JSON. A segment is replayed whole, then deleted: a crash
in between replays it again, which changes nothing. A line cut short by a crash was never answered, and is passed over;
a segment with damage elsewhere is kept beside the others as `.damaged`.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID
from zlib import crc32

from radius_module.accounting import Record
from radius_module.combining import Combiner
from radius_module.request import AccountingRequest, RouterRestart

SEGMENT_BYTES = 8 << 20
REPLAY_BATCH = 256
REPLAY_EVERY_S = 0.5
WRITE_DEADLINE_S = 2.0
MAX_BATCH = 256


class SpoolFull(Exception):
    """The disk takes no more; the record is not kept, and the router must not be answered."""


class Spool:
    def __init__(self, directory: Path, store: Callable[[Sequence[Record]], bool], log: Callable[[str], None]) -> None:
        """`store` commits records, setting aside what can never be stored; False if PostgreSQL is still away."""
        self._directory = directory
        self._store = store
        self._log = log
        self._lock = Lock()
        self._file: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._closing = Event()
        self._writes: Combiner[Record, None] = Combiner(self._write, max_batch=MAX_BATCH)
        self.problem = ""
        """Why the disk takes no more records, while it does not."""
        self.waiting = 0
        """Records on disk, by a count that starts over with each segment that is done."""

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.waiting = sum(record is not None for path in self._segments() for record in _records(path))
        if self.waiting:
            self._log(f"{self.waiting} accounting records wait on disk for PostgreSQL")
        Thread(target=self._replay, name="spool", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self._seal()

    def add(self, record: Record) -> None:
        """Returns once the record is on the disk. Raises SpoolFull, or Overloaded if the disk is too slow."""
        self._writes.call(record, WRITE_DEADLINE_S)

    def _write(self, records: list[Record]) -> list[None]:
        data = b"".join(_line(record) for record in records)
        with self._lock:
            try:
                if self._file is None:
                    self._open()
                assert self._file is not None
                _write_all(self._file, data)
                os.fsync(self._file)
            except OSError as error:
                if not self.problem:
                    self._log(f"{self._directory} can not be written ({error.strerror}): accounting goes unanswered")
                self.problem = error.strerror or str(error)
                # What was written of it is cut off, so that the next record starts on a line of its own.
                self._cut_back()
                raise SpoolFull(str(error)) from None
            self.problem = ""
            self._size += len(data)
            self.waiting += len(records)
            if self._size >= SEGMENT_BYTES:
                self._seal()
        return [None] * len(records)

    def _open(self) -> None:
        numbers = [int(path.stem) for path in self._directory.iterdir() if path.stem.isdigit()]
        path = self._directory / f"{max(numbers, default=0) + 1:08d}.spool"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._path, self._size = path, 0
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _cut_back(self) -> None:
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self._seal()

    def _seal(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file, self._path = None, None

    def _segments(self) -> list[Path]:
        return sorted(path for path in self._directory.glob("*.spool") if path.stem.isdigit())

    def _replay(self) -> None:
        while not self._closing.wait(REPLAY_EVERY_S):
            if self.problem:
                self._look_for_room()
            for path in self._segments():
                try:
                    if not self._replay_segment(path):
                        break
                except OSError as error:
                    self._log(f"{path} can not be replayed: {error.strerror}")
                    break

    def _look_for_room(self) -> None:
        """Ends the problem as soon as the disk takes a block again, whether or not a record comes for it."""
        probe = self._directory / "probe"
        with self._lock:
            try:
                with probe.open("wb", buffering=0) as file:
                    _write_all(file.fileno(), bytes(4096))
                    os.fsync(file.fileno())
                probe.unlink()
            except OSError:
                with suppress(OSError):
                    probe.unlink(missing_ok=True)
                return
            self.problem = ""

    def _replay_segment(self, path: Path) -> bool:
        """True once all of it is stored and it is deleted; False if PostgreSQL is away."""
        # An empty store asks whether PostgreSQL is there, before the segment that is being written is closed for it.
        if not self._store([]):
            return False
        with self._lock:
            if path == self._path:
                self._seal()
        stored = damaged = 0
        batch: list[Record] = []
        for record in _records(path):
            if record is None:
                damaged += 1
                continue
            batch.append(record)
            if len(batch) == REPLAY_BATCH:
                if not self._store(batch):
                    return False
                stored += len(batch)
                batch = []
        if batch and not self._store(batch):
            return False
        stored += len(batch)
        if damaged:
            kept = path.rename(path.with_suffix(".damaged"))
            self._log(f"{damaged} accounting records on the disk are damaged and passed over; they are in {kept}")
        else:
            path.unlink()
        with self._lock:
            self.waiting = max(0, self.waiting - stored)
        if stored:
            self._log(f"{stored} accounting records from the disk are stored")
        return True


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _line(record: Record) -> bytes:
    text = json.dumps({"kind": type(record).__name__, **asdict(record)}, default=str, separators=(",", ":")).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _records(path: Path) -> Iterator[Record | None]:
    """The records of a segment, in order; None for one that is damaged, nothing for a last one that was cut short."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield _parse(line[:-1])


def _parse(line: bytes) -> Record | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % crc32(text):
        return None
    try:
        return _record(json.loads(text))
    except (KeyError, TypeError, ValueError):  # of another version, which said less
        return None


def _record(values: dict[str, Any]) -> Record:
    kind: type[Record] = RouterRestart if values.pop("kind") == "RouterRestart" else AccountingRequest
    values["event_at"] = datetime.fromisoformat(values["event_at"])
    if "session_key" in values:
        values["session_key"] = UUID(values["session_key"])
    # A record written by another version: what this one does not know is left out.
    known = {spec.name for spec in fields(kind)}
    return kind(**{name: value for name, value in values.items() if name in known})
