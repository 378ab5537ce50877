"""The newest events of one tenant, kept for all of this process's clients together."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from itertools import pairwise

from api.websocket_protocol import text_frame
from db.event_feed import EventRow, LiveRow
from isp.event_types import is_seen

# A client that is further behind than this is too slow.
KEPT_EVENTS = 2_000
# So many messages of what is live, a second apart, wait for a client that takes nothing; then the oldest is lost to it.
KEPT_LIVE = 5
# Clients refuse messages that are too long: many at 1 MiB, which are so many characters at four bytes each.
MOST_CHARACTERS = 250_000


class Filter:
    """What a client sees: by its role, and by what it asked for. Alike ones are equal."""

    __slots__ = ("_is_seen", "key")

    def __init__(self, role: str, wanted: frozenset[str] | None) -> None:
        self.key = (role, wanted)
        self._is_seen: dict[str, bool] = {}

    def passes(self, event_type: str) -> bool:
        known = self._is_seen.get(event_type)
        if known is None:
            known = self._is_seen[event_type] = is_seen(event_type, *self.key)
        return known


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, made once for all; whoever has had it has had everything up to `last_id`."""

    text: str
    frame: bytes
    last_id: int


class Batch:
    """Events that were read together, each made into JSON once, and the messages for all who see the same of them."""

    def __init__(self, after: int, rows: Sequence[EventRow]) -> None:
        self.after = after
        self.last_id = rows[-1].id
        self._rows = rows
        self._texts = [event_json(row) for row in rows]
        self._messages: dict[object, list[Message]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def messages(self, wanted: Filter, after: int) -> list[Message]:
        """For a client that has had everything up to `after`; empty if it sees none of the rest."""
        if after > self.after:
            return self._make(wanted, after)
        if wanted.key not in self._messages:
            self._messages[wanted.key] = self._make(wanted, after)
        return self._messages[wanted.key]

    def _make(self, wanted: Filter, after: int) -> list[Message]:
        made: list[Message] = []
        texts: list[str] = []
        size, last_id = 0, after
        for row, text in zip(self._rows, self._texts, strict=True):
            if row.id <= after or not wanted.passes(row.type):
                continue
            if texts and size + len(text) > MOST_CHARACTERS:
                made.append(_message(texts, last_id))
                texts, size = [], 0
            texts.append(text)
            size += len(text)
            last_id = row.id
        if texts:
            made.append(_message(texts, self.last_id))
        return made


class LiveBatch:
    """What is live and was heard of together; the message is made once for all who see the same of it."""

    def __init__(self, number: int, rows: Sequence[LiveRow]) -> None:
        self.number = number
        """1 for the first of its feed."""
        self._rows = rows
        self._texts: dict[object, str] = {}

    def message(self, wanted: Filter) -> str:
        """Empty for a client that sees none of it."""
        if wanted.key not in self._texts:
            seen = [
                {"type": row.type, "router_id": row.router_id, "data": row.data}
                for row in self._rows
                if wanted.passes(row.type)
            ]
            self._texts[wanted.key] = _json({"type": "live", "readings": seen}) if seen else ""
        return self._texts[wanted.key]


@dataclass(slots=True, eq=False)
class Follower:
    """A client that has had everything, and is written to as soon as there is more, without its task's doing.

    `write` takes a frame, or says that the client is slow or gone. Then it is the task's `turn`, and so it is for a
    heartbeat and for what is live.
    """

    wanted: Filter
    after: int
    write: Callable[[bytes], bool]
    last_sent: float
    turn: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, batch: Batch, now: float) -> bool:
        """Whether all that the client sees of it was written; `after` is how far it got."""
        for message in batch.messages(self.wanted, self.after):
            if not self.write(message.frame):
                return False
            self.after, self.last_sent = message.last_id, now
        self.after = batch.last_id
        return True


class Feed:
    """`newest`: everything up to this id was published here, or before there was this feed."""

    def __init__(self, tenant_id: int, newest: int) -> None:
        self.tenant_id = tenant_id
        self.newest = newest
        self.clients = 0
        self._followers: set[Follower] = set()
        self._batches: deque[Batch] = deque()
        self._count = 0
        self._oldest_after = newest
        self._live: deque[LiveBatch] = deque(maxlen=KEPT_LIVE)
        self.live_number = 0
        """Of the last LiveBatch."""

    def publish(self, rows: Sequence[EventRow]) -> None:
        """The events that follow `newest`."""
        assert rows
        assert rows[0].id > self.newest
        assert all(one.id < next_.id for one, next_ in pairwise(rows))
        batch = Batch(self.newest, rows)
        self._batches.append(batch)
        self._count += len(batch)
        self.newest = batch.last_id
        while self._count > KEPT_EVENTS and len(self._batches) > 1:
            dropped = self._batches.popleft()
            self._count -= len(dropped)
            self._oldest_after = dropped.last_id
        now = time.monotonic()
        for follower in [each for each in self._followers if not each.take(batch, now)]:
            self._followers.discard(follower)
            follower.turn.set()

    @contextmanager
    def followed_by(self, follower: Follower) -> Iterator[None]:
        """One that has had everything up to `newest`."""
        assert follower.after >= self.newest
        self._followers.add(follower)
        try:
            yield
        finally:
            self._followers.discard(follower)

    def publish_live(self, rows: Sequence[LiveRow]) -> None:
        self.live_number += 1
        self._live.append(LiveBatch(self.live_number, rows))
        self.wake()

    def live_behind(self, number: int) -> list[LiveBatch]:
        """Those after that one, as far as they are kept."""
        return [batch for batch in self._live if batch.number > number]

    def wake(self) -> None:
        """Gives every follower its turn."""
        for follower in self._followers:
            follower.turn.set()

    def has_all_after(self, event_id: int) -> bool:
        """Whether `behind` knows of every event that follows this id."""
        return event_id >= self._oldest_after

    def behind(self, event_id: int) -> list[Batch]:
        """The batches that hold what follows this id."""
        found: list[Batch] = []
        for batch in reversed(self._batches):
            if batch.last_id <= event_id:
                break
            found.append(batch)
        return found[::-1]


def _message(texts: Sequence[str], last_id: int) -> Message:
    text = f'{{"type":"events","last_id":{last_id},"events":[{",".join(texts)}]}}'
    return Message(text, text_frame(text), last_id)


def event_json(row: EventRow) -> str:
    """As `GET /api/v1/events` shows it."""
    content = {
        "id": row.id,
        "type": row.type,
        "created_at": row.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "subscription_id": row.subscription_id,
        "router_id": row.router_id,
        "data": row.data,
    }
    return _json(content)


def _json(content: object) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
