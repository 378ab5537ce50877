"""What a live session needs to have what its subscription is entitled to now: CoA, the router's API or a Disconnect.

By RouterOS's manual a CoA-Request may change the rate, Recv- and Xmit-Limit, the time-outs, profile, marks and filters;
it can not change addresses, pools and routes. Total-Limit and Address-List are on neither list. The tables of the tests
are the specification.

Whether RouterOS counts a new Session-Timeout or data limit from the session's start or from the CoA is not documented.
We count from the start, as Access-Accept does: if that is wrong, the session lasts too long, and accounting and the
clock end it; the other way round, a paying subscriber would be cut off.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from isp.entitlement import Accept, Reject
from isp.reasons import Reason
from isp.reply import MAX_SESSION_TIMEOUT_S, Pairs, attributes

# Clocks, and the time a login takes, differ by less; an end that moved by less is not worth a packet.
SESSION_TIMEOUT_TOLERANCE_S = 30

# A limit can not be taken back by CoA, only put out of reach: 4 PiB are a 10 Gbit/s port for a month.
OUT_OF_REACH_OCTETS = 1 << 52

GARDENS = frozenset({Reason.EXPIRED_WALLED_GARDEN, Reason.SUSPENDED_WALLED_GARDEN})
_ADDRESSES = (
    "framed_ip_address",
    "framed_pool",
    "framed_ipv6_pool",
    "delegated_ipv6_pool",
    "delegated_ipv6_prefix",
)
_LISTED_LIMITS = {"input_limit_octets": "Mikrotik-Recv-Limit", "output_limit_octets": "Mikrotik-Xmit-Limit"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a session has come: the time since its start, and its own counters."""

    session_time_s: int = 0
    input_octets: int = 0
    output_octets: int = 0


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is known of the session's router."""

    has_api: bool = True
    """We may move addresses between its address lists."""
    applies_rate_limit: bool = True
    """False once it was seen to ACK a new rate and to keep the old one."""


class Cause(StrEnum):
    """Why only a Disconnect helps; what logs in again afterwards gets what it is entitled to."""

    NOT_ENTITLED = "not_entitled"
    ADDRESS = "address"
    ADDRESS_LIST = "address_list"
    RATE_LIMIT = "rate_limit"


@dataclass(frozen=True, slots=True)
class Nothing:
    """The session has what it is entitled to."""


@dataclass(frozen=True, slots=True)
class AddressListMove:
    """For the router's API. What is added outlives the session, so give it a time-out and take it out with the Stop."""

    leave: str | None
    join: str | None


@dataclass(frozen=True, slots=True)
class Adjust:
    """The session goes on, changed. At least one of the first three is there."""

    coa: Pairs
    """Of one CoA-Request; a NAK of it is a failure."""
    unlisted: Pairs
    """Of a CoA-Request of their own: the manual does not say that they can be changed, and a NAK is no failure. Until
    the session's end the router may go by the old value."""
    address_list: AddressListMove | None
    applied: Accept
    """What the router holds once all this is done."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    cause: Cause
    reason: Reason
    """Of the entitlement that could not be reached otherwise."""


Change = Nothing | Adjust | Disconnect


def since_start(accept: Accept, standing: Standing = Standing()) -> Accept:
    """An entitlement as the router holds it: time-out and limits counted from the session's start, not from now."""
    total_octets = standing.input_octets + standing.output_octets
    left_s = accept.session_timeout_s
    return replace(
        accept,
        session_timeout_s=None if left_s is None else standing.session_time_s + min(left_s, MAX_SESSION_TIMEOUT_S),
        total_limit_octets=_plus(accept.total_limit_octets, total_octets),
        input_limit_octets=_plus(accept.input_limit_octets, standing.input_octets),
        output_limit_octets=_plus(accept.output_limit_octets, standing.output_octets),
    )


def change(
    applied: Accept,
    desired: Accept | Reject,
    standing: Standing,
    service: str,
    abilities: Abilities = Abilities(),
) -> Change:
    """What brings a session of `service` (`hotspot` or `pppoe`) from `applied` to `desired`.

    `applied` is what the router holds: `since_start` of the Access-Accept, then `Adjust.applied` of what was done.
    `desired` is the verdict of `decide` at the moment that `standing` is of, counted from then.
    """
    if isinstance(desired, Reject):
        return Disconnect(Cause.NOT_ENTITLED, desired.reason)
    # IPv6 too: an address list holds IPv4 alone, so a session with an IPv6 prefix can not stay behind a walled garden.
    if any(getattr(applied, name) != getattr(desired, name) for name in _ADDRESSES):
        return Disconnect(Cause.ADDRESS, desired.reason)
    if applied.address_list != desired.address_list and not abilities.has_api:
        return Disconnect(Cause.ADDRESS_LIST, desired.reason)
    if applied.rate_limit != desired.rate_limit and not abilities.applies_rate_limit:
        return Disconnect(Cause.RATE_LIMIT, desired.reason)

    changed = _changed(applied, desired, standing)
    if not changed:
        return Nothing()
    moves = "address_list" in changed
    after = replace(applied, reason=desired.reason, **changed)
    return Adjust(
        coa=_listed(after, changed, service),
        unlisted=_limit("Mikrotik-Total-Limit", after, service) if "total_limit_octets" in changed else (),
        address_list=AddressListMove(applied.address_list, desired.address_list) if moves else None,
        applied=after,
    )


def _changed(applied: Accept, desired: Accept, standing: Standing) -> dict[str, Any]:
    """The fields of `applied` that have to become others, with what they become.

    Acct-Interim-Interval can not be changed, and RouterOS's own Idle-Timeout is not known to us: both wait for the next
    login.
    """
    changed: dict[str, Any] = {}
    for name in ("rate_limit", "address_list"):
        if getattr(applied, name) != getattr(desired, name):
            changed[name] = getattr(desired, name)
    if desired.idle_timeout_s not in (None, applied.idle_timeout_s):
        changed["idle_timeout_s"] = desired.idle_timeout_s
    session_timeout_s = _session_timeout_s(applied, desired, standing)
    if session_timeout_s != applied.session_timeout_s:
        changed["session_timeout_s"] = session_timeout_s
    target = since_start(desired, standing)
    for name in (*_LISTED_LIMITS, "total_limit_octets"):
        limit = _limit_octets(getattr(applied, name), getattr(target, name), getattr(desired, name))
        if limit != getattr(applied, name):
            changed[name] = limit
    return changed


def _session_timeout_s(applied: Accept, desired: Accept, standing: Standing) -> int | None:
    """From the start of the session; as it was where that will do."""
    left_s, held_s = desired.session_timeout_s, applied.session_timeout_s
    if applied.reason in GARDENS and desired.reason in GARDENS:
        return held_s  # it is short in order to end
    if left_s is None or left_s >= MAX_SESSION_TIMEOUT_S:
        # An end that far away is written as a month, and moved on long before it comes.
        if held_s is None and left_s is None:
            return None
        if held_s is not None and held_s - standing.session_time_s >= MAX_SESSION_TIMEOUT_S // 2:
            return held_s
        return standing.session_time_s + MAX_SESSION_TIMEOUT_S
    target_s = standing.session_time_s + left_s
    if held_s is not None and abs(target_s - held_s) <= SESSION_TIMEOUT_TOLERANCE_S:
        return held_s
    return target_s


def _limit_octets(held: int | None, target: int | None, left: int | None) -> int | None:
    """From the start of the session; as it was where that will do.

    More is given at once. Less follows in steps of a tenth of what is left: it is mostly what the subscription's other
    devices used meanwhile, and each of their reports would cost a packet.
    """
    if target is None or left is None:
        return held if held is None or held >= OUT_OF_REACH_OCTETS else OUT_OF_REACH_OCTETS
    return held if held is not None and 0 <= held - target <= left // 10 else target


def _listed(after: Accept, changed: dict[str, Any], service: str) -> Pairs:
    pairs: list[tuple[str, str]] = []
    if "rate_limit" in changed:
        pairs.append(("Mikrotik-Rate-Limit", after.rate_limit))
    for name, attribute in (("session_timeout_s", "Session-Timeout"), ("idle_timeout_s", "Idle-Timeout")):
        if name in changed:
            pairs.append((attribute, str(changed[name])))
    for name, attribute in _LISTED_LIMITS.items():
        if name in changed:
            pairs += _limit(attribute, after, service)
    return tuple(pairs)


def _limit(attribute: str, after: Accept, service: str) -> Pairs:
    """The limit with its Gigawords, also where they are 0: the session may still hold others from before."""
    pairs = dict(attributes(after, service))
    gigawords = f"{attribute}-Gigawords"
    return (attribute, pairs[attribute]), (gigawords, pairs.get(gigawords, "0"))


def _plus(left: int | None, octets: int) -> int | None:
    return None if left is None else octets + left
