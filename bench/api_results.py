"""What a run of `bench api` found, as JSON and as tables."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.machine import Machine

WORKS = {
    "bare": "list, bare Starlette + psycopg",
    "list": "list: 50 of the subscribers",
    "read": "read a subscriber",
    "create": "create a subscriber",
    "webhook": "webhook: C2B confirmation",
}
# The work → the status that is right.
RIGHT = {"bare": "200", "list": "200", "read": "200", "create": "201", "webhook": "200"}
WANTED_OF_CEILING = 0.5


@dataclass(frozen=True)
class Point:
    work: str
    connections: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    """Of the API's process, for one request."""
    postgres_cpu_ms: float
    fault: str


@dataclass
class ApiResults:
    date: str
    machine: Machine
    subscribers: int
    seconds: float
    rounds: int
    """Each point is the best of so many, taken in turn, so that a busy moment does not decide."""
    points: list[Point] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "of_ceiling": self.of_ceiling()}

    def point(self, work: str) -> Point | None:
        return next((point for point in self.points if point.work == work), None)

    def of_ceiling(self) -> float | None:
        """The list's rate as a share of the bare one's."""
        listed, bare = self.point("list"), self.point("bare")
        return round(listed.requests_per_s / bare.requests_per_s, 3) if listed and bare else None

    def faults(self) -> list[str]:
        return [f"{WORKS[point.work]}: {point.fault}" for point in self.points if point.fault]


def rows(results: ApiResults) -> Iterator[tuple[str, ...]]:
    """A heading, then a row for each work."""
    yield "", "requests/s", "p50 ms", "p99 ms", "API CPU ms", "PostgreSQL CPU ms"
    for point in results.points:
        figures = point.p50_ms, point.p99_ms, point.server_cpu_ms, point.postgres_cpu_ms
        yield WORKS[point.work], f"{point.requests_per_s:,.0f}", *(f"{figure:.2f}" for figure in figures)


def verdict(results: ApiResults) -> str:
    share = results.of_ceiling()
    if share is None:
        return "The list was not measured beside the bare one."
    met = "met" if share >= WANTED_OF_CEILING else "not met"
    return f"The list is served at {share:.2f} × the bare handler's rate; wanted are {WANTED_OF_CEILING} ×: {met}."


def circumstances(results: ApiResults) -> str:
    m = results.machine
    connections = results.points[0].connections if results.points else 0
    return (
        f"{results.date[:10]}, {m.processor}, {m.processors} processors, {m.memory_gib} GiB, {m.kernel}, "
        f"{m.sync_ms} ms to make 8 KiB durable; PostgreSQL {m.postgresql}, Python {m.python}, Kibali {m.commit}; "
        f"{results.subscribers:,} subscribers, {connections} connections, {results.seconds:g} s for each point, the "
        f"best of {results.rounds}. One process of the API, as `./kibali up` runs it; load generator, API and "
        "PostgreSQL share the machine."
    )


def markdown(results: ApiResults) -> str:
    heading, *body = rows(results)
    lines = [f"| {' | '.join(row)} |" for row in (heading, ("---",) * len(heading), *body)]
    parts = [f"# The API, {results.date[:10]}", circumstances(results), "\n".join(lines), verdict(results)]
    if faults := results.faults():
        parts.append("\n".join(f"- not right: {fault}" for fault in faults))
    return "\n\n".join(parts) + "\n"
