"""Clients that watch events while PostgreSQL restarts and while the API is killed: real processes, stopped for good."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from websockets.sync.client import connect

from settings import Settings
from tests.integration.api_server import Operator, make_operator
from tests.integration.event_client import Watcher, numbers, write_events
from tests.servers import Servers, running_part


@contextmanager
def watch(settings: Settings, operator: Operator, after: int | None = None) -> Iterator[Watcher]:
    url = f"ws://127.0.0.1:{settings.http_port}/api/v1/events/ws"
    with connect(url, compression=None, close_timeout=1) as socket:
        socket.send(json.dumps({"type": "auth", "token": operator.tokens["owner"], "after": after}))
        watcher = Watcher(socket)
        assert watcher.receive()["type"] == "ready", watcher.messages
        yield watcher


def test_a_restart_of_postgresql_costs_no_client_an_event_nor_its_connection(
    servers: Servers, own_environ: Mapping[str, str], own_settings: Settings
) -> None:
    operator = make_operator(own_settings, "acme")
    with running_part("api", own_environ, own_settings), ExitStack() as stack:
        watchers = [stack.enter_context(watch(own_settings, operator)) for _ in range(5)]
        write_events(own_settings, operator.tenant_id, 1)
        for watcher in watchers:
            watcher.until(1)
        for number in (2, 4):
            servers.stop("postgres")
            servers.start("postgres")
            write_events(own_settings, operator.tenant_id, number, number + 1)
        for watcher in watchers:
            assert numbers(watcher.until(5)) == [1, 2, 3, 4, 5]
            watcher.nothing_within(0.1)


def test_a_killed_api_costs_no_client_an_event(
    servers: Servers, own_environ: Mapping[str, str], own_settings: Settings
) -> None:
    operator = make_operator(own_settings, "acme")
    with running_part("api", own_environ, own_settings) as api, watch(own_settings, operator) as watcher:
        write_events(own_settings, operator.tenant_id, 1, 2)
        watcher.until(2)
        os.killpg(api.pid, signal.SIGKILL)
        assert watcher.closed()[0] == 1006
    write_events(own_settings, operator.tenant_id, 3)
    with (
        running_part("api", own_environ, own_settings),
        watch(own_settings, operator, after=watcher.last_id) as again,
    ):
        write_events(own_settings, operator.tenant_id, 4)
        assert numbers(again.until(2)) == [3, 4]


def test_an_api_that_stops_says_so_and_stops_soon(
    servers: Servers, own_environ: Mapping[str, str], own_settings: Settings
) -> None:
    operator = make_operator(own_settings, "acme")
    with running_part("api", own_environ, own_settings) as api, watch(own_settings, operator) as watcher:
        began = time.monotonic()
        api.send_signal(signal.SIGTERM)
        assert watcher.closed()[0] in (1012, 1001)
        api.wait(15)
        assert time.monotonic() - began < 12
