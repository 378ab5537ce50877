"""Thousands of sessions whose time is over at once, over fifty routers of which two are dead and all lose packets.

`--storm-sessions 5000` is the whole of it.
"""

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from settings import Settings
from tests.following import Following, following

ROUTERS, DEAD, LOSS = 50, 2, 0.05
WITHIN_S = 30.0


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
        postgres_server, template_database, redis_url, secrets, private_directory, var, routers=ROUTERS
    ) as running:
        yield running


@pytest.mark.timeout(400)
def test_a_mass_expiry_ends_within_half_a_minute(world: Following, pytestconfig: pytest.Config) -> None:
    sessions = int(pytestconfig.getoption("--storm-sessions"))
    world.subscribe_many(sessions)
    ids = world.all_online()
    assert len(ids) == sessions
    dead = world.fleet.routers[:DEAD]
    for nas in world.fleet.routers:
        nas.behaviour.loss = LOSS
    for nas in dead:
        nas.behaviour.dead = True
    began = time.monotonic()
    world.radius.execute("UPDATE subscription SET expires_at = now() WHERE id = ANY(%s)", ids)

    def left() -> int:
        return sum(len(nas.online) for nas in world.fleet.routers[DEAD:])

    took_s = world.until(lambda: world.fleet.call(left) == 0, "nobody is online at a router that lives", WITHIN_S)
    sys.stdout.write(f"{sessions} sessions ended after {took_s:.1f} s\n")
    assert time.monotonic() - began < WITHIN_S + 5
    # Nobody else's sessions were touched.
    assert sum(len(nas.online) for nas in dead) == DEAD * sessions // ROUTERS
    # Those of the dead follow once they live.
    for nas in world.fleet.routers:
        nas.behaviour.dead, nas.behaviour.loss = False, 0.0
    world.until(lambda: not world.fleet.online(), "nobody is online at all", 90)
    world.fleet.run(asyncio.sleep(0))
    world.until(world.tables_agree, "the tables say so as well", 60)
