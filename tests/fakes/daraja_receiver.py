"""Stands where Kibali's webhooks will be: keeps what M-Pesa sends, and answers what it is told to."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    url: str = ""
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    """Path and body, in order of arrival."""
    answers: dict[str, Any] = field(default_factory=dict)
    """By path; any other gets `{"ResultCode": 0}`. A number is seconds of silence before that."""

    def bodies_at(self, path: str) -> list[bytes]:
        return [body for at, body in self.bodies if at == path]

    def wait_for(self, path: str, number: int = 1, within_s: float = 10.0) -> list[bytes]:
        """The first `number` bodies at `path`."""
        deadline = time.monotonic() + within_s
        while len(found := self.bodies_at(path)) < number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {number} bodies came to {path}")
            time.sleep(0.005)
        return found[:number]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            receiver.bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            answer = receiver.answers.get(self.path, {"ResultCode": 0})
            if isinstance(answer, int | float):
                time.sleep(answer)
                answer = {"ResultCode": 0}
            told = json.dumps(answer).encode()
            # In one piece: a second small packet would wait for the first to be acknowledged.
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(told), told))

        def log_message(self, *_arguments: object) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_arguments: object) -> None:
            """Who asked has gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join(10)
