"""The batching peer's work: Kibali's way of asking PostgreSQL, with nothing to decide and nothing to write.

Packets that wait together share one question; the answer to each is a constant. What this costs is what Kibali's way
costs by itself.
"""

import os
from collections.abc import Sequence
from threading import Lock

import radiusd

from radius_module.arrays import int8s
from radius_module.combining import Combiner
from radius_module.connection import Link, Statement
from radius_module.processor import Processor

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
_WAIT_S = 2.0

_lock = Lock()
_instances = 0
_processor = Processor()


def _log(line: str) -> None:
    radiusd.radlog(radiusd.L_INFO, line)


_QUESTION = Statement("SELECT n FROM unnest(%(n)b::int8[]) AS q (n)")


def _asked(link: Link, items: Sequence[int]) -> Sequence[int]:
    rows = link.use(lambda connection: connection.ask(_QUESTION, {"n": int8s(items)}))
    return [row[0] for row in rows]


_links = [
    Link(os.environ["BENCH_KIBALI_DATABASE"], name, statement_timeout_s=2.0, log=_log)
    for name in ("logins", "accounting")
]
_logins: Combiner[int, int] = Combiner(lambda items: _asked(_links[0], items), max_batch=64)
_accounting: Combiner[int, int] = Combiner(lambda items: _asked(_links[1], items), max_batch=64)


def instantiate(_config: object) -> int:
    global _instances
    with _lock:
        if _instances == 0:
            _processor.gather()
            for link in _links:
                link.start()
        _instances += 1
    return 0


def authorize(_request: Pairs) -> tuple[int, Pairs, Pairs]:
    _processor.free_main_thread()
    _logins.call(1, _WAIT_S)
    return radiusd.RLM_MODULE_OK, _REPLY, _CONTROL


def accounting(_request: Pairs) -> int:
    _processor.free_main_thread()
    _accounting.call(1, _WAIT_S)
    return int(radiusd.RLM_MODULE_OK)
