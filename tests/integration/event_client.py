"""A client of /api/v1/events/ws, and events to watch, written by transactions that the test holds in its hand."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from settings import Settings
from tests.integration.api_server import Client

WAIT_S = 20.0


class Watcher:
    """What a client knows: the last id it has seen, and all the events it was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.last_id = 0
        self.events: list[dict[str, Any]] = []
        self.ready: dict[str, Any] = {}
        self.messages: list[dict[str, Any]] = []

    def receive(self, timeout_s: float = WAIT_S) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=timeout_s))
        self.messages.append(message)
        if message["type"] == "events":
            self.events += message["events"]
        if "last_id" in message:
            self.last_id = message["last_id"]
        return message

    def until(self, count: int, timeout_s: float = WAIT_S) -> list[dict[str, Any]]:
        """The first `count` events."""
        deadline = time.monotonic() + timeout_s
        while len(self.events) < count:
            self.receive(deadline - time.monotonic())
        return self.events

    def nothing_within(self, seconds: float) -> None:
        try:
            message = self.receive(seconds)
        except TimeoutError:
            return
        raise AssertionError(f"a message came: {message}")

    def closed(self) -> tuple[int, dict[str, Any]]:
        """Close code and the message before it, once the server has ended the connection."""
        last: dict[str, Any] = {}
        try:
            while True:
                last = self.receive()
        except ConnectionClosed as closed:
            return (closed.rcvd.code if closed.rcvd else 1006), last


def url_of(api: Client) -> str:
    return str(api.http.base_url).replace("http", "ws", 1).rstrip("/") + "/api/v1/events/ws"


@contextmanager
def connected(api: Client, hello: Any = None, **options: Any) -> Iterator[Watcher]:
    """A client whose first message is `hello`, JSON unless it is text or bytes; nothing is said for None."""
    with connect(url_of(api), compression=None, **options) as socket:
        if hello is not None:
            socket.send(hello if isinstance(hello, str | bytes) else json.dumps(hello))
        yield Watcher(socket)


@contextmanager
def watching(
    api: Client, *, after: int | None = None, role: str = "owner", types: list[str] | None = None, **options: Any
) -> Iterator[Watcher]:
    """A client that was admitted."""
    hello = {"type": "auth", "token": api.operator.tokens[role], "after": after, "types": types}
    with connected(api, hello, **options) as watcher:
        watcher.ready = watcher.receive()
        assert watcher.ready["type"] == "ready", watcher.ready
        watcher.last_id = watcher.ready["after"]
        yield watcher


def writer(settings: Settings) -> psycopg.Connection[Any]:
    """A connection in a transaction of its own, as a worker."""
    return psycopg.connect(settings.database_dsn("worker"))


def add_event(
    connection: psycopg.Connection[Any], tenant_id: int | None, number: int, event_type: str = "payment.processed"
) -> None:
    connection.execute(
        "INSERT INTO event (tenant_id, type, data) VALUES (%s, %s, %s)",
        (tenant_id, event_type, json.dumps({"number": number})),
    )


def write_events(
    settings: Settings, tenant_id: int | None, *numbers: int, event_type: str = "payment.processed"
) -> None:
    """Each in a transaction of its own."""
    with psycopg.connect(settings.database_dsn("worker"), autocommit=True) as connection:
        for number in numbers:
            add_event(connection, tenant_id, number, event_type)


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["data"]["number"] for event in events]
