"""Probing and watching: fake routers over real sockets, real PostgreSQL, watchers that die."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from db import router as routers
from db import router_life
from db.engine import make_engine, session_factory
from db.prepare import prepare
from db.router import Router
from settings import Settings
from tasks.watched_router import Unreached
from tests.fakes.routeros import RunningRouter, fake_router, fake_routers, ready_router
from tests.integration.test_routeros_client import never_accepting
from tests.integration.watching import Site, site_of, wait_until, watcher_process, watching
from tests.servers import UNPRIVILEGED, Servers, base_environ, process_environ

VERSIONS = ("6.42", "6.49", "7.12", "7.16", "7.21")


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    with site_of(settings) as site:
        yield site


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A try each half second instead of each ten."""
    monkeypatch.setattr(router_life, "PROBE_EVERY_S", 0.5)


class TestProbing:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_router_that_answers_is_online_and_has_told_what_it_is(self, site: Site, version: str) -> None:
        with fake_router(version) as fake, watching(site):
            made = site.know(fake)
            router = site.wait_for(made, "online")
            assert router.routeros_version is not None
            assert router.routeros_version.startswith(version)
            assert (router.architecture, router.board, router.identity) == ("arm", "hAP ac^2", "MikroTik")
            assert router.license_level == "4"
            assert (router.device_mode is None) == version.startswith("6")
            certificate = fake.machine.certificate()
            assert certificate is not None
            assert router.api_certificate_sha256 == certificate.sha256
            assert router.status_reason is None
            (connected,) = site.events(made, "router.connected")
            assert connected["routeros_version"] == router.routeros_version
            assert [event["status"] for event in site.events(made)][-1] == "online"

    def test_it_is_tried_until_somebody_pastes_the_script(self, site: Site) -> None:
        fake = RunningRouter("7.16")
        with fake_routers([fake]), watching(site):
            made = site.know(fake)
            wait_until(lambda: site.state(made).probe_tries >= 2, "two tries in vain")
            router = site.router(made)
            assert router.status == "probing"
            assert router.status_reason is not None
            password = router_password(site, made)
            fake.machine.give_certificate()
            wait_until(lambda: "refuses the password" in (site.router(made).status_reason or ""), "a wrong password")
            fake.machine.give_user("kibali", password)
            site.wait_for(made, "online")
            assert [event["status"] for event in site.events(made)] == ["probing", "online"]
            assert site.state(made).probe_due_at is None

    def test_after_the_last_try_it_failed_with_the_reason_and_can_be_begun_anew(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(router_life, "PROBE_TRIES", 3)
        fake = ready_router()
        with fake_routers([fake]), watching(site):
            fake.power_off()
            made = site.know(fake)
            router = site.wait_for(made, "connection_failed")
            assert "Enable it on the router: /ip service enable api-ssl" in (router.status_reason or "")
            assert site.state(made).probe_tries == 3
            failed = site.events(made)[-1]
            assert (failed["was"], failed["reason"]) == ("probing", router.status_reason)
            connections = fake.connections
            fake.power_on()
            wait_until(lambda: made not in {row[0] for row in assigned(site)}, "nobody tries any more")
            assert fake.connections == connections
            begin_probing(site, made)
            site.wait_for(made, "online")

    @pytest.mark.parametrize(
        ("options", "changes", "reason"),
        [
            ({"mute": True}, {}, "did not answer the TLS handshake within 1 s"),
            ({}, {"api_ssl_port": 1}, "refuses connections to port 1. Enable it on the router"),
            ({"certificate": False}, {}, "Give its service api-ssl a certificate: paste the bootstrap script again."),
            ({}, {"api_username": "nobody"}, "refuses the password of its user nobody"),
            ({"version": "6.30"}, {}, "which is too old. Upgrade it to 6.49 or 7."),
            ({"version": "8.1"}, {}, "which this Kibali does not know yet. Update Kibali."),
        ],
        ids=["hangs", "port closed", "no certificate", "wrong user", "too old", "too new"],
    )
    def test_what_is_in_the_way_is_told_in_words(
        self, site: Site, options: dict[str, Any], changes: dict[str, Any], reason: str
    ) -> None:
        with fake_router(options.pop("version", "7.16"), **options) as fake, watching(site):
            made = site.know(fake, **changes)
            wait_until(lambda: reason in (site.router(made).status_reason or ""), reason)
            assert site.router(made).status == "probing"

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (None, "If it is behind carrier NAT, give it a tunnel: ./kibali router tunnel set"),
            ("sstp", "and at the hub"),
        ],
    )
    def test_one_that_does_not_answer_at_all_is_told_about_tunnels(self, site: Site, kind: Any, words: str) -> None:
        with never_accepting() as port, fake_router() as fake, watching(site):
            made = site.know(fake, api_ssl_port=port)
            if kind:
                with as_superuser(site) as superuser:
                    superuser.execute(
                        "INSERT INTO router_tunnel (tenant_id, router_id, kind, address, secret_sealed)"
                        " VALUES (%s, %s, %s, '10.254.0.2', 'x')",
                        (site.tenant_id, made, kind),
                    )
                site.execute("UPDATE router SET updated_at = now()")
            wait_until(lambda: words in (site.router(made).status_reason or ""), words)

    def test_an_address_that_does_not_let_us_in_is_told(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            fake.machine.service("api-ssl")["address"] = "192.0.2.9/32"
            made = site.know(fake)
            wait_until(lambda: "Let our address in" in (site.router(made).status_reason or ""), "not admitted")

    def test_a_device_mode_that_forbids_the_hotspot_is_told_of_a_router_that_is_online(self, site: Site) -> None:
        with fake_router("7.21", device_mode="home") as fake, watching(site):
            made = site.know(fake)
            reason = site.wait_for(made, "online").status_reason or ""
            assert "forbids the hotspot" in reason
            assert "/system device-mode update hotspot=yes" in reason

    def test_a_package_that_is_missing_is_told(self, site: Site) -> None:
        with fake_router("6.49") as fake, watching(site):
            fake.machine.tables.one("/system/package", name="hotspot")["disabled"] = "true"
            made = site.know(fake)
            assert "/system package enable hotspot" in (site.wait_for(made, "online").status_reason or "")

    def test_a_router_from_before_there_were_passwords_says_what_to_do(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake, probe=False)
            site.execute("UPDATE router SET api_password_sealed = NULL")
            begin_probing(site, made)
            wait_until(lambda: "./kibali router bootstrap" in (site.router(made).status_reason or ""), "its words")

    def test_a_router_that_nobody_asked_to_probe_is_left_alone(self, site: Site) -> None:
        with fake_router() as fake, fake_router() as other, watching(site):
            made = site.know(fake, probe=False)
            site.wait_for(site.know(other), "online")
            assert fake.connections == 0
            assert site.router(made).status == "pending"

    def test_a_router_that_is_removed_meanwhile_is_let_go(self, site: Site) -> None:
        with fake_router() as fake, watching(site) as watcher:
            made = site.know(fake)
            site.wait_for(made, "online")
            site.execute("UPDATE router SET removed_at = now() WHERE id = :id", id=made)
            wait_until(lambda: made not in watcher.watched(), "it is let go")
            asked = len(fake.heard)
            wait_until(lambda: not assigned(site), "its row is free")
            assert len(fake.heard) <= asked + 5


class TestCertificate:
    def test_another_one_is_refused_until_an_operator_accepts_it(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            known = site.wait_for(made, "online").api_certificate_sha256
            found = fake.machine.give_certificate()
            fake.restart()
            router = site.wait_for(made, "offline")
            assert "has another certificate than before" in (router.status_reason or "")
            assert (router.api_certificate_sha256, router.api_certificate_offered_sha256) == (known, found)
            with site.sessions.begin() as session:
                router_life.accept_certificate(session, made, found, router.created_at)
            router = site.wait_for(made, "online")
            assert (router.api_certificate_sha256, router.api_certificate_offered_sha256) == (found, None)

    def test_one_that_was_given_beforehand_is_insisted_on(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake, api_certificate_sha256="ab" * 32)
            wait_until(lambda: site.router(made).api_certificate_offered_sha256 is not None, "it is refused")
            assert fake.heard == []
            assert site.router(made).status == "probing"


class TestWatching:
    def test_it_is_read_again_and_again_over_one_connection(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            fake.machine.tables.put("/ip/hotspot/active", user="jane", address="10.0.0.2")
            for name in ("a", "b"):
                fake.machine.tables.put("/ppp/active", name=name, service="pppoe")
            fake.machine.cpu_load_percent = 77
            wait_until(lambda: site.state(made).cpu_load_percent == 77, "the load is known")
            state = site.state(made)
            assert (state.hotspot_sessions, state.ppp_sessions) == (1, 2)
            assert state.interfaces is not None
            assert {each["name"] for each in state.interfaces} >= {"ether1", "bridge"}
            assert state.free_memory_bytes is not None
            assert fake.connections == 1
            first = state.read_at
            wait_until(lambda: site.state(made).read_at != first, "it is read again")
            assert fake.connections == 1

    def test_interfaces_of_customers_are_not_asked_for(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            fake.machine.tables.put("/interface", name="<pppoe-jane>", type="pppoe-in", dynamic="true")
            made = site.know(fake)
            wait_until(lambda: site.state(made).interfaces is not None, "it is read")
            assert "<pppoe-jane>" not in json.dumps(site.state(made).interfaces)

    def test_two_failures_make_it_offline_and_an_answer_makes_it_what_it_was(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            site.execute("UPDATE router SET status = 'active' WHERE id = :id", id=made)
            fake.power_off()
            router = site.wait_for(made, "offline")
            assert "refuses connections to port" in (router.status_reason or "")
            assert site.state(made).failures >= 2
            fake.power_on()
            router = site.wait_for(made, "active")
            assert router.status_reason is None
            assert [event["status"] for event in site.events(made)][-2:] == ["offline", "active"]
            assert site.state(made).failures == 0

    def test_a_restart_in_between_is_no_failure(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            fake.restart()
            wait_until(lambda: fake.connections == 2, "it is connected to again")
            assert site.state(made).failures == 0
            assert [event["status"] for event in site.events(made)] == ["probing", "online"]

    def test_a_router_that_is_being_deployed_to_keeps_its_status(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            site.execute("UPDATE router SET status = 'provisioning' WHERE id = :id", id=made)
            fake.power_off()
            wait_until(lambda: site.state(made).failures >= 2, "it failed twice")
            assert site.router(made).status == "provisioning"

    @pytest.mark.parametrize("how", ["hang", "cut", "garbage", "fatal"])
    def test_one_that_misbehaves_while_it_is_read_is_offline_and_others_are_not_held_up(
        self, site: Site, how: Any
    ) -> None:
        with fake_router() as bad, fake_router() as good, watching(site):
            made, other = site.know(bad), site.know(good)
            site.wait_for(made, "online")
            site.wait_for(other, "online")
            bad.fail("/system/resource", how, times=None)
            site.wait_for(made, "offline")
            heard = len(good.heard)
            wait_until(lambda: len(good.heard) > heard + 8, "the other is read as ever", within_s=6)
            assert site.router(other).status == "online"

    def test_traffic_and_load_become_history(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            ether = fake.machine.tables.one("/interface/ethernet", name="ether1")
            port = fake.machine.tables.one("/interface/ethernet", name="ether2")
            port["slave"] = "true"
            wait_until(lambda: len(fake.heard) > 12, "read twice")
            for item in (ether, port):
                item["rx-byte"] = str(int(item["rx-byte"]) + 5_000_000_000)
            wait_until(lambda: any(each.rx_bytes for each in periods(site, made)), "the octets are counted")
            hour, five = periods(site, made)
            assert five.rx_bytes == hour.rx_bytes == 5_000_000_000, "a bridge's port is not counted twice"
            assert five.readings > 2
            fake.power_off()
            wait_until(lambda: periods(site, made)[0].failures > 0, "failures are counted")

    def test_a_counter_that_begins_anew_counts_what_it_shows(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            ether = fake.machine.tables.one("/interface/ethernet", name="ether1")
            ether["rx-byte"] = "9000000"
            made = site.know(fake)
            wait_until(lambda: site.state(made).read_at is not None, "read once")
            ether["rx-byte"] = "400"
            wait_until(lambda: bool(periods(site, made)) and periods(site, made)[0].rx_bytes == 400, "400 octets")

    def test_watchers_of_events_are_told_and_nothing_is_hoarded(self, site: Site) -> None:
        with (
            psycopg.connect(site.settings.database_dsn("worker"), autocommit=True) as listener,
            fake_router() as fake,
            watching(site),
        ):
            listener.execute("LISTEN kibali_live")
            made = site.know(fake)
            told = next(listener.notifies(timeout=15, stop_after=1))
            live = json.loads(told.payload)
            assert (live["type"], live["tenant_id"], live["router_id"]) == ("router.live", site.tenant_id, made)
            assert {"cpu_load_percent", "hotspot_sessions", "rx_bps", "uptime_s"} <= live["data"].keys()
            assert site.events(made, "router.live") == []

    def test_a_password_that_was_renewed_is_used(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            with site.sessions.begin() as session:
                router = session.get_one(Router, made)
                routers.renew_api_password(router, site.keyring)
            fake.machine.tables.one("/user", name="kibali")["password"] = router_password(site, made)
            wait_until(lambda: fake.connections == 2, "it logs in anew")
            assert site.router(made).status == "online"


class TestManyWatchers:
    def test_they_share_the_routers_and_never_two_watch_one(self, site: Site) -> None:
        fakes = [ready_router() for _ in range(6)]
        with fake_routers(fakes), ExitStack() as stack:
            made = [site.know(fake) for fake in fakes]
            one = stack.enter_context(watching(site))
            for router_id in made:
                site.wait_for(router_id, "online")
            other = stack.enter_context(watching(site))
            wait_until(lambda: len(one.watched()) == len(other.watched()) == 3, "half each")
            assert one.watched() | other.watched() == set(made)
            assert not one.watched() & other.watched()

    def test_when_one_leaves_the_other_takes_all(self, site: Site) -> None:
        fakes = [ready_router() for _ in range(4)]
        with fake_routers(fakes), watching(site) as one:
            made = [site.know(fake) for fake in fakes]
            with watching(site) as other:
                wait_until(lambda: len(other.watched()) == 2, "half is the other's")
            wait_until(lambda: one.watched() == set(made), "all are the first's again")

    def test_what_a_watcher_says_of_a_router_that_is_not_its_own_any_more_is_not_stored(self, site: Site) -> None:
        with fake_router() as fake:
            with watching(site) as watcher:
                made = site.know(fake)
                site.wait_for(made, "online")
                store = watcher.store
            with site.sessions.begin() as session:
                session.execute(text("UPDATE router_state SET cpu_load_percent = 1"))
            engine = make_engine(site.settings, "worker", pool_size=1)
            store._sessions = session_factory(engine)
            late = Unreached(made, datetime.now(UTC), "late", permanent=True, offered_sha256=None)
            store.record([late])
            engine.dispose()
            assert site.router(made).status == "online"
            assert site.state(made).failures == 0


class TestDeath:
    def test_kill_9_of_a_watcher_leaves_nothing_unwatched(
        self, site: Site, environ: Mapping[str, str], var: Path
    ) -> None:
        with fake_router() as fake, watcher_process(environ, var) as first:
            made = site.know(fake)
            site.wait_for(made, "online", within_s=30)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
            fake.power_off()
            with watching(site):
                # Its lease runs out first.
                site.wait_for(made, "offline", within_s=40)

    def test_kill_9_in_the_middle_of_probing_loses_no_try(
        self, site: Site, environ: Mapping[str, str], var: Path
    ) -> None:
        with fake_router(mute=True) as fake:
            made = site.know(fake)
            with watcher_process(environ, var) as first:
                wait_until(lambda: fake.connections > 0, "it is being tried", within_s=30)
                os.killpg(first.pid, signal.SIGKILL)
                first.wait()
            assert site.state(made).probe_due_at is not None
            fake.mute = False
            site.execute("UPDATE watcher SET lease_until = now()")
            with watching(site):
                site.wait_for(made, "online", within_s=30)

    def test_sigterm_gives_the_routers_back_at_once(self, site: Site, environ: Mapping[str, str], var: Path) -> None:
        with fake_router() as fake, watcher_process(environ, var) as process:
            made = site.know(fake)
            site.wait_for(made, "online", within_s=30)
            process.terminate()
            assert process.wait(10) == 0
            assert site.rows("SELECT * FROM watcher") == []
            assert assigned(site) == []

    def test_postgresql_that_throws_everybody_out_is_survived(self, site: Site) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake)
            site.wait_for(made, "online")
            throw_out(site)
            with suppress(OperationalError):
                site.state(made)  # our own connection was thrown out as well
            read_at = site.state(made).read_at
            wait_until(lambda: site.state(made).read_at != read_at, "it is read as ever")
            fake.power_off()
            site.wait_for(made, "offline")

    def test_a_postgresql_that_restarts_is_waited_for_and_the_watching_goes_on(
        self, secrets: Mapping[str, str], private_directory: Path, var: Path
    ) -> None:
        if UNPRIVILEGED:
            os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
        environ = process_environ({**base_environ(var), **secrets})
        settings = Settings.load(environ, checkout=private_directory)
        servers = Servers(environ, settings)
        with ExitStack() as stack:
            stack.callback(servers.stop_all)
            servers.start("postgres")
            prepare(settings)
            site = stack.enter_context(site_of(settings))
            watched, dying = stack.enter_context(fake_router()), stack.enter_context(fake_router())
            stack.enter_context(watching(site))
            made = [site.know(fake) for fake in (watched, dying)]
            for router_id in made:
                site.wait_for(router_id, "online")
            servers.stop("postgres")
            dying.power_off()  # while nobody can write that down
            count = len(watched.commands())
            wait_until(lambda: len(watched.commands()) > count, "it is read on")
            servers.start("postgres")
            site.engine.dispose()
            read_at = site.state(made[0]).read_at
            wait_until(lambda: site.state(made[0]).read_at != read_at, "what is read is stored again", within_s=40)
            site.wait_for(made[1], "offline", within_s=40)
            assert site.router(made[0]).status == "online"
            assert [told["status"] for told in site.events(made[0])] == ["probing", "online"], "nothing more was said"


def as_superuser(site: Site) -> psycopg.Connection[Any]:
    return psycopg.connect(site.settings.database_admin_dsn(site.settings.database_name), autocommit=True)


def throw_out(site: Site) -> None:
    """As a restart of PostgreSQL does."""
    with as_superuser(site) as superuser:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def router_password(site: Site, router_id: int) -> str:
    password = routers.api_password(site.router(router_id), site.keyring)
    assert password is not None
    return password


def begin_probing(site: Site, router_id: int) -> None:
    with site.sessions.begin() as session:
        router_life.begin_probing(session, router_id, datetime.now(UTC))


def assigned(site: Site) -> list[Any]:
    return site.rows("SELECT router_id FROM router_state WHERE watcher_id IS NOT NULL")


def periods(site: Site, router_id: int) -> list[Any]:
    """Of an hour, then of five minutes."""
    return site.rows(
        "SELECT DISTINCT ON (period_s) * FROM router_history WHERE router_id = :id"
        " ORDER BY period_s DESC, began_at DESC",
        id=router_id,
    )
