"""uvicorn's WebSocket, which also lets go of a client that takes nothing any more, and how it is run."""

from typing import Any

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_ABORT = "abort_connection"


class Protocol(WebSocketsSansIOProtocol):
    async def run_asgi(self) -> None:
        state: dict[str, Any] = self.scope.setdefault("state", {})
        # An orderly close waits until what is in the buffers was taken: for such a client, for ever.
        state[_ABORT] = self.transport.abort
        await super().run_asgi()


# Nobody has to say much here. A client that does not answer a ping is gone. Deflating would cost more than it saves,
# once for each client.
UVICORN_OPTIONS: dict[str, Any] = {
    "ws": Protocol,
    "ws_max_size": 16_384,
    "ws_ping_interval": 20.0,
    "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": False,
}


def abort(websocket: WebSocket) -> None:
    """Ends the connection at once, whatever is still to be sent."""
    websocket.scope["state"][_ABORT]()
