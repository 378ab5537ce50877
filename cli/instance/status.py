"""How each part of the instance does: what the supervisor says, and what the part itself answers."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from cli.instance import supervisor
from cli.instance.parts import PARTS, Part
from cli.instance.readiness import NotReady
from cli.instance.supervisor import PartState
from settings import Settings


@dataclass(frozen=True)
class PartStatus:
    name: str
    state: str
    """As supervisord puts it (see PartState), or `external` for a store that a URL in the settings names."""
    pid: int | None
    ready: bool
    since: datetime | None
    detail: str
    """What the part answered, or why it is not ready."""


def part_statuses(settings: Settings, parts: Iterable[Part] = PARTS) -> list[PartStatus]:
    """One status for each of `parts`, in that order; all are asked at once. Raises NotRunning."""
    states = supervisor.states(settings)
    asked = list(parts)
    with ThreadPoolExecutor(max_workers=len(asked) or 1) as pool:
        return list(pool.map(lambda part: _status(settings, part, states.get(part.name)), asked))


def part_status(settings: Settings, part: Part) -> PartStatus:
    """Raises NotRunning."""
    return _status(settings, part, supervisor.state(settings, part))


def stopped_statuses(settings: Settings) -> list[PartStatus]:
    """The statuses while no supervisor runs: only what is not ours can be asked."""
    stopped = [PartStatus(part.name, "stopped", None, False, None, "") for part in PARTS if part.ours(settings)]
    return [_status(settings, part, None) for part in PARTS if not part.ours(settings)] + stopped


def _status(settings: Settings, part: Part, state: PartState | None) -> PartStatus:
    external = not part.ours(settings)
    if state is None and not external:
        return PartStatus(part.name, "unknown", None, False, None, "the supervisor does not know it; restart Kibali")
    pid = state.pid if state else 0
    if not external and not pid:
        return PartStatus(part.name, state.state if state else "", None, False, None, state.problem if state else "")
    try:
        ready, detail = True, part.is_ready(settings, part.name, pid)
    except NotReady as error:
        ready, detail = False, str(error)
    name = "external" if external else state.state if state else ""
    return PartStatus(part.name, name, pid or None, ready, state.since if state else None, detail)
