"""What is known of a login outlives FreeRADIUS, is believed for a day, and is never worth failing for."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

import pytest

from radius_module import last_known as module
from radius_module.last_known import LastKnown

NOW = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ADA, BEN = "login\x001\0ada\0", "login\x001\0ben\0"
ROW = [1, "en", None, "ada", b"\0sealed\xff"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "last_known.sqlite"


@pytest.fixture
def lines() -> list[str]:
    """The log."""
    return []


@pytest.fixture
def started(path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], LastKnown]]:
    """Call it for what is known; again, and it is as after a restart."""
    monkeypatch.setattr(module, "FLUSH_S", 0.01)
    running: list[LastKnown] = []

    def start() -> LastKnown:
        for known in running:
            known.close()
        running.append(LastKnown(path, lines.append))
        running[-1].start()
        return running[-1]

    yield start
    for known in running:
        known.close()


def until_written(known: LastKnown) -> None:
    deadline = time.monotonic() + 10
    while known._waiting:
        assert time.monotonic() < deadline, "not within 10 s"
        time.sleep(0.005)


def remember(known: LastKnown, name: str = ADA, row: list[Any] = ROW, now: datetime = NOW) -> None:
    known.remember(name, row, (name, str(row)), now)


def names_on_disk(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return [name for (name,) in database.execute("SELECT name FROM last_known ORDER BY name")]
    finally:
        database.close()


# ---- what is kept ----


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        2**62,
        "Zoë \0\n\"'",
        b"",
        bytes(range(256)),
        NOW,
        NOW.replace(microsecond=0),
        NOW.astimezone(timezone(timedelta(hours=3))),
        time_of_day(22, 30),
        time_of_day(0, 0, 0, 1),
        [],
        [1, 2],
        [["key", None, "1.5", "2", "300"], ["other", "BC:24:11:EB:56:4D", "1", "2", "60"]],
    ],
    ids=repr,
)
def test_a_row_comes_back_as_it_was_before_and_after_it_is_written(
    started: Callable[[], LastKnown], value: object
) -> None:
    known = started()
    remember(known, row=["before", value, "after"])
    assert known.recall(ADA, NOW) == (["before", value, "after"], NOW)
    until_written(known)
    assert known.recall(ADA, NOW) == (["before", value, "after"], NOW)
    assert started().recall(ADA, NOW) == (["before", value, "after"], NOW)


def test_a_row_of_the_driver_with_buffers_in_it_is_kept_as_bytes(started: Callable[[], LastKnown]) -> None:
    remember(started(), row=[memoryview(b"\0sealed")])
    assert started().recall(ADA, NOW) == ([b"\0sealed"], NOW)


def test_nobody_is_known_who_was_not_remembered(started: Callable[[], LastKnown]) -> None:
    known = started()
    remember(known)
    until_written(known)
    assert known.recall(BEN, NOW) is None


def test_what_was_remembered_in_the_last_moment_is_written_at_the_end(
    started: Callable[[], LastKnown], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_S", 3600)
    remember(started())
    assert started().recall(ADA, NOW) == (ROW, NOW)


@pytest.mark.parametrize("rows", [1, 31, 32, 33, 64, 100])
def test_a_batch_of_any_size_is_written_whole(started: Callable[[], LastKnown], path: Path, rows: int) -> None:
    known = started()
    for number in range(rows):
        remember(known, f"subscriber {number:03}", [number])
    until_written(known)
    assert names_on_disk(path) == [f"subscriber {number:03}" for number in range(rows)]
    assert [started().recall(f"subscriber {number:03}", NOW) for number in range(rows)] == [
        ([number], NOW) for number in range(rows)
    ]


def test_the_file_is_for_its_owner_alone(started: Callable[[], LastKnown], path: Path) -> None:
    known = started()
    remember(known)
    until_written(known)
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


# ---- age ----


@pytest.mark.parametrize(
    ("age", "max_age", "is_believed"),
    [
        (0 * HOUR, module.MAX_AGE, True),
        (24 * HOUR, module.MAX_AGE, True),
        (24 * HOUR + MINUTE, module.MAX_AGE, False),
        (2 * HOUR, HOUR, False),
        pytest.param(6 * DAY, timedelta.max, True, id="routers, which are believed at any age"),
        pytest.param(-HOUR, module.MAX_AGE, True, id="the clock was set back"),
    ],
)
def test_a_row_is_believed_for_so_long(
    started: Callable[[], LastKnown], age: timedelta, max_age: timedelta, is_believed: bool
) -> None:
    known = started()
    remember(known)
    until_written(known)
    assert known.recall(ADA, NOW + age, max_age) == ((ROW, NOW) if is_believed else None)


@pytest.mark.parametrize(
    ("later", "row", "seen_at"),
    [
        pytest.param(59 * MINUTE, ROW, NOW, id="the same a while later is not written again"),
        pytest.param(60 * MINUTE, ROW, NOW + 60 * MINUTE, id="the same much later is: it is younger"),
        pytest.param(MINUTE, [*ROW, "new"], NOW + MINUTE, id="a change is written at once"),
    ],
)
def test_what_is_written_again(
    started: Callable[[], LastKnown], later: timedelta, row: list[Any], seen_at: datetime
) -> None:
    known = started()
    remember(known)
    until_written(known)
    remember(known, row=row, now=NOW + later)
    until_written(known)
    assert known.recall(ADA, NOW + later) == (row, seen_at)


def test_usage_that_moves_on_is_not_written_again(started: Callable[[], LastKnown]) -> None:
    known = started()
    known.remember(ADA, ["terms", 1], "terms", NOW)
    until_written(known)
    known.remember(ADA, ["terms", 2], "terms", NOW + MINUTE)
    assert known.recall(ADA, NOW + MINUTE) == (["terms", 1], NOW)


def test_who_was_not_seen_for_a_week_is_deleted_and_takes_no_memory(
    started: Callable[[], LastKnown], path: Path
) -> None:
    known = started()
    remember(known, ADA, now=NOW - 8 * DAY)
    until_written(known)
    remember(known, "routers", now=NOW - 6 * DAY)
    until_written(known)
    remember(known, BEN, now=NOW)
    until_written(known)
    assert names_on_disk(path) == [BEN, "routers"]
    assert set(known._written) == {BEN}


# ---- forgetting ----


def test_who_is_gone_is_forgotten_at_once_and_for_good(started: Callable[[], LastKnown], path: Path) -> None:
    known = started()
    remember(known, ADA)
    remember(known, BEN)
    until_written(known)
    known.forget(ADA)
    assert known.recall(ADA, NOW) is None
    until_written(known)
    assert known.recall(ADA, NOW) is None
    assert names_on_disk(path) == [BEN]


def test_who_is_gone_is_forgotten_though_the_server_was_restarted_since(
    started: Callable[[], LastKnown], path: Path
) -> None:
    """Or else a cancelled account would get in again as soon as PostgreSQL is away."""
    remember(started())
    known = started()
    assert known.recall(ADA, NOW)
    known.forget(ADA)
    until_written(known)
    assert known.recall(ADA, NOW) is None
    assert names_on_disk(path) == []


def test_who_comes_back_is_known_again(started: Callable[[], LastKnown]) -> None:
    known = started()
    remember(known)
    known.forget(ADA)
    remember(known)
    until_written(known)
    assert known.recall(ADA, NOW) == (ROW, NOW)


# ---- damage ----


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def noise(path: Path) -> None:
    path.write_bytes(b"noise" * 1000)


def a_broken_page(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("damage", [zeros, noise, a_broken_page, cut_short], ids=lambda damage: damage.__name__)
def test_a_damaged_file_is_begun_anew(
    started: Callable[[], LastKnown], path: Path, lines: list[str], damage: Callable[[Path], None]
) -> None:
    known = started()
    for number in range(200):
        remember(known, f"login\x001\0user{number}\0", [*ROW, "x" * 100])
    known.close()
    damage(path)
    known = started()
    # Damage within is found in use; what was written into it counts as not written.
    for _ in range(3):
        remember(known)
        until_written(known)
    assert known.recall(ADA, NOW) == (ROW, NOW)
    assert len(lines) <= 2
    assert f"{path} is damaged and begun anew" in "\n".join(lines)
    assert started().recall(ADA, NOW) == (ROW, NOW)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param('[1, "en", null]', id="text"),
        b"",
        b"\x93\x01\xa2e",
        b"\x01",
        b"\x91\x01\x01",
        b"\xc1",
        b"\x91\xd4\x63\x00",
        b"\x91\xd6\x01what",
        b"\x91\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x91\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\x91\xa1\xff",
    ],
    ids=repr,
)
def test_a_row_that_can_not_be_read_is_unknown(
    started: Callable[[], LastKnown], path: Path, damaged: str | bytes
) -> None:
    known = started()
    remember(known, ADA)
    remember(known, BEN)
    known.close()
    database = sqlite3.connect(path)
    database.execute("UPDATE last_known SET row = ? WHERE name = ?", (damaged, ADA))
    database.commit()
    database.close()
    known = started()
    assert known.recall(ADA, NOW) is None
    assert known.recall(BEN, NOW) == (ROW, NOW)


# ---- a disk that takes nothing ----


def refuse(database: sqlite3.Connection) -> None:
    """As a full disk: no page can be added."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")


def test_what_could_not_be_written_is_said_once_and_written_with_the_next_login(
    started: Callable[[], LastKnown], lines: list[str]
) -> None:
    known = started()
    remember(known, BEN)
    until_written(known)
    assert known._database is not None
    refuse(known._database)
    large = [*ROW, "x" * 100_000]
    for _ in range(3):
        remember(known, ADA, large)
        until_written(known)
    assert lines == ["the last known entitlements can not be written: database or disk is full"]
    assert known.recall(ADA, NOW) is None
    assert known.recall(BEN, NOW) == (ROW, NOW)
    known._database.execute("PRAGMA max_page_count = 1000000")
    remember(known, ADA, large)
    until_written(known)
    assert known.recall(ADA, NOW) == (large, NOW)


def test_without_a_file_nothing_is_known_and_nothing_fails_until_there_can_be_one(
    started: Callable[[], LastKnown], path: Path, lines: list[str]
) -> None:
    path.mkdir(parents=True)
    known = started()
    for _ in range(3):
        remember(known)
        until_written(known)
    assert known.recall(ADA, NOW) is None
    assert len(lines) == 1
    assert f"{path} can not be used" in lines[0]
    path.rmdir()
    remember(known)
    until_written(known)
    assert known.recall(ADA, NOW) == (ROW, NOW)
