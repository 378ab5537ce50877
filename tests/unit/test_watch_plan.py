"""When routers are asked, and what is said to be in their way."""

from itertools import pairwise

import pytest

from isp.router_device_mode import DeviceMode
from isp.router_obstacles import obstacles
from isp.watch_plan import first_due_s, next_due_s, pause_s, phase_s


def test_turns_are_spread_evenly_over_the_period() -> None:
    for ids in (range(1, 501), range(7, 5007, 10)):
        turns = sorted(phase_s(router_id) for router_id in ids)
        gaps = [later - earlier for earlier, later in pairwise(turns)]
        assert max(gaps) < 6 * 30 / len(turns)


@pytest.mark.parametrize("now_s", [0.0, 17.0, 1e6 + 0.3])
def test_the_first_turn_comes_within_a_period(now_s: float) -> None:
    for router_id in range(1, 100):
        assert now_s <= first_due_s(router_id, now_s) < now_s + 30


@pytest.mark.parametrize(
    ("due_s", "now_s", "expected"),
    [(100, 100.2, 130), (100, 129.9, 130), (100, 131, 160), (100, 1000, 1030)],
)
def test_turns_keep_their_beat_and_missed_ones_are_left_out(due_s: float, now_s: float, expected: float) -> None:
    assert next_due_s(due_s, now_s) == expected


@pytest.mark.parametrize(
    ("failures", "shortest_s", "longest_s"),
    [(1, 10, 10), (2, 54, 66), (3, 108, 132), (4, 216, 264), (5, 270, 330), (100, 270, 330), (10**6, 270, 330)],
)
def test_a_dead_router_is_left_alone_longer_and_longer(failures: int, shortest_s: float, longest_s: float) -> None:
    pauses = {pause_s(failures, router_id) for router_id in range(1, 200)}
    assert shortest_s <= min(pauses) <= max(pauses) <= longest_s


HOME = DeviceMode.of({"mode": "home", "hotspot": "no", "fetch": "no"})


@pytest.mark.parametrize(
    ("mode", "packages", "words"),
    [
        (None, (), None),
        (DeviceMode.of({"mode": "advanced"}), (), None),
        (HOME, (), "update hotspot=yes"),
        (DeviceMode.of({"mode": "advanced", "flagged": "yes"}), (), "flagged=no"),
        (None, ("hotspot",), "Run /system package enable hotspot and reboot it."),
        (None, ("ppp", "hotspot"), "hotspot and ppp is disabled"),
        (None, ("wireless",), None),
    ],
)
def test_what_is_in_the_way_is_said_with_its_remedy(
    mode: DeviceMode | None, packages: tuple[str, ...], words: str | None
) -> None:
    said = obstacles(mode, packages)
    assert said is None if words is None else words in (said or "")
