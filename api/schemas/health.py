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
    """Whether all parts that are needed answer."""

    ready: bool
    checks: dict[str, Part]
