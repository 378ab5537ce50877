"""uvicorn's WebSocket, which also lets go of a client that takes nothing any more, and how it is run."""

from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode

_ABORT = "abort_connection"
_WRITE = "write_frame"


class Protocol(WebSocketsSansIOProtocol):
    async def run_asgi(self) -> None:
        state: dict[str, Any] = self.scope.setdefault("state", {})
        # An orderly close waits until what is in the buffers was taken: for such a client, for ever.
        state[_ABORT] = self.transport.abort
        state[_WRITE] = self.write_frame
        await super().run_asgi()

    def write_frame(self, frame: bytes) -> bool:
        """Whether it was written: not to a client that is slow, or gone."""
        if not self.writable.is_set() or self.disconnected or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frame)
        return True


# Nobody has to say much here. A client that does not answer a ping is gone. Deflating would cost more than it saves,
# once for each client.
UVICORN_OPTIONS: dict[str, Any] = {
    "ws": Protocol,
    "ws_max_size": 16_384,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
}


def text_frame(text: str) -> bytes:
    """A message as it goes to any client: whole, and, from a server, without a mask (RFC 6455, 5.2)."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


def frame_writer(websocket: WebSocket) -> Callable[[bytes], bool]:
    """Writes what `text_frame` made, to an accepted client, at once or not at all; says which."""
    writer: Callable[[bytes], bool] = websocket.scope["state"][_WRITE]
    return writer


def abort(websocket: WebSocket) -> None:
    """Ends the connection at once, whatever is still to be sent."""
    websocket.scope["state"][_ABORT]()
