"""uvicorn's HTTP, with a limit to every wait for a client, and to a request's head: uvicorn itself waits for ever for
the head to end, and for an answer to be taken, and takes a head of any size that comes in one piece.
"""

import asyncio
import resource
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_WITHIN_S = 10.0
"""From connecting, or from the first byte of a later request, to the end of its head."""
TAKEN_WITHIN_S = 30.0
"""In which a client that does not keep up with its answer must take some of it."""
CONNECTIONS = 4_000
"""More are answered 503. WebSockets count."""
HEAD_BYTES = 16_384
"""Request line and headers."""
TOO_LARGE = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class _Connection(h11.Connection):
    """Refuses a head that is too large, however it comes: h11 bounds only what waits for its end."""

    head_is_too_large = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        is_in_head = self.their_state is h11.IDLE
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.head_is_too_large = is_in_head and error.error_status_hint == TOO_LARGE
            raise
        if isinstance(event, h11.Request) and _head_bytes(event) > HEAD_BYTES:
            self.head_is_too_large = True
            raise h11.RemoteProtocolError("the head is too large", error_status_hint=TOO_LARGE)
        return event


class Protocol(H11Protocol):
    _head_timer: asyncio.TimerHandle | None = None
    _taking_timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn: _Connection = _Connection(h11.SERVER, HEAD_BYTES)

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

    def send_400_response(self, msg: str) -> None:
        if not self.conn.head_is_too_large:
            super().send_400_response(msg)
            return
        text = f"The head of a request may have {HEAD_BYTES} bytes: send fewer or shorter headers.".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
        headers.append(("Content-Length", str(len(text))))
        for event in (
            h11.Response(status_code=TOO_LARGE, headers=headers, reason=TOO_LARGE.phrase.encode()),
            h11.Data(data=text),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

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
    "timeout_keep_alive": 5,
}


def allow_connections() -> None:
    """As many files as the system lets this process have: a connection is one, and 1024 are usual."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _head_bytes(request: h11.Request) -> int:
    line = len(request.method) + len(request.target) + len("  HTTP/1.1")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers) + 2 * len("\r\n")


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
