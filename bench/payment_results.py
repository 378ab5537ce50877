"""What a run of the payment benchmark found, what it was to find, and how that is written down."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.machine import Machine
from bench.markdown import table
from bench.targets import Target

P99_MS, APPLIED_PER_S, LOGIN_MS = 25.0, 100.0, 1000.0
AIMED_PER_S = 100

TITLES = {"bare": "Starlette + psycopg: insert, commit", "kibali": "Kibali"}


@dataclass(frozen=True)
class PaymentPoint:
    """One load, one receiver of it. `offered_per_s` 0: as many as were answered."""

    peer: str
    offered_per_s: int
    sent: int
    answered_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    refused: int
    """Callbacks that got no 200."""
    applied_per_s: float = 0.0
    """From the first callback until the last payment was credited; 0 for a peer, which credits nothing."""
    login_p50_ms: float = 0.0
    """From when a callback was due until its customer's login was accepted."""
    login_p99_ms: float = 0.0
    logins: int = 0
    cpu_ms: dict[str, float] = field(default_factory=dict)
    """Milliseconds of processor time for one payment, by who used it."""
    fault: str = ""


@dataclass
class PaymentResults:
    date: str
    machine: Machine
    subscribers: int
    points: list[PaymentPoint] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def faults(self) -> list[str]:
        return [f"{point.peer}, {load_of(point)}: {point.fault}" for point in self.points if point.fault]

    def point(self, peer: str, offered_per_s: int) -> PaymentPoint | None:
        return next((p for p in self.points if (p.peer, p.offered_per_s) == (peer, offered_per_s)), None)


def percentile_ms(latencies_s: Sequence[float], share: float) -> float:
    """0 of none."""
    ordered = sorted(latencies_s)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


def load_of(point: PaymentPoint) -> str:
    return f"{point.offered_per_s}/s" if point.offered_per_s else "as fast as answered"


def line(point: PaymentPoint) -> str:
    """One result in one line."""
    told = (
        f"{point.peer:<7} {load_of(point):<20} {point.answered_per_s:>6.0f}/s answered"
        f"  p50 {point.p50_ms:.1f} p99 {point.p99_ms:.1f} ms"
    )
    if point.applied_per_s:
        told += f"  {point.applied_per_s:.0f}/s applied"
    if point.logins:
        told += f"  login p50 {point.login_p50_ms:.0f} p99 {point.login_p99_ms:.0f} ms"
    return f"{told}  {point.fault or 'ok'}"


def targets(results: PaymentResults) -> list[Target]:
    aimed = results.point("kibali", AIMED_PER_S)
    most = max((p.applied_per_s for p in results.points if not p.fault), default=0.0)
    return [
        _target(
            f"p99 of the webhook at {AIMED_PER_S} callbacks/s",
            f"< {P99_MS:g} ms",
            aimed.p99_ms if aimed else None,
            P99_MS,
        ),
        Target(
            "payments applied a second",
            f"≥ {APPLIED_PER_S:g}",
            f"{most:.0f}" if most else "not measured",
            most >= APPLIED_PER_S if most else None,
        ),
        _target(
            f"p99 from callback to login at {AIMED_PER_S} callbacks/s",
            f"< {LOGIN_MS:g} ms",
            aimed.login_p99_ms if aimed and aimed.logins else None,
            LOGIN_MS,
        ),
    ]


def _target(name: str, wanted: str, found_ms: float | None, below_ms: float) -> Target:
    if found_ms is None:
        return Target(name, wanted, "not measured", None)
    return Target(name, wanted, f"{found_ms:.1f} ms", found_ms < below_ms)


HEADINGS = (
    "",
    "callbacks",
    "answered/s",
    "p50 ms",
    "p95",
    "p99",
    "applied/s",
    "login p50 ms",
    "login p99",
    "CPU ms a payment",
)


def rows(results: PaymentResults) -> Iterator[tuple[str, ...]]:
    for p in results.points:
        logins = (f"{p.login_p50_ms:.0f}", f"{p.login_p99_ms:.0f}") if p.logins else ("–", "–")
        cpu = ", ".join(f"{name} {spent_ms:.1f}" for name, spent_ms in p.cpu_ms.items())
        applied = f"{p.applied_per_s:.0f}" if p.applied_per_s else "–"
        latencies = (f"{p.p50_ms:.1f}", f"{p.p95_ms:.1f}", f"{p.p99_ms:.1f}")
        yield TITLES[p.peer], load_of(p), f"{p.answered_per_s:.0f}", *latencies, applied, *logins, cpu


def ratios(results: PaymentResults) -> Iterator[tuple[str, str, str]]:
    """Kibali's webhook as a multiple of the bare one: answered a second, p50."""
    for ours in (p for p in results.points if p.peer == "kibali"):
        bare = results.point("bare", ours.offered_per_s)
        if bare and bare.answered_per_s and bare.p50_ms:
            rate, p50 = ours.answered_per_s / bare.answered_per_s, ours.p50_ms / bare.p50_ms
            yield load_of(ours), f"{rate:.2f} ×", f"{p50:.2f} ×"


def circumstances(results: PaymentResults) -> str:
    m = results.machine
    return (
        f"{results.date[:10]}, {m.processor}, {m.processors} processors, {m.memory_gib} GiB, {m.kernel}, "
        f"{m.sync_ms} ms to make 8 KiB durable; PostgreSQL {m.postgresql}, FreeRADIUS {m.freeradius}, "
        f"Python {m.python}{f', Kibali {m.commit}' if m.commit else ''}; {results.subscribers:,} subscribers. "
        "Load generator, API, workers, PostgreSQL, Redis and FreeRADIUS share the machine."
    )


def markdown(results: PaymentResults) -> str:
    verdicts = {True: "met", False: "not met", None: "–"}
    goals = ((t.name, t.wanted, t.found, verdicts[t.met]) for t in targets(results))
    parts = [
        f"# Payments, {results.date[:10]}",
        circumstances(results),
        table(("", "wanted", "found", ""), goals),
        table(HEADINGS, rows(results)),
        "Kibali's webhook as a multiple of the bare one:",
        table(("callbacks", "answered/s", "p50"), ratios(results)),
    ]
    if faults := results.faults():
        parts += ["## What was not right", "\n".join(f"- {fault}" for fault in faults)]
    return "\n\n".join(parts) + "\n"
