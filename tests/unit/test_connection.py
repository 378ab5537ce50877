"""The link to PostgreSQL while there is none: it says so at once and keeps trying."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from radius_module.connection import DatabaseAway, Link


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def link(lines: list[str], tmp_path: Path) -> Iterator[Link]:
    """To a socket that nobody listens on."""
    link = Link(f"postgresql://u@/db?host={tmp_path}", "logins", statement_timeout_s=0.8, log=lines.append)
    link.start()
    yield link
    link.close()


def test_without_postgresql_the_link_starts_says_so_in_one_line_and_is_away(link: Link, lines: list[str]) -> None:
    assert not link.is_up
    assert len(lines) == 1
    assert lines[0].startswith("PostgreSQL is away (logins): ")
    assert "\n" not in lines[0]


def test_without_postgresql_nobody_waits_and_nothing_is_run(link: Link) -> None:
    ran: list[object] = []
    began = monotonic()
    for _ in range(100):
        with pytest.raises(DatabaseAway, match="logins"):
            link.use(ran.append)
    assert monotonic() - began < 0.5
    assert ran == []


def test_an_outage_is_one_line_however_long_it_lasts(link: Link, lines: list[str]) -> None:
    sleep(0.5)  # several tries to connect
    assert len(lines) == 1
