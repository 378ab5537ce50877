"""What is measured, in which order: the whole run and the quick one."""

from dataclasses import dataclass, replace

from bench.peer import PEERS, Peer
from bench.work import WORKS, Size

_COMPARED_OUTSTANDING = 256
_DATABASE_PEERS = ("sql-stock", "sql-tuned", "kibali")


@dataclass(frozen=True)
class Step:
    work: str
    outstanding: int


@dataclass(frozen=True)
class Plan:
    size: Size
    histories: tuple[int, ...]
    peers: tuple[str, ...]
    works: tuple[str, ...]
    peer_works: tuple[str, ...]
    """Of these only what is measured of the peers; of Kibali all."""
    outstanding: tuple[int, ...]
    seconds: float
    seconds_without_database: float
    warm_up_s: float
    half_rate_works: tuple[str, ...]
    storm_subscribers: int
    storm_over_s: float
    soak_packets: int = 0
    packets_at_most: int = 0
    """For each point; 0: as many as the peer may answer in its time."""

    @property
    def compared_outstanding(self) -> int:
        return _COMPARED_OUTSTANDING if _COMPARED_OUTSTANDING in self.outstanding else self.outstanding[0]

    def steps(self, peer: Peer, history: int) -> list[Step]:
        """What is measured of the peer with so much history."""
        compared, is_first = self.compared_outstanding, self.is_first(history)
        if not is_first and peer.name not in _DATABASE_PEERS:
            return []
        if not is_first and (history != max(self.histories) or not peer.is_ours):
            return [Step(work, compared) for work in self._chosen("pap", "mix")]
        works = self.works if peer.is_ours else self._chosen(*self.peer_works)
        steps = [Step(work, compared) for work in works]
        if is_first:
            others = [number for number in self.outstanding if number != compared]
            steps += [Step(work, number) for work in self._chosen("pap", "mix") for number in others]
        return steps

    def is_first(self, history: int) -> bool:
        """Whether what is measured once only is measured with so much history."""
        return history == min(self.histories)

    def has_storm(self, peer: Peer, history: int) -> bool:
        return bool(self.storm_subscribers) and peer.same_policy and self.is_first(history)

    def has_half_rate(self, peer: Peer, history: int) -> bool:
        return peer.same_policy and self.is_first(history)

    def points(self) -> int:
        """How many there are, storms and half rates among them."""
        number = 0
        for history in self.histories:
            for peer in (PEERS[name] for name in self.peers):
                number += len(self.steps(peer, history)) + self.has_storm(peer, history)
                number += len(self.half_rate_works) * self.has_half_rate(peer, history)
        return number

    def _chosen(self, *works: str) -> tuple[str, ...]:
        """Those of `works` that are measured at all; if none is, all that are."""
        return tuple(work for work in works if work in self.works) or self.works


WHOLE = Plan(
    size=Size(),
    histories=(0, 2_000_000, 10_000_000),
    peers=tuple(PEERS),
    works=WORKS,
    peer_works=WORKS,
    outstanding=(64, 256, 1000),
    seconds=3.0,
    seconds_without_database=2.0,
    warm_up_s=1.0,
    half_rate_works=("pap", "mix"),
    storm_subscribers=20_000,
    storm_over_s=2.0,
)

# Looks whether everything works and every number is right, not how fast it is.
QUICK = replace(
    WHOLE,
    size=Size(4_000, 800),
    histories=(0,),
    peer_works=("pap", "stop", "mix"),
    outstanding=(_COMPARED_OUTSTANDING,),
    seconds=0.5,
    seconds_without_database=0.5,
    warm_up_s=0.0,
    storm_subscribers=500,
    storm_over_s=0.5,
    packets_at_most=4_000,
)
