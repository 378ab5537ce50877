"""Configurations of routers, as they were read."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from api.schemas.base import Output, Query
from api.schemas.fields import Moment


class BackupOut(Output):
    """A version of the router's configuration, which it had from `taken_at` to `confirmed_at`, as far as was seen."""

    number: int
    taken_at: Moment
    confirmed_at: Moment
    routeros_version: str
    lines: int


class BackupsOut(Output):
    """The versions, the newest first; when the configuration is read next, and why it could not be read last."""

    items: Sequence[BackupOut]
    due_at: Moment | None
    error: str | None


class BackupDiffQuery(Query):
    """The version to compare with; the one before it, if none is given."""

    against: int | None = Field(None, ge=1, le=2**31 - 1)


class DiffLineOut(Output):
    """A line that went (`-`) or came (`+`)."""

    sign: Literal["-", "+"]
    line: str


class BackupDiffOut(Output):
    """What became of the version `old` until `new`; of the first one all lines came."""

    old: int | None
    new: int
    lines: Sequence[DiffLineOut]
