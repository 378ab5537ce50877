"""Numbers as people read them."""

import pytest

from cli.units import octets, seconds


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (9 * 2**30, "9.0 GiB"),
        (2**40, "1.0 TiB"),
        (5000 * 2**40, "5000.0 TiB"),
    ],
)
def test_octets_are_shown_in_the_unit_that_fits(count: int, shown: str) -> None:
    assert octets(count) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (7260, "2 h 1 min"),
        (86400 * 2 + 3600 * 4 + 59, "2 d 4 h"),
        (86400 * 30, "30 d"),
    ],
)
def test_seconds_are_shown_in_their_two_largest_units(count: int, shown: str) -> None:
    assert seconds(count) == shown
