"""Crowds of clients that are slow, and addresses that lead elsewhere."""

import socket
import time

import pytest

from tests.integration.api_server import Client
from tests.integration.test_hostile import answer, connected, head

pytestmark = pytest.mark.usefixtures("no_failures_so_far")


def was_answered(connection: socket.socket) -> bool:
    try:
        connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return True


def test_hundreds_whose_bodies_drip_in_keep_nobody_waiting(api: Client) -> None:
    """Neither a thread nor a connection to PostgreSQL is held by one whose body has not come."""
    lines = ("Content-Type: application/json", "Content-Length: 1000")
    address = api.http.base_url.host, api.http.base_url.port or 0
    dripping = [socket.create_connection(address) for _ in range(500)]
    try:
        for connection in dripping:
            connection.sendall(head(api, *lines, line="POST /api/v1/subscribers HTTP/1.1") + b'\r\n\r\n{"')
        took = []
        for _ in range(20):
            for connection in dripping[::10]:
                connection.sendall(b"n")
            began = time.monotonic()
            api.plan()
            assert api.get("/plans", limit=1)["items"]
            took.append(time.monotonic() - began)
        assert sum(was_answered(connection) for connection in dripping) == 0, "they are waited for"
    finally:
        for connection in dripping:
            connection.close()
    assert sorted(took)[len(took) // 2] < 1


@pytest.mark.parametrize(
    "path", ["/api/v1/plans/", "/api/v1//plans", "//evil.example/api/v1/plans", "/api/v1/plans/1/"]
)
@pytest.mark.parametrize("header", ["Host", "X-Forwarded-Host", "X-Forwarded-Prefix", "Forwarded"])
def test_no_answer_sends_anybody_elsewhere(api: Client, path: str, header: str) -> None:
    """A redirect to what Host says would take the token there."""
    value = "host=evil.example" if header == "Forwarded" else "evil.example"
    lines = [f"{header}: {value}"] if header == "Host" else ["Host: kibali", f"{header}: {value}"]
    with connected(api.http) as connection:
        said = "\r\n".join([f"GET {path} HTTP/1.1", *lines, "Connection: close", "", ""])
        connection.sendall(said.encode())
        answered = answer(connection).lower()
    status = int(answered.split()[1])
    assert status in (401, 404), answered
    assert b"evil.example" not in answered.partition(b"\r\n\r\n")[0]
