"""A Kibali that follows sessions, for tests: real FreeRADIUS, fake NASes, and the follower as a process of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.instance import readiness
from settings import CHECKOUT, Settings
from tests.databases import fresh_database
from tests.fakes.nas import FakeNas, RadiusServer
from tests.fakes.nas_api import NasWithApi
from tests.fakes.nas_fleet import NasFleet
from tests.fakes.nas_session import OnlineSession, Service, Subscriber
from tests.fakes.routeros import PASSWORD as API_PASSWORD
from tests.fakes.routeros import USERNAME as API_USERNAME
from tests.fakes.routeros import RunningRouter
from tests.radius import PASSWORD, SECRET, Radius, radius_environ, running_radius
from tests.servers import UNPRIVILEGED, kibali_command, process_environ

_READY_WITHIN_S = 30


@dataclass(frozen=True)
class _Named:
    id: int
    username: str


@dataclass
class Following:
    """Everything a test of live sessions needs. `routers` are ids, in the order of `fleet.routers`."""

    radius: Radius
    fleet: NasFleet
    routers: Sequence[int]
    environ: Mapping[str, str] = field(repr=False)
    var: Path
    process: subprocess.Popen[bytes] | None = None
    _first_plan: int = 0
    _expiry: Any = None

    @property
    def nas(self) -> FakeNas:
        """The first."""
        return self.fleet.routers[0]

    def online(
        self,
        plan: Mapping[str, Any] | None = None,
        *,
        service: Service = "pppoe",
        nas: FakeNas | None = None,
        mac: str | None = None,
        redials_after_s: float | None = None,
        **new: Any,
    ) -> tuple[Any, OnlineSession]:
        """A new subscription, and its session: begun, stored and known to the follower."""
        subscription = self.radius.subscribe(plan, service=service, **new)
        session = self.log_in(subscription, service=service, nas=nas, mac=mac, redials_after_s=redials_after_s)
        return subscription, session

    def log_in(
        self,
        subscription: Any,
        *,
        service: Service = "pppoe",
        nas: FakeNas | None = None,
        mac: str | None = None,
        redials_after_s: float | None = None,
    ) -> OnlineSession:
        device = self.device(subscription, service=service, mac=mac, redials_after_s=redials_after_s)
        session = self.fleet.run((nas or self.nas).log_in(device))
        self.until(lambda: self.held(session), "the follower knows the session")
        return session

    def device(
        self, subscription: Any, *, service: Service, mac: str | None = None, redials_after_s: float | None = None
    ) -> Subscriber:
        number = int(subscription.id)
        mac = mac or f"02:00:00:{number >> 16 & 255:02X}:{number >> 8 & 255:02X}:{number & 255:02X}"
        return Subscriber(str(subscription.username), PASSWORD, mac, service, redials_after_s=redials_after_s)

    def subscribe_many(self, count: int, plan: Mapping[str, Any] | None = None) -> None:
        """PPPoE subscribers `s1`, `s2` and on with one plan, and another plan that none has."""
        terms = {
            "data_limit_bytes": 20_000_000,
            "after_limit": "throttle",
            "fair_use_upload_kbps": 300,
            "fair_use_download_kbps": 300,
            **(plan or {}),
        }
        first = self.radius.subscribe(terms, service="pppoe", username="s1")
        self.radius.subscribe({"upload_kbps": 4000, "download_kbps": 4000})
        columns = "tenant_id, subscriber_id, plan_id, service, status, activated_at, expires_at"
        for number in range(2, count + 1):
            made = self.radius.rows(
                f"INSERT INTO subscription ({columns}, username, password_sealed)"
                f" SELECT {columns}, %s, '' FROM subscription WHERE id = %s RETURNING id",
                f"s{number}",
                first.id,
            )[0]["id"]
            sealed = self.radius.keyring.seal(PASSWORD, f"subscription.password:{made}")
            self.radius.execute("UPDATE subscription SET password_sealed = %s WHERE id = %s", sealed, made)
            self.radius.execute(
                "INSERT INTO usage (subscription_id, tenant_id) VALUES (%s, %s)", made, self.radius.tenant_id
            )
        self._first_plan, self._expiry = first.plan_id, first.expires_at

    def all_online(self, redials_after_s: float | None = None) -> list[int]:
        """Every one of `subscribe_many` as at first, and online anew; the ids of the subscriptions."""
        for nas, session in self.fleet.online():
            self.fleet.run(nas.log_out(session))
        self.radius.execute("DELETE FROM session_intent WHERE finished_at IS NULL")
        self.radius.execute(
            "UPDATE plan SET boost_from = NULL, boost_until = NULL, boost_upload_kbps = NULL,"
            " boost_download_kbps = NULL, devices = 1, on_expiry = 'reject', walled_garden_address_list = NULL"
        )
        self.radius.execute("DELETE FROM subscription_router")
        self.radius.execute(
            "UPDATE usage SET validity_input_octets = input_octets, validity_output_octets = output_octets"
        )
        rows = self.radius.rows(
            "UPDATE subscription SET plan_id = %s, status = 'active', expires_at = %s WHERE username ~ '^s[0-9]+$'"
            " RETURNING id, username",
            self._first_plan,
            self._expiry,
        )
        routers = self.fleet.routers
        wanted = [
            (routers[number % len(routers)], self._device_of(row, redials_after_s)) for number, row in enumerate(rows)
        ]
        failed = [each for each in self.fleet.log_in(wanted) if not isinstance(each, OnlineSession)]
        assert failed == []
        ids = [row["id"] for row in rows]
        self.until(lambda: self.known() >= len(ids), "the follower knows all sessions", 30)
        return ids

    def _device_of(self, row: Mapping[str, Any], redials_after_s: float | None) -> Subscriber:
        named = _Named(row["id"], row["username"])
        return self.device(named, service="pppoe", redials_after_s=redials_after_s)

    def known(self) -> int:
        """Open sessions that the follower knows."""
        return int(
            self.radius.rows(
                "SELECT count(*) AS n FROM session_held JOIN session USING (session_key) WHERE stopped_at IS NULL"
            )[0]["n"]
        )

    def tables_agree(self) -> bool:
        """Who is online in the tables is online at its router, with the speed and the end that the tables say."""
        rows = self.radius.rows(
            "SELECT s.router_id, s.acct_session_id, s.radius_class, h.held, h.began_at"
            " FROM session s LEFT JOIN session_held h USING (session_key) WHERE s.stopped_at IS NULL"
        )
        truth = {
            (self.routers[self.fleet.routers.index(nas)], session.acct_session_id): session
            for nas, session in self.fleet.online()
        }
        told = {(row["router_id"], row["acct_session_id"]): row for row in rows}
        if truth.keys() != told.keys():
            return False
        return all(
            told[key]["held"] is not None and told[key]["held"].get("rate_limit") == session.rate_limit
            for key, session in truth.items()
        )

    def held(self, session: OnlineSession) -> dict[str, Any] | None:
        """What the tables say that its router holds."""
        rows = self.radius.rows(
            "SELECT h.* FROM session_held h JOIN session s USING (session_key)"
            " WHERE s.radius_class = %s AND s.acct_session_id = %s",
            session.attributes["Class"].decode(),
            session.acct_session_id,
        )
        return rows[0] if rows else None

    def intents(self, subscription: Any) -> list[dict[str, Any]]:
        return self.radius.rows(
            "SELECT * FROM session_intent WHERE subscription_id = %s ORDER BY id", int(subscription.id)
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        return self.radius.rows("SELECT * FROM event WHERE type = %s ORDER BY id", kind)

    def is_online(self, session: OnlineSession) -> bool:
        return any(other is session for _, other in self.fleet.online())

    def until(self, holds: Callable[[], object], what: str, within_s: float = 10.0) -> float:
        """The seconds it took until it was so."""
        began = time.monotonic()
        while not holds():
            assert time.monotonic() - began < within_s, f"not within {within_s} s: {what}\n{self.story()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def story(self) -> str:
        """What is unfinished, and the follower's log: for a test that failed."""
        columns = "id, state, cause, action, way, attempts, due_at - now() AS due_in, outcome, packets"
        rows = self.radius.rows(f"SELECT {columns} FROM session_intent WHERE finished_at IS NULL ORDER BY id LIMIT 20")
        return "\n".join([*map(str, rows), self.log()[-3000:]])

    def log(self) -> str:
        path = self.var / "follower.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def start(self) -> None:
        """The follower."""
        with (self.var / "follower.log").open("ab") as output:
            self.process = subprocess.Popen(
                kibali_command("run", "follower", end_signal="KILL"),
                cwd=CHECKOUT,
                env=process_environ(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.until(self._beats, "the follower is up", _READY_WITHIN_S)

    def kill(self) -> None:
        """As a crash would."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def _beats(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            readiness.heartbeat(self.radius.settings, "follower", self.process.pid)
        except readiness.NotReady:
            return False
        return True


def let_in_by_api(radius: Radius, router_id: int, api: RunningRouter) -> None:
    """As onboarding leaves a router whose API answers."""
    sealed = radius.keyring.seal(API_PASSWORD, f"router.api_password:{router_id}")
    radius.execute(
        "UPDATE router SET api_address = '127.0.0.1', api_port = %s, api_ssl_port = %s, api_username = %s,"
        " api_password_sealed = %s WHERE id = %s",
        api.ports["api"],
        api.ports["api-ssl"],
        API_USERNAME,
        sealed,
        router_id,
    )
    radius.execute("UPDATE router_state SET last_seen_at = now() WHERE router_id = %s", router_id)


def address_of(number: int) -> str:
    return f"127.0.{30 + number // 250}.{number % 250 + 1}"


StartFollowing = Callable[..., AbstractContextManager["Following"]]
"""`following` with the servers of the tests filled in: takes `routers`, `apis` and options of the NASes."""


@contextmanager
def following(
    postgres_server: Settings,
    template_database: str,
    redis_url: str,
    secrets: Mapping[str, str],
    private_directory: Path,
    var: Path,
    routers: int = 1,
    apis: Sequence[RunningRouter] = (),
    **nas_options: Any,
) -> Iterator[Following]:
    """`routers` NASes at 127.0.30.1 and on, the first of them with `apis`, which run; and a follower that runs."""
    var.mkdir(mode=0o750, exist_ok=True)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    with fresh_database(postgres_server, template_database) as url:
        environ = radius_environ(var, secrets, url, redis_url)
        with followed(environ, private_directory, routers, apis, **nas_options) as running:
            yield running


@contextmanager
def followed(
    environ: Mapping[str, str],
    checkout: Path,
    routers: int,
    apis: Sequence[RunningRouter] = (),
    **nas_options: Any,
) -> Iterator[Following]:
    """The same on a database that is prepared and empty."""
    settings = Settings.load(environ, checkout=checkout)
    with running_radius(environ, settings) as radius:
        server = RadiusServer("127.0.0.1", settings.radius_auth_port, settings.radius_acct_port)
        options = {"timeout_s": 1.0, **nas_options}
        fakes = [
            NasWithApi(server, SECRET, address=address_of(number), seed=number, router=apis[number], **options)
            if number < len(apis)
            else FakeNas(server, SECRET, address=address_of(number), seed=number, **options)
            for number in range(routers)
        ]
        ids = [radius.add_router(f"nas {nas.address}", nas.address) for nas in fakes]
        with NasFleet(fakes) as fleet:
            for router_id, nas in zip(ids, fakes, strict=True):
                radius.execute("UPDATE router SET coa_port = %s WHERE id = %s", nas.coa_port, router_id)
            for router_id, api in zip(ids, apis, strict=False):
                let_in_by_api(radius, router_id, api)
            world = Following(radius, fleet, ids, environ, settings.var)
            world.start()
            try:
                yield world
            finally:
                world.stop()
