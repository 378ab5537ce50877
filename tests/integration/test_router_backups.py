"""Configurations of routers, kept version by version: nothing twice, nothing half, each tenant's its own."""

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from cli.app import kibali
from db import router as routers
from db import router_backup
from db.engine import make_engine, session_factory
from db.job import Job
from db.router_backup import AGAIN_AFTER, KEPT, MOST, RouterBackup
from db.router_state import RouterState
from isp.encryption import Keyring
from settings import Settings
from tasks import router_backups
from tasks.enqueue import enqueue
from tasks.stops import PermanentFailure
from tests.fakes.routeros_factory import HAP
from tests.fakes.routeros_faults import How
from tests.integration.api_server import Client, api_of
from tests.integration.router_bench import RouterBench, make_router_bench


@pytest.fixture
def bench(settings_of_module: Settings) -> Iterator[RouterBench]:
    with make_router_bench(settings_of_module) as bench:
        yield bench


def back_up(bench: RouterBench, router_id: int) -> None:
    """Raises what the job raises."""
    with bench.office() as session:
        job_id = router_backups.request(session, router_id).id
    bench.work(job_id)


def versions(bench: RouterBench, router_id: int) -> list[RouterBackup]:
    """The oldest first."""
    with bench.sessions() as session:
        return list(router_backup.versions(session, router_id))[::-1]


def state(bench: RouterBench, router_id: int) -> RouterState:
    with bench.sessions() as session:
        return session.get_one(RouterState, router_id)


def text_of(bench: RouterBench, backup: RouterBackup) -> str:
    return router_backup.text_of(backup, bench.keyring)


@pytest.mark.parametrize("version", ["6.49", "7.12", "7.16", "7.21"])
def test_a_configuration_is_kept_once_until_it_changes(bench: RouterBench, version: str) -> None:
    router_id = bench.router(version, model=HAP)
    tables = bench.fakes[router_id].machine.tables
    before = bench.fakes[router_id].machine.snapshot()
    back_up(bench, router_id)
    back_up(bench, router_id)
    (first,) = versions(bench, router_id)
    assert first.number == 1
    assert first.routeros_version.startswith(version)
    assert first.confirmed_at > first.taken_at
    assert "/radius add " in text_of(bench, first)
    tables.add("/ip/pool", {"name": "new", "ranges": "10.7.0.2-10.7.0.9"})
    back_up(bench, router_id)
    assert [each.number for each in versions(bench, router_id)] == [1, 2]
    with bench.sessions() as session:
        compared = router_backup.compare(session, router_id, None, None, bench.keyring)
    assert [(each.sign, each.line) for each in compared.lines] == [
        ("+", "/ip pool add name=new ranges=10.7.0.2-10.7.0.9")
    ]
    told = bench.events(router_id, "router.backed_up")
    assert [(each["number"], each["removed"]) for each in told] == [(1, 0), (2, 0)]
    assert told[1] == {"number": 2, "added": 1, "removed": 0}
    del before["/ip/pool"]
    after = bench.fakes[router_id].machine.snapshot()
    del after["/ip/pool"]
    assert after == before, "nothing was changed on the router"


def test_secrets_are_in_no_backup_no_event_and_no_row(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.fakes[router_id].machine.tables.put("/ppp/secret", name="ann", password="hush-hush", comment="Ann")
    back_up(bench, router_id)
    (kept,) = versions(bench, router_id)
    with bench.sessions() as session:
        row = session.get_one(routers.Router, router_id)
        password = routers.api_password(row, bench.keyring)
    assert password
    for secret in ("hush-hush", "secret-of-radius", password):
        assert secret not in text_of(bench, kept)
    assert "ann" in text_of(bench, kept)
    assert b"ann" not in kept.text_sealed
    assert b"radius" not in kept.text_sealed
    heard = [word for each in bench.fakes[router_id].heard for word in each.words]
    assert not [word for word in heard if word.startswith("=.proplist=") and "password" in word.split(",")]


@pytest.mark.parametrize("fault", ["cut", "hang", "garbage", "drop"])
@pytest.mark.parametrize("at", ["/system/identity/print", "/ip/pool/print", "/radius/incoming/print"])
def test_a_router_that_dies_while_it_is_read_leaves_no_half_backup(
    bench: RouterBench, monkeypatch: pytest.MonkeyPatch, at: str, fault: How
) -> None:
    monkeypatch.setattr(router_backups, "WITHIN_S", 0.5)
    router_id = bench.router()
    back_up(bench, router_id)
    fake = bench.fakes[router_id]
    fake.machine.tables.add("/ip/pool", {"name": "new", "ranges": "10.7.0.2-10.7.0.9"})
    fake.fail(at, fault, after=at == "/system/identity/print")
    with pytest.raises(PermanentFailure):
        back_up(bench, router_id)
    assert len(versions(bench, router_id)) == 1
    assert state(bench, router_id).backup_error
    fake.faults.clear()
    back_up(bench, router_id)
    assert len(versions(bench, router_id)) == 2
    assert state(bench, router_id).backup_error is None


def test_each_router_has_its_turn_once_a_day_and_one_that_fails_delays_only_itself(bench: RouterBench) -> None:
    good, bad, away, fresh = (bench.router() for _ in range(4))
    bench.execute("UPDATE router SET status = 'offline' WHERE id = :id", id=away)
    bench.execute("UPDATE router SET status = 'probing' WHERE id = :id", id=fresh)
    bench.fakes[bad].fail("/ip/pool/print", "cut", times=9)

    def run_due() -> list[int]:
        """The routers of the jobs that were made."""
        with bench.sessions.begin() as session:
            job_id = enqueue(session, router_backups.back_up_due).id
        bench.work(job_id)
        with bench.sessions() as session:
            made = session.query(Job).filter_by(task="back_up_router", state="pending").order_by(Job.id)
            return [job.args["router_id"] for job in made]

    def do_all() -> None:
        with bench.sessions() as session:
            ids = [job.id for job in session.query(Job).filter_by(task="back_up_router", state="pending")]
        for job_id in ids:
            try:
                bench.work(job_id)
            except PermanentFailure:
                bench.execute("UPDATE job SET state = 'failed' WHERE id = :id", id=job_id)

    assert run_due() == [good, bad]
    assert run_due() == [good, bad], "those that wait are not asked for twice"
    do_all()
    assert run_due() == []
    now = datetime.now(UTC)
    due = state(bench, good).backup_due_at
    assert due is not None
    assert timedelta(hours=23) < due - now < timedelta(hours=25)
    again = state(bench, bad).backup_due_at
    assert again is not None
    assert timedelta(0) < again - now <= AGAIN_AFTER
    bench.execute("UPDATE router_state SET backup_due_at = now() - interval '1 s' WHERE backup_due_at IS NOT NULL")
    bench.execute("UPDATE router SET status = 'active' WHERE id = :id", id=away)
    assert sorted(run_due()) == [good, bad, away]
    do_all()
    assert [len(versions(bench, each)) for each in (good, bad, away, fresh)] == [1, 0, 1, 0]


def test_a_worker_that_dies_in_between_costs_an_hour_and_nothing_else(bench: RouterBench) -> None:
    """The row says that it is due in an hour from the moment its job was made."""
    router_id = bench.router()
    with bench.sessions.begin() as session:
        assert router_backup.take_due(session, datetime.now(UTC), 10) == [(router_id, bench.tenant_id)]
        assert router_backup.take_due(session, datetime.now(UTC), 10) == []
    with bench.sessions.begin() as session:
        later = datetime.now(UTC) + AGAIN_AFTER
        assert router_backup.take_due(session, later, 10) == [(router_id, bench.tenant_id)]


def test_a_backup_that_another_key_sealed_is_told_in_words(bench: RouterBench) -> None:
    router_id = bench.router()
    back_up(bench, router_id)
    # As it stands it was sealed for the version before.
    bench.execute(
        "INSERT INTO router_backup (tenant_id, router_id, number, taken_at, confirmed_at, routeros_version, lines,"
        " text_sealed) SELECT tenant_id, router_id, 2, now(), now(), '7.16', 1, text_sealed FROM router_backup"
    )
    with pytest.raises(PermanentFailure, match=r"router_backup\.text"):
        back_up(bench, router_id)
    assert "router_backup.text" in (state(bench, router_id).backup_error or "")


def test_versions_that_were_replaced_long_ago_are_forgotten_and_the_newest_never(bench: RouterBench) -> None:
    router_id, other = bench.router(), bench.router()
    now = datetime.now(UTC)
    days = KEPT.days
    with bench.sessions.begin() as session:
        for number, (of, age) in enumerate(
            [(router_id, 2 * days), (router_id, days + 1), (router_id, days - 1), (other, 3 * days)], start=1
        ):
            at = now - timedelta(days=age)
            router_backup.store(session, session.get_one(RouterState, of), f"# {number}\n", "7.16", bench.keyring, at)
        assert router_backup.prune(session, now, 100) == 1, "the first was replaced more than 400 days ago"
    assert [each.number for each in versions(bench, router_id)] == [2, 3]
    assert [each.number for each in versions(bench, other)] == [1]


def test_of_a_router_that_changes_all_the_time_only_so_many_are_kept(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.execute(
        "INSERT INTO router_backup (tenant_id, router_id, number, taken_at, confirmed_at, routeros_version, lines,"
        " text_sealed) SELECT :tenant, :router, n, now(), now(), '7.16', 1, 'x' FROM generate_series(1, :count) n",
        tenant=bench.tenant_id,
        router=router_id,
        count=MOST + 7,
    )
    with bench.sessions.begin() as session:
        assert router_backup.prune(session, datetime.now(UTC), 1000) == 7
    assert versions(bench, router_id)[0].number == 8


def test_thousands_of_accounts_are_backed_up_in_time(bench: RouterBench) -> None:
    router_id = bench.router()
    tables = bench.fakes[router_id].machine.tables
    for number in range(5000):
        tables.put("/ppp/secret", name=f"user{number}", password="x", profile="default", comment=f"Customer {number}")
    began = time.monotonic()
    back_up(bench, router_id)
    assert time.monotonic() - began < 30, "some 2 s of an idle machine"
    (kept,) = versions(bench, router_id)
    assert kept.lines > 5000
    assert len(kept.text_sealed) < 100_000


# By API and command


def keep(api: Client, router_id: int, *texts: str) -> None:
    engine = make_engine(api.settings, "worker", pool_size=1)
    keyring = Keyring.parse(api.settings.encryption_keys.reveal())
    with session_factory(engine).begin() as session:
        for each in texts:
            state = session.get_one(RouterState, router_id)
            router_backup.store(session, state, each, "7.16", keyring, datetime.now(UTC))
    engine.dispose()


def test_the_api_and_the_command_show_versions_and_what_changed(settings: Settings, environ: Mapping[str, str]) -> None:
    with api_of(settings) as api:
        router_id = api.router()["id"]
        empty = api.get(f"/routers/{router_id}/backups")
        assert empty == {"items": [], "due_at": None, "error": None}
        first, second = "# RouterOS 7.16\n/ip pool add name=a\n", "# RouterOS 7.16\n/ip pool add name=b\n"
        keep(api, router_id, first, second)
        found = api.get(f"/routers/{router_id}/backups")
        assert [(each["number"], each["lines"]) for each in found["items"]] == [(2, 2), (1, 2)]
        assert found["due_at"] is not None
        shown = api.request("GET", f"/routers/{router_id}/backups/1")
        assert (shown.text, shown.headers["content-type"]) == (first, "text/plain; charset=utf-8")
        changed = api.get(f"/routers/{router_id}/backups/2/diff")
        assert changed == {
            "old": 1,
            "new": 2,
            "lines": [{"sign": "-", "line": "/ip pool add name=a"}, {"sign": "+", "line": "/ip pool add name=b"}],
        }
        assert api.get(f"/routers/{router_id}/backups/1/diff")["old"] is None
        assert api.get(f"/routers/{router_id}/backups/2/diff", against=2)["lines"] == []
        for path in ("/backups/3", "/backups/3/diff", "/backups/2/diff?against=7", "/backups/99999999999"):
            assert api.request("GET", f"/routers/{router_id}{path}").status_code == 404, path
        assert api.request("GET", "/routers/999/backups").status_code == 404
        assert api.request("GET", f"/routers/{router_id}/backups/1", role="support").status_code == 403
        accepted = api.post(f"/routers/{router_id}/backup")
        assert accepted.status_code == 202
        assert api.post(f"/routers/{router_id}/backup").json() == accepted.json(), "one at a time"

        def said(*arguments: str) -> str:
            result = CliRunner().invoke(kibali, ["router", "backup", *arguments], env=environ)
            assert result.exit_code == 0, result.output
            return result.stdout

        assert said("show", str(router_id), "1") == first
        assert said("show", str(router_id)) == second
        assert said("diff", str(router_id)).splitlines() == ["1 → 2", "- /ip pool add name=a", "+ /ip pool add name=b"]
        assert "7.16" in said("list", str(router_id))
        noted = [each for each in api.get("/audit", what="router_backup")["items"] if each["operation"] == "note"]
        assert [(each["via"], each["what_id"]) for each in reversed(noted)] == [
            *(("api", f"{router_id},{number}") for number in (1, 2, 1, 2)),
            *(("cli", f"{router_id},{number}") for number in (1, 2, 2)),
        ], "who sees what a router is made of is on record"


def test_a_router_that_was_removed_is_not_backed_up(bench: RouterBench) -> None:
    router_id = bench.router()
    with bench.office() as session:
        job_id = router_backups.request(session, router_id).id
    bench.execute("UPDATE router SET removed_at = now() WHERE id = :id", id=router_id)
    bench.work(job_id)
    assert versions(bench, router_id) == []
    with bench.engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM job WHERE state = 'succeeded'")) == 1
