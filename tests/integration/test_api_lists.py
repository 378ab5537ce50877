"""Lists: every row once, page by page, in the order and with the filters asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from db.page import MAX_COUNT
from settings import Settings
from tests.integration.api_server import Client, api_of

NOW = datetime.now(UTC).replace(microsecond=0)
PLANS = [("Zebra", "5.00"), ("apple", "20.00"), ("Banana", "5.00"), ("cherry", "100.00"), ("Date", "20.00")]


@pytest.fixture(scope="module")
def api(settings_of_module: Settings) -> Iterator[Client]:
    """Five plans; subscriptions in every state; sessions open, just ended and in history."""
    with api_of(settings_of_module) as client:
        for name, price_kes in PLANS:
            client.plan(name=name, price_kes=price_kes)
        make_subscriptions(client)
        make_sessions(client)
        yield client


def make_subscriptions(api: Client) -> None:
    graceful = api.plan(name="grace", grace_hours=2)["id"]
    unlimited = api.plan(name="unlimited", validity_unit="unlimited", validity_count=None)["id"]
    made = {
        name: api.subscription(username=name, plan_id=graceful)["id"]
        for name in ("active", "grace", "expired", "suspended", "cancelled")
    }
    api.subscription(username="never", plan_id=unlimited, service="pppoe", macs=["02:00:00:00:00:01"])
    api.post(f"/subscriptions/{made['suspended']}/suspend")
    api.delete(f"/subscriptions/{made['cancelled']}")
    with superuser(api) as connection:
        for name, hours in (("grace", 1), ("expired", 3)):
            expiry = NOW - timedelta(hours=hours)
            connection.execute("UPDATE subscription SET expires_at = %s WHERE id = %s", (expiry, made[name]))


def make_sessions(api: Client) -> None:
    router_id = api.router(name="first")["id"]
    other_id = api.router(name="second")["id"]
    subscription_id = api.get("/subscriptions", username="active")["items"][0]["id"]
    with superuser(api) as connection:
        for number in range(12):
            stopped = NOW - timedelta(minutes=number) if number % 3 else None
            table = "session_history" if number % 3 == 2 else "session"
            connection.execute(
                f"INSERT INTO {table} (session_key, tenant_id, router_id, subscription_id, service, username,"
                " acct_session_id, calling_station_id, framed_ip_address, interim_interval_s, started_at, last_seen_at,"
                " stopped_at, terminate_cause, session_time_s, input_octets, output_octets)"
                " VALUES (%s, %s, %s, %s, 'hotspot', %s, %s, '02:00:00:00:00:0a', '10.0.0.9', 300, %s, %s, %s, %s, 60,"
                " %s, 7)",
                (
                    UUID(int=number + 1),
                    api.operator.tenant_id,
                    other_id if number == 0 else router_id,
                    subscription_id if number < 6 else None,
                    "Active" if number < 6 else ("stranger", "active")[number % 2],
                    f"8{number:07x}",
                    NOW - timedelta(hours=1, minutes=number // 2),  # two share each start
                    NOW,
                    stopped,
                    "User-Request" if stopped else None,
                    2**40 + number,
                ),
            )


def superuser(api: Client) -> psycopg.Connection[Any]:
    return psycopg.connect(api.settings.database_admin_dsn(api.settings.database_name))


def walk(api: Client, path: str, limit: int, **params: Any) -> list[Any]:
    """All items, page by page; no page but the last is short."""
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get(path, limit=limit, **params, **cursor)
        items += page["items"]
        if page["next"] is None:
            return items
        assert len(page["items"]) == limit
        cursor = {"cursor": page["next"]}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
@pytest.mark.parametrize("path", ["/plans", "/subscribers", "/subscriptions", "/routers", "/sessions"])
def test_pages_of_any_size_make_the_whole_list(api: Client, path: str, limit: int) -> None:
    key = "session_key" if path == "/sessions" else "id"
    whole = api.get(path, limit=200)["items"]
    assert len(whole) >= 2
    assert walk(api, path, limit) == whole
    assert len({item[key] for item in whole}) == len(whole)


@pytest.mark.parametrize("path", ["/plans", "/subscribers", "/subscriptions", "/routers"])
@pytest.mark.parametrize("sort", ["id", "name", "username", "price_kes", "created_at", "expires_at"])
def test_every_order_reads_the_same_backwards(api: Client, path: str, sort: str) -> None:
    if api.request("GET", path, params={"sort": sort}).status_code == 422:
        return  # this list has no such order, which the unit tests hold against the models
    forwards, backwards = walk(api, path, 2, sort=sort), walk(api, path, 2, sort=f"-{sort}")
    assert forwards == backwards[::-1]
    assert forwards


def test_names_are_in_order_whatever_their_case(api: Client) -> None:
    names = [plan["name"] for plan in walk(api, "/plans", 2, sort="name")]
    assert names == sorted(names, key=str.lower)


def test_equal_prices_are_told_apart_by_id(api: Client) -> None:
    prices = [(float(plan["price_kes"]), plan["id"]) for plan in walk(api, "/plans", 1, sort="price_kes")]
    assert prices == sorted(prices)


def test_what_never_expires_comes_after_what_does(api: Client) -> None:
    expiries = [item["expires_at"] for item in walk(api, "/subscriptions", 1, sort="expires_at")]
    assert expiries[-1] is None
    assert None not in expiries[:-1]
    assert expiries[:-1] == sorted(expiries[:-1])


def test_a_row_made_while_pages_are_read_disturbs_none_of_them(api: Client) -> None:
    first = api.get("/subscribers", limit=2, sort="-id")
    api.subscriber()
    second = api.get("/subscribers", limit=2, sort="-id", cursor=first["next"])
    ids = [item["id"] for item in first["items"] + second["items"]]
    assert ids == sorted(set(ids), reverse=True)


@pytest.mark.parametrize("state", ["active", "grace", "expired", "suspended", "cancelled"])
def test_a_state_is_filtered_as_it_is_shown(api: Client, state: str) -> None:
    shown = api.get("/subscriptions", limit=200)["items"]
    expected = [item for item in shown if item["state"] == state]
    assert expected
    assert api.get("/subscriptions", state=state)["items"] == expected


@pytest.mark.parametrize(
    ("path", "params", "found"),
    [
        ("/subscriptions", {"username": "NEVER"}, 1),
        ("/subscriptions", {"service": "pppoe"}, 1),
        ("/subscriptions", {"mac": "0200.0000.0001"}, 1),
        ("/subscriptions", {"mac": "02:00:00:00:00:02"}, 0),
        ("/subscriptions", {"plan_id": 10**15}, 0),
        ("/plans", {"service": "pppoe"}, 0),
        ("/plans", {"archived": "true"}, 0),
        ("/routers", {"removed": "true"}, 0),
        ("/routers", {"status": "pending"}, 2),
        ("/subscribers", {"name": "%"}, 0),
        ("/subscribers", {"name": "_"}, 0),
        ("/subscribers", {"msisdn": "0799999999"}, 0),
        ("/sessions", {}, 12),
        ("/sessions", {"open": "true"}, 4),
        ("/sessions", {"open": "false"}, 8),
        ("/sessions", {"username": "ACTIVE"}, 9),
        ("/sessions", {"router": 10**15}, 0),
        ("/sessions", {"open": "true", "username": "Stranger"}, 1),
    ],
)
def test_a_filter_finds_what_it_says(api: Client, path: str, params: dict[str, Any], found: int) -> None:
    assert len(walk(api, path, 5, **params)) == found


def test_a_subscriber_is_found_by_part_of_the_name_or_by_phone(api: Client) -> None:
    jane = api.subscriber(name="Jane 100% Wanjikũ", msisdn="0700000099")
    assert api.get("/subscribers", name="100% wanjikũ")["items"] == [jane]
    assert api.get("/subscribers", msisdn="+254 700 000 099")["items"] == [jane]


def test_what_was_archived_is_listed_apart(api: Client) -> None:
    gone = api.subscriber(name="gone")
    api.delete(f"/subscribers/{gone['id']}")
    assert gone["id"] not in [item["id"] for item in api.get("/subscribers", limit=200)["items"]]
    assert [item["id"] for item in api.get("/subscribers", archived="true")["items"]] == [gone["id"]]


def test_sessions_come_newest_first_from_both_tables(api: Client) -> None:
    starts = [(item["started_at"], item["session_key"]) for item in walk(api, "/sessions", 5)]
    assert starts == sorted(starts, reverse=True)


def test_a_sessions_filters_are_of_its_subscription_and_router(api: Client) -> None:
    item = api.get("/subscriptions", username="active")["items"][0]
    assert {row["subscription_id"] for row in walk(api, "/sessions", 2, subscription=item["id"])} == {item["id"]}
    second = api.get("/routers", sort="-id")["items"][0]
    assert [row["session_key"] for row in walk(api, "/sessions", 2, router=second["id"])] == [str(UUID(int=1))]


def test_sessions_of_a_device_that_logs_in_by_its_address_are_found_by_it(api: Client) -> None:
    owner = api.get("/subscriptions", username="never")["items"][0]["id"]
    key, mac = UUID(int=99), "02:00:00:00:00:01"
    with superuser(api) as connection:
        connection.execute(
            "INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username,"
            " acct_session_id, interim_interval_s, started_at, last_seen_at)"
            " SELECT %s, tenant_id, id, %s, 'hotspot', %s, '9', 300, now(), now() FROM router WHERE name = 'first'",
            (key, owner, mac),
        )
    found = api.get("/sessions", username=mac.lower())["items"]
    with superuser(api) as connection:
        connection.execute("DELETE FROM session WHERE session_key = %s", (key,))
    assert [item["session_key"] for item in found] == [str(key)]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_session_is_read_wherever_it_lies(api: Client, number: int) -> None:
    item = api.get(f"/sessions/{UUID(int=number)}")
    assert item["session_key"] == str(UUID(int=number))
    assert item["calling_station_id"] == "02:00:00:00:00:0A"
    assert item["framed_ip_address"] == "10.0.0.9"
    assert item["input_octets"] == 2**40 + number - 1
    assert item["started_at"].endswith("Z")
    assert (item["stopped_at"] is None) == (number == 1)


def test_a_session_that_never_was_is_a_404(api: Client) -> None:
    assert api.request("GET", f"/sessions/{uuid4()}").status_code == 404


def test_a_cursor_from_one_list_does_not_break_another(api: Client) -> None:
    cursor = api.get("/plans", limit=1)["next"]
    assert api.request("GET", "/subscribers", params={"cursor": cursor}).status_code == 200
    assert api.request("GET", "/sessions", params={"cursor": cursor}).status_code == 422


@pytest.mark.parametrize("path", ["/plans", "/subscribers", "/subscriptions", "/sessions", "/routers"])
def test_how_many_there_are_is_said_if_asked_and_is_the_same_on_every_page(api: Client, path: str) -> None:
    assert "count" not in api.get(path)
    everything = api.get(path, limit=200)
    assert everything["next"] is None
    first = api.get(path, limit=1, count="true")
    assert first["count"] == len(everything["items"]) > 1
    assert api.get(path, limit=1, count="true", cursor=first["next"])["count"] == first["count"]


def test_how_many_there_are_is_counted_with_the_filters(api: Client) -> None:
    assert api.get("/subscriptions", state="expired", count="true")["count"] == 1
    assert api.get("/sessions", username="nobody", count="true")["count"] == 0
    assert api.get("/sessions", username="active", count="true")["count"] == 9


def test_counting_ends_where_nobody_looks_any_more(api: Client) -> None:
    with superuser(api) as connection:
        connection.execute(
            "INSERT INTO subscriber (tenant_id, name) SELECT %s, 'Counted ' || n FROM generate_series(1, %s) n",
            (api.operator.tenant_id, MAX_COUNT + 5),
        )
    try:
        assert api.get("/subscribers", name="Counted", limit=1, count="true")["count"] == MAX_COUNT
    finally:
        with superuser(api) as connection:
            connection.execute("DELETE FROM subscriber WHERE name LIKE 'Counted %%'", ())
