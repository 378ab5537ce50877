"""Whether replies are what the server should have said: code, authenticators, attributes."""

import struct
from collections.abc import Iterable, Iterator
from hashlib import md5
from hmac import compare_digest, digest

from bench import attributes as a
from bench.load import Sample
from bench.packets import ACCESS_ACCEPT, ACCOUNTING_RESPONSE, Packets
from bench.population import INTERIM_INTERVAL_S, ROUTER_SECRET, Subscriber

_SECRET = ROUTER_SECRET.encode()
_Attributes = dict[tuple[int, int], bytes]
"""(vendor, type) → value; vendor 0 for RFC attributes."""


def first_fault(packets: Packets, samples: Iterable[Sample], *, rates_by_plan: bool) -> str:
    """What is wrong with the first reply that is not right; empty if all are.

    `rates_by_plan`: each subscriber must get the speed of its own plan, not subscriber 0's.
    """
    for sample in samples:
        fault = _fault(
            packets.packet(sample.number), sample.reply, bool(packets.is_login[sample.number]), rates_by_plan
        )
        if fault:
            return f"the reply to packet {sample.number} {fault}"
    return ""


def _fault(request: bytes, reply: bytes, is_login: bool, rates_by_plan: bool) -> str:
    code = ACCESS_ACCEPT if is_login else ACCOUNTING_RESPONSE
    if len(reply) < 20 or struct.unpack("!H", reply[2:4])[0] != len(reply):
        return "has a wrong length"
    if reply[0] != code:
        return f"has code {reply[0]} in place of {code}"
    if reply[1] != request[1]:
        return "has another identifier"
    if not compare_digest(md5(reply[:4] + request[4:20] + reply[20:] + _SECRET).digest(), reply[4:20]):  # noqa: S324
        return "has a wrong Response Authenticator"
    if not is_login:
        return ""
    found = dict(_attributes(reply))
    stamp = found.get((0, a.MESSAGE_AUTHENTICATOR))
    if stamp is None:
        return "lacks Message-Authenticator"
    unstamped = (reply[:4] + request[4:20] + reply[20:]).replace(stamp, bytes(16), 1)
    if not compare_digest(digest(_SECRET, unstamped, "md5"), stamp):
        return "has a wrong Message-Authenticator"
    return _entitlement_fault(dict(_attributes(request)), found, rates_by_plan)


def _entitlement_fault(asked: _Attributes, found: _Attributes, rates_by_plan: bool) -> str:
    user_name = asked[0, a.USER_NAME].decode()
    subscriber = Subscriber(int(user_name.removeprefix("subscriber")) if rates_by_plan else 0)
    if found.get((a.MIKROTIK, a.MIKROTIK_RATE_LIMIT)) != subscriber.rate_limit.encode():
        return f"to {user_name} has not Mikrotik-Rate-Limit = {subscriber.rate_limit}"
    if found.get((0, a.ACCT_INTERIM_INTERVAL)) != INTERIM_INTERVAL_S.to_bytes(4):
        return f"has not Acct-Interim-Interval = {INTERIM_INTERVAL_S}"
    for name, key in (
        ("Session-Timeout", (0, a.SESSION_TIMEOUT)),
        ("Class", (0, a.CLASS)),
        ("Mikrotik-Total-Limit", (a.MIKROTIK, a.MIKROTIK_TOTAL_LIMIT)),
        ("Mikrotik-Total-Limit-Gigawords", (a.MIKROTIK, a.MIKROTIK_TOTAL_LIMIT_GIGAWORDS)),
    ):
        if key not in found:
            return f"lacks {name}"
    return ""


def _attributes(packet: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    at = 20
    while at < len(packet):
        kind, length = packet[at], packet[at + 1]
        value = packet[at + 2 : at + length]
        if kind == a.VENDOR_SPECIFIC:
            yield (int.from_bytes(value[:4]), value[4]), value[6:]
        else:
            yield (0, kind), value
        at += max(length, 2)
