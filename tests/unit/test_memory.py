"""PostgreSQL's share of the machine's memory."""

from pathlib import Path

import pytest

from cli.instance import memory

MEMINFO = "MemTotal:       {kib} kB\nMemFree:         1234 kB\nHugePages_Total:       0\n"


@pytest.mark.parametrize(
    ("kib", "limits", "mb"),
    [
        pytest.param(24_000_000, {}, 23_437, id="a machine"),
        pytest.param(24_000_000, {"memory.max": "max\n"}, 23_437, id="a container without limit"),
        pytest.param(24_000_000, {"memory.max": "1073741824\n"}, 1024, id="a container of 1 GiB"),
        pytest.param(24_000_000, {"limit_in_bytes": "2147483648\n"}, 2048, id="one of cgroup 1"),
        pytest.param(24_000_000, {"limit_in_bytes": "9223372036854771712\n"}, 23_437, id="cgroup 1 without limit"),
    ],
)
def test_how_much_memory_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kib: int, limits: dict[str, str], mb: int
) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO.format(kib=kib))
    for name, value in limits.items():
        (tmp_path / name).write_text(value)
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "LIMITS", (tmp_path / "memory.max", tmp_path / "limit_in_bytes"))
    assert memory.memory_mb() == mb


def test_this_machine_has_memory() -> None:
    assert 64 < memory.memory_mb() < 1 << 24


@pytest.mark.parametrize(("mb", "share"), [(512, 128), (1024, 128), (4096, 512), (24_000, 3000), (65_536, 4096)])
def test_postgresql_keeps_an_eighth_within_bounds(mb: int, share: int) -> None:
    assert memory.shared_buffers_mb(mb) == share
