"""What tells one session from every other: Class, which we send and the router echoes, with Acct-Session-Id and router.

Acct-Session-Id alone does not do: RouterOS repeats it after 16 reboots. The router is known by our own id, so a change
of its address changes nothing.
"""

import random
import re
from hashlib import blake2b
from uuid import UUID

_OURS = re.compile(r"k1\.([0-9]{1,18})\.[0-9a-f]{16}")

# PostgreSQL's advisory lock between accounting (shared) and the move of closed sessions to the history (exclusive):
# without it a late packet could miss its session in both places, and count it anew.
ARCHIVE_LOCK = 0x73657373


def new_class(subscription_id: int) -> str:
    """A Class for one login: who it is, and 64 random bits.

    They keep logins apart and guard nothing (a router can send any Class; what it names is checked), so they are not
    asked of the kernel: a system call per login would give away Python's lock each time.
    """
    return f"k1.{subscription_id}.{random.getrandbits(64):016x}"


def subscription_of(radius_class: str | None) -> int | None:
    """The subscription a Class of ours names; None for anything else. Check that it is of the router's tenant."""
    ours = _OURS.fullmatch(radius_class or "")
    return int(ours[1]) if ours else None


def session_key(
    router_id: int, acct_session_id: str, radius_class: str | None, user_name: str, calling_station_id: str | None
) -> UUID:
    """The key of a session. Without a Class of ours, the name and the device stand in for it."""
    who = (radius_class,) if subscription_of(radius_class) is not None else (user_name, calling_station_id or "")
    text = "\0".join((str(router_id), acct_session_id, *map(str, who)))
    return UUID(bytes=blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest())
