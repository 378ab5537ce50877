"""Events to those who may see them: by GET, and as they happen, over a WebSocket, without a gap and nothing twice."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api import event_feed, event_hub, event_socket
from api.event_socket import BAD_MESSAGE, FORBIDDEN, NO_HELLO, TRY_AGAIN_LATER, UNAUTHORIZED, UNKNOWN_ID
from cli.app import kibali
from db import event_ticket
from isp import credentials
from settings import Settings
from tests.integration.api_server import Client, api_of, make_operator, platform_token, shared_settings
from tests.integration.event_client import (
    add_event,
    connected,
    numbers,
    url_of,
    watching,
    write_events,
    writer,
)
from tests.integration.test_api_outages import postgres_away


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


@pytest.fixture(scope="module")
def shared_api(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Client]:
    """For tests that leave it as they found it."""
    with (
        shared_settings(
            server_environ, postgres_server, redis_server, template_database, private_directory
        ) as settings,
        api_of(settings) as client,
    ):
        yield client


def tenant_of(api: Client) -> int:
    return api.operator.tenant_id


# By GET


def test_events_are_listed_newest_first_page_by_page(api: Client) -> None:
    write_events(api.settings, tenant_of(api), *range(7))
    first = api.get("/events", limit=4)
    assert numbers(first["items"]) == [6, 5, 4, 3]
    assert numbers(api.get("/events", limit=4, cursor=first["next"])["items"]) == [2, 1, 0]
    assert numbers(api.get("/events", sort="id", limit=2)["items"]) == [0, 1]


def test_events_are_filtered_by_type_subject_and_time(api: Client) -> None:
    for number, event_type in enumerate(("payment.processed", "payment.failed", "router.status", "job.failed")):
        write_events(api.settings, tenant_of(api), number, event_type=event_type)

    def found(**query: Any) -> list[int]:
        return numbers(api.get("/events", sort="id", **query)["items"])

    assert found(type="payment.failed") == [1]
    assert found(type="payment.*,job.failed") == [0, 1, 3]
    assert found(since="2020-01-01T00:00:00Z") == [0, 1, 2, 3]
    assert found(until="2020-01-01T00:00:00Z") == []
    for query in ({"type": "nonsense"}, {"type": "payment.*,"}, {"since": "yesterday"}, {"router_id": "x"}):
        assert api.request("GET", "/events", params=query).status_code == 422, query


def test_the_command_lists_what_the_api_lists(api: Client, environ: Mapping[str, str]) -> None:
    write_events(api.settings, tenant_of(api), 1, 2)
    write_events(api.settings, tenant_of(api), 3, event_type="router.status")
    said = CliRunner().invoke(kibali, ["event", "list", "--type", "payment.*", "--json"], env=environ)
    assert json.loads(said.stdout) == api.get("/events", type="payment.*")["items"]
    assert "router.status" in CliRunner().invoke(kibali, ["event", "list", "--limit", "1"], env=environ).stdout


VISIBLE = {
    "owner": ["payment.failed", "router.status", "job.progress", "webhook.disabled"],
    "manager": ["payment.failed", "router.status", "job.progress", "webhook.disabled"],
    "support": ["payment.failed", "router.status", "job.progress"],
    "read-only": ["payment.failed", "router.status", "job.progress"],
    "cashier": ["payment.failed", "job.progress"],
}


@pytest.mark.parametrize("role", VISIBLE)
def test_a_role_sees_events_about_what_it_may_see(api: Client, role: str) -> None:
    for event_type in VISIBLE["owner"]:
        write_events(api.settings, tenant_of(api), 0, event_type=event_type)
    listed = api.request("GET", "/events", role=role, params={"sort": "id"}).json()["items"]
    with watching(api, after=0, role=role) as watcher:
        pushed = watcher.until(len(VISIBLE[role]))
        assert [event["type"] for event in listed] == VISIBLE[role]
        assert pushed == listed


# As they happen


def test_what_is_committed_comes_and_what_is_not_does_not(api: Client) -> None:
    with watching(api) as watcher, writer(api.settings) as connection:
        add_event(connection, tenant_of(api), 1)
        watcher.nothing_within(0.3)
        connection.commit()
        assert numbers(watcher.until(1)) == [1]
        add_event(connection, tenant_of(api), 2)
        connection.rollback()
        watcher.nothing_within(0.3)


def test_a_client_goes_on_where_it_was(api: Client) -> None:
    with watching(api) as watcher:
        write_events(api.settings, tenant_of(api), 1, 2)
        watcher.until(2)
    write_events(api.settings, tenant_of(api), 3, 4)
    with watching(api, after=watcher.last_id) as again:
        assert numbers(again.until(2)) == [3, 4]
        write_events(api.settings, tenant_of(api), 5)
        assert numbers(again.until(3)) == [3, 4, 5]


def test_what_was_missed_comes_first_however_much_it_is(api: Client) -> None:
    with psycopg.connect(api.settings.database_dsn("worker")) as connection:
        connection.execute(
            "INSERT INTO event (tenant_id, type, data) SELECT %s, 'payment.processed', jsonb_build_object('number', n)"
            " FROM generate_series(0, 2599) n ORDER BY n",
            (tenant_of(api),),
        )
    with watching(api, after=0) as watcher:
        write_events(api.settings, tenant_of(api), 2600)
        assert numbers(watcher.until(2601)) == list(range(2601))


def test_an_event_that_commits_late_is_missed_by_nobody(api: Client) -> None:
    """It was written before the one that the client saw last, and by its first id it stood below it."""
    with writer(api.settings) as late:
        add_event(late, tenant_of(api), 1)
        with watching(api) as watcher:
            write_events(api.settings, tenant_of(api), 2)
            watcher.until(1)
            late.commit()
            assert numbers(watcher.until(2)) == [2, 1]
            first = watcher.events[0]["id"]
        with watching(api, after=first) as again:
            assert numbers(again.until(1)) == [1]


def test_a_client_that_comes_and_goes_among_interleaved_writers_sees_each_event_once(api: Client) -> None:
    seen: list[int] = []
    writers, each = 6, 40

    def write(worker: int) -> None:
        with writer(api.settings) as connection:
            for turn in range(each):
                add_event(connection, tenant_of(api), worker * 1000 + turn)
                time.sleep(0.001 * (worker % 3))
                connection.commit()

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(writers)]
    for thread in threads:
        thread.start()
    after, deadline = 0, time.monotonic() + 60
    while len(seen) < writers * each and time.monotonic() < deadline:
        with watching(api, after=after) as watcher:
            watcher.until(min(17, writers * each - len(seen)))
            after = watcher.last_id
            seen += numbers(watcher.events)
    for thread in threads:
        thread.join(30)
    assert sorted(seen) == sorted(worker * 1000 + turn for worker in range(writers) for turn in range(each))
    with watching(api, after=after) as watcher:
        watcher.nothing_within(0.3)


def test_only_the_types_that_were_asked_for_come_and_the_heartbeat_says_how_far_it_is(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_hub, "HEARTBEAT_S", 0.2)
    monkeypatch.setattr(event_socket, "HEARTBEAT_S", 0.2)
    with watching(api, types=["router.*", "payment.failed"]) as watcher:
        for number, event_type in enumerate(("payment.failed", "router.live", "payment.processed")):
            write_events(api.settings, tenant_of(api), number, event_type=event_type)
        assert numbers(watcher.until(2)) == [0, 1]
        newest = api.get("/events")["items"][0]["id"]
        deadline = time.monotonic() + 10
        while watcher.last_id < newest and time.monotonic() < deadline:
            assert watcher.receive()["type"] == "heartbeat"
        assert watcher.last_id == newest


def test_events_of_another_tenant_do_not_come(api: Client) -> None:
    other = make_operator(api.settings, "zenith")
    with watching(api, after=0) as watcher:
        write_events(api.settings, other.tenant_id, 1)
        write_events(api.settings, None, 2)
        write_events(api.settings, tenant_of(api), 3)
        assert numbers(watcher.until(1)) == [3]
        watcher.nothing_within(0.3)
    assert numbers(api.get("/events")["items"]) == [3]


# Who may come in


def test_a_ticket_opens_one_connection(api: Client) -> None:
    ticket = api.request("POST", "/events/ticket", role="cashier").json()["ticket"]
    with connected(api, {"type": "auth", "ticket": ticket}) as watcher:
        assert watcher.receive()["type"] == "ready"
        for event_type in ("router.status", "payment.failed"):
            write_events(api.settings, tenant_of(api), 1, event_type=event_type)
        assert [event["type"] for event in watcher.until(1)] == ["payment.failed"], "as the cashier it was made for"
    with connected(api, {"type": "auth", "ticket": ticket}) as watcher:
        code, message = watcher.closed()
        assert (code, message["code"]) == (UNAUTHORIZED, "unauthorized")


def test_an_old_ticket_or_that_of_a_disabled_admin_opens_nothing(api: Client) -> None:
    for statement in (
        "UPDATE event_ticket SET expires_at = now() - interval '1 second'",
        "UPDATE admin SET disabled_at = now() WHERE role = 'support'",
    ):
        ticket = api.request("POST", "/events/ticket", role="support").json()["ticket"]
        with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
            superuser.execute(statement)
        with connected(api, {"type": "auth", "ticket": ticket}) as watcher:
            assert watcher.closed()[0] == UNAUTHORIZED, statement


OVER = {
    "revoked": "UPDATE api_token SET revoked_at = now() FROM admin WHERE admin.id = admin_id AND role = 'support'",
    "expired": "UPDATE api_token SET expires_at = now() FROM admin WHERE admin.id = admin_id AND role = 'support'",
    "closed": "UPDATE tenant SET closed_at = now()",
    "logged out": "UPDATE admin_session SET ended_at = now()",
    "a day old": "UPDATE admin_session SET expires_at = now()",
}


@pytest.mark.parametrize("over", OVER)
def test_a_ticket_is_no_better_than_what_it_was_got_with(
    api: Client, monkeypatch: pytest.MonkeyPatch, over: str
) -> None:
    """Somebody logged out everywhere, and whoever had the session went on watching payments."""
    monkeypatch.setattr(event_socket, "ASK_AGAIN_EVERY_S", 0.2)
    headers = {"Authorization": f"Bearer {api.operator.tokens['support']}"}
    if "session" in OVER[over]:
        with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
            token = credentials.new_session_token()
            superuser.execute(
                "INSERT INTO admin_session (tenant_id, admin_id, token_hash, source, expires_at)"
                " SELECT tenant_id, id, %s, 'x', now() + interval '1 day' FROM admin WHERE role = 'support'",
                (credentials.api_token_hash(token),),
            )
        headers = {"Authorization": f"Bearer {token}"}
    opened, waiting = (
        api.http.post("/api/v1/events/ticket", headers=headers).json()["ticket"] for _ in ("opened", "waiting")
    )
    with connected(api, {"type": "auth", "ticket": opened}) as watcher:
        assert watcher.receive()["type"] == "ready"
        write_events(api.settings, tenant_of(api), 1)
        watcher.until(1)
        time.sleep(0.5)  # asked twice, and still let in
        write_events(api.settings, tenant_of(api), 1)
        watcher.until(2)
        with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
            superuser.execute(OVER[over])
        assert watcher.closed()[0] == UNAUTHORIZED
    with connected(api, {"type": "auth", "ticket": waiting}) as watcher:
        assert watcher.closed()[0] == UNAUTHORIZED


def test_old_tickets_are_forgotten(api: Client) -> None:
    for _ in range(3):
        api.post("/events/ticket")
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        superuser.execute("UPDATE event_ticket SET expires_at = now() - %s::interval", (event_ticket.LIFE,))
        superuser.commit()
        api.post("/events/ticket")
        assert superuser.execute("SELECT count(*) FROM event_ticket").fetchone() == (1,)


AUTH = {"type": "auth", "token": "kbl_" + "A" * 43}


@pytest.mark.parametrize(
    ("hello", "code", "said"),
    [
        (AUTH, UNAUTHORIZED, "unauthorized"),
        ({"type": "auth", "token": "nonsense"}, UNAUTHORIZED, "unauthorized"),
        ({"type": "auth", "token": "é\n\u0000"}, BAD_MESSAGE, "malformed"),
        ({"type": "auth", "ticket": "kbt_" + "A" * 43}, UNAUTHORIZED, "unauthorized"),
        ({"type": "auth"}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "ticket": "x"}, BAD_MESSAGE, "invalid"),
        ({"type": "subscribe"}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "after": -1}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "after": "7"}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "after": 2**63}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "types": []}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "types": ["*"]}, BAD_MESSAGE, "invalid"),
        ({**AUTH, "admin": True}, BAD_MESSAGE, "unknown_field"),
        ([], BAD_MESSAGE, "invalid"),
        ("{", BAD_MESSAGE, "malformed"),
        ("", BAD_MESSAGE, "malformed"),
        ("[" * 10_000, BAD_MESSAGE, "malformed"),
        ('{"type": "auth", "type": "auth"}', BAD_MESSAGE, "malformed"),
        (b"\x00\x01", BAD_MESSAGE, "malformed"),
    ],
)
def test_a_first_message_that_is_none_ends_the_connection(
    shared_api: Client, redis_url: str, hello: Any, code: int, said: str
) -> None:
    with connected(shared_api, hello) as watcher:
        closed, message = watcher.closed()
        assert (closed, message["type"], message["code"]) == (code, "error", said), message
        assert "kbl_" not in json.dumps(message)


def test_an_id_that_was_never_given_is_refused(api: Client) -> None:
    """As after a restored backup: to wait for it would be to miss everything until then."""
    with connected(api, {"type": "auth", "token": api.operator.tokens["owner"], "after": 10**9}) as watcher:
        code, message = watcher.closed()
        assert (code, message["code"]) == (UNKNOWN_ID, "unknown_id")


def test_a_message_that_is_too_long_or_comes_later_ends_the_connection(api: Client) -> None:
    with watching(api) as watcher:
        watcher.socket.send("{}")
        assert watcher.closed()[0] == BAD_MESSAGE
    with watching(api) as watcher:
        watcher.socket.send("x" * 20_000)
        assert watcher.closed()[0] == 1009
    with watching(api) as watcher:
        watcher.socket.socket.sendall(b"\xff\xff\xff\xff\xff\xff\xff\xff")
        assert watcher.closed()[0] == 1002
    with watching(api) as watcher:  # and the server still lives
        write_events(api.settings, tenant_of(api), 1)
        watcher.until(1)


def test_who_says_nothing_is_let_go(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_socket, "HELLO_WITHIN_S", 0.3)
    with connected(api) as watcher:
        assert watcher.closed()[0] == NO_HELLO


def test_an_address_that_guesses_is_turned_away(api: Client) -> None:
    for _ in range(20):
        with connected(api, {"type": "auth", "ticket": "kbt_wrong"}) as watcher:
            assert watcher.closed()[0] == UNAUTHORIZED
    for hello in ({"type": "auth", "ticket": "kbt_wrong"}, AUTH):
        with connected(api, hello) as watcher:
            assert watcher.closed()[0] == event_socket.TOO_MANY


def test_the_platforms_admins_watch_a_tenant_of_their_choice(api: Client) -> None:
    token = platform_token(api.settings)
    for tenant, code in ((None, FORBIDDEN), ("nowhere", BAD_MESSAGE)):
        with connected(api, {"type": "auth", "token": token, "tenant": tenant}) as watcher:
            assert watcher.closed()[0] == code
    write_events(api.settings, tenant_of(api), 1, event_type="webhook.disabled")
    with connected(api, {"type": "auth", "token": token, "tenant": "acme", "after": 0}) as watcher:
        assert watcher.receive()["type"] == "ready"
        assert numbers(watcher.until(1)) == [1]
    headers = {"Authorization": f"Bearer {token}", "Kibali-Tenant": "acme"}
    ticket = api.http.post("/api/v1/events/ticket", headers=headers).json()["ticket"]
    with connected(api, {"type": "auth", "ticket": ticket, "after": 0}) as watcher:
        assert watcher.receive()["type"] == "ready"
        assert numbers(watcher.until(1)) == [1]


def test_a_revoked_token_ends_its_connections(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_socket, "ASK_AGAIN_EVERY_S", 0.2)
    with watching(api, role="support") as watcher, watching(api) as other:
        with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
            superuser.execute(
                "UPDATE api_token SET revoked_at = now() FROM admin"
                " WHERE admin.id = api_token.admin_id AND admin.role = 'support'"
            )
        assert watcher.closed()[0] == UNAUTHORIZED
        write_events(api.settings, tenant_of(api), 1)
        other.until(1)


def test_without_an_upgrade_there_is_nothing_and_elsewhere_no_websocket(api: Client) -> None:
    assert api.request("GET", "/events/ws").status_code == 404
    with pytest.raises(InvalidStatus), connect(url_of(api).replace("/ws", "")):
        pass


# What may go wrong


def test_a_client_that_takes_nothing_is_dropped_and_misses_nothing(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_socket, "TAKE_WITHIN_S", 0.5)
    monkeypatch.setattr(event_feed, "KEPT_EVENTS", 100)
    count = 2_000
    small = socket.create_connection((api.http.base_url.host, api.http.base_url.port or 80))
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with (
        watching(api, sock=small, max_queue=1, close_timeout=1) as slow,
        watching(api) as quick,
        psycopg.connect(api.settings.database_dsn("worker"), autocommit=True) as connection,
    ):
        for first in range(0, count, 100):
            connection.execute(
                "INSERT INTO event (tenant_id, type, data) SELECT %s, 'payment.processed', jsonb_build_object("
                "'number', n, 'ballast', repeat('x', 5000)) FROM generate_series(%s::int, %s) n ORDER BY n",
                (tenant_of(api), first, first + 99),
            )
            quick.until(first + 100)
        time.sleep(3)
        code, _ = slow.closed()
        assert code in (1006, TRY_AGAIN_LATER)
        assert len(slow.events) < count
        seen = numbers(slow.events)
    with watching(api, after=slow.last_id) as again:
        seen += numbers(again.until(count - len(seen)))
    assert seen == list(range(count))
    assert numbers(quick.events) == list(range(count))


def test_clients_miss_nothing_while_postgresql_is_away(api: Client) -> None:
    with watching(api) as watcher:
        write_events(api.settings, tenant_of(api), 1)
        watcher.until(1)
        with postgres_away(api.settings):
            time.sleep(1)
            with connected(api, {"type": "auth", "token": api.operator.tokens["owner"]}) as other:
                assert other.closed()[0] == TRY_AGAIN_LATER
        write_events(api.settings, tenant_of(api), 2, 3)
        assert numbers(watcher.until(3)) == [1, 2, 3]


def test_a_lost_notification_costs_seconds_and_no_event(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_hub, "LOOK_EVERY_S", 0.5)
    with watching(api) as watcher:
        with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
            superuser.execute("ALTER TABLE event DISABLE TRIGGER publish")
            add_event(superuser, tenant_of(api), 1)  # nobody is told
        assert numbers(watcher.until(1)) == [1]


def test_a_client_that_left_is_forgotten(api: Client) -> None:
    for _ in range(3):
        with watching(api), watching(api):
            pass
    with psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name)) as superuser:
        rows = superuser.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'kibali-api-%%'"
            " AND datname = current_database()"
        ).fetchone()
    assert rows is not None
    assert rows[0] <= 3, "one that listens, one that reads, one that reads what was missed"
