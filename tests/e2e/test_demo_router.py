"""`./kibali demo router` on a whole Kibali: five stages, a login through the router, and nothing left behind."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from cli.instance.processes import PROC, pids
from tests.instance import RunningInstance, running_instance


@pytest.fixture(scope="module")
def kibali() -> Iterator[RunningInstance]:
    with running_instance() as instance:
        yield instance


def rows(kibali: RunningInstance, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(kibali.settings.database_admin_dsn("kibali"), row_factory=dict_row) as connection:
        return connection.execute(statement).fetchall()


def fakes() -> set[int]:
    def is_fake(pid: int) -> bool:
        try:
            return b"tests.fakes.routeros" in (PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return False

    return {pid for pid in pids() if is_fake(pid)}


@pytest.mark.parametrize("version", ["7.16", "6.49"])
def test_a_router_is_shown_from_its_box_to_a_login(kibali: RunningInstance, version: str) -> None:
    before = fakes()
    demo = kibali.kibali("demo", "router", "--version", version)
    assert demo.returncode == 0, demo.stdout + demo.stderr
    in_order = [
        "1. Create",
        "2. Probe",
        f"version = {version}",
        "3. Discover",
        "bridge: bridge, 192.168.88.1/24, dhcp-server defconf",
        "4. Configure",
        "add    /ip hotspot kibali-hotspot-bridge",
        "set    /radius kibali: RADIUS",
        "5. Deploy",
        " 10 %  verifying",
        " 20 %  connected",
        " 40 %  deploying",
        " 70 %  deployed",
        " 85 %  verifying deployment",
        "100 %  completed",
        "the router is active",
        "6. The first customer",
        "← Access-Accept",
        "→ Start",
        "→ Stop",
        "The fake router is gone",
    ]
    places = [demo.stdout.find(text) for text in in_order]
    assert -1 not in places, in_order[places.index(-1)] + "\n" + demo.stdout
    assert places == sorted(places)
    after = kibali.kibali("demo")
    assert after.returncode == 0, "its customer has left, and gave the place up\n" + after.stdout + after.stderr
    assert fakes() == before
    assert rows(kibali, "SELECT id FROM router WHERE name LIKE 'Demo%' AND removed_at IS NULL") == []
    secrets = [line for line in demo.stdout.splitlines() if 'password="' in line or 'secret="' in line]
    assert all('="…"' in line for line in secrets)
