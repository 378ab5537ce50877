"""uvicorn's HTTP, with a limit to every wait for a client: uvicorn itself waits for ever for a request's head to end,
and for an answer to be taken.
"""

import asyncio
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 10.0
"""From connecting, or from the first byte of a later request, to the end of its head."""
TAKEN_WITHIN_S = 30.0
"""In which a client that does not keep up with its answer must take some of it."""
CONNECTIONS = 4_000
"""More are answered 503. WebSockets count."""


class Protocol(H11Protocol):
    _head_timer: asyncio.TimerHandle | None = None
    _taking_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waits_for_head = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if not waits_for_head:
            _cancel(self._head_timer)
            self._head_timer = None
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking_timer = self.loop.call_later(TAKEN_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._taking_timer)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # Closing waits until the client took what is in the buffers.
        _cancel(self._taking_timer)
        self._taking_timer = self.loop.call_later(TAKEN_WITHIN_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._head_timer)
        super().connection_lost(exc)
        _cancel(self._taking_timer)


HTTP_OPTIONS: dict[str, Any] = {
    "http": Protocol,
    "limit_concurrency": CONNECTIONS,
    "h11_max_incomplete_event_size": 16_384,
    "timeout_keep_alive": 5,
}


def allow_connections() -> None:
    """As many files as the system lets this process have: a connection is one, and 1024 are usual."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
