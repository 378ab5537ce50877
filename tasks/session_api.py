"""What a router's API does to sessions: the conversations of tasks.routeros about them.

Each raises RouterError as its connection does.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.routeros_dialogue import Conversation, sentence
from tasks.routeros_errors import AlreadyThere, NoSuchItem

LISTS = "/ip/firewall/address-list"
_ACTIVE = {"hotspot": "/ip/hotspot/active", "pppoe": "/ppp/active"}
_USER = {"hotspot": "user", "pppoe": "name"}
_DEVICE = {"hotspot": "mac-address", "pppoe": "caller-id"}
_UNITS = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_SPEED = re.compile(r"(\d+)([kMG]?)", re.ASCII)

COMMENT = "kibali"
"""Of the entries that we make; others of the same list and address are left alone."""


@dataclass(frozen=True, slots=True)
class Online:
    """A session by what a router's lists show of it."""

    service: str
    user_name: str
    calling_station_id: str | None
    framed_ip_address: str | None


def is_online(online: Online) -> Conversation[bool]:
    return bool((yield from _ids(online)))


def end(online: Online) -> Conversation[bool]:
    """Ends the session; False if it is not there."""
    ids = yield from _ids(online)
    for each in ids:
        try:
            yield sentence(f"{_ACTIVE[online.service]}/remove", {".id": each})
        except NoSuchItem:
            continue
    return bool(ids)


def move(address: str, leave: str | None, join: str | None, timeout_s: int) -> Conversation[bool]:
    """Takes an address out of one list and puts it into another; whether the router shows it so afterwards.

    It leaves as well what we put it into before. The new entry goes by itself after `timeout_s`. It joins before it
    leaves: never is it in none.
    """
    if join is not None:
        entry = {"list": join, "address": address, "timeout": f"{timeout_s}s", "comment": COMMENT}
        try:
            yield sentence(f"{LISTS}/add", entry)
        except AlreadyThere:
            for found in (yield _entries(address)).rows:
                if found.get("list") == join and found.get("comment") == COMMENT:
                    yield sentence(f"{LISTS}/set", {".id": found[".id"], "timeout": f"{timeout_s}s"})
    for found in (yield _entries(address)).rows:
        is_left = found.get("list") == leave or (found.get("comment") == COMMENT and found.get("list") != join)
        if is_left:
            yield from _remove(found)
    lists = {found.get("list") for found in (yield _entries(address)).rows}
    return (join is None or join in lists) and (leave is None or leave not in lists)


def take_out(addresses: Sequence[str]) -> Conversation[None]:
    """Takes out the entries that `move` made of these, as far as they are there."""
    for address in addresses:
        for found in (yield _entries(address)).rows:
            if found.get("comment") == COMMENT:
                yield from _remove(found)


def shows_rate(online: Online, rate_limit: str) -> Conversation[bool | None]:
    """Whether the router's queue of the session has the speed of a Mikrotik-Rate-Limit; None if it has no such queue.

    RouterOS makes a simple queue of each session with a speed, named after its interface: <pppoe-USER>.
    """
    where = {"name": f"<{online.service}-{online.user_name}>"}
    rows = (yield sentence("/queue/simple/print", where=where, proplist=("name", "max-limit"))).rows
    if not rows:
        return None
    wanted = bits_per_s(rate_limit.split(" ")[0])
    return any(bits_per_s(row.get("max-limit", "")) == wanted for row in rows)


def bits_per_s(pair: str) -> tuple[int, ...]:
    """`2M/8M`, `2000k/8000k` and `2000000/8000000` are the same."""
    return tuple(int(number) * _UNITS[unit] for number, unit in _SPEED.findall(pair))


def _ids(online: Online) -> Conversation[list[str]]:
    """Of the entries that are this session: the name, and the device or else the address that it has."""
    device, user = _DEVICE[online.service], _USER[online.service]
    proplist = (".id", user, device, "address")
    rows = (yield sentence(f"{_ACTIVE[online.service]}/print", where={user: online.user_name}, proplist=proplist)).rows
    mac = (online.calling_station_id or "").upper()
    return [
        row[".id"]
        for row in rows
        if (not mac or row.get(device, "").upper() == mac)
        and (online.framed_ip_address is None or row.get("address") in (None, online.framed_ip_address))
    ]


def _entries(address: str) -> tuple[str, ...]:
    return sentence(f"{LISTS}/print", where={"address": address}, proplist=(".id", "list", "address", "comment"))


def _remove(found: Mapping[str, str]) -> Conversation[None]:
    try:
        yield sentence(f"{LISTS}/remove", {".id": found[".id"]})
    except NoSuchItem:
        return
