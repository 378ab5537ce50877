"""Accounting on disk: what was answered is stored once PostgreSQL is back, whatever happened to the file meanwhile."""

import errno
import json
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Thread
from uuid import UUID
from zlib import crc32

import pytest

from radius_module import spool as module
from radius_module.accounting import Record
from radius_module.request import AccountingRequest, RouterRestart
from radius_module.spool import Spool, SpoolFull

NOW = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)

START = AccountingRequest(
    status_type="Start",
    session_key=UUID(int=1),
    router_id=7,
    subscription_id=None,
    user_name="ada",
    acct_session_id="80000001",
    radius_class=None,
    service="hotspot",
    calling_station_id=None,
    called_station_id=None,
    nas_ip_address=None,
    nas_port=None,
    nas_port_id=None,
    framed_ip_address=None,
    framed_ipv6_prefix=None,
    delegated_ipv6_prefix=None,
    event_at=NOW,
    session_time_s=0,
    input_octets=0,
    output_octets=0,
    terminate_cause=None,
)
STOP = replace(
    START,
    status_type="Stop",
    subscription_id=2**62,
    radius_class="k1.2a.0123456789abcdef",
    service="pppoe",
    calling_station_id="BC:24:11:EB:56:4D",
    called_station_id="pppoe1",
    nas_ip_address="2001:db8::1",
    nas_port=2**32 - 1,
    nas_port_id="ether2",
    framed_ip_address="10.0.0.1",
    framed_ipv6_prefix="2001:db8:1::/64",
    delegated_ipv6_prefix="2001:db8:2::/56",
    session_time_s=10**9,
    input_octets=2**52,
    output_octets=2**52,
    terminate_cause="User-Request",
)


def numbered(number: int) -> AccountingRequest:
    return replace(START, session_key=UUID(int=number), acct_session_id=str(number))


class Store:
    """PostgreSQL: takes records while it is here, and at most `takes` batches of them before it goes away."""

    def __init__(self) -> None:
        self.is_here = False
        self.takes = -1
        self.records: list[Record] = []

    def __call__(self, records: Sequence[Record]) -> bool:
        if not self.is_here:
            return False
        if records and self.takes == 0:
            self.is_here = False
            return False
        self.takes -= bool(records)
        self.records += records
        return True


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def lines() -> list[str]:
    """The log."""
    return []


@pytest.fixture
def open_spool(
    tmp_path: Path, store: Store, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Spool]]:
    """Call it for a spool in `tmp_path`; again, and it is as after a restart."""
    monkeypatch.setattr(module, "REPLAY_EVERY_S", 0.01)
    opened: list[Spool] = []

    def start() -> Spool:
        for spool in opened:
            spool.close()
        opened.append(Spool(tmp_path, store, lines.append))
        opened[-1].start()
        return opened[-1]

    yield start
    for spool in opened:
        spool.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "not within 10 s"
        time.sleep(0.005)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def come_back(store: Store, directory: Path) -> list[Record]:
    """PostgreSQL is here: what it holds once no segment is left."""
    store.is_here = True
    until(lambda: not list(directory.glob("*.spool")))
    return store.records


# ---- what is kept ----


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(START, id="as little as there can be"),
        pytest.param(STOP, id="all there can be"),
        pytest.param(RouterRestart(7, NOW), id="a restart"),
        pytest.param(replace(STOP, user_name='"\n\0\\ €\udc80'), id="a name of noise"),
        pytest.param(replace(STOP, event_at=NOW.astimezone(timezone(timedelta(hours=3)))), id="another time zone"),
        pytest.param(replace(STOP, event_at=NOW.replace(microsecond=0)), id="a whole second"),
    ],
)
def test_a_record_comes_back_as_it_was(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, record: Record
) -> None:
    open_spool().add(record)
    assert come_back(store, tmp_path) == [record]
    assert files(tmp_path) == []


def test_what_is_added_is_on_the_disk_for_its_owner_alone_until_postgresql_is_back(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, lines: list[str]
) -> None:
    spool = open_spool()
    for number in range(3):
        spool.add(numbered(number))
    time.sleep(0.05)
    (segment,) = tmp_path.iterdir()
    assert segment.read_bytes().count(b"\n") == 3
    assert segment.stat().st_mode & 0o777 == 0o600
    assert (spool.waiting, store.records, lines) == (3, [], [])
    come_back(store, tmp_path)
    until(lambda: spool.waiting == 0)
    assert lines == ["3 accounting records from the disk are stored"]


def test_segments_are_replayed_in_order(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEGMENT_BYTES", 2_000)
    monkeypatch.setattr(module, "REPLAY_BATCH", 2)
    spool = open_spool()
    for number in range(12):
        spool.add(numbered(number))
    assert len(files(tmp_path)) > 2
    assert come_back(store, tmp_path) == [numbered(number) for number in range(12)]


def test_a_restart_finds_what_waits_and_adds_to_a_segment_of_its_own(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, lines: list[str]
) -> None:
    open_spool().add(numbered(0))
    spool = open_spool()
    assert spool.waiting == 1
    assert lines == ["1 accounting records wait on disk for PostgreSQL"]
    spool.add(numbered(1))
    assert files(tmp_path) == ["00000001.spool", "00000002.spool"]
    assert come_back(store, tmp_path) == [numbered(0), numbered(1)]


def test_postgresql_going_away_again_within_a_segment_loses_nothing(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLAY_BATCH", 2)
    spool = open_spool()
    for number in range(5):
        spool.add(numbered(number))
    store.takes, store.is_here = 2, True
    until(lambda: not store.is_here)
    assert files(tmp_path) == ["00000001.spool"]
    spool.add(numbered(5))
    assert files(tmp_path) == ["00000001.spool", "00000002.spool"]
    # The segment is stored whole once more, which accounting takes for the repetition it is.
    store.takes = -1
    assert come_back(store, tmp_path) == [numbered(number) for number in (0, 1, 2, 3, 0, 1, 2, 3, 4, 5)]


def test_a_crash_between_storing_and_deleting_stores_again_and_then_deletes(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path
) -> None:
    open_spool().add(STOP)
    segment = (tmp_path / "00000001.spool").read_bytes()
    come_back(store, tmp_path)
    (tmp_path / "00000001.spool").write_bytes(segment)
    until(lambda: len(store.records) == 2)
    assert store.records == [STOP, STOP]
    until(lambda: not files(tmp_path))


def test_records_that_come_while_others_are_replayed_are_neither_lost_nor_doubled(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path
) -> None:
    spool = open_spool()
    store.is_here = True

    def add(first: int) -> None:
        for number in range(first, first + 200):
            spool.add(numbered(number))

    threads = [Thread(target=add, args=(first,)) for first in range(0, 800, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    come_back(store, tmp_path)
    got = [record.session_key.int for record in store.records if isinstance(record, AccountingRequest)]
    assert sorted(got) == list(range(800))
    until(lambda: spool.waiting == 0)


# ---- damage ----


def line(text: bytes) -> bytes:
    return b"%08x %s\n" % (crc32(text), text)


def flip(lines: list[bytes], index: int, at: int) -> list[bytes]:
    damaged = bytearray(lines[index])
    damaged[at] ^= 0x10
    return [*lines[:index], bytes(damaged), *lines[index + 1 :]]


DAMAGE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], list[int]]] = {
    "none": (lambda lines: lines, [0, 1, 2, 3]),
    "in the first record": (lambda lines: flip(lines, 0, 40), [1, 2, 3]),
    "in one between": (lambda lines: flip(lines, 2, 40), [0, 1, 3]),
    "in the last": (lambda lines: flip(lines, 3, 40), [0, 1, 2]),
    "in a checksum": (lambda lines: flip(lines, 1, 0), [0, 2, 3]),
    "in all": (lambda lines: [b"noise\n" for _ in lines], []),
    "two records run together": (lambda lines: [lines[0], lines[1][:-1], *lines[2:]], [0, 3]),
    "a record cut in two": (lambda lines: [lines[0], lines[1][:50], b"\n", lines[1][50:], *lines[2:]], [0, 2, 3]),
    "a line of nothing": (lambda lines: [lines[0], b"\n", *lines[1:]], [0, 1, 2, 3]),
    "a block of zeros": (lambda lines: [*lines[:2], bytes(4096), b"\n", *lines[2:]], [0, 1, 2, 3]),
    "not JSON, though the checksum is right": (lambda lines: [line(b"{"), *lines], [0, 1, 2, 3]),
    "a date that is none": (
        lambda lines: [line(b'{"kind":"RouterRestart","router_id":7,"event_at":"soon"}'), *lines],
        [0, 1, 2, 3],
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_costs_the_damaged_records_alone_and_they_are_kept_for_the_operator(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, lines: list[str], what: str
) -> None:
    spool = open_spool()
    for number in range(4):
        spool.add(numbered(number))
    spool.close()
    (segment,) = tmp_path.iterdir()
    damage, survivors = DAMAGE[what]
    damaged = b"".join(damage(segment.read_bytes().splitlines(keepends=True)))
    segment.write_bytes(damaged)
    assert open_spool().waiting == len(survivors)
    assert come_back(store, tmp_path) == [numbered(number) for number in survivors]
    if what == "none":
        assert files(tmp_path) == []
    else:
        assert (tmp_path / "00000001.damaged").read_bytes() == damaged
        until(lambda: any("damaged and passed over" in said for said in lines))


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_last_record_cut_short_was_never_answered_and_is_passed_over_in_silence(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, lines: list[str], cut: int
) -> None:
    spool = open_spool()
    for number in range(2):
        spool.add(numbered(number))
    spool.close()
    (segment,) = tmp_path.iterdir()
    os.truncate(segment, segment.stat().st_size - cut)
    assert open_spool().waiting == 1
    assert come_back(store, tmp_path) == [numbered(0)]
    assert files(tmp_path) == []
    assert not any("damaged" in said for said in lines)


def test_a_damaged_segment_is_not_overwritten_by_the_next(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path
) -> None:
    for content in (b"first noise\n", b"second noise\n"):
        spool = open_spool()
        store.is_here = False
        spool.add(START)
        spool.close()
        (segment,) = tmp_path.glob("*.spool")
        segment.write_bytes(content)
        open_spool()
        come_back(store, tmp_path)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"first noise\n", b"second noise\n"]


# ---- other versions ----


def rewritten(segment: Path, change: Callable[[dict[str, object]], object]) -> None:
    _checksum, _, text = segment.read_bytes().rstrip(b"\n").partition(b" ")
    values = json.loads(text)
    change(values)
    segment.write_bytes(line(json.dumps(values).encode()))


def test_a_field_of_a_newer_version_is_left_out(open_spool: Callable[[], Spool], store: Store, tmp_path: Path) -> None:
    spool = open_spool()
    spool.add(STOP)
    spool.close()
    rewritten(tmp_path / "00000001.spool", lambda values: values.update(acct_multi_session_id="7"))
    open_spool()
    assert come_back(store, tmp_path) == [STOP]


def test_a_record_of_an_older_version_that_says_too_little_is_kept_and_stops_nothing(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path
) -> None:
    spool = open_spool()
    spool.add(STOP)
    spool.close()
    rewritten(tmp_path / "00000001.spool", lambda values: values.pop("nas_port_id"))
    open_spool().add(START)
    assert come_back(store, tmp_path) == [START]
    assert files(tmp_path) == ["00000001.damaged"]


# ---- a disk that takes no more ----


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """As on a full disk: what fits of a write is written, the rest fails."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_soft, hard))


def test_a_full_disk_refuses_the_record_whole_and_the_next_that_fits_is_kept(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, lines: list[str]
) -> None:
    spool = open_spool()
    spool.add(numbered(0))
    (segment,) = tmp_path.iterdir()
    whole = segment.read_bytes()
    with no_file_larger_than(len(whole) + 100):
        for _ in range(3):
            with pytest.raises(SpoolFull):
                spool.add(numbered(1))
            assert segment.read_bytes() == whole
        assert spool.problem == os.strerror(errno.EFBIG)
        assert spool.waiting == 1
    assert [said for said in lines if "can not be written" in said] == lines  # once, not for each record
    assert len(lines) == 1
    spool.add(numbered(2))
    assert spool.problem == ""
    assert come_back(store, tmp_path) == [numbered(0), numbered(2)]


def test_a_full_disk_where_not_even_a_file_fits_leaves_nothing(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path
) -> None:
    spool = open_spool()
    with no_file_larger_than(0):
        with pytest.raises(SpoolFull):
            spool.add(numbered(0))
        assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) == 0
    assert come_back(store, tmp_path) == []
    assert files(tmp_path) == []


def test_the_problem_ends_with_the_lack_of_room_though_no_record_comes(
    open_spool: Callable[[], Spool], tmp_path: Path
) -> None:
    """Or else status would tell of a full disk for ever, since records go to PostgreSQL again."""
    spool = open_spool()
    with no_file_larger_than(100):
        with pytest.raises(SpoolFull):
            spool.add(STOP)
        time.sleep(0.1)
        assert spool.problem
    until(lambda: not spool.problem)
    until(lambda: "probe" not in files(tmp_path))


def test_a_record_that_the_disk_did_not_confirm_is_cut_off_again(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    spool.add(numbered(0))

    def fail(_file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(SpoolFull, match="Input/output error"):
            spool.add(numbered(1))
    assert come_back(store, tmp_path) == [numbered(0)]


def test_a_record_that_can_not_be_cut_off_does_not_spoil_the_next(
    open_spool: Callable[[], Spool], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = open_spool()
    spool.add(numbered(0))
    (segment,) = tmp_path.iterdir()

    def fail(_file: int, _size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch, no_file_larger_than(segment.stat().st_size + 100):
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(SpoolFull):
            spool.add(numbered(1))
    spool.add(numbered(2))
    assert come_back(store, tmp_path) == [numbered(0), numbered(2)]
