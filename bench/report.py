"""Results as Markdown and as tables for the terminal. `python -m bench.report FILE.json`: the tables of README.md."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench import results as saved
from bench.markdown import table
from bench.peer import PEERS
from bench.point import Point
from bench.results import Results
from bench.soak import SoakResult
from bench.storm import StormResult
from bench.targets import targets
from bench.work import WORKS

_KIBALI = "kibali"
WORK_TITLES = {
    "pap": "PAP login",
    "mschapv2": "MS-CHAPv2 login",
    "start": "Start",
    "interim": "Interim-Update",
    "stop": "Stop",
    "mix": "mix 1 : 1 : 10 : 1",
}


def line(result: Point | StormResult | SoakResult) -> str:
    """One result in one line."""
    if isinstance(result, StormResult):
        end = result.fault or "ok"
        return (
            f"{result.peer:<10} storm of {result.subscribers:,} over {result.over_s:g} s: {result.seconds:.1f} s,"
            f" {result.retransmitted:,} retransmitted, {result.lost:,} lost  {end}"
        )
    if isinstance(result, SoakResult):
        before_mib, after_mib = result.before_bytes / 2**20, result.after_bytes / 2**20
        end = result.fault or "ok"
        return f"{result.peer:<10} {result.packets:,} packets: {before_mib:.1f} MiB, then {after_mib:.1f} MiB  {end}"
    how = f"offered {result.offered_per_s}/s" if result.offered_per_s else f"outstanding {result.outstanding}"
    return (
        f"{result.peer:<10} {result.work:<9} history {result.history:<9} {how:<18} {result.packets_per_s:>7.0f}/s"
        f"  p50 {result.p50_ms:.2f} p95 {result.p95_ms:.2f} p99 {result.p99_ms:.2f} ms"
        f"  cpu s/1000: server {result.server_cpu_s:.3f} postgres {result.postgres_cpu_s:.3f}"
        f" generator {result.generator_cpu_s:.3f}, others {result.others_share:.0%}"
        f"  {result.fault or f'ok, {result.answered} answered, {result.verified} verified'}"
    )


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [f"# RADIUS, {results.date[:10]}", circumstances(results), *_summary(results)]
    parts += ["## With more and fewer requests outstanding", _outstanding(results)]
    if any(point.history != results.history for point in results.points):
        parts += ["## With a history of closed sessions", _history(results)]
    if results.half_rate:
        parts += ["## At half the maximum rate", _points(results.half_rate)]
    if results.storms:
        parts += ["## Reconnect storm", _storms(results)]
    parts += ["## Memory and connections of FreeRADIUS", _memory(results), "## Every point", _points(results.points)]
    if faults := results.faults():
        parts += ["## What was not right", "\n".join(f"- {fault}" for fault in faults)]
    return "\n\n".join(parts) + "\n"


def summary(results: Results) -> str:
    """What README.md shows."""
    return "\n\n".join([circumstances(results), *_summary(results)]) + "\n"


def _summary(results: Results) -> Iterator[str]:
    yield f"Packets a second, {comparison(results)}:"
    yield table(("work", *(PEERS[peer].title for peer in peers(results))), _rates(results))
    yield "Kibali's rate as a multiple of each peer's:"
    yield table(("work", *(PEERS[peer].title for peer in peers(results) if peer != _KIBALI)), _ratios(results))
    yield "Targets:"
    yield table(
        ("", "wanted", "found", ""),
        ((t.name, t.wanted, t.found, {True: "met", False: "not met", None: "–"}[t.met]) for t in targets(results)),
    )


def circumstances(results: Results) -> str:
    m = results.machine
    return (
        f"{results.date[:10]}, {m.processor}, {m.processors} processors, {m.memory_gib} GiB, {m.kernel}, "
        f"{m.sync_ms} ms to make 8 KiB durable; FreeRADIUS {m.freeradius}, PostgreSQL {m.postgresql}, "
        f"Python {m.python}{f', Kibali {m.commit}' if m.commit else ''}; {results.subscribers:,} subscribers, "
        f"{results.open_sessions:,} open sessions. Load generator, servers and PostgreSQL share the machine; "
        f"everything else on it took up to {_others(results):.0%} of its processors."
    )


def comparison(results: Results) -> str:
    """What the compared points have in common."""
    history = f"{results.history:,} closed sessions" if results.history else "no history"
    return f"{results.outstanding:,} requests outstanding, {history}"


def _others(results: Results) -> float:
    return max((point.others_share for point in (*results.points, *results.half_rate)), default=0.0)


def peers(results: Results) -> list[str]:
    return [name for name in PEERS if any(point.peer == name for point in results.points)]


def works(results: Results) -> list[str]:
    return [work for work in WORKS if any(point.work == work for point in results.points)]


def _rates(results: Results) -> Iterator[Sequence[str]]:
    for work in works(results):
        points = [results.point(peer, work) for peer in peers(results)]
        yield WORK_TITLES[work], *(_rate(point) for point in points)


def _ratios(results: Results) -> Iterator[Sequence[str]]:
    for work in works(results):
        ours = results.point(_KIBALI, work)
        others = (peer for peer in peers(results) if peer != _KIBALI)
        yield WORK_TITLES[work], *(_ratio(ours, results.point(peer, work)) for peer in others)


def _outstanding(results: Results) -> str:
    numbers = sorted({point.outstanding for point in results.points})
    rows = []
    for peer in peers(results):
        for work in works(results):
            points = [results.point(peer, work, outstanding=number) for number in numbers]
            if sum(point is not None for point in points) > 1:
                rows.append((PEERS[peer].title, WORK_TITLES[work], *(_rate_and_p99(point) for point in points)))
    return table(("", "work", *(f"{number:,} outstanding" for number in numbers)), rows)


def _history(results: Results) -> str:
    histories = sorted({point.history for point in results.points})
    rows = []
    for peer in peers(results):
        for work in works(results):
            points = [results.point(peer, work, history=history) for history in histories]
            if any(points[1:]):
                ratio = _ratio(points[-1], points[0])
                rows.append((PEERS[peer].title, WORK_TITLES[work], *(_rate_and_p99(point) for point in points), ratio))
    headings = (f"{history:,} closed" if history else "none" for history in histories)
    return table(("", "work", *headings, "most ÷ none"), rows)


def _storms(results: Results) -> str:
    return table(
        ("", "subscribers", "arriving over", "done after", "retransmitted", "lost"),
        (
            (
                PEERS[storm.peer].title,
                f"{storm.subscribers:,}",
                f"{storm.over_s:g} s",
                f"{storm.seconds:.1f} s",
                f"{storm.retransmitted:,}",
                f"{storm.lost:,}",
            )
            for storm in results.storms
        ),
    )


def _memory(results: Results) -> str:
    soaks = {soak.peer: soak for soak in results.soaks}
    rows = []
    for peer, (before, after) in results.memory_bytes.items():
        soak = soaks.get(peer)
        long = f"{soak.before_bytes / 2**20:.1f} → {soak.after_bytes / 2**20:.1f} MiB" if soak else "–"
        connections = str(results.connections.get(peer, 0))
        rows.append((PEERS[peer].title, f"{before / 2**20:.1f} → {after / 2**20:.1f} MiB", long, connections))
    packets = f"over {max(soak.packets for soak in results.soaks):,} packets" if results.soaks else "soak"
    return table(("", "resident, first to last point", packets, "connections to PostgreSQL"), rows)


def _points(points: Iterable[Point]) -> str:
    columns: dict[str, Callable[[Point], str]] = {
        "": lambda p: PEERS[p.peer].title,
        "work": lambda p: WORK_TITLES[p.work],
        "history": lambda p: f"{p.history:,}",
        "outstanding": lambda p: f"{p.offered_per_s:,}/s offered" if p.offered_per_s else f"{p.outstanding:,}",
        "packets/s": _rate,
        "p50 ms": lambda p: f"{p.p50_ms:.1f}",
        "p95": lambda p: f"{p.p95_ms:.1f}",
        "p99": lambda p: f"{p.p99_ms:.1f}",
        "CPU s per 1,000: FreeRADIUS": lambda p: f"{p.server_cpu_s:.3f}",
        "PostgreSQL": lambda p: f"{p.postgres_cpu_s:.3f}",
        "generator": lambda p: f"{p.generator_cpu_s:.3f}",
        "others": lambda p: f"{p.others_share:.0%}",
        "retransmitted": lambda p: f"{p.retransmitted:,}",
        "lost": lambda p: f"{p.lost:,}",
    }
    return table(tuple(columns), ([shown(point) for shown in columns.values()] for point in points))


def rate_and_multiple(results: Results, peer: str, work: str) -> str:
    """`4,321 (2.5 ×)`: the peer's rate, and Kibali's as a multiple of it."""
    point = results.point(peer, work)
    if peer == _KIBALI or not point:
        return _rate(point)
    return f"{_rate(point)} ({_ratio(results.point(_KIBALI, work), point)})"


def _rate(point: Point | None) -> str:
    return f"{point.packets_per_s:,.0f}" if point else "–"


def _rate_and_p99(point: Point | None) -> str:
    return f"{point.packets_per_s:,.0f}, p99 {point.p99_ms:.0f} ms" if point else "–"


def _ratio(ours: Point | None, theirs: Point | None) -> str:
    if not ours or not theirs or not theirs.packets_per_s:
        return "–"
    return f"{ours.packets_per_s / theirs.packets_per_s:.2f} ×"


if __name__ == "__main__":
    sys.stdout.write(summary(saved.load(Path(sys.argv[1]))))
