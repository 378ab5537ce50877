"""What is under way when something dies: no session is left wrong, and none is ended twice."""

import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from settings import Settings
from tests.fakes.nas_coa import DISCONNECT_REQUEST
from tests.fakes.nas_session import OnlineSession
from tests.following import Following, following

MANY = 20
# The lease of what was under way, and some time to do it.
RECOVERS_WITHIN_S = 30


@pytest.fixture
def world(
    postgres_server: Settings,
    template_database: str,
    redis_url: str,
    secrets: Mapping[str, str],
    private_directory: Path,
    var: Path,
) -> Iterator[Following]:
    with following(
        postgres_server, template_database, redis_url, secrets, private_directory, var, routers=2
    ) as running:
        yield running


def dies_at_request(world: Following, monkeypatch: pytest.MonkeyPatch, number: int) -> threading.Event:
    """The follower is killed once a router has done what its `number`th request asks, and before it has answered."""
    died = threading.Event()
    nas = world.nas
    answer = nas._coa.answer

    def kill_before_the_answer(datagram: bytes, sender: Any) -> bytes | None:
        reply = answer(datagram, sender)
        if len(nas.heard) == number and not died.is_set():
            world.kill()
            died.set()
        return None if died.is_set() and world.process is None else reply

    monkeypatch.setattr(nas._coa, "answer", kill_before_the_answer)
    return died


@pytest.mark.parametrize("number", [1, 7])
def test_sessions_that_are_ended_while_the_follower_dies(
    world: Following, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sessions = [world.online(redials_after_s=0.3)[1] for _ in range(MANY)]
    died = dies_at_request(world, monkeypatch, number)
    world.radius.execute(
        "INSERT INTO session_intent (tenant_id, session_key, subscription_id, router_id, cause, action, reason, way)"
        " SELECT tenant_id, session_key, subscription_id, router_id, 'kick', 'disconnect', 'kick', 'disconnect'"
        " FROM session WHERE stopped_at IS NULL"
    )
    assert died.wait(10)
    world.start()
    world.until(lambda: unfinished(world) == 0, "all is done", RECOVERS_WITHIN_S)
    world.until(lambda: len(world.fleet.online()) == MANY, "all are back", 10)
    time.sleep(1)
    online = [session for _, session in world.fleet.online()]
    assert len(online) == MANY
    assert not {id(session) for session in online} & {id(session) for session in sessions}
    # Each was ended once, and who came back was left alone.
    ended = [each.session for each in world.nas.heard if each.code == DISCONNECT_REQUEST and each.answer == "ACK"]
    assert sorted(map(number_of, ended)) == sorted(map(number_of, sessions))
    world.until(world.tables_agree, "the tables say what the router does", 10)


@pytest.mark.parametrize("number", [1, 7])
def test_sessions_that_are_changed_while_the_follower_dies(
    world: Following, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    sessions = [world.online()[1] for _ in range(MANY)]
    died = dies_at_request(world, monkeypatch, number)
    world.radius.execute("UPDATE plan SET upload_kbps = 3000, download_kbps = 3000")
    assert died.wait(10)
    # And once more, while nobody is there.
    world.radius.execute("UPDATE plan SET upload_kbps = 4000, download_kbps = 4000")
    world.start()
    world.until(
        lambda: all(session.rate_limit == "4000k/4000k" for session in sessions), "all have it", RECOVERS_WITHIN_S
    )
    world.until(lambda: unfinished(world) == 0, "all is done", RECOVERS_WITHIN_S)
    assert len(world.fleet.online()) == MANY
    world.until(world.tables_agree, "the tables say what the router does", 10)


@pytest.mark.parametrize("number", [1, 7])
def test_what_was_changed_as_the_follower_died_is_changed_back(
    world: Following, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Nobody has written down that routers obeyed, and by what is written down the sessions have what they should."""
    sessions = [world.online()[1] for _ in range(MANY)]
    died = dies_at_request(world, monkeypatch, number)
    world.radius.execute("UPDATE plan SET upload_kbps = 3000, download_kbps = 3000")
    assert died.wait(10)
    assert any(session.rate_limit == "3000k/3000k" for session in sessions)
    world.radius.execute("UPDATE plan SET upload_kbps = 2000, download_kbps = 8000")
    world.start()
    world.until(
        lambda: all(session.rate_limit == "2000k/8000k" for session in sessions), "as before", RECOVERS_WITHIN_S
    )
    world.until(lambda: unfinished(world) == 0, "all is done", RECOVERS_WITHIN_S)
    assert {session.rate_limit for session in sessions} == {"2000k/8000k"}
    world.until(world.tables_agree, "the tables say what the router does", 10)


def test_what_a_router_did_without_being_heard_is_changed_back(
    world: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears and obeys; its answers are lost."""
    sessions = [world.online()[1] for _ in range(MANY)]
    coa = world.nas._coa
    answer = coa.answer

    def obey(datagram: bytes, sender: Any) -> None:
        answer(datagram, sender)

    with monkeypatch.context() as unheard:
        unheard.setattr(coa, "answer", obey)
        world.radius.execute("UPDATE plan SET upload_kbps = 3000, download_kbps = 3000")
        world.until(lambda: any(session.rate_limit == "3000k/3000k" for session in sessions), "it obeys")
        world.until(lambda: "did not answer" in str(intents(world)), "the follower knows nothing of it", 15)
        world.radius.execute("UPDATE plan SET upload_kbps = 2000, download_kbps = 8000")
        world.until(lambda: not world.radius.rows("SELECT FROM follow_plan"), "the follower knows of that")
    world.until(
        lambda: all(session.rate_limit == "2000k/8000k" for session in sessions), "as before", RECOVERS_WITHIN_S
    )
    world.until(lambda: unfinished(world) == 0, "all is done", RECOVERS_WITHIN_S)
    assert {session.rate_limit for session in sessions} == {"2000k/8000k"}
    world.until(world.tables_agree, "the tables say what the router does", 10)


def test_two_followers_do_not_do_it_twice(world: Following) -> None:
    sessions = [world.online(redials_after_s=0.3)[1] for _ in range(MANY)]
    first = world.process
    world.start()
    try:
        world.radius.execute(
            "INSERT INTO session_intent (tenant_id, session_key, subscription_id, router_id, cause, action, reason,"
            " way) SELECT tenant_id, session_key, subscription_id, router_id, 'kick', 'disconnect', 'kick',"
            " 'disconnect' FROM session WHERE stopped_at IS NULL"
        )
        world.until(lambda: unfinished(world) == 0, "all is done", 20)
        asked = [each.session for each in world.nas.heard if each.code == DISCONNECT_REQUEST]
        assert sorted(map(number_of, asked)) == sorted(map(number_of, sessions))
    finally:
        assert first is not None
        first.kill()
        first.wait()


def number_of(session: OnlineSession | None) -> str:
    return session.acct_session_id if session else "none"


def intents(world: Following) -> list[Any]:
    return world.radius.rows("SELECT * FROM session_intent")


def unfinished(world: Following) -> int:
    return int(world.radius.rows("SELECT count(*) AS n FROM session_intent WHERE finished_at IS NULL")[0]["n"])
