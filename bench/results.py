"""What a whole run found, and how it is kept as JSON."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bench.machine import Machine
from bench.point import Point
from bench.soak import SoakResult
from bench.storm import StormResult


@dataclass
class Results:
    date: str
    """ISO 8601."""
    machine: Machine
    subscribers: int
    open_sessions: int
    outstanding: int
    """Of the points that are compared, where nothing else is said."""
    history: int
    """Closed sessions, likewise: the fewest."""
    points: list[Point] = field(default_factory=list)
    half_rate: list[Point] = field(default_factory=list)
    """Latencies at half of what the peer can at most."""
    storms: list[StormResult] = field(default_factory=list)
    soaks: list[SoakResult] = field(default_factory=list)
    connections: dict[str, int] = field(default_factory=dict)
    """Peer → connections of its FreeRADIUS to PostgreSQL."""
    memory_bytes: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Peer → resident memory of its FreeRADIUS before its first point and after its last."""
    policy: dict[str, str] = field(default_factory=dict)
    """Peer with Kibali's policy → how it departs from it, empty if it does not."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def point(
        self, peer: str, work: str, *, history: int | None = None, outstanding: int | None = None
    ) -> Point | None:
        """None for a number: the one that is compared by."""
        history = self.history if history is None else history
        key = (peer, work, history, outstanding or self.outstanding)
        found = (p for p in self.points if (p.peer, p.work, p.history, p.outstanding) == key)
        return next(found, None)

    def faults(self) -> list[str]:
        """Everything that was not right, each with where."""
        found = [
            f"{p.peer}, {p.work}, {p.history:,} closed sessions, {p.outstanding} outstanding: {p.fault}"
            for p in (*self.points, *self.half_rate)
            if p.fault
        ]
        found += [f"{storm.peer}, reconnect storm: {storm.fault}" for storm in self.storms if storm.fault]
        found += [f"{soak.peer}, soak: {soak.fault}" for soak in self.soaks if soak.fault]
        return found + [f"{peer}, policy: {difference}" for peer, difference in self.policy.items() if difference]


class Saved(Protocol):
    def as_json(self) -> dict[str, Any]: ...


def save(results: Saved, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results.as_json(), indent=1) + "\n", "utf-8")


def load(path: Path) -> Results:
    values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    values["machine"] = Machine(**values["machine"])
    for name, kind in (("points", Point), ("half_rate", Point), ("storms", StormResult), ("soaks", SoakResult)):
        values[name] = [kind(**each) for each in values[name]]
    values["memory_bytes"] = {peer: tuple(pair) for peer, pair in values["memory_bytes"].items()}
    return Results(**values)
