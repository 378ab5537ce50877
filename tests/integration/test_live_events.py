"""What is live, from the watcher's NOTIFY to those who may see it: the newest counts, nothing is kept."""

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from api import event_feed, event_hub
from api.event_feed import Feed, Filter
from db.engine import make_engine, session_factory
from db.event_feed import LiveRow
from isp.encryption import Keyring
from settings import Settings
from tests.fakes.routeros import fake_router
from tests.integration.api_server import Client, api_of, make_operator
from tests.integration.event_client import Watcher, numbers, watching, write_events
from tests.integration.test_api_outages import postgres_away
from tests.integration.watching import Site
from tests.integration.watching import watching as watcher_of_routers


@pytest.fixture
def api(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(event_hub, "LIVE_EVERY_S", 0.1)
    with api_of(settings) as client:
        yield client


def tell(settings: Settings, payload: str) -> None:
    with psycopg.connect(settings.database_dsn("worker"), autocommit=True) as connection:
        connection.execute("SELECT pg_notify('kibali_live', %s)", (payload,))


def reading(tenant_id: int | None, number: int, router_id: int = 1, type_: str = "router.live") -> str:
    return json.dumps({"type": type_, "tenant_id": tenant_id, "router_id": router_id, "data": {"number": number}})


def next_live(client: Watcher, within_s: float = 20) -> list[dict[str, Any]]:
    deadline = time.monotonic() + within_s
    while True:
        message = client.receive(deadline - time.monotonic())
        if message["type"] == "live":
            readings: list[dict[str, Any]] = message["readings"]
            return readings


def test_what_is_read_of_a_router_reaches_who_watches_and_is_no_event(api: Client) -> None:
    engine = make_engine(api.settings, "worker", pool_size=3)
    keyring = Keyring.parse(api.settings.encryption_keys.reveal())
    site = Site(api.operator.tenant_id, keyring, engine, session_factory(engine), api.settings)
    with fake_router() as fake, watching(api) as client:
        fake.machine.tables.put("/ppp/active", name="ann", service="pppoe")
        router_id = site.know(fake)
        with watcher_of_routers(site):
            (first,) = next_live(client)
            assert (first["type"], first["router_id"]) == ("router.live", router_id)
            assert first["data"]["ppp_sessions"] == 1
            fake.machine.tables.put("/ppp/active", name="ben", service="pppoe")
            while next_live(client)[0]["data"]["ppp_sessions"] != 2:
                pass
    assert {event["type"] for event in client.events} == {"router.connected", "router.status"}
    assert "router.live" not in {event["type"] for event in api.get("/events")["items"]}
    engine.dispose()


def test_only_those_see_it_who_may_and_who_want_it(api: Client) -> None:
    other = make_operator(api.settings, "zenith")
    tenant_id = api.operator.tenant_id
    with (
        watching(api) as owner,
        watching(api, role="read-only") as reader,
        watching(api, types=["router.*"]) as fan,
        watching(api, role="cashier") as cashier,
        watching(api, types=["payment.*"]) as payments,
    ):
        tell(api.settings, reading(other.tenant_id, 1))
        tell(api.settings, reading(None, 2))
        tell(api.settings, reading(tenant_id, 3))
        for client in (owner, reader, fan):
            assert [each["data"]["number"] for each in next_live(client)] == [3]
        for client in (cashier, payments):
            client.nothing_within(0.5)


def test_of_each_router_only_the_newest_is_told(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub, "LIVE_EVERY_S", 1.0)
    with watching(api) as client:
        for number in range(5):
            tell(api.settings, reading(api.operator.tenant_id, number))
        tell(api.settings, reading(api.operator.tenant_id, 9, router_id=2))
        told = next_live(client)
        while {each["router_id"] for each in told} != {1, 2}:  # a second may have ended in between
            told += next_live(client)
        newest = {each["router_id"]: each["data"]["number"] for each in told}
        assert newest == {1: 4, 2: 9}
        assert len(told) <= 4


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", "7", '{"type": "router.live"}', '{"type": 1, "tenant_id": "x", "router_id": 1, "data": {}}',
     '{"type": "router.live", "tenant_id": 1, "router_id": 1, "data": 7}'],
)  # fmt: skip
def test_a_notification_that_is_none_of_ours_stops_nothing(api: Client, payload: str) -> None:
    with watching(api) as client:
        tell(api.settings, payload)
        with psycopg.connect(api.settings.database_dsn("worker"), autocommit=True) as connection:
            connection.execute("SELECT pg_notify('kibali_event', 'nonsense')")
        tell(api.settings, reading(api.operator.tenant_id, 7))
        assert [each["data"]["number"] for each in next_live(client)] == [7]
        write_events(api.settings, api.operator.tenant_id, 1)
        assert numbers(client.until(1)) == [1]


def test_it_goes_on_after_postgresql_was_away(api: Client) -> None:
    with watching(api) as client:
        tell(api.settings, reading(api.operator.tenant_id, 1))
        next_live(client)
        with postgres_away(api.settings):
            time.sleep(1)
        write_events(api.settings, api.operator.tenant_id, 1)
        client.until(1)  # it listens again
        tell(api.settings, reading(api.operator.tenant_id, 2))
        assert [each["data"]["number"] for each in next_live(client)] == [2]


def test_live_messages_do_not_stand_in_for_heartbeats(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat says how far the client is; what is live says nothing of that."""
    monkeypatch.setattr("api.event_hub.HEARTBEAT_S", 0.3)
    monkeypatch.setattr("api.event_socket.HEARTBEAT_S", 1.3)
    with watching(api) as client:
        deadline = time.monotonic() + 10
        number = 0
        while not any(message["type"] == "heartbeat" for message in client.messages):
            assert time.monotonic() < deadline
            number += 1
            tell(api.settings, reading(api.operator.tenant_id, number))
            client.receive()


def test_a_client_that_is_slow_loses_readings_and_no_memory_is_spent_on_it() -> None:
    feed = Feed(1, 0)
    for number in range(50):
        feed.publish_live([LiveRow("router.live", 1, {"number": number})])
    kept = feed.live_behind(0)
    assert [batch.number for batch in kept] == list(range(51 - event_feed.KEPT_LIVE, 51))
    assert feed.live_behind(50) == []
    assert json.loads(kept[-1].message(Filter("owner", None)))["readings"][0]["data"] == {"number": 49}
    assert kept[-1].message(Filter("cashier", None)) == ""
