"""Imports from running routers: plans guessed and confirmed, raw words, nothing twice; then RADIUS decides."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from db import subscription_life
from db.router_import import RouterImport
from db.subscription import Subscription
from settings import Settings
from tasks import imports
from tasks.routeros_errors import RouterError
from tests.integration.router_bench import RouterBench, make_router_bench
from tests.routeros_sentences import findings_in


@pytest.fixture
def bench(settings_of_module: Settings) -> Iterator[RouterBench]:
    with make_router_bench(settings_of_module) as bench:
        yield bench


def furnished(bench: RouterBench, version: str = "7.16") -> int:
    """A router with customers of its own."""
    router_id = bench.router(version)
    tables = bench.fakes[router_id].machine.tables
    tables.add("/ip/pool", {"name": "dynamic", "ranges": "10.5.0.2-10.5.0.254,10.5.1.1"})
    tables.add(
        "/ppp/profile", {"name": "10M", "rate-limit": "5M/10M 8M/16M 4M/8M 10/10 8 1M/2M", "remote-address": "dynamic"}
    )
    tables.add("/ppp/profile", {"name": "free"})
    tables.add("/ip/hotspot/user/profile", {"name": "day", "rate-limit": "1M/2M", "shared-users": "3"})
    for values in (
        {"name": "true", "password": "12", "profile": "10M", "comment": "Wanjiku, 0712 345 678"},
        {"name": "12", "password": "true", "profile": "10M", "disabled": "yes", "comment": "Café ☕"},
        {"name": "fixed", "password": " pass word", "profile": "10M", "remote-address": "10.9.0.7"},
        {"name": "Fixed", "password": "x", "profile": "10M"},
        {"name": "bound", "password": "x", "profile": "10M", "caller-id": "AA:BB:CC:00:00:01"},
        {"name": "guest", "password": "x", "profile": "free"},
        {"name": "vpn", "password": "x", "profile": "10M", "service": "l2tp"},
        {"name": "open", "password": "", "profile": "10M"},
        {"name": "taken", "password": "x", "profile": "10M", "remote-address": "10.9.0.7"},
    ):
        tables.add("/ppp/secret", values)
    tables.add("/ip/hotspot/user", {"name": "AA:BB:CC:00:00:02", "profile": "day", "mac-address": "AA:BB:CC:00:00:02"})
    tables.add("/ip/hotspot/user", {"name": "jane", "password": "pw", "profile": "day"})
    tables.put("/ip/hotspot/user", name="default-trial", password="", profile="default")
    return router_id


def run(bench: RouterBench, router_id: int, *, dry_run: bool = False, **options: Any) -> RouterImport:
    given = {"plans": {}, "confirmed": {"all": True}, **options}
    with bench.office() as session:
        asked, job = imports.request(session, router_id, dry_run=dry_run, **given)
        asked_id, job_id = asked.id, job.id
    bench.work(job_id)
    with bench.sessions() as session:
        return session.get_one(RouterImport, asked_id)


def outcomes(bench: RouterBench, import_id: int) -> dict[str, tuple[str, str | None]]:
    statement = text("SELECT kind || '/' || name AS item, outcome, reason FROM router_import_row WHERE import_id = :id")
    with bench.engine.begin() as connection:
        return {row.item: (row.outcome, row.reason) for row in connection.execute(statement, {"id": import_id})}


def subscriptions(bench: RouterBench) -> dict[str, Subscription]:
    with bench.sessions() as session:
        return {each.username: each for each in session.query(Subscription)}


def counted(bench: RouterBench, table: str) -> int:
    with bench.engine.begin() as connection:
        return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


EXPECTED = {
    "pool/dynamic": (True, None),
    "ppp/true": (True, None),
    "ppp/12": (True, None),
    "ppp/fixed": (True, None),
    "ppp/Fixed": (False, "same name"),
    "ppp/bound": (True, None),
    "ppp/guest": (False, "no rate limit"),
    "ppp/vpn": (False, "It is for l2tp"),
    "ppp/open": (False, "no password"),
    "ppp/taken": (False, "10.9.0.7 belongs to another"),
    "hotspot/AA:BB:CC:00:00:02": (True, None),
    "hotspot/jane": (True, None),
}


@pytest.mark.parametrize("version", ["6.49", "7.16", "7.21"])
def test_a_dry_run_says_what_an_import_does_then_and_nothing_comes_twice(bench: RouterBench, version: str) -> None:
    router_id = furnished(bench, version)
    before = bench.fakes[router_id].machine.snapshot()
    dry = run(bench, router_id, dry_run=True, confirmed={})
    told = outcomes(bench, dry.id)
    assert {item: outcome for item, (outcome, _) in told.items()} == {
        item: "new" if good else "failed" for item, (good, _) in EXPECTED.items()
    }
    assert (counted(bench, "subscription"), counted(bench, "plan"), counted(bench, "ip_pool")) == (0, 0, 0)
    assert dry.profiles["ppp/10M"]["guess"]["download_kbps"] == 10_000
    assert dry.profiles["ppp/10M"]["accounts"] == 8

    done = run(bench, router_id)
    told = outcomes(bench, done.id)
    for item, (good, reason) in EXPECTED.items():
        assert told[item][0] == ("imported" if good else "failed"), item
        assert reason is None or reason in (told[item][1] or ""), told[item]
    assert done.counts == {
        "pool": {"imported": 1},
        "ppp": {"imported": 4, "failed": 5},
        "hotspot": {"imported": 2},
    }
    rows = subscriptions(bench)
    assert set(rows) == {"true", "12", "fixed", "bound", "AA:BB:CC:00:00:02", "jane"}
    assert subscription_life.password(rows["true"], bench.keyring) == "12"
    assert subscription_life.password(rows["12"], bench.keyring) == "true"
    assert subscription_life.password(rows["fixed"], bench.keyring) == " pass word"
    assert (rows["true"].status, rows["12"].status) == ("active", "suspended")
    assert str(rows["fixed"].framed_ip_address) == "10.9.0.7"
    assert (str(rows["bound"].bound_mac).upper(), rows["bound"].bind_mac) == ("AA:BB:CC:00:00:01", True)
    assert (rows["jane"].service, rows["true"].service) == ("hotspot", "pppoe")
    with bench.engine.begin() as connection:
        who = connection.execute(text("SELECT name, msisdn, note FROM subscriber ORDER BY id")).all()
        plan = connection.execute(text("SELECT * FROM plan WHERE name = '10M'")).mappings().one()
        day = connection.execute(text("SELECT devices FROM plan WHERE name = 'day'")).scalar_one()
        pool = connection.execute(text("SELECT ranges, addresses FROM ip_pool")).one()
        macs = list(connection.scalars(text("SELECT mac::text FROM device")))
    assert who[1] == ("Café ☕", None, "Café ☕")
    assert (plan["upload_kbps"], plan["burst_download_kbps"], plan["min_upload_kbps"]) == (5_000, 16_000, 1_000)
    assert (plan["framed_pool"], plan["priority"], plan["burst_time_s"]) == ("dynamic", 8, 10)
    assert day == 3
    assert tuple(pool) == ("10.5.0.2-10.5.0.254,10.5.1.1", 254)
    assert macs == ["aa:bb:cc:00:00:02"]

    again = run(bench, router_id)
    assert again.counts["ppp"] == {"there": 5, "failed": 4}
    assert again.counts["hotspot"] == {"there": 2}
    assert again.counts["pool"] == {"there": 1}
    assert counted(bench, "subscription") == 6
    assert bench.fakes[router_id].machine.snapshot() == before


def test_a_profile_is_the_plan_that_the_operator_says_and_no_guess_is_made_unasked(bench: RouterBench) -> None:
    router_id = furnished(bench)
    first = run(bench, router_id, confirmed={"profiles": ["hotspot/day"]})
    assert first.counts["hotspot"] == {"imported": 2}
    assert first.counts["ppp"] == {"failed": 9}
    assert "confirm the guessed one" in (outcomes(bench, first.id)["ppp/true"][1] or "")
    with bench.sessions.begin() as session:
        plan_id = session.scalar(
            text(
                "INSERT INTO plan (tenant_id, name, service, price_kes, upload_kbps, download_kbps, validity_unit,"
                " validity_count) VALUES (:t, 'Home', 'pppoe', 1, 1, 1, 'days', 30) RETURNING id"
            ),
            {"t": bench.tenant_id},
        )
    second = run(
        bench, router_id, confirmed={}, plans={"ppp/10M": plan_id, "ppp/free": plan_id, "hotspot/day": plan_id}
    )
    assert second.counts["ppp"]["imported"] == 5
    rows = subscriptions(bench)
    assert {rows[name].plan_id for name in ("true", "guest")} == {plan_id}
    assert rows["true"].expires_at is not None
    assert second.profiles["hotspot/day"]["reason"] == f"Plan {plan_id} is for pppoe."


def test_whoever_has_the_phone_number_already_gets_the_subscription(bench: RouterBench) -> None:
    router_id = bench.router()
    tables = bench.fakes[router_id].machine.tables
    tables.add("/ppp/profile", {"name": "p", "rate-limit": "1M/1M"})
    for name in ("home", "shop"):
        tables.add("/ppp/secret", {"name": name, "password": "x", "profile": "p", "comment": "Jane 0712345678"})
    run(bench, router_id)
    rows = subscriptions(bench)
    assert rows["home"].subscriber_id == rows["shop"].subscriber_id
    assert counted(bench, "subscriber") == 1


def test_afterwards_radius_decides_and_that_can_be_taken_back(bench: RouterBench) -> None:
    router_id = furnished(bench)
    tables = bench.fakes[router_id].machine.tables
    before = bench.fakes[router_id].machine.snapshot()
    run(bench, router_id)
    done = bench.deploy(router_id, kind="disable_accounts")
    assert done.state == "completed"
    disabled = {item["name"] for item in tables.find("/ppp/secret", disabled="true")}
    # Whoever was disabled stays so, and who was not imported goes on as before.
    assert disabled == {"true", "12", "fixed", "Fixed", "bound"}
    assert {item["name"] for item in tables.find("/ip/hotspot/user", disabled="true")} == {"jane", "AA:BB:CC:00:00:02"}
    bench.deploy(router_id, kind="enable_accounts")
    assert bench.fakes[router_id].machine.snapshot() == before


@pytest.mark.parametrize("version", ["6.49", "7.12", "7.16", "7.21"])
def test_routeros_has_all_that_an_import_and_the_disabling_say(bench: RouterBench, version: str) -> None:
    router_id = furnished(bench, version)
    run(bench, router_id)
    for kind in ("disable_accounts", "enable_accounts"):
        assert bench.deploy(router_id, kind=kind).state == "completed"
    said = [heard.words for heard in bench.fakes[router_id].heard if heard.words[0] != "/login"]
    assert {words[0] for words in said} >= {
        "/ip/pool/print",
        "/ppp/profile/print",
        "/ppp/secret/print",
        "/ip/hotspot/user/profile/print",
        "/ip/hotspot/user/print",
        "/ppp/secret/set",
        "/ip/hotspot/user/set",
    }
    for words in said:
        assert findings_in(words) == [], words


def test_a_router_that_dies_while_it_is_read_leaves_nothing(bench: RouterBench) -> None:
    router_id = furnished(bench)
    with bench.office() as session:
        asked, job = imports.request(session, router_id, dry_run=False, plans={}, confirmed={"all": True})
        asked_id, job_id = asked.id, job.id
    bench.fakes[router_id].fail("/ip/hotspot/user/print", "cut")
    with pytest.raises(RouterError):
        bench.work(job_id)
    assert (counted(bench, "subscription"), counted(bench, "router_import_row")) == (0, 0)
    bench.work(job_id)
    with bench.sessions() as session:
        assert session.get_one(RouterImport, asked_id).state == "completed"
    assert counted(bench, "subscription") == 6


def test_five_thousand_secrets_and_pools_of_a_hundred_thousand_addresses_come_whole_and_once(
    bench: RouterBench,
) -> None:
    """How fast is told by `./kibali bench routers`."""
    router_id = bench.router()
    tables = bench.fakes[router_id].machine.tables
    singles = ",".join(f"10.1.{high}.{low}" for high in range(256) for low in range(256))
    tables.put("/ip/pool", name="range", ranges="10.2.0.1-10.2.255.254")
    tables.put("/ip/pool", name="singles", ranges=singles)
    tables.add("/ppp/profile", {"name": "p", "rate-limit": "1M/1M"})
    for number in range(5000):
        tables.put("/ppp/secret", name=f"user{number}", password=f"secret{number}", profile="p", comment=f"C {number}")
    with bench.office() as session:
        _, job = imports.request(session, router_id, dry_run=False, plans={}, confirmed={"all": True})
        job_id = job.id
    bench.work(job_id)
    assert counted(bench, "subscription") == 5000
    with bench.engine.begin() as connection:
        pools = {row[0]: row[1] for row in connection.execute(text("SELECT name, addresses FROM ip_pool"))}
    assert pools == {"range": 65534, "singles": 65536}
    again = run(bench, router_id)
    assert again.counts["ppp"] == {"there": 5000}
