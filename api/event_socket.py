"""/api/v1/events/ws: events as they happen, and first those that the client missed.

The client says who it is in its first message and then only listens. What it gets has no gap and nothing twice; it
remembers the last id and, whenever the connection ends, comes back with that.
"""

import asyncio
import time
from contextlib import suppress
from typing import Any, NoReturn
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocket, WebSocketDisconnect

from api import body, event_access
from api.event_access import Watcher
from api.event_feed import Feed, Filter, Follower
from api.event_hub import AWAY, HEARTBEAT_S
from api.problem import Problem
from api.schemas.base import validate
from api.schemas.event import Hello
from api.services import Services
from api.threads import in_thread
from api.websocket_protocol import abort, frame_writer
from db.refusal import Invalid

HELLO_WITHIN_S = 5.0
TAKE_WITHIN_S = 10.0
"""A client that has not taken a message by then is dropped."""
ASK_AGAIN_EVERY_S = 60.0
MOST_CLIENTS = 5_000
"""Of one process; two fifths of them may be one tenant's."""
MOST_OF_A_TENANT = 2_000
_LOOK_EVERY_S = 1.0

# RFC 6455: 4000 to 4999 are ours. The last three digits are those of the HTTP status that says the same.
BAD_MESSAGE, UNAUTHORIZED, FORBIDDEN, NO_HELLO, UNKNOWN_ID, TOO_MANY = 4400, 4401, 4403, 4408, 4410, 4429
TRY_AGAIN_LATER = 1013

_CODES = {400: BAD_MESSAGE, 401: UNAUTHORIZED, 403: FORBIDDEN, 415: BAD_MESSAGE, 422: BAD_MESSAGE, 429: TOO_MANY}

log = structlog.get_logger(__name__)


class _End(Exception):
    """The connection is to be closed, and why."""

    def __init__(self, code: int, name: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message


class EventSocket:
    """One client."""

    def __init__(self, websocket: WebSocket, services: Services) -> None:
        self._websocket = websocket
        self._services = services
        self._hub = services.hub
        self._last_sent = time.monotonic()
        self._sending_since: float | None = None

    async def run(self) -> None:
        await self._websocket.accept()
        try:
            await self._serve()
        except WebSocketDisconnect:
            pass
        except _End as end:
            await self._close(end)
        except (*AWAY, SQLAlchemyError):
            await self._close(_End(TRY_AGAIN_LATER, "unavailable", "The database does not answer. Come back soon."))

    async def _serve(self) -> None:
        hello = await self._hello()
        try:
            watcher = await in_thread(event_access.admit, self._services, self._websocket, hello)
        except Problem as problem:
            raise _End(_CODES.get(problem.status, BAD_MESSAGE), problem.code, problem.message) from None
        if self._hub.clients >= MOST_CLIENTS:
            raise _End(TRY_AGAIN_LATER, "too_many_clients", "Too many clients are connected.")
        structlog.contextvars.bind_contextvars(tenant_id=watcher.tenant_id, admin_id=watcher.admin_id)
        async with self._hub.feed(watcher.tenant_id) as feed:
            if feed.clients > MOST_OF_A_TENANT:
                raise _End(TRY_AGAIN_LATER, "too_many_clients", "Too many clients of this tenant are connected.")
            after = await self._begin(feed, hello)
            log.info("a client watches events", after=after)
            await self._until_one_ends(
                self._hear(),
                self._tell(feed, Filter(watcher.role, frozenset(hello.types) if hello.types else None), after),
                self._guard(watcher),
            )

    async def _hello(self) -> Hello:
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                message = await self._websocket.receive()
        except TimeoutError:
            raise _End(NO_HELLO, "no_auth", f"Say who you are within {HELLO_WITHIN_S:g} s.") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise _End(BAD_MESSAGE, "malformed", "The first message must be text.")
        try:
            return validate(Hello, body.parse(text.encode(), "application/json"))
        except Problem as problem:
            raise _End(BAD_MESSAGE, problem.code, problem.message) from None
        except Invalid as invalid:
            where = f"{invalid.field}: " if invalid.field else ""
            raise _End(BAD_MESSAGE, invalid.code, f"{where}{invalid.message}") from None

    async def _begin(self, feed: Feed, hello: Hello) -> int:
        """Behind which id the client goes on."""
        span = await self._hub.span(feed.tenant_id)
        after = feed.newest if hello.after is None else hello.after
        if after > span.last:
            message = f"No event has had the id {after} yet: the last is {span.last}. Was the database set back?"
            raise _End(UNKNOWN_ID, "unknown_id", message)
        await self._send_json(
            {"type": "ready", "after": after, "oldest_id": span.oldest, "heartbeat_s": int(HEARTBEAT_S)}
        )
        return after

    async def _hear(self) -> NoReturn:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        raise _End(BAD_MESSAGE, "malformed", "After the first message there is nothing to say.")

    async def _tell(self, feed: Feed, wanted: Filter, after: int) -> NoReturn:
        is_live, has_beaten, live_seen = False, False, feed.live_number
        while True:
            if not feed.has_all_after(after):
                if is_live:
                    raise _End(TRY_AGAIN_LATER, "too_slow", f"Too far behind. Come back with after={after}.")
                after = await self._tell_missed(feed, wanted, after)
                continue
            is_live = True
            batches = feed.behind(after)
            for batch in batches:
                for message in batch.messages(wanted, after):
                    await self._send(message.text)
                after = batch.last_id
            if not batches:
                live_seen = await self._tell_live(feed, wanted, live_seen)
                has_beaten = not has_beaten and time.monotonic() - self._last_sent >= HEARTBEAT_S - 1
                if has_beaten:  # and look again: there may be more by now
                    await self._send_json({"type": "heartbeat", "last_id": after})
                elif after >= feed.newest and live_seen == feed.live_number:
                    after = await self._follow(feed, wanted, after)

    async def _follow(self, feed: Feed, wanted: Filter, after: int) -> int:
        """Until it does not keep up, or there is something for its task to do; how far it got."""
        follower = Follower(wanted, after, frame_writer(self._websocket), self._last_sent)
        with feed.followed_by(follower):
            await follower.turn.wait()
        self._last_sent = follower.last_sent
        return follower.after

    async def _tell_missed(self, feed: Feed, wanted: Filter, after: int) -> int:
        """Everything behind `after` that is in the table, a page of it; the last id of it."""
        newest = feed.newest
        batch = await self._hub.missed(feed.tenant_id, after)
        if batch is None:
            return max(after, newest)
        for message in batch.messages(wanted, after):
            await self._send(message.text)
        return batch.last_id

    async def _tell_live(self, feed: Feed, wanted: Filter, seen: int) -> int:
        """What is live since `seen`; the number of the last that was sent, or passed over."""
        for batch in feed.live_behind(seen):
            if text := batch.message(wanted):
                await self._send(text, counts=False)
            seen = batch.number
        return seen

    async def _guard(self, watcher: Watcher) -> NoReturn:
        ask_at = time.monotonic() + ASK_AGAIN_EVERY_S
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            now = time.monotonic()
            if self._sending_since is not None and now - self._sending_since > TAKE_WITHIN_S:
                raise _End(TRY_AGAIN_LATER, "too_slow", "Nothing was taken for too long.")
            if now >= ask_at:
                ask_at = now + ASK_AGAIN_EVERY_S
                with suppress(SQLAlchemyError):  # PostgreSQL is away: asked again later
                    if not await in_thread(event_access.still_may, self._services, self._websocket, watcher):
                        raise _End(UNAUTHORIZED, "unauthorized", "The token is no longer good.")

    async def _send_json(self, message: dict[str, Any]) -> None:
        await self._websocket.send_json(message)
        self._last_sent = time.monotonic()

    async def _send(self, text: str, *, counts: bool = True) -> None:
        """`counts`: it says how far the client is, as a heartbeat would."""
        self._sending_since = time.monotonic()
        await self._websocket.send({"type": "websocket.send", "text": text})
        self._sending_since = None
        if counts:
            self._last_sent = time.monotonic()

    async def _close(self, end: _End) -> None:
        log.info("a client's connection is ended", code=end.code, reason=end.name)
        if self._sending_since is not None:
            abort(self._websocket)
            return
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.send_json({"type": "error", "code": end.name, "message": end.message})
            await self._websocket.close(end.code, end.name)

    @staticmethod
    async def _until_one_ends(*works: Any) -> None:
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def events(websocket: WebSocket) -> None:
    services: Services = websocket.state.services
    with structlog.contextvars.bound_contextvars(connection_id=uuid4().hex):
        await EventSocket(websocket, services).run()
