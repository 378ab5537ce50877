"""A soak: payments, plans, suspensions, kicks, reboots and a restart of PostgreSQL, at random; in the end all agree.

`pytest --soak-s 300 --soak-sessions 1000 tests/e2e/test_following_soak.py` is the whole of it; without
the options it is short.
"""

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from db.prepare import prepare
from settings import Settings
from tests.following import Following, followed
from tests.radius import radius_environ
from tests.servers import UNPRIVILEGED, running_part

ROUTERS = 20
SETTLES_WITHIN_S = 120
PLANS = {"3000k/3000k": 3000, "5000k/5000k": 5000, "7000k/7000k": 7000}


@dataclass
class Store:
    """A PostgreSQL of this test's own, which can be restarted."""

    environ: Mapping[str, str]
    settings: Settings
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self._running.enter_context(running_part("postgres", self.environ, self.settings))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def store(secrets: Mapping[str, str], redis_url: str, private_directory: Path) -> Iterator[Store]:
    var = private_directory / "so"
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    environ = radius_environ(var, secrets, "", redis_url)
    made = Store(environ, Settings.load(environ, checkout=private_directory))
    made.start()
    prepare(made.settings)
    yield made
    made.stop()


@pytest.mark.timeout(1500)
def test_whatever_happens_routers_tables_and_entitlements_agree(
    store: Store, private_directory: Path, pytestconfig: pytest.Config
) -> None:
    lasts_s = float(pytestconfig.getoption("--soak-s"))
    sessions = int(pytestconfig.getoption("--soak-sessions"))
    chance = random.Random(7)
    with followed(store.environ, private_directory, ROUTERS) as world:
        world.subscribe_many(sessions, {"data_limit_bytes": None, "after_limit": "stop", **SPEEDLESS})
        plans = [
            world.radius.subscribe({"upload_kbps": each, "download_kbps": each}).plan_id for each in PLANS.values()
        ]
        ids = world.all_online(redials_after_s=3)
        deeds = Deeds(world, ids, plans, chance)
        began, restart_at, done = time.monotonic(), lasts_s / 2, dict[str, int]()
        while time.monotonic() - began < lasts_s:
            if restart_at is not None and time.monotonic() - began > restart_at:
                restart_at = float("inf")
                store.stop()
                time.sleep(2)
                store.start()
            deed = chance.choices([each for each, _ in deeds.all], [weight for _, weight in deeds.all])[0]
            try:
                deed()
            except psycopg.OperationalError:
                continue
            done[deed.__name__] = done.get(deed.__name__, 0) + 1
            time.sleep(chance.uniform(0, 0.1))
        assert min(done.values()) > 0
        settled_s = world.until(lambda: not wrong(world), "all agree", SETTLES_WITHIN_S)
        world.until(world.tables_agree, "the tables say what the routers do", 30)
        (row,) = world.radius.rows("SELECT count(*) AS n FROM session_intent WHERE finished_at IS NULL")
        world.until(lambda: not unfinished(world), f"nothing is left to do ({row['n']})", 60)
        assert not wrong(world)
        os.write(1, f"{done}, settled after {settled_s:.1f} s\n".encode())


SPEEDLESS = {"fair_use_upload_kbps": None, "fair_use_download_kbps": None}


class Deeds:
    """What operators, customers and routers do."""

    def __init__(self, world: Following, ids: list[int], plans: list[int], chance: random.Random) -> None:
        self._world, self._ids, self._plans, self._chance = world, ids, plans, chance
        self.all: list[tuple[Callable[[], None], int]] = [
            (self.pay, 8),
            (self.change_plan, 8),
            (self.change_terms, 1),
            (self.suspend, 4),
            (self.resume, 4),
            (self.kick, 4),
            (self.use, 8),
            (self.reboot, 1),
        ]

    def pay(self) -> None:
        self._set("expires_at = greatest(expires_at, now()) + interval '1 day', status = 'active'")

    def change_plan(self) -> None:
        self._set(f"plan_id = {self._chance.choice(self._plans)}")

    def change_terms(self) -> None:
        self._world.radius.execute(
            "UPDATE plan SET download_kbps = upload_kbps + %s WHERE id = %s",
            self._chance.randrange(5) * 1000,
            self._chance.choice(self._plans),
        )

    def suspend(self) -> None:
        self._set("status = 'suspended'")

    def resume(self) -> None:
        self._world.radius.execute("UPDATE subscription SET status = 'active' WHERE id = ANY(%s)", self._some(20))

    def kick(self) -> None:
        self._world.radius.execute(
            "INSERT INTO session_intent (tenant_id, session_key, subscription_id, router_id, cause, action, reason,"
            " way) SELECT tenant_id, session_key, subscription_id, router_id, 'kick', 'disconnect', 'kick',"
            " 'disconnect' FROM session WHERE subscription_id = %s AND stopped_at IS NULL ON CONFLICT DO NOTHING",
            self._some(1)[0],
        )

    def use(self) -> None:
        online = self._world.fleet.online()
        if online:
            nas, session = self._chance.choice(online)
            self._world.fleet.call(nas.use, session, 1000, 9000)
            self._world.fleet.begin(nas.report(session))

    def reboot(self) -> None:
        self._world.fleet.run(self._chance.choice(self._world.fleet.routers).reboot())

    def _set(self, what: str) -> None:
        self._world.radius.execute(f"UPDATE subscription SET {what} WHERE id = ANY(%s)", self._some(1))

    def _some(self, count: int) -> list[int]:
        return self._chance.sample(self._ids, count)


def wrong(world: Following) -> list[str]:
    """Who is online and should not be, or is not and should be, or has another speed."""
    rows = world.radius.rows(
        "SELECT s.username, s.status = 'active' AND s.expires_at > now() AS entitled,"
        " p.upload_kbps || 'k/' || p.download_kbps || 'k' AS rate"
        " FROM subscription s JOIN plan p ON p.id = s.plan_id WHERE s.username ~ '^s[0-9]+$'"
    )
    online: dict[str, list[str | None]] = {}
    for _, session in world.fleet.online():
        online.setdefault(session.subscriber.user_name, []).append(session.rate_limit)
    return [
        f"{row['username']}: {online.get(row['username'])}, not {row['rate'] if row['entitled'] else 'offline'}"
        for row in rows
        if online.get(row["username"], []) != ([row["rate"]] if row["entitled"] else [])
    ]


def unfinished(world: Following) -> int:
    return int(world.radius.rows("SELECT count(*) AS n FROM session_intent WHERE finished_at IS NULL")[0]["n"])
