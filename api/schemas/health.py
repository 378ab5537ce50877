"""How the process does."""

from api.schemas.base import Output


class Alive(Output):
    """The process lives."""

    alive: bool


class Part(Output):
    """A part that is needed; `why` is there if it is not ok."""

    ok: bool
    why: str = ""


class Readiness(Output):
    """Whether the API can do its work: `checks`. How the other parts do: `parts`, which may be on other machines."""

    ready: bool
    checks: dict[str, Part]
    parts: dict[str, Part]
