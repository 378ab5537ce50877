"""RouterOS versions and device modes, as routers tell them."""

from itertools import pairwise

import pytest

from isp.router_device_mode import DeviceMode
from isp.router_version import RouterVersion

IN_ORDER = (
    "3.0beta2",
    "6.9",
    "6.42.12",
    "6.43rc19",
    "6.43",
    "6.49.9",
    "6.49.10 (long-term)",
    "7.1alpha1",
    "7.1beta",
    "7.1beta2",
    "7.1beta6 (development)",
    "7.1rc1",
    "7.1rc3 (testing)",
    "7.1",
    "7.1.5",
    "7.9.2",
    "7.16 (stable)",
    "7.16.2 (stable)",
    "7.21.4",
)


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(IN_ORDER)))
def test_versions_compare_as_they_were_released(earlier: str, later: str) -> None:
    assert RouterVersion.parse(earlier) < RouterVersion.parse(later)


@pytest.mark.parametrize("text", IN_ORDER)
def test_a_version_is_written_as_it_was_read(text: str) -> None:
    assert str(RouterVersion.parse(text)) == text.partition(" ")[0]


@pytest.mark.parametrize("text", ["", "7", "v7.1", "7.x", "7.1.2.3", "7.1gamma1", "７.1", "7.16.2 (stable", "7.1\n8"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a RouterOS version"):
        RouterVersion.parse(text)


@pytest.mark.parametrize(
    ("row", "hotspot", "fetch"),
    [
        ({"mode": "enterprise", "container": "false"}, True, True),
        ({"mode": "advanced", "hotspot": "no"}, False, True),
        ({"mode": "home"}, False, False),
        ({"mode": "home", "hotspot": "true"}, True, False),
        ({"mode": "basic"}, False, True),
        ({"mode": "rose"}, True, True),
    ],
)
def test_a_mode_forbids_what_it_leaves_out_unless_the_router_says_otherwise(
    row: dict[str, str], hotspot: bool, fetch: bool
) -> None:
    mode = DeviceMode.of(row)
    assert (mode.allows("hotspot"), mode.allows("fetch")) == (hotspot, fetch)


def test_the_remedy_for_a_mode_is_a_command_and_a_button() -> None:
    remedy = DeviceMode.of({"mode": "home", "flagged": "true"}).remedy(["hotspot", "l2tp", "proxy"])
    assert remedy is not None
    assert "/system device-mode update hotspot=yes proxy=yes flagged=no on the router" in remedy
    assert "button" in remedy
    assert DeviceMode.of({"mode": "enterprise"}).remedy(["hotspot"]) is None
