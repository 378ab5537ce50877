"""Access-Accept, attribute by attribute."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.entitlement import Accept
from isp.reasons import Reason
from isp.reply import attributes

GIB = 1 << 30
LEAST = Accept(
    reason=Reason.OK, rate_limit="2000k/8000k", session_timeout_s=None, idle_timeout_s=None, interim_interval_s=300
)


def accept(**values: Any) -> Accept:
    return replace(LEAST, **values)


def test_the_least_a_hotspot_login_gets() -> None:
    assert attributes(LEAST, "hotspot") == (("Mikrotik-Rate-Limit", "2000k/8000k"), ("Acct-Interim-Interval", "300"))


def test_pppoe_is_framed_ppp_since_some_refuse_anything_else() -> None:
    assert attributes(LEAST, "pppoe") == (
        ("Service-Type", "Framed-User"),
        ("Framed-Protocol", "PPP"),
        ("Mikrotik-Rate-Limit", "2000k/8000k"),
        ("Acct-Interim-Interval", "300"),
    )


def test_everything_at_once() -> None:
    full = Accept(
        reason=Reason.OK,
        rate_limit="1k/2k",
        session_timeout_s=3600,
        idle_timeout_s=600,
        interim_interval_s=120,
        total_limit_octets=5 * GIB,
        input_limit_octets=1 * GIB,
        output_limit_octets=4 * GIB,
        framed_ip_address="10.0.0.5",
        framed_pool="pool",
        framed_ipv6_pool="pool6",
        delegated_ipv6_pool="pool-pd",
        delegated_ipv6_prefix="2001:db8::/56",
        address_list="gold",
        displaced=("not sent",),
    )
    assert attributes(full, "hotspot") == (
        ("Mikrotik-Rate-Limit", "1k/2k"),
        ("Session-Timeout", "3600"),
        ("Idle-Timeout", "600"),
        ("Acct-Interim-Interval", "120"),
        ("Mikrotik-Total-Limit", str(GIB)),
        ("Mikrotik-Total-Limit-Gigawords", "1"),
        ("Mikrotik-Recv-Limit", str(GIB)),
        ("Mikrotik-Xmit-Limit", "4294967295"),
        ("Framed-IP-Address", "10.0.0.5"),
        ("Framed-Pool", "pool"),
        ("Framed-IPv6-Pool", "pool6"),
        ("Mikrotik-Delegated-IPv6-Pool", "pool-pd"),
        ("Delegated-IPv6-Prefix", "2001:db8::/56"),
        ("Mikrotik-Address-List", "gold"),
    )


@pytest.mark.parametrize(
    ("octets", "low", "gigawords"),
    [
        pytest.param(0, "1", None, id="nothing: RouterOS takes 0 as no limit"),
        pytest.param(1, "1", None, id="one octet"),
        pytest.param(4 * GIB - 1, "4294967295", None, id="the last below a gigaword"),
        pytest.param(4 * GIB, "4294967295", None, id="a gigaword, one octet short: a low word of 0 is no limit"),
        pytest.param(4 * GIB + 1, "1", "1", id="one above"),
        pytest.param(1000 * GIB, "4294967295", "249", id="a terabyte, one octet short"),
        pytest.param((1 << 63) - 1, "4294967295", "2147483647", id="the largest limit a plan can hold"),
    ],
)
@pytest.mark.parametrize(
    ("field", "attribute"),
    [
        ("total_limit_octets", "Mikrotik-Total-Limit"),
        ("input_limit_octets", "Mikrotik-Recv-Limit"),
        ("output_limit_octets", "Mikrotik-Xmit-Limit"),
    ],
)
def test_limits_above_4_gib_have_a_gigawords_twin(
    field: str, attribute: str, octets: int, low: str, gigawords: str | None
) -> None:
    pairs = dict(attributes(accept(**{field: octets}), "hotspot"))
    assert pairs[attribute] == low
    assert pairs.get(f"{attribute}-Gigawords") == gigawords
    assert len([name for name in pairs if "-Limit" in name]) == (2 if gigawords is None else 3)  # with Rate-Limit


@given(st.integers(1, (1 << 63) - 1))
def test_the_two_words_of_a_limit_are_the_limit_and_each_fits_32_bits(octets: int) -> None:
    pairs = dict(attributes(accept(total_limit_octets=octets), "hotspot"))
    low, gigawords = int(pairs["Mikrotik-Total-Limit"]), int(pairs.get("Mikrotik-Total-Limit-Gigawords", "0"))
    assert (gigawords << 32) + low == (octets if octets % (1 << 32) else octets - 1)
    assert max(low, gigawords) < 1 << 32


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [
        pytest.param(None, None, id="no end"),
        pytest.param(1, "1", id="one second"),
        pytest.param(30 * 86400, "2592000", id="thirty days"),
        pytest.param(30 * 86400 + 1, "2592000", id="longer: thirty days, then the router asks again"),
        pytest.param(100 * 366 * 86400, "2592000", id="a century"),
    ],
)
def test_session_timeout(seconds: int | None, sent: str | None) -> None:
    assert dict(attributes(accept(session_timeout_s=seconds), "hotspot")).get("Session-Timeout") == sent


def test_all_values_are_text_since_freeradius_skips_anything_else() -> None:
    pairs = attributes(accept(session_timeout_s=5, idle_timeout_s=6, total_limit_octets=7), "pppoe")
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in pairs)
    assert len({name for name, _ in pairs}) == len(pairs)
