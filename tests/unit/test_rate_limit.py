"""Mikrotik-Rate-Limit: rows by hand, and every value against the grammar of MikroTik's manual."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.rate_limit import Burst, Rate, rate_limit

_PAIR = r"(\d+[kM]?)/(\d+[kM]?)"
GRAMMAR = re.compile(rf"{_PAIR}(?: {_PAIR}(?: {_PAIR}(?: (\d+)/(\d+)(?: ([1-8])(?: {_PAIR})?)?)?)?)?", re.ASCII)
"""rx/tx [rx-burst/tx-burst [rx-threshold/tx-threshold [rx-time/tx-time [priority [rx-min/tx-min]]]]]"""

BURST = Burst(Rate(4000, 16000), Rate(1500, 6000), 8)


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        pytest.param({}, "2000k/8000k", id="upload first: rx is what the router receives"),
        pytest.param({"burst": BURST}, "2000k/8000k 4000k/16000k 1500k/6000k 8/8", id="burst"),
        pytest.param(
            {"burst": BURST, "priority": 3}, "2000k/8000k 4000k/16000k 1500k/6000k 8/8 3", id="burst, priority"
        ),
        pytest.param(
            {"burst": BURST, "priority": 1, "minimum": Rate(500, 1000)},
            "2000k/8000k 4000k/16000k 1500k/6000k 8/8 1 500k/1000k",
            id="everything",
        ),
        pytest.param(
            {"burst": BURST, "minimum": Rate(500, 1000)},
            "2000k/8000k 4000k/16000k 1500k/6000k 8/8 8 500k/1000k",
            id="burst and minimum: the lowest priority stands between",
        ),
        pytest.param(
            {"priority": 1},
            "2000k/8000k 2000k/8000k 2000k/8000k 1/1 1",
            id="priority alone: a burst at the limit is none",
        ),
        pytest.param(
            {"minimum": Rate(500, 1000)},
            "2000k/8000k 2000k/8000k 2000k/8000k 1/1 8 500k/1000k",
            id="minimum alone",
        ),
        pytest.param(
            {"minimum": Rate(0, 0)}, "2000k/8000k 2000k/8000k 2000k/8000k 1/1 8 0k/0k", id="a minimum of nothing"
        ),
    ],
)
def test_the_fields_stand_in_mikrotiks_order(terms: dict[str, Any], text: str) -> None:
    assert rate_limit(upload_kbps=2000, download_kbps=8000, **terms) == text
    assert GRAMMAR.fullmatch(text)


kbps = st.integers(0, 100_000_000)
rates = st.builds(Rate, kbps, kbps)
bursts = st.builds(Burst, rates, rates, st.integers(1, 3600))


@given(rates, st.none() | bursts, st.none() | st.integers(1, 8), st.none() | rates)
def test_whatever_the_plan_mikrotik_can_read_it_back(
    rate: Rate, burst: Burst | None, priority: int | None, minimum: Rate | None
) -> None:
    text = rate_limit(rate.upload_kbps, rate.download_kbps, burst=burst, priority=priority, minimum=minimum)
    read = GRAMMAR.fullmatch(text)
    assert read is not None
    fields = [field and field.removesuffix("k") for field in read.groups()]
    assert fields[0:2] == [str(rate.upload_kbps), str(rate.download_kbps)]
    if burst:
        assert fields[2:4] == [str(burst.rate.upload_kbps), str(burst.rate.download_kbps)]
        assert fields[4:6] == [str(burst.threshold.upload_kbps), str(burst.threshold.download_kbps)]
        assert fields[6:8] == [str(burst.time_s)] * 2
    elif fields[2] is not None:
        assert fields[2:6] == fields[0:2] * 2
    assert fields[8] == (str(priority) if priority else "8" if minimum else None)
    assert fields[9:11] == ([str(minimum.upload_kbps), str(minimum.download_kbps)] if minimum else [None, None])
    assert len(text.encode()) <= 247  # what a vendor-specific attribute holds
