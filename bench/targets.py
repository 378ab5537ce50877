"""What Kibali is to reach, and whether it did: ratios within one run on one machine."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results
from bench.work import WORKS

_KIBALI = "kibali"
_MOST_HISTORY = 10_000_000


@dataclass(frozen=True)
class Target:
    name: str
    wanted: str
    found: str
    met: bool | None
    """None: this run did not measure it."""


def targets(results: Results) -> list[Target]:
    return [
        _ratio(results, "PAP logins ÷ rlm_sql tuned by hand", "pap", ("sql-tuned",), 7.0),
        _ratio(results, "PAP logins ÷ rlm_python3 without a database", "pap", ("python",), 0.45),
        _ratio(results, "mix ÷ rlm_sql, stock or tuned, whichever is faster", "mix", ("sql-stock", "sql-tuned"), 3.0),
        _history(results),
        _half_rate(results),
        _storm(results),
        _memory(results),
        _connections(results),
    ]


def _ratio(results: Results, name: str, work: str, peers: tuple[str, ...], wanted: float) -> Target:
    ours = results.point(_KIBALI, work)
    theirs = [point.packets_per_s for peer in peers if (point := results.point(peer, work))]
    if not ours or len(theirs) < len(peers) or not max(theirs):
        return _unmeasured(name, f"≥ {wanted:g} ×")
    ratio = ours.packets_per_s / max(theirs)
    return Target(name, f"≥ {wanted:g} ×", f"{ratio:.2f} ×", ratio >= wanted and not ours.fault)


def _history(results: Results) -> Target:
    name, wanted = "10 million closed sessions ÷ none, the work that suffers most", "≥ 0.9 ×"
    ratios = dict(_history_ratios(results))
    if not ratios:
        return _unmeasured(name, wanted)
    worst = min(ratios, key=ratios.__getitem__)
    return Target(name, wanted, f"{ratios[worst]:.2f} × ({worst})", ratios[worst] >= 0.9)


def _history_ratios(results: Results) -> Iterator[tuple[str, float]]:
    for work in WORKS:
        none = results.point(_KIBALI, work, history=0)
        most = results.point(_KIBALI, work, history=_MOST_HISTORY)
        if none and most and none.packets_per_s:
            yield work, most.packets_per_s / none.packets_per_s


def _half_rate(results: Results) -> Target:
    name, wanted = "p99 at half the maximum rate", "< 10 ms"
    points = [point for point in results.half_rate if point.peer == _KIBALI]
    if not points:
        return _unmeasured(name, wanted)
    worst = max(points, key=lambda point: point.p99_ms)
    found = f"{worst.p99_ms:.1f} ms ({worst.work}, {worst.offered_per_s:,}/s)"
    return Target(name, wanted, found, worst.p99_ms < 10 and not any(point.fault for point in points))


def _storm(results: Results) -> Target:
    name, wanted = "reconnect storm: login and Start of 20,000 subscribers", "none lost, < 10 s"
    storm = next((storm for storm in results.storms if storm.peer == _KIBALI), None)
    if storm is None or storm.subscribers < 20_000:
        return _unmeasured(name, wanted)
    found = f"{storm.lost} lost, {storm.seconds:.1f} s"
    return Target(name, wanted, found, not storm.lost and storm.seconds < 10 and not storm.fault)


def _memory(results: Results) -> Target:
    name, wanted = "memory of FreeRADIUS over 2 million packets", "within 5 %"
    soak = next((soak for soak in results.soaks if soak.peer == _KIBALI), None)
    if soak is None or soak.packets < 2_000_000:
        return _unmeasured(name, wanted)
    grown_bytes = soak.after_bytes - soak.before_bytes
    is_flat = abs(grown_bytes) * 100 <= soak.before_bytes * 5
    return Target(name, wanted, f"{grown_bytes / soak.before_bytes:+.1%}", is_flat and not soak.fault)


def _connections(results: Results) -> Target:
    name, wanted = "PostgreSQL connections of FreeRADIUS", "≤ 8"
    connections = results.connections.get(_KIBALI)
    if connections is None:
        return _unmeasured(name, wanted)
    return Target(name, wanted, str(connections), connections <= 8)


def _unmeasured(name: str, wanted: str) -> Target:
    return Target(name, wanted, "not measured", None)
