"""What a router is taken to hold when what it was sent is not known to have been taken."""

from dataclasses import replace
from typing import Any

import pytest

from isp.coa import Adjust, Nothing, Standing, change
from isp.entitlement import Accept, Reject
from isp.reasons import Reason
from isp.unconfirmed import at_worst

DAY = 86400
STANDING = Standing(3600, 0, 0)
HOME = Accept(Reason.OK, "2M/8M", 10 * DAY, None, 300)
GARDEN = Accept(Reason.EXPIRED_WALLED_GARDEN, "256k/256k", 300, None, 300, address_list="unpaid")
LISTED_HOME = replace(HOME, address_list="subscribers")


def told(accept: Accept, **values: Any) -> Accept:
    """As it is held, an hour after the login."""
    return replace(accept, session_timeout_s=(accept.session_timeout_s or 0) + 3600, **values)


FAST = replace(HOME, rate_limit="9M/9M")
LONG = replace(HOME, session_timeout_s=20 * DAY)
LIMITED = replace(HOME, total_limit_octets=1000)

# what happened                      held        what was sent and is not confirmed  entitled  | what has to be sent
SENT: dict[str, tuple[Accept, list[Accept], Accept, dict[str, str], tuple[str | None, str | None] | None]] = {
    "nothing was sent": (told(HOME), [], HOME, {}, None),
    "what it should have was sent": (told(HOME), [told(FAST)], FAST, {"Mikrotik-Rate-Limit": "9M/9M"}, None),
    "another speed was sent": (told(HOME), [told(FAST)], HOME, {"Mikrotik-Rate-Limit": "2M/8M"}, None),
    "two others were sent": (
        told(HOME),
        [told(HOME, rate_limit="1M/1M"), told(HOME)],
        HOME,
        {"Mikrotik-Rate-Limit": "2M/8M"},
        None,
    ),
    "a later end was sent": (told(HOME), [told(LONG)], HOME, {"Session-Timeout": str(10 * DAY + 3600)}, None),
    "an earlier end was sent": (told(LONG), [told(HOME)], LONG, {"Session-Timeout": str(20 * DAY + 3600)}, None),
    "the same was sent": (told(HOME), [told(HOME)], HOME, {}, None),
    "it may be in the garden, and has paid": (
        told(HOME),
        [told(GARDEN)],
        HOME,
        {"Mikrotik-Rate-Limit": "2M/8M", "Session-Timeout": str(10 * DAY + 3600)},
        ("unpaid", None),
    ),
    "it may be in the garden, and has paid, with a list at home": (
        told(LISTED_HOME),
        [told(GARDEN)],
        LISTED_HOME,
        {"Mikrotik-Rate-Limit": "2M/8M", "Session-Timeout": str(10 * DAY + 3600)},
        ("unpaid", "subscribers"),
    ),
    "it may be in the garden, and should be": (
        told(HOME),
        [told(GARDEN)],
        GARDEN,
        {"Mikrotik-Rate-Limit": "256k/256k", "Session-Timeout": "3900"},
        (None, "unpaid"),
    ),
    "a limit may hold that is none any more": (
        told(HOME),
        [told(LIMITED)],
        HOME,
        {"Mikrotik-Total-Limit": "4294967295"},
        None,
    ),
}


@pytest.mark.parametrize(("held", "sent", "desired", "coa", "move"), SENT.values(), ids=SENT)
def test_what_a_router_may_have_taken_is_sent_again_or_undone(
    held: Accept,
    sent: list[Accept],
    desired: Accept,
    coa: dict[str, str],
    move: tuple[str | None, str | None] | None,
) -> None:
    found = change(at_worst(held, sent, desired, STANDING), desired, STANDING, "pppoe")
    if not coa and move is None:
        assert found == Nothing()
        return
    assert isinstance(found, Adjust)
    pairs = {name: value for name, value in (*found.coa, *found.unlisted) if not name.endswith("-Gigawords")}
    assert pairs == coa
    assert (found.address_list and (found.address_list.leave, found.address_list.join)) == move
    assert found.applied.rate_limit == desired.rate_limit


def test_a_session_that_is_to_end_ends_whatever_it_holds() -> None:
    assert at_worst(told(HOME), [told(FAST)], Reject(Reason.SUSPENDED), STANDING) == told(HOME)
