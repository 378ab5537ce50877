"""Peer 2's decisions: the same answer for everybody, with the attributes that Kibali's answers have."""

import os

import radiusd

Pairs = tuple[tuple[str, str], ...]

_REPLY: Pairs = (
    ("Mikrotik-Rate-Limit", os.environ["BENCH_RATE_LIMIT"]),
    ("Session-Timeout", "2592000"),
    ("Acct-Interim-Interval", "300"),
    ("Mikrotik-Total-Limit", os.environ["BENCH_TOTAL_LIMIT"]),
    ("Mikrotik-Total-Limit-Gigawords", os.environ["BENCH_TOTAL_LIMIT_GIGAWORDS"]),
    ("Class", "k1.1.0000000000000000"),
)
_CONTROL: Pairs = (("Cleartext-Password", os.environ["BENCH_PASSWORD"]),)


def authorize(_request: Pairs) -> tuple[int, Pairs, Pairs]:
    return radiusd.RLM_MODULE_OK, _REPLY, _CONTROL


def accounting(_request: Pairs) -> int:
    return int(radiusd.RLM_MODULE_OK)
