"""Whether a router reaches our RADIUS and takes its answers: its own counters say so.

No command of RouterOS sends a RADIUS request of itself. Where a device waits at the hotspot, a login with a name that
nobody has is tried for it: the request goes to us, our refusal comes back, and the device is as it was. Where none
waits, only what customers did shows.
"""

from dataclasses import dataclass
from secrets import token_hex
from typing import Literal

from isp.router_wanted import NAMES, RADIUS
from tasks.routeros_dialogue import Conversation, Row, sentence
from tasks.routeros_errors import Refused

RadiusCheck = Literal["proved", "waiting"]

PROBE = "kibali-probe"


class RadiusFails(Exception):
    """The router asks and gets no answer that it takes; in words, with the remedy."""


@dataclass(frozen=True, slots=True)
class Counters:
    """Of a /radius entry, since the router started."""

    requests: int
    answered: int
    """Accepts and rejects."""
    timeouts: int
    bad_replies: int

    @classmethod
    def of(cls, row: Row) -> "Counters":
        def number(name: str) -> int:
            value = row.get(name, "0")
            return int(value) if value.isascii() and value.isdigit() else 0

        return cls(number("requests"), number("accepts") + number("rejects"), number("timeouts"), number("bad-replies"))


def check_radius(host: str) -> Conversation[RadiusCheck]:
    """Raises RadiusFails, and what a connection raises."""
    entries = (yield sentence("/radius/print", where={"comment": RADIUS}, proplist=(".id", "address"))).rows
    if not entries:
        return "waiting"
    before = yield from _counters(entries[0])
    yield from _ask_for_a_waiting_device()
    after = yield from _counters(entries[0])
    if after.answered > before.answered:
        return "proved"
    address = entries[0].get("address", "")
    if after.bad_replies > before.bad_replies:
        raise RadiusFails(
            f"{host} does not take the answers of our RADIUS at {address}: it has another secret. Deploy again; if it "
            "stays so, look for another /radius entry with this address."
        )
    if after.timeouts > before.timeouts:
        raise RadiusFails(
            f"{host} gets no answer from our RADIUS at {address}. Open UDP 1812 and 1813 to it, and see to it that its "
            "packets come from the address that the router has in Kibali."
        )
    return "waiting"


def _counters(entry: Row) -> Conversation[Counters]:
    rows = (yield sentence("/radius/monitor", {".id": entry[".id"], "once": ""})).rows
    return Counters.of(rows[0] if rows else {})


def _ask_for_a_waiting_device() -> Conversation[None]:
    try:
        hosts = (
            yield sentence(
                "/ip/hotspot/host/print",
                where={"authorized": "false", "bypassed": "false"},
                proplist=("address", "mac-address", "server"),
            )
        ).rows
        waiting = next((host for host in hosts if host.get("server", "").startswith(NAMES)), None)
        if waiting is not None:
            login = {"user": PROBE, "password": token_hex(8), "ip": waiting.get("address", "")}
            yield sentence("/ip/hotspot/active/login", login)
    except Refused:
        pass  # refused is how it ends well
