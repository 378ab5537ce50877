"""What a timeline is made of: entries, and the window that they are looked for in."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.why_subject import Subject


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened, or that still holds, at one moment."""

    at: datetime
    source: str
    what: str
    """In one word: `rejected`, `ended`; of an event its type, of a job its task."""
    reason: str | None = None
    """The code of a decision, the cause of an end, the state of a job."""
    subscription_id: int | None = None
    username: str | None = None
    router_id: int | None = None
    calling_station_id: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    """What it rests on: values that JSON can hold."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` rows, the newest, from `since` on."""

    since: datetime
    now: datetime
    limit: int


Source = Callable[[Session, Subject, Window], Sequence[Entry]]
