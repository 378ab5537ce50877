"""The specification of `isp.coa.change`: what brings a live session to what it is entitled to.

Every table states one rule. A session is an hour old, has sent 100 MB and received 900 MB, and holds 2M/8M with a day
from its start, unless a row says otherwise.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.coa import (
    OUT_OF_REACH_OCTETS,
    Abilities,
    AddressListMove,
    Adjust,
    Cause,
    Disconnect,
    Nothing,
    Standing,
    change,
    since_start,
)
from isp.entitlement import Accept, Reject
from isp.reasons import Reason
from isp.reply import MAX_SESSION_TIMEOUT_S

MB, GB, GIGAWORD = 1_000_000, 1_000_000_000, 1 << 32
HOUR, DAY, MONTH = 3600, 86400, MAX_SESSION_TIMEOUT_S
STANDING = Standing(session_time_s=HOUR, input_octets=100 * MB, output_octets=900 * MB)


def entitled(**fields: Any) -> Accept:
    """To what it holds, unless `fields` say otherwise; counted from now."""
    usual = {"reason": Reason.OK, "rate_limit": "2000k/8000k", "session_timeout_s": DAY - HOUR, "idle_timeout_s": None}
    return Accept(**{**usual, "interim_interval_s": 300, **fields})


def held(**fields: Any) -> Accept:
    """By the router, counted from the start."""
    return entitled(**{"session_timeout_s": DAY, **fields})


def adjusted(applied: Accept, desired: Accept, service: str = "hotspot", standing: Standing = STANDING) -> Adjust:
    found = change(applied, desired, standing, service)
    assert isinstance(found, Adjust), found
    return found


GARDEN = {"reason": Reason.EXPIRED_WALLED_GARDEN, "rate_limit": "256k/256k", "session_timeout_s": 300}

# what differs                    held                            entitled to                     | CoA-Request
CHANGEABLE: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[tuple[str, str], ...]]] = {
    "another plan's speed": ({}, {"rate_limit": "5000k/20000k"}, (("Mikrotik-Rate-Limit", "5000k/20000k"),)),
    "fair use": ({}, {"rate_limit": "512k/512k", "reason": Reason.FAIR_USE}, (("Mikrotik-Rate-Limit", "512k/512k"),)),
    "paid for ten days more": ({}, {"session_timeout_s": 11 * DAY - HOUR}, (("Session-Timeout", str(11 * DAY)),)),
    "cut short": ({}, {"session_timeout_s": 60}, (("Session-Timeout", str(HOUR + 60)),)),
    "an end where there was none": ({"session_timeout_s": None}, {}, (("Session-Timeout", str(DAY)),)),
    "no end any more": ({}, {"session_timeout_s": None}, (("Session-Timeout", str(HOUR + MONTH)),)),
    "an end beyond a month": ({}, {"session_timeout_s": 99 * DAY}, (("Session-Timeout", str(HOUR + MONTH)),)),
    "an end far away where there was none": (
        {"session_timeout_s": None},
        {"session_timeout_s": 99 * DAY},
        (("Session-Timeout", str(HOUR + MONTH)),),
    ),
    "idle sooner": ({"idle_timeout_s": 600}, {"idle_timeout_s": 300}, (("Idle-Timeout", "300"),)),
    "upload bought": (
        {"input_limit_octets": 200 * MB},
        {"input_limit_octets": 400 * MB},
        (("Mikrotik-Recv-Limit", str(500 * MB)), ("Mikrotik-Recv-Limit-Gigawords", "0")),
    ),
    "download bought, beyond 4 GiB": (
        {"output_limit_octets": GB},
        {"output_limit_octets": 10 * GIGAWORD + 7 - 900 * MB},
        (("Mikrotik-Xmit-Limit", "7"), ("Mikrotik-Xmit-Limit-Gigawords", "10")),
    ),
    "no longer beyond 4 GiB": (
        {"output_limit_octets": 10 * GIGAWORD},
        {"output_limit_octets": 100 * MB},
        (("Mikrotik-Xmit-Limit", str(GB)), ("Mikrotik-Xmit-Limit-Gigawords", "0")),
    ),
    "exactly 4 GiB, which RouterOS would read as none": (
        {},
        {"output_limit_octets": GIGAWORD - 900 * MB},
        (("Mikrotik-Xmit-Limit", str(GIGAWORD - 1)), ("Mikrotik-Xmit-Limit-Gigawords", "0")),
    ),
    "upload without limit": (
        {"input_limit_octets": 200 * MB},
        {},
        (("Mikrotik-Recv-Limit", str(GIGAWORD - 1)), ("Mikrotik-Recv-Limit-Gigawords", str((1 << 20) - 1))),
    ),
    "speed and end together": (
        {},
        {"rate_limit": "1k/1k", "session_timeout_s": 2 * DAY - HOUR},
        (("Mikrotik-Rate-Limit", "1k/1k"), ("Session-Timeout", str(2 * DAY))),
    ),
}


@pytest.mark.parametrize("service", ["hotspot", "pppoe"])
@pytest.mark.parametrize(("holds", "wants", "coa"), CHANGEABLE.values(), ids=CHANGEABLE)
def test_what_the_manual_lists_is_changed_by_one_coa_request(
    service: str, holds: dict[str, Any], wants: dict[str, Any], coa: tuple[tuple[str, str], ...]
) -> None:
    found = adjusted(held(**holds), entitled(**wants), service)
    assert (found.coa, found.unlisted, found.address_list) == (coa, (), None)


# what differs                    held                            entitled to
SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "the reason alone": ({}, {"reason": Reason.GRACE}),
    "an end half a minute later": ({}, {"session_timeout_s": DAY - HOUR + 30}),
    "an end half a minute sooner": ({}, {"session_timeout_s": DAY - HOUR - 30}),
    "never an end": ({"session_timeout_s": None}, {"session_timeout_s": None}),
    "an end beyond a month, held as one": ({"session_timeout_s": MONTH}, {"session_timeout_s": 99 * DAY}),
    "no end, held as one in two weeks and a half": ({"session_timeout_s": 18 * DAY}, {"session_timeout_s": None}),
    "the interval of reports, which waits for a login": ({}, {"interim_interval_s": 60}),
    "idle by the router's own rule, which waits for a login": ({"idle_timeout_s": 600}, {"idle_timeout_s": None}),
    "room for other devices": ({}, {"room_left": 3, "displaced": ("a",)}),
    "a little less, used by another device": ({"total_limit_octets": 11 * GB}, {"total_limit_octets": 9200 * MB}),
    "no limit, held as one out of reach": ({"total_limit_octets": OUT_OF_REACH_OCTETS}, {}),
    "a garden, whose end is to come": (
        {**GARDEN, "session_timeout_s": HOUR + 20},
        {**GARDEN, "reason": Reason.SUSPENDED_WALLED_GARDEN},
    ),
}


@pytest.mark.parametrize(("holds", "wants"), SAME.values(), ids=SAME)
def test_what_makes_no_difference_sends_nothing(holds: dict[str, Any], wants: dict[str, Any]) -> None:
    assert change(held(**holds), entitled(**wants), STANDING, "pppoe") == Nothing()


def test_a_month_is_renewed_by_its_middle() -> None:
    later = replace(STANDING, session_time_s=MONTH // 2 + 1)
    found = adjusted(held(session_timeout_s=MONTH), entitled(session_timeout_s=99 * DAY), standing=later)
    assert found.coa == (("Session-Timeout", str(MONTH // 2 + 1 + MONTH)),)


# total limit held, left now  | Mikrotik-Total-Limit
TOTALS: dict[str, tuple[int | None, int | None, str]] = {
    "more": (2 * GB, 2 * GB, str(3 * GB)),
    "a little more, at once": (2 * GB, GB + 1, str(2 * GB + 1)),
    "less by more than a tenth of what is left": (2 * GB, 900 * MB, str(1900 * MB)),
    "a first": (None, GB, str(2 * GB)),
}


@pytest.mark.parametrize(("holds", "left", "limit"), TOTALS.values(), ids=TOTALS)
def test_a_total_limit_is_tried_apart_since_no_manual_lists_it(holds: int | None, left: int | None, limit: str) -> None:
    found = adjusted(held(total_limit_octets=holds), entitled(total_limit_octets=left, rate_limit="1k/1k"))
    assert found.coa == (("Mikrotik-Rate-Limit", "1k/1k"),)
    assert found.unlisted == (("Mikrotik-Total-Limit", limit), ("Mikrotik-Total-Limit-Gigawords", "0"))


def test_a_total_limit_alone_needs_no_other_request() -> None:
    found = adjusted(held(total_limit_octets=2 * GB), entitled(total_limit_octets=2 * GB))
    assert found.coa == ()
    assert found.unlisted != ()


# what differs           held                              entitled to
ADDRESSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another address": ({"framed_ip_address": "10.0.0.1"}, {"framed_ip_address": "10.0.0.2"}),
    "a fixed address instead of a pool": ({"framed_pool": "home"}, {"framed_ip_address": "10.0.0.2"}),
    "another pool": ({"framed_pool": "home"}, {"framed_pool": "office"}),
    "IPv6": ({}, {"framed_ipv6_pool": "six"}),
    "a delegated pool": ({"delegated_ipv6_pool": "a"}, {"delegated_ipv6_pool": "b"}),
    "a delegated prefix": ({}, {"delegated_ipv6_prefix": "2001:db8:1::/48"}),
    "a garden, which IPv6 would lead out of": ({"framed_ipv6_pool": "six"}, GARDEN),
}


@pytest.mark.parametrize(("holds", "wants"), ADDRESSES.values(), ids=ADDRESSES)
def test_another_address_needs_another_login(holds: dict[str, Any], wants: dict[str, Any]) -> None:
    desired = entitled(**wants)
    assert change(held(**holds), desired, STANDING, "pppoe") == Disconnect(Cause.ADDRESS, desired.reason)


@pytest.mark.parametrize("service", ["hotspot", "pppoe"])
@pytest.mark.parametrize("reason", [Reason.EXPIRED, Reason.SUSPENDED, Reason.DATA_USED_UP, Reason.TOO_MANY_DEVICES])
def test_who_is_entitled_to_nothing_is_disconnected(service: str, reason: Reason) -> None:
    found = change(held(), Reject(reason), STANDING, service)
    assert found == Disconnect(Cause.NOT_ENTITLED, reason)


def test_expiry_moves_a_pppoe_session_into_the_walled_garden_and_a_payment_out_of_it() -> None:
    full = entitled(address_list="subscribers", total_limit_octets=3 * GB)
    garden = entitled(**GARDEN, address_list="expired")

    into = adjusted(since_start(full, STANDING), garden, "pppoe")
    assert into.coa == (("Mikrotik-Rate-Limit", "256k/256k"), ("Session-Timeout", str(HOUR + 300)))
    assert into.address_list == AddressListMove(leave="subscribers", join="expired")

    later = replace(STANDING, session_time_s=HOUR + 120)
    out = adjusted(into.applied, replace(full, session_timeout_s=DAY), "pppoe", later)
    assert out.coa == (("Mikrotik-Rate-Limit", "2000k/8000k"), ("Session-Timeout", str(HOUR + 120 + DAY)))
    assert out.unlisted == (("Mikrotik-Total-Limit", str(4 * GB)), ("Mikrotik-Total-Limit-Gigawords", "0"))
    assert out.address_list == AddressListMove(leave="expired", join="subscribers")
    assert change(out.applied, replace(full, session_timeout_s=DAY), later, "pppoe") == Nothing()


def test_a_garden_of_a_plan_without_an_address_list_is_joined_and_left_alone() -> None:
    into = adjusted(held(), entitled(**GARDEN, address_list="expired"), "pppoe")
    assert into.address_list == AddressListMove(leave=None, join="expired")
    assert adjusted(into.applied, entitled(), "pppoe").address_list == AddressListMove(leave="expired", join=None)


# what the router can not do             entitled to                                            | why it is disconnected
UNABLE: dict[str, tuple[Abilities, dict[str, Any], Cause | None]] = {
    "no API, another list": (Abilities(has_api=False), {"address_list": "expired"}, Cause.ADDRESS_LIST),
    "no API, another speed": (Abilities(has_api=False), {"rate_limit": "1k/1k"}, None),
    "ignores speeds, another speed": (Abilities(applies_rate_limit=False), {"rate_limit": "1k/1k"}, Cause.RATE_LIMIT),
    "ignores speeds, another end": (Abilities(applies_rate_limit=False), {"session_timeout_s": 60}, None),
}


@pytest.mark.parametrize(("abilities", "wants", "cause"), UNABLE.values(), ids=UNABLE)
def test_what_a_router_can_not_do_becomes_a_disconnect(
    abilities: Abilities, wants: dict[str, Any], cause: Cause | None
) -> None:
    found = change(held(), entitled(**wants), STANDING, "pppoe", abilities)
    if cause:
        assert found == Disconnect(cause, Reason.OK)
    else:
        assert isinstance(found, Adjust)


def test_an_access_accept_is_what_the_router_holds_from_the_start() -> None:
    accept = entitled(session_timeout_s=99 * DAY, total_limit_octets=5, input_limit_octets=None, output_limit_octets=7)
    assert since_start(accept) == replace(accept, session_timeout_s=MONTH)


octets = st.none() | st.integers(1, 1 << 45)
accepts = st.builds(
    Accept,
    reason=st.sampled_from([Reason.OK, Reason.FAIR_USE, Reason.EXPIRED_WALLED_GARDEN]),
    rate_limit=st.sampled_from(["1k/1k", "2k/2k"]),
    session_timeout_s=st.none() | st.integers(1, 99 * DAY),
    idle_timeout_s=st.none() | st.integers(1, DAY),
    interim_interval_s=st.just(300),
    total_limit_octets=octets,
    input_limit_octets=octets,
    output_limit_octets=octets,
    address_list=st.sampled_from([None, "a", "b"]),
)
standings = st.builds(Standing, st.integers(0, 99 * DAY), st.integers(0, 1 << 45), st.integers(0, 1 << 45))


@given(accepts, accepts, standings)
def test_once_adjusted_there_is_nothing_left_to_do(first: Accept, then: Accept, standing: Standing) -> None:
    found = change(since_start(first), then, standing, "pppoe")
    if isinstance(found, Adjust):
        assert found.coa or found.unlisted or found.address_list
        assert change(found.applied, then, standing, "pppoe") == Nothing()


@given(accepts, accepts, standings)
def test_nobody_is_cut_off_before_the_time_and_the_data_paid_for(
    first: Accept, then: Accept, standing: Standing
) -> None:
    found = change(since_start(first), then, standing, "hotspot")
    holds = found.applied if isinstance(found, Adjust) else since_start(first)
    assert not isinstance(found, Disconnect)
    if then.reason is not Reason.EXPIRED_WALLED_GARDEN:
        left_s = min(then.session_timeout_s or MONTH, MONTH // 2)
        assert holds.session_timeout_s is None or holds.session_timeout_s >= standing.session_time_s + left_s - 30
    for limit, used in (("input_limit_octets", standing.input_octets), ("output_limit_octets", standing.output_octets)):
        left, kept = getattr(then, limit), getattr(holds, limit)
        assert kept is None or kept >= min(used + (left or OUT_OF_REACH_OCTETS), OUT_OF_REACH_OCTETS)
