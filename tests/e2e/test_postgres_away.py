"""PostgreSQL stopped, hanging, read-only or full, FreeRADIUS killed: who still gets in, and what is counted."""

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.instance import readiness
from cli.nas import Nas, NoAnswer, octets
from db.prepare import prepare
from settings import Settings
from tests.e2e.test_radius import MAC, auth_log
from tests.fakes.fleet import ACCESS_ACCEPT, INTERIM, START, STOP, Fleet, Online
from tests.radius import PASSWORD, SECRET, Radius, radius_environ
from tests.servers import UNPRIVILEGED, running_part


@dataclass
class Part:
    """One server that can be started and stopped again and again, in any way."""

    name: str
    environ: Mapping[str, str]
    settings: Settings
    _running: AbstractContextManager[subprocess.Popen[bytes]] | None = field(default=None, init=False)
    pid: int = field(default=0, init=False)

    def start(self) -> None:
        self._running = running_part(self.name, self.environ, self.settings)
        self.pid = self._running.__enter__().pid

    def stop(self) -> None:
        if self._running is not None:
            running, self._running = self._running, None
            running.__exit__(None, None, None)

    def kill(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()

    def signal_all(self, number: signal.Signals) -> None:
        for pid in self.pids():
            os.kill(pid, number)

    def pids(self) -> list[int]:
        """The process and its children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        return [self.pid, *map(int, children)]


@dataclass
class Site:
    """A PostgreSQL and a FreeRADIUS of our own to break."""

    postgres: Part
    freeradius: Part
    radius: Radius

    def forget_connections(self) -> None:
        """Waits until FreeRADIUS has found PostgreSQL again."""
        deadline = time.monotonic() + 30
        probe = self.radius.subscribe().username
        while time.monotonic() < deadline:
            try:
                if self.radius.nas(timeout_s=1, tries=1).login(probe, PASSWORD).code == "Access-Accept":
                    return
            except NoAnswer:
                time.sleep(0.2)
        raise AssertionError("FreeRADIUS does not use PostgreSQL again")


@pytest.fixture(scope="module")
def site(secrets: Mapping[str, str], private_directory: Path) -> Iterator[Site]:
    var = private_directory / "away"
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    environ = radius_environ(var, secrets, "", "redis://127.0.0.1:1/0")
    settings = Settings.load(environ, checkout=private_directory)
    postgres, freeradius = Part("postgres", environ, settings), Part("freeradius", environ, settings)
    radius = Radius(settings, environ, tenant_id=0, router_id=0)
    try:
        postgres.start()
        prepare(settings)
        radius.tenant_id = radius.add_tenant("test")
        radius.router_id = radius.add_router("router", "127.0.0.1")
        freeradius.start()
        yield Site(postgres, freeradius, radius)
    finally:
        radius.close()
        freeradius.stop()
        postgres.stop()


@pytest.fixture
def known(site: Site) -> str:
    """A subscriber who logged in while all was well."""
    username = site.radius.subscribe({"devices": 3}).username
    assert site.radius.nas().login(username, PASSWORD, mac=MAC).code == "Access-Accept"
    time.sleep(1.2)  # what is known is written down within a second
    return username


def quick(site: Site) -> Nas:
    """A NAS that gives up after 1.5 s: 1 s is what a packet may wait, the rest is for a busy machine."""
    return site.radius.nas(timeout_s=1.5, tries=1)


def stored_octets(site: Site, acct_session_id: str, within_s: float = 30) -> tuple[int, int] | None:
    """The session's octets, once it is there."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        rows = site.radius.rows(
            "SELECT input_octets, output_octets FROM session WHERE acct_session_id = %s AND stopped_at IS NOT NULL",
            acct_session_id,
        )
        if rows:
            return rows[0]["input_octets"], rows[0]["output_octets"]
        time.sleep(0.2)
    return None


def stop_postgres(site: Site) -> None:
    site.postgres.stop()


def hang_postgres(site: Site) -> None:
    site.postgres.signal_all(signal.SIGSTOP)


def make_read_only(site: Site) -> None:
    admin(site, "ALTER DATABASE kibali SET default_transaction_read_only = on")
    admin(site, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kibali_radius'")
    time.sleep(1)


def exhaust_connections(site: Site) -> None:
    """As far as the role of FreeRADIUS is concerned."""
    admin(site, "ALTER ROLE kibali_radius CONNECTION LIMIT 0")
    admin(site, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kibali_radius'")
    time.sleep(0.2)


def slow_down(site: Site) -> None:
    """Every query of FreeRADIUS waits 2 s for its lock."""
    admin(site, "CREATE FUNCTION slow() RETURNS boolean LANGUAGE sql VOLATILE RETURN pg_sleep(2) IS NULL")
    admin(site, "GRANT EXECUTE ON FUNCTION slow() TO kibali_radius")
    admin(site, "CREATE POLICY slow ON router AS RESTRICTIVE TO kibali_radius USING ((SELECT slow()) IS NOT NULL)")


def mend(site: Site, fault: str) -> None:
    match fault:
        case "stopped":
            site.postgres.start()
        case "hanging":
            site.postgres.signal_all(signal.SIGCONT)
        case "read-only":
            admin(site, "ALTER DATABASE kibali RESET default_transaction_read_only")
            admin(site, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'kibali_radius'")
        case "out of connections":
            admin(site, "ALTER ROLE kibali_radius CONNECTION LIMIT -1")
        case "slow":
            admin(site, "DROP POLICY slow ON router")
            admin(site, "DROP FUNCTION slow")


def admin(site: Site, statement: str) -> None:
    options = "-c default_transaction_read_only=off"
    dsn = site.radius.settings.database_admin_dsn("kibali")
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        connection.execute(statement.encode())


FAULTS = {
    "stopped": stop_postgres,
    "hanging": hang_postgres,
    "out of connections": exhaust_connections,
    "slow": slow_down,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_while_postgresql_is_away_the_known_get_in_and_all_is_counted(site: Site, known: str, fault: str) -> None:
    nas = quick(site)
    radius_class = nas.login(known, PASSWORD, mac=MAC).attributes["Class"]
    session: dict[str, Any] = {"User-Name": known, "Class": radius_class, "Calling-Station-Id": MAC}
    stranger = site.radius.subscribe().username
    acct_session_id = f"away-{fault}"
    nas.account("Start", acct_session_id, session)

    FAULTS[fault](site)
    try:
        for method in ("pap", "chap", "mschapv2"):
            assert nas.login(known, PASSWORD, method, mac=MAC).code == "Access-Accept"
        assert nas.login(known, "wrong", mac=MAC).code == "Access-Reject"
        with pytest.raises(NoAnswer):
            nas.login(stranger, PASSWORD, mac=MAC)
        used = {**session, **octets("Input", 7), **octets("Output", 2**33), "Acct-Session-Time": 60}
        assert nas.account("Interim-Update", acct_session_id, used).code == "Accounting-Response"
        used |= {**octets("Input", 11), **octets("Output", 2**34), "Acct-Session-Time": 90}
        assert nas.account("Stop", acct_session_id, used).code == "Accounting-Response"
    finally:
        mend(site, fault)
    assert stored_octets(site, acct_session_id) == (11, 2**34)
    site.forget_connections()
    assert any("last_known_at" in entry["detail"] for entry in auth_log(site.radius, known, 5))


def test_while_postgresql_takes_no_writes_logins_go_on_and_all_is_counted(site: Site, known: str) -> None:
    make_read_only(site)
    try:
        nas = quick(site)
        assert nas.login(known, PASSWORD, mac=MAC).code == "Access-Accept"
        used = {"User-Name": known, "Calling-Station-Id": MAC, **octets("Input", 5), **octets("Output", 6)}
        assert nas.account("Stop", "read-only", used).code == "Accounting-Response"
    finally:
        mend(site, "read-only")
    assert stored_octets(site, "read-only") == (5, 6)
    site.forget_connections()


def test_what_is_known_ends_with_the_expiry(site: Site) -> None:
    subscription = site.radius.subscribe()
    site.radius.execute("UPDATE subscription SET expires_at = now() + interval '4 s' WHERE id = %s", subscription.id)
    nas = quick(site)
    assert nas.login(subscription.username, PASSWORD, mac=MAC).code == "Access-Accept"
    time.sleep(1.2)
    site.postgres.stop()
    try:
        assert nas.login(subscription.username, PASSWORD, mac=MAC).code == "Access-Accept"
        time.sleep(3.5)
        reply = nas.login(subscription.username, PASSWORD, mac=MAC)
        assert (reply.code, reply.attributes["Reply-Message"]) == (
            "Access-Reject",
            "Your plan has expired. Pay to continue.",
        )
    finally:
        site.postgres.start()
    site.forget_connections()


def test_a_plan_is_known_as_it_was_last_even_after_a_restart(site: Site) -> None:
    subscription = site.radius.subscribe()
    nas = quick(site)
    assert nas.login(subscription.username, PASSWORD, mac=MAC).code == "Access-Accept"
    site.radius.execute("UPDATE plan SET upload_kbps = 3000 WHERE id = %s", subscription.plan_id)
    assert nas.login(subscription.username, PASSWORD, mac=MAC).attributes["Mikrotik-Rate-Limit"] == "3000k/8000k"
    time.sleep(1.2)
    site.postgres.stop()
    try:
        site.freeradius.kill()
        site.freeradius.start()
        assert nas.login(subscription.username, PASSWORD, mac=MAC).attributes["Mikrotik-Rate-Limit"] == "3000k/8000k"
    finally:
        site.postgres.start()
    site.forget_connections()


def test_a_freeradius_killed_while_postgresql_is_away_loses_nothing(site: Site, known: str) -> None:
    nas = quick(site)
    site.postgres.stop()
    try:
        used = {"User-Name": known, "Calling-Station-Id": MAC, **octets("Input", 1), **octets("Output", 2)}
        assert nas.account("Stop", "killed", used).code == "Accounting-Response"
        site.freeradius.kill()
        spool = site.radius.settings.var / "spool" / "accounting"
        (segment,) = spool.glob("*.spool")
        with segment.open("ab") as file:  # the last record was cut short by the kill
            file.write(b'00000000 {"kind":"Accounting')
        site.freeradius.start()
        assert nas.login(known, PASSWORD, mac=MAC).code == "Access-Accept"
        assert nas.account("Stop", "after", used).code == "Accounting-Response"
    finally:
        site.postgres.start()
    assert stored_octets(site, "killed") == (1, 2)
    assert stored_octets(site, "after") == (1, 2)
    site.forget_connections()


def test_a_crash_of_postgresql_costs_nothing_that_the_next_report_does_not_restore(site: Site) -> None:
    """Interims are answered before they are on the disk; Start and Stop are not, nor is what a Stop counted."""
    subscription = site.radius.subscribe({"devices": 100})
    nas = site.radius.nas()

    def report(status: str, number: int, down: int) -> None:
        session = {"User-Name": subscription.username, "Calling-Station-Id": f"02:00:00:00:00:{number:02X}"}
        nas.account(status, f"crash-{number}", {**session, **octets("Input", 1), **octets("Output", down)})

    for number in range(20):
        report("Start", number, 0)
    for number in range(10):
        report("Stop", number, 5)
    for number in range(10, 20):
        report("Interim-Update", number, 7)
    site.postgres.kill()
    site.postgres.start()
    site.forget_connections()
    query = "SELECT acct_session_id, output_octets, stop_received FROM session WHERE subscription_id = %s"
    after_crash = {row["acct_session_id"]: row for row in site.radius.rows(query, subscription.id)}
    assert len(after_crash) == 20
    assert all(after_crash[f"crash-{number}"]["output_octets"] == 5 for number in range(10))
    for number in range(10, 20):
        report("Stop", number, 9)
    for number in range(10, 20):
        assert stored_octets(site, f"crash-{number}") == (1, 9)
    (usage,) = site.radius.rows("SELECT output_octets FROM usage WHERE subscription_id = %s", subscription.id)
    assert usage["output_octets"] == 10 * 5 + 10 * 9


def test_a_disk_that_takes_no_more_leaves_the_record_with_the_router(site: Site, known: str) -> None:
    nas = quick(site)
    settings = site.radius.settings
    spool = settings.var / "spool" / "accounting"
    used = {"User-Name": known, "Calling-Station-Id": MAC, **octets("Input", 1), **octets("Output", 2)}
    site.postgres.stop()
    spool.chmod(0o500)
    try:
        with pytest.raises(NoAnswer):
            nas.account("Stop", "no-room", used)
        time.sleep(1.5)  # the state is written each second
        with pytest.raises(readiness.NotReady, match="can not be written"):
            readiness.freeradius(settings, "freeradius", site.freeradius.pid)
        spool.chmod(0o750)
        assert nas.account("Stop", "no-room", used).code == "Accounting-Response"
        time.sleep(1.5)
        assert "1 accounting records wait on disk" in readiness.freeradius(settings, "freeradius", 0)
    finally:
        spool.chmod(0o750)
        site.postgres.start()
    assert stored_octets(site, "no-room") == (1, 2)
    site.forget_connections()


@pytest.mark.timeout(240)
def test_two_thousand_sessions_keep_every_octet_through_an_outage_and_a_kill(site: Site) -> None:
    names = [site.radius.subscribe({"devices": 1000}).username for _ in range(20)]
    asyncio.run(_outage(site, names))


async def _outage(site: Site, names: list[str]) -> None:
    settings = site.radius.settings
    random.seed(7)
    failed_logins: list[str] = []
    async with Fleet("127.0.0.1", settings.radius_auth_port, settings.radius_acct_port, SECRET) as fleet:

        async def log_in(name: str, number: int) -> Online:
            mac = f"02:00:00:00:{number >> 8:02X}:{number & 255:02X}"
            reply = await fleet.login(name, PASSWORD, mac)
            assert reply is not None
            assert reply.code == ACCESS_ACCEPT, reply
            online = Online(name, mac, f"f{number:06x}", reply.value(25) or b"")
            await fleet.account(online, START)
            return online

        sessions: list[Online] = []
        for start in range(0, 2000, 200):
            batch = [log_in(names[number % 20], number) for number in range(start, start + 200)]
            sessions += await asyncio.gather(*batch)
        outage_over = asyncio.Event()

        async def use(online: Online) -> None:
            await asyncio.sleep(random.uniform(0, 8))
            while not outage_over.is_set():
                _use_some(online)
                await fleet.account(online, INTERIM)
                await asyncio.sleep(8)
            _use_some(online)
            while not await fleet.account(online, STOP):  # as a router would with its next report
                await asyncio.sleep(1)

        async def keep_logging_in() -> None:
            while not outage_over.is_set():
                name = random.choice(names)
                reply = await fleet.login(name, PASSWORD, "02:00:00:00:00:00")
                if reply is None or reply.code != ACCESS_ACCEPT:
                    failed_logins.append(f"{name}: {reply}")
                await asyncio.sleep(0.2)

        async def break_things() -> None:
            await asyncio.sleep(4)
            await asyncio.to_thread(site.postgres.stop)
            await asyncio.sleep(10)
            await asyncio.to_thread(site.freeradius.kill)
            await asyncio.to_thread(site.freeradius.start)
            await asyncio.sleep(8)
            await asyncio.to_thread(site.postgres.start)
            await asyncio.sleep(6)
            outage_over.set()

        await asyncio.gather(break_things(), keep_logging_in(), *(use(online) for online in sessions))

    assert failed_logins == []
    _compare(site, sessions)


def _use_some(online: Online) -> None:
    online.session_time_s += 8
    online.input_octets += random.randrange(2**20)
    online.output_octets += random.randrange(2**32)


def _compare(site: Site, sessions: list[Online]) -> None:
    """Within 30 s of the return every session's octets equal what was sent, and usage equals their sum."""
    sent = {online.acct_session_id: (online.input_octets, online.output_octets) for online in sessions}
    deadline = time.monotonic() + 30
    while True:
        rows = site.radius.rows(
            "SELECT acct_session_id, input_octets, output_octets, stop_received FROM session"
            " WHERE acct_session_id ~ '^f[0-9a-f]{6}$'"
        )
        stored = {row["acct_session_id"]: (row["input_octets"], row["output_octets"]) for row in rows}
        if stored == sent or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert stored == sent
    assert all(row["stop_received"] for row in rows)
    (usage,) = site.radius.rows(
        "SELECT sum(u.input_octets)::int8 AS up, sum(u.output_octets)::int8 AS down FROM usage u"
        " WHERE subscription_id IN (SELECT subscription_id FROM session WHERE acct_session_id ~ '^f[0-9a-f]{6}$')"
    )
    assert (usage["up"], usage["down"]) == tuple(map(sum, zip(*sent.values(), strict=True)))
