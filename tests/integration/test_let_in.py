"""A device that paid while it waits at a hotspot's portal gets in: each way, by the job as a real worker runs it.

The payment's transaction enqueues the job, the sweep nudges it, the worker speaks with a fake router's API, and the
router with FreeRADIUS.
"""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tasks.follow_up import subscription_changed
from tests.fakes.nas import FakeNas, Refused
from tests.fakes.nas_session import OnlineSession, Subscriber
from tests.fakes.routeros import RunningRouter, fake_routers, ready_router
from tests.following import Following, StartFollowing
from tests.radius import PASSWORD
from tests.servers import running_part

WITHIN_S = 20.0
_numbers = count(1)


@pytest.fixture(scope="module")
def api() -> Iterator[RunningRouter]:
    router = ready_router("7.16")
    with fake_routers([router]):
        yield router


@pytest.fixture(scope="module")
def world(start_following: StartFollowing, api: RunningRouter) -> Iterator[Following]:
    """Two routers, the first with an API; a worker of the queue that lets devices in, and the sweep."""
    with (
        start_following(routers=2, apis=[api]) as running,
        running_part("worker-provisioning", running.environ, running.radius.settings),
        running_part("sweep", running.environ, running.radius.settings),
    ):
        yield running


@pytest.fixture
def mac() -> str:
    return f"02:00:00:00:77:{next(_numbers):02X}"


def knocks(world: Following, nas: FakeNas, mac: str) -> None:
    """The router asks for the device, by its address, and is told that it is not known."""
    with pytest.raises(Refused):
        world.fleet.run(nas.log_in(Subscriber(mac, "", mac, "hotspot", "mac")))
    world.until(lambda: world.radius.rows("SELECT FROM auth_log WHERE calling_station_id = %s", mac), "the log has it")


def waits(world: Following, api: RunningRouter, mac: str) -> None:
    """At the portal of the router that has an API."""
    knocks(world, world.nas, mac)
    address = f"10.5.50.{int(mac[-2:], 16)}"
    api.machine.tables.put("/ip/hotspot/host", mac_address=mac, address=address, authorized="false")


def pays(world: Following, mac: str) -> Any:
    """A hotspot subscription that was just paid for from the device."""
    subscription = world.radius.subscribe(service="hotspot", macs=[mac])
    with world.radius.session() as database:
        subscription_changed(database, subscription.id, "payment", mac=mac)
    return subscription


def online(world: Following, mac: str) -> list[OnlineSession]:
    return [session for _, session in world.fleet.online() if session.subscriber.mac == mac]


def job(world: Following, subscription: Any) -> dict[str, Any]:
    (row,) = world.radius.rows(
        "SELECT * FROM job WHERE task = 'let_in' AND (args ->> 'subscription_id')::bigint = %s", subscription.id
    )
    return row


def event(world: Following, kind: str, subscription: Any) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [each for each in world.events(kind) if each["subscription_id"] == subscription.id]

    world.until(found, f"the event {kind}", WITHIN_S)
    (only,) = found()
    assert PASSWORD not in str(only)
    return only


def comes_due(world: Following, subscription: Any, attempt: int) -> None:
    """As if the back-off after that attempt were over."""
    world.until(lambda: job(world, subscription)["attempts"] == attempt, f"attempt {attempt}", WITHIN_S)
    world.until(lambda: job(world, subscription)["state"] != "running", "it has ended", WITHIN_S)
    world.radius.execute(
        "UPDATE job SET due_at = now() WHERE state = 'pending' AND id = %s", job(world, subscription)["id"]
    )


def test_it_is_let_in_by_its_routers_api(world: Following, api: RunningRouter, mac: str) -> None:
    waits(world, api, mac)
    subscription = pays(world, mac)
    told = event(world, "subscriber.provisioned", subscription)
    assert [session.subscriber.user_name for session in online(world, mac)] == [subscription.username]
    assert told["router_id"] == world.routers[0]
    assert (told["data"]["how"], told["data"]["mac"]) == ("let in by its router", mac)
    assert (job(world, subscription)["state"], job(world, subscription)["attempts"]) == ("succeeded", 1)
    assert PASSWORD not in str(job(world, subscription))


# how it gets in by itself         logs in as
BY_ITSELF: dict[str, Any] = {
    "by the portal's login": lambda subscription, mac: Subscriber(subscription.username, PASSWORD, mac, "hotspot"),
    "by its address": lambda _subscription, mac: Subscriber(mac, "", mac, "hotspot", "mac"),
}


@pytest.mark.parametrize("device", BY_ITSELF.values(), ids=BY_ITSELF)
def test_where_its_router_has_no_api_it_gets_in_by_itself(world: Following, mac: str, device: Any) -> None:
    there = world.fleet.routers[1]
    knocks(world, there, mac)
    subscription = pays(world, mac)
    world.until(lambda: job(world, subscription)["error"], "its first attempt is over", WITHIN_S)
    assert f"{there.address} refuses connections" in job(world, subscription)["error"]
    world.fleet.run(there.log_in(device(subscription, mac)))
    world.until(
        lambda: world.radius.rows("SELECT FROM session WHERE subscription_id = %s", subscription.id), "it is online"
    )
    comes_due(world, subscription, 1)
    told = event(world, "subscriber.provisioned", subscription)
    assert told["data"]["how"] == "it was online by then"
    assert [session.subscriber.mac for session in online(world, mac)] == [mac]
    assert not [each for each in world.events("provisioning.failed") if each["subscription_id"] == subscription.id]


def test_a_router_that_is_away_for_a_moment_lets_it_in_with_the_next_attempt(
    world: Following, api: RunningRouter, mac: str
) -> None:
    waits(world, api, mac)
    api.power_off()
    try:
        subscription = pays(world, mac)
        world.until(lambda: job(world, subscription)["error"], "its first attempt is over", WITHIN_S)
    finally:
        api.power_on()
    comes_due(world, subscription, 1)
    assert event(world, "subscriber.provisioned", subscription)["data"]["how"] == "let in by its router"
    assert len(online(world, mac)) == 1


def test_what_waits_nowhere_is_told_of_after_the_last_attempt(world: Following, mac: str) -> None:
    subscription = pays(world, mac)
    for attempt in range(1, 6):
        assert not [each for each in world.events("provisioning.failed") if each["subscription_id"] == subscription.id]
        comes_due(world, subscription, attempt)
    told = event(world, "provisioning.failed", subscription)
    assert "no router is known" in told["data"]["problem"]
    assert "next login" in told["data"]["advice"]
    assert online(world, mac) == []


def test_what_is_paid_for_twice_is_let_in_once(world: Following, api: RunningRouter, mac: str) -> None:
    waits(world, api, mac)
    subscription = pays(world, mac)
    event(world, "subscriber.provisioned", subscription)
    with world.radius.session() as database:
        subscription_changed(database, subscription.id, "payment", mac=mac)
    world.until(
        lambda: (
            len([e for e in world.events("subscriber.provisioned") if e["subscription_id"] == subscription.id]) == 2
        ),
        "the second is told of",
        WITHIN_S,
    )
    assert len(online(world, mac)) == 1
