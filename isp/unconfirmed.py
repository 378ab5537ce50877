"""What a router may hold, when it was sent something and what came of that is not known.

The answer was lost, or whoever sent it died before it was written down. Then of each thing the router is taken to hold
what is farthest from what it should, so that it is sent again, unless nothing that it may hold has to be changed.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from isp.coa import GARDENS, Standing, since_start
from isp.entitlement import Accept, Reject

_NUMBERS = (
    "session_timeout_s",
    "idle_timeout_s",
    "total_limit_octets",
    "input_limit_octets",
    "output_limit_octets",
)


def at_worst(held: Accept, sent: Sequence[Accept], desired: Accept | Reject, standing: Standing) -> Accept:
    """Of `held` and all that was `sent`, each field as it is farthest from `desired`; that is counted from now, the
    others from the start of the session."""
    if not sent or isinstance(desired, Reject):
        return held
    wanted = since_start(desired, standing)
    may_hold = [held, *sent]
    fields: dict[str, Any] = {
        name: _other([getattr(each, name) for each in may_hold], getattr(wanted, name))
        for name in ("rate_limit", "address_list")
    }
    for name in _NUMBERS:
        fields[name] = _farthest([getattr(each, name) for each in may_hold], getattr(wanted, name))
    # What is in a garden may keep its short time-out; what may be outside has to get one.
    outside = [each.reason for each in may_hold if each.reason not in GARDENS]
    return replace(held, reason=outside[0] if outside else held.reason, **fields)


def _other(values: Sequence[str | None], wanted: str | None) -> str | None:
    """The last that is not as wanted; one that is something before one that is nothing."""
    others = [value for value in values if value != wanted]
    return next((value for value in reversed(others) if value is not None), None) if others else wanted


def _farthest(values: Sequence[int | None], wanted: int | None) -> int | None:
    """None is no limit."""
    numbers = [value for value in values if value is not None]
    if wanted is None:
        return min(numbers, default=None)
    if len(numbers) < len(values):
        return None
    return max(numbers, key=lambda value: abs(value - wanted))
