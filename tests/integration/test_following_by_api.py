"""What CoA can not do and a router's API can: the walled garden without redialling, and speeds that are looked at."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.nas_api import LISTS, NasWithApi
from tests.fakes.nas_session import OnlineSession
from tests.fakes.routeros import RunningRouter, fake_routers, ready_router
from tests.following import Following, StartFollowing

GARDEN = {"on_expiry": "walled_garden", "walled_garden_address_list": "unpaid"}
WITHIN_S = 3.0


@pytest.fixture(scope="module")
def api() -> Iterator[RunningRouter]:
    router = ready_router("7.16")
    with fake_routers([router]):
        yield router


@pytest.fixture(scope="module")
def world(start_following: StartFollowing, api: RunningRouter) -> Iterator[Following]:
    with start_following(routers=2, apis=[api]) as running:
        yield running


def lists(world: Following, session: OnlineSession) -> frozenset[str]:
    return world.fleet.call(world.nas.lists_of, session)


def expires(world: Following, subscription: Any, at: datetime) -> None:
    world.radius.execute("UPDATE subscription SET expires_at = %s WHERE id = %s", at, subscription.id)


def outcome(world: Following, subscription: Any) -> dict[str, Any]:
    world.until(
        lambda: (found := world.intents(subscription)) and all(intent["finished_at"] for intent in found),
        "what was done is written down",
    )
    return world.intents(subscription)[-1]


@pytest.mark.parametrize("home", [None, "subscribers"], ids=["no list of its own", "a list of its own"])
def test_an_expired_session_goes_into_the_garden_and_out_again_without_redialling(
    world: Following, home: str | None
) -> None:
    subscription, session = world.online({**GARDEN, "address_list": home})
    at_home = frozenset([home] if home else [])
    assert lists(world, session) == at_home
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: session.rate_limit == "256k/256k", "it is slow", WITHIN_S)
    world.until(lambda: lists(world, session) == {"unpaid"}, "it is in the garden", WITHIN_S)
    assert session.left_s == pytest.approx(300, abs=5)
    expires(world, subscription, datetime.now(UTC) + timedelta(days=20))
    world.until(lambda: session.rate_limit == "2000k/8000k", "it has its speed again", WITHIN_S)
    world.until(lambda: lists(world, session) == at_home, "it is out of the garden", WITHIN_S)
    assert session.left_s == pytest.approx(20 * 86400 + 120, abs=5)
    assert world.is_online(session)
    last = outcome(world, subscription)
    assert "its queue shows the new speed" in last["outcome"]
    sent = [packet["sent"] for intent in world.intents(subscription) for packet in intent["packets"]]
    assert [one for one in sent if one.startswith("API list unpaid ->")] != []


def test_at_its_expiry_it_is_moved_before_its_router_ends_it(world: Following) -> None:
    _, session = world.online(GARDEN, columns={"expires_at": datetime.now(UTC) + timedelta(seconds=4)})
    assert session.left_s == pytest.approx(124, abs=2)
    world.until(lambda: lists(world, session) == {"unpaid"}, "it is in the garden", 4 + WITHIN_S)
    assert world.is_online(session)


def test_an_entry_does_not_outlive_its_session(world: Following, api: RunningRouter) -> None:
    """The next who gets that address would be in the garden."""
    subscription, session = world.online(GARDEN)
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: lists(world, session) == {"unpaid"}, "it is in the garden", WITHIN_S)
    world.fleet.run(world.nas.log_out(session))
    world.until(lambda: not entries(api, session), "its entry is gone", 20)


def at_its_move(world: Following, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Once the router's API has put an address into a list, and before the follower was told so."""
    nas = world.nas
    assert isinstance(nas, NasWithApi)
    changed = nas._changed_by_api

    def and_then(path: str) -> None:
        changed(path)
        monkeypatch.setattr(nas, "_changed_by_api", changed)
        happens()

    monkeypatch.setattr(nas, "_changed_by_api", and_then)


def test_an_entry_does_not_outlive_a_session_that_ended_while_it_was_moved(
    world: Following, api: RunningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CoA-Request that comes after the move finds nobody, and what was done before it was not written down."""
    subscription, session = world.online(GARDEN)
    at_its_move(world, monkeypatch, lambda: world.nas._disconnected(session))
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)
    assert "Session-Context-Not-Found" in outcome(world, subscription)["outcome"]
    world.until(lambda: not entries(api, session), "its entry is gone", 20)


def test_an_entry_that_another_has_by_then_stays(world: Following, api: RunningRouter) -> None:
    """Who got the address of a session that was in the garden, and is in it as well."""
    _, first = world.online(GARDEN)
    world.fleet.run(world.nas.log_out(first))
    subscription = world.radius.subscribe(GARDEN, service="pppoe")
    device = world.device(subscription, service="pppoe")
    world.nas._leases[device.mac] = first.framed_ip_address
    second = world.log_in(subscription)
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: lists(world, second) == {"unpaid"}, "it is in the garden", WITHIN_S)
    outcome(world, subscription)
    set_back = "UPDATE session_held SET listed = 'unpaid', listed_address = %s, clear_at = now() WHERE session_key IN"
    key = first.attributes["Class"].decode()
    world.radius.execute(
        f"{set_back} (SELECT session_key FROM session WHERE radius_class = %s)", first.framed_ip_address, key
    )
    world.until(lambda: (held := world.held(first)) and held["listed"] is None, "it was seen to", 10)
    assert lists(world, second) == {"unpaid"}
    world.fleet.run(world.nas.log_out(second))
    world.until(lambda: not entries(api, second), "its entry is gone", 20)


def test_an_entry_of_a_follower_that_died_is_taken_out(
    world: Following, api: RunningRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscription, session = world.online(GARDEN)
    at_its_move(world, monkeypatch, world.kill)
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: world.process is None, "the follower died", WITHIN_S)
    assert entries(api, session)
    world.fleet.run(world.nas.log_out(session))
    world.start()
    world.until(lambda: not entries(api, session), "its entry is gone", 20)


def test_who_paid_while_the_follower_was_dead_is_let_out(world: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has written down that it is in the garden, and by what is written down it has what it should."""
    subscription, session = world.online(GARDEN)
    at_its_move(world, monkeypatch, world.kill)
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: world.process is None, "the follower died", WITHIN_S)
    expires(world, subscription, datetime.now(UTC) + timedelta(days=20))
    assert lists(world, session) == {"unpaid"}
    world.start()
    world.radius.execute("UPDATE session_intent SET due_at = now() WHERE state = 'sent'")  # its lease is over
    world.until(lambda: lists(world, session) == set(), "it is out", WITHIN_S)
    assert world.is_online(session)
    outcome(world, subscription)
    assert session.rate_limit == "2000k/8000k"
    assert lists(world, session) == set()


def entries(api: RunningRouter, session: OnlineSession) -> Sequence[object]:
    return api.machine.tables.find(LISTS, address=session.framed_ip_address)


def test_who_logged_in_to_the_garden_is_let_out(world: Following) -> None:
    subscription = world.radius.subscribe(
        GARDEN, service="pppoe", columns={"expires_at": datetime.now(UTC) - timedelta(hours=1)}
    )
    session = world.log_in(subscription)
    assert lists(world, session) == {"unpaid"}
    expires(world, subscription, datetime.now(UTC) + timedelta(days=1))
    world.until(lambda: lists(world, session) == set(), "it is out", WITHIN_S)
    world.until(lambda: session.rate_limit == "2000k/8000k", "it has its speed", WITHIN_S)
    assert world.is_online(session)


def test_a_router_without_an_api_lets_it_dial_again(world: Following) -> None:
    there = world.fleet.routers[1]
    subscription, session = world.online(GARDEN, nas=there, redials_after_s=0.2)
    expires(world, subscription, datetime.now(UTC))
    world.until(lambda: not world.is_online(session), "it is offline", WITHIN_S)

    def speeds() -> list[str | None]:
        return [other.rate_limit for _, other in world.fleet.online() if other.subscriber == session.subscriber]

    world.until(lambda: speeds() == ["256k/256k"], "it is back, in the garden", WITHIN_S)
    assert outcome(world, subscription)["reason"] in ("expired_walled_garden", "address_list")


def test_a_speed_that_is_acknowledged_and_not_applied_is_seen(world: Following) -> None:
    """RouterOS may say yes and do nothing; without the API it would be believed."""
    nas = world.nas
    subscription, session = world.online(redials_after_s=0.2)
    nas.behaviour.acks_and_does_nothing = True
    try:
        world.radius.execute("UPDATE plan SET download_kbps = 4321 WHERE id = %s", subscription.plan_id)
        world.until(lambda: not world.is_online(session), "the API ended it", 40)
    finally:
        nas.behaviour.acks_and_does_nothing = False

    def speeds() -> list[str | None]:
        return [other.rate_limit for _, other in world.fleet.online() if other.subscriber == session.subscriber]

    world.until(lambda: speeds() == ["2000k/4321k"], "it is back with the new speed", 5)
    last = outcome(world, subscription)
    assert [packet["sent"] for packet in last["packets"]] == [
        "CoA-Request",
        "API queue",
        *["Disconnect-Request"] * 2,
        "API remove",
    ]


def test_an_api_that_is_away_becomes_a_new_login(world: Following, api: RunningRouter) -> None:
    subscription, session = world.online(GARDEN, redials_after_s=0.2)
    assert isinstance(world.nas, NasWithApi)
    api.power_off()
    try:
        expires(world, subscription, datetime.now(UTC))
        world.until(lambda: not world.is_online(session), "it is offline", 10)
    finally:
        api.power_on()

    def speeds() -> list[str | None]:
        return [other.rate_limit for _, other in world.fleet.online() if other.subscriber == session.subscriber]

    world.until(lambda: speeds() == ["256k/256k"], "it is back, in the garden", 5)
