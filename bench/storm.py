"""A reconnect storm: everybody logs in at once, and each session's Start follows its Access-Accept."""

import time
from dataclasses import dataclass

from bench.load import Load
from bench.pacing import Storm
from bench.point import Running

# A storm that is not over by then is not going to be: what is left is lost.
_AT_MOST_S = 60.0


@dataclass(frozen=True)
class StormResult:
    peer: str
    subscribers: int
    over_s: float
    """In which time the logins arrived."""
    seconds: float
    """Until the last answer, or until the last request was given up."""
    retransmitted: int
    lost: int
    fault: str


def storm(running: Running, subscribers: int, over_s: float) -> StormResult:
    """RouterOS's own time-outs: each request is sent up to three times, 3 s apart."""
    began_at = int(time.time())
    packets = running.builder.build("storm", subscribers, began_at)
    if running.tables:
        running.tables.reset(running.builder.size.open_sessions, began_at)
    load = Load(packets, running.settings.radius_auth_port, running.settings.radius_acct_port)
    try:
        outcome = load.run(Storm(subscribers, subscribers / over_s), 0.0, _AT_MOST_S)
    finally:
        load.close()
    never_sent = len(packets) - outcome.sent
    return StormResult(
        peer=running.peer.name,
        subscribers=subscribers,
        over_s=over_s,
        seconds=outcome.total_s,
        retransmitted=outcome.retransmitted,
        lost=len(outcome.lost) + never_sent,
        fault=running.fault(packets, outcome),
    )
