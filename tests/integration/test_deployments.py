"""Deployments: each stage, each failure with its words, the router's and the worker's death at every sentence."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Any

import pytest
from sqlalchemy import text

from db import router as routers
from db import router_deployment, router_tunnel
from db.refusal import Conflict, Invalid
from settings import Addresses, Settings
from tasks.deployments import settle_deployments
from tasks.enqueue import enqueue
from tasks.routeros_errors import RouterError
from tasks.stops import PermanentFailure
from tests.fakes.routeros_factory import HAP
from tests.integration.router_bench import RouterBench, make_router_bench
from tests.routeros_sentences import findings_in

HOTSPOT: dict[str, Any] = {"interface": "ether3", "network": "10.5.50.0/24"}
PPPOE: dict[str, Any] = {"interface": "ether2", "network": "10.64.0.0/22"}
FULL: dict[str, Any] = {
    "hotspots": [{**HOTSPOT, "portal_url": "https://wifi.example.com/portal"}],
    "pppoe": [PPPOE],
    "dns_servers": ["192.0.2.53"],
    "walled_garden": ["*.safaricom.co.ke", "pay.example.com"],
    "expired_address_list": "expired",
}
VERSIONS = ("6.49", "7.12", "7.16", "7.21")
STAGES = [("verifying", 10), ("connected", 20), ("deploying", 40), ("deployed", 70), ("verifying deployment", 85)]


@pytest.fixture
def bench(settings_of_module: Settings) -> Iterator[RouterBench]:
    with make_router_bench(settings_of_module) as bench:
        yield bench


def stages(bench: RouterBench, router_id: int) -> list[tuple[str, int]]:
    return [(told["stage"], told["percent"]) for told in bench.events(router_id, "router.progress")]


# Done.


@pytest.mark.parametrize("version", VERSIONS)
def test_a_deployment_goes_through_its_stages_and_makes_the_router_active(bench: RouterBench, version: str) -> None:
    router_id = bench.router(version)
    done = bench.deploy(router_id, FULL)
    assert (done.state, done.stage, done.percent, done.error) == ("completed", "completed", 100, None)
    assert stages(bench, router_id) == [*STAGES, ("completed", 100)]
    assert bench.read(router_id).status == "active"
    assert [told["status"] for told in bench.events(router_id, "router.status")] == ["provisioning", "active"]
    tables = bench.fakes[router_id].machine.tables
    assert tables.one("/radius", comment="kibali: RADIUS")["disabled"] == "false"
    assert tables.one("/ip/hotspot")["interface"] == "ether3"
    assert tables.one("/interface/pppoe-server/server")["interface"] == "ether2"
    assert all(step.startswith("applied ") for step in bench.steps(done.id))
    assert bench.steps(done.id)[-1] == "applied set /radius kibali: RADIUS"
    assert ("upload" in " ".join(done.notes)) is (version == "6.49")


@pytest.mark.parametrize("version", VERSIONS)
def test_routeros_has_all_that_a_deployment_says(bench: RouterBench, version: str) -> None:
    router_id = bench.router(version)
    bench.deploy(router_id, FULL)
    bench.deploy(router_id, {"pppoe": [{**PPPOE, "network": "10.65.0.0/24"}]})
    bench.deploy(router_id, kind="undo")
    said = [heard.words for heard in bench.fakes[router_id].heard if heard.words[0] != "/login"]
    assert {words[0].rpartition("/")[2] for words in said} >= {"add", "set", "remove", "print", "monitor"}
    for words in said:
        assert findings_in(words) == [], words


@pytest.mark.parametrize("version", VERSIONS)
def test_deploying_again_changes_nothing(bench: RouterBench, version: str) -> None:
    router_id = bench.router(version)
    bench.deploy(router_id, FULL)
    before = bench.fakes[router_id].machine.snapshot()
    again = bench.deploy(router_id)
    assert (again.state, bench.steps(again.id)) == ("completed", [])
    assert bench.fakes[router_id].machine.snapshot() == before


@pytest.mark.parametrize("version", VERSIONS)
def test_undo_gives_back_exactly_what_was(bench: RouterBench, version: str) -> None:
    router_id = bench.router(version, model=HAP)
    machine = bench.fakes[router_id].machine
    machine.tables.one("/ppp/aaa")["accounting"] = "false"
    machine.tables.one("/radius").update({"timeout": "1s", "secret": "another"})
    before = machine.snapshot()
    config = {
        **FULL,
        "hotspots": [{"interface": "bridge", "addressing": "router"}],
        "pppoe": [{**PPPOE, "interface": "bridge"}],
    }
    done = bench.deploy(router_id, config)
    assert machine.snapshot() != before
    undone = bench.deploy(router_id, kind="undo")
    assert machine.snapshot() == before
    assert (undone.state, bench.deployment(done.id).state) == ("completed", "undone")
    assert bench.read(router_id).status == "online"
    with pytest.raises(Conflict, match="nothing that could be undone"):
        bench.request(router_id, "undo")


def test_undo_goes_back_one_deployment_at_a_time(bench: RouterBench) -> None:
    router_id = bench.router()
    machine = bench.fakes[router_id].machine
    first = machine.snapshot()
    bench.deploy(router_id, FULL)
    second = without_ids(machine.snapshot())
    bench.deploy(router_id, {"pppoe": [{**PPPOE, "network": "10.65.0.0/24"}]})
    assert machine.tables.items("/ip/hotspot") == []
    bench.deploy(router_id, kind="undo")
    assert without_ids(machine.snapshot()) == second
    assert bench.read(router_id).status == "active"
    bench.deploy(router_id, kind="undo")
    assert machine.snapshot() == first


def without_ids(snapshot: dict[str, list[dict[str, str]]]) -> dict[str, list[tuple[tuple[str, str], ...]]]:
    """What was removed comes back under another id, and at the end."""
    return {
        path: sorted(tuple(sorted((k, v) for k, v in item.items() if k != ".id")) for item in items)
        for path, items in snapshot.items()
    }


def test_undo_leaves_what_somebody_else_has_changed_since(bench: RouterBench) -> None:
    router_id = bench.router()
    tables = bench.fakes[router_id].machine.tables
    done = bench.deploy(router_id, FULL)
    tables.one("/ppp/aaa")["interim-update"] = "7m"
    tables.one("/ip/dns")["servers"] = "9.9.9.9"
    bench.deploy(router_id, kind="undo")
    assert tables.one("/ppp/aaa")["interim-update"] == "7m"
    assert tables.one("/ppp/aaa")["use-radius"] == "false"
    assert tables.one("/ip/dns")["servers"] == "9.9.9.9"
    assert tables.one("/ip/dns")["allow-remote-requests"] == "false"
    assert {step.partition(" ")[0] for step in bench.steps(done.id)} == {"undone"}


def test_reprovisioning_repairs_what_was_changed_and_brings_a_new_secret(bench: RouterBench) -> None:
    router_id = bench.router()
    tables = bench.fakes[router_id].machine.tables
    with pytest.raises(Conflict, match="deploy first"):
        bench.request(router_id, "reprovision")
    bench.deploy(router_id, FULL)
    tables.one("/ip/hotspot")["disabled"] = "true"
    tables.items("/ip/firewall/nat").clear()
    with bench.sessions.begin() as session:
        routers.change(session, router_id, {}, radius_secret="another-secret", keyring=bench.keyring, now=_now())
    again = bench.deploy(router_id, kind="reprovision")
    assert again.state == "completed"
    assert tables.one("/ip/hotspot")["disabled"] == "false"
    assert len(tables.items("/ip/firewall/nat")) == 2
    assert tables.one("/radius")["secret"] == "another-secret"


def _now() -> Any:
    return datetime.now(UTC)


def test_through_a_tunnel_the_router_asks_its_hub(bench: RouterBench) -> None:
    router_id = bench.router()
    with bench.office() as session:
        router_tunnel.create(session, bench.tenant_id, router_id, "sstp", "10.254.0.9", bench.keyring)
    bench.deploy(router_id, FULL)
    tables = bench.fakes[router_id].machine.tables
    radius = tables.one("/radius")
    assert (radius["address"], radius["src-address"]) == ("10.254.0.1", "10.254.0.9")
    assert tables.one("/ip/hotspot/ip-binding")["address"] == "10.254.0.1"
    bench.deploy(router_id, kind="undo")
    assert tables.one("/radius")["address"] == "127.0.0.1"


def test_our_address_is_told_where_it_is_set(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.settings = replace(bench.settings, server_addresses=Addresses([IPv4Address("127.0.0.2")]))
    bench.deploy(router_id, FULL)
    assert bench.fakes[router_id].machine.tables.one("/radius")["address"] == "127.0.0.2"


def test_no_secret_is_in_a_journal_an_event_or_a_discovery(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.fakes[router_id].machine.tables.one("/radius")["secret"] = "old-secret"
    bench.deploy(router_id, FULL)
    with bench.engine.begin() as connection:
        for table in ("router_deployment_step", "router_deployment", "event", "router_discovery", "job"):
            rows = connection.execute(text(f"SELECT to_jsonb(t) - 'values_sealed' FROM {table} t")).scalars()
            stored = repr(list(rows))
            assert "secret-of-radius" not in stored
            assert "old-secret" not in stored


# The router dies.


def is_write(command: str) -> bool:
    return command.endswith(("/add", "/set", "/remove"))


@pytest.mark.parametrize(
    ("version", "how"),
    [("6.49", "drop"), ("7.21", "drop"), ("6.49", "drop_after"), ("7.21", "drop_after"), ("7.16", "cut")],
)
def test_a_router_that_dies_at_any_sentence_ends_failed_and_a_retry_completes_it(
    bench: RouterBench, version: str, how: Any
) -> None:
    """Every sentence that changes something, and some of the others, in turn."""
    router_id = bench.router(version)
    router = bench.fakes[router_id]
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    before = router.machine.snapshot()
    begin = len(router.commands())
    bench.deploy(router_id)
    sentences = router.commands()[begin:]
    wanted = without_ids(router.machine.snapshot())
    bench.deploy(router_id, kind="undo")
    assert sum(map(is_write, sentences)) > 20
    for at, command in enumerate(sentences):
        if not is_write(command) and at % 7:
            continue
        asked = bench.request(router_id)
        assert asked.job_id is not None
        router.fail("/", how, after=at + 1)  # the login is a sentence too
        with pytest.raises(RouterError):
            bench.work(asked.job_id, last=True)
        failed = bench.deployment(asked.id)
        assert failed.state == "failed", command
        assert failed.error is not None
        assert command in failed.error
        assert bench.read(router_id).status == "failed"
        told = bench.events(router_id, "provisioning.failed")[-1]
        done = [step for step in bench.steps(asked.id) if step.startswith("applied ")]
        assert told["applied"] == [step.removeprefix("applied ") for step in done]
        assert len(told["unknown"]) == is_write(command)
        assert [fault.times for fault in router.faults] == [0]
        router.faults.clear()
        again = bench.request(router_id)
        assert again.id == asked.id
        assert again.job_id is not None
        bench.work(again.job_id)
        assert bench.deployment(asked.id).state == "completed"
        assert without_ids(router.machine.snapshot()) == wanted, command
        bench.deploy(router_id, kind="undo")
        assert router.machine.snapshot() == before, command


def test_a_failed_try_that_is_not_the_last_says_so_and_the_next_one_completes_it(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    asked = bench.request(router_id)
    assert asked.job_id is not None
    bench.fakes[router_id].fail("/ip/pool/add", "drop")
    with pytest.raises(RouterError, match="/ip/pool/add"):
        bench.work(asked.job_id)
    assert bench.deployment(asked.id).state == "retrying"
    assert bench.read(router_id).status == "provisioning"
    assert bench.events(router_id, "provisioning.failed") == []
    with pytest.raises(Conflict, match="under way"):
        bench.request(router_id)
    bench.work(asked.job_id)
    assert bench.deployment(asked.id).state == "completed"


@pytest.mark.parametrize("how", ["drop", "drop_after"])
def test_a_router_that_dies_at_any_sentence_of_an_undo_is_undone_by_the_next(bench: RouterBench, how: Any) -> None:
    router_id = bench.router()
    router = bench.fakes[router_id]
    before = router.machine.snapshot()
    done = bench.deploy(router_id, FULL)
    asked = bench.request(router_id, "undo")
    assert asked.job_id is not None
    tries = 0
    while bench.deployment(asked.id).state != "completed":
        with bench.sessions() as session:
            left = {step.menu for step in router_deployment.steps(session, done.id, "applied", "sending")}
        router.faults.clear()
        # After the login and a question for each menu: one change goes through, and that is heard of or not.
        router.fail("/", how, after=1 + len(left) + (how == "drop"))
        bench.execute("UPDATE job SET attempts = 0 WHERE id = :id", id=asked.job_id)
        try:
            bench.work(asked.job_id)
        except RouterError:
            tries += 1
        assert tries < 100
    assert tries > 10
    assert router.machine.snapshot() == before


# What is refused.


def test_a_permanent_failure_ends_it_at_once_with_its_words(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    bench.fakes[router_id].fail("/ppp/profile/add", "trap", words="failure: not enough permissions (9)")
    asked = bench.request(router_id)
    assert asked.job_id is not None
    with pytest.raises(PermanentFailure, match="paste the bootstrap script once more"):
        bench.work(asked.job_id)
    failed = bench.deployment(asked.id)
    assert failed.state == "failed"
    assert "not enough permissions" in (failed.error or "")
    (told,) = bench.events(router_id, "provisioning.failed")
    assert "add /ppp profile kibali-pppoe-ether2" in told["unknown"]
    assert told["applied"]
    assert told["not_applied"]
    assert bench.read(router_id).status_reason == failed.error


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda fake: fake.power_off(), "refuses connections"),
        (lambda fake: fake.machine.tables.one("/user", name="kibali").update(password="x"), "refuses the password"),
        (lambda fake: fake.machine.tables.items("/interface").pop(), "no interface ether3"),
        (lambda fake: fake.machine.tables.items("/radius").clear(), "does not know where our RADIUS is"),
    ],
)
def test_what_is_wrong_is_said_in_words(bench: RouterBench, break_it: Any, words: str) -> None:
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, {"hotspots": [HOTSPOT]})
    asked = bench.request(router_id)
    assert asked.job_id is not None
    break_it(bench.fakes[router_id])
    with pytest.raises(Exception, match=words):
        bench.work(asked.job_id, last=True)
    failed = bench.deployment(asked.id)
    assert (failed.state, words in (failed.error or "")) == ("failed", True)


def test_what_can_not_be_is_refused_before_anything_is_asked_of_the_router(bench: RouterBench) -> None:
    router_id = bench.router("7.21", device_mode="home")
    with pytest.raises(Exception, match="no such service configuration"):
        bench.request(router_id)
    bench.configure(router_id, FULL)
    with pytest.raises(Conflict, match="not discovered yet"):
        bench.request(router_id)
    bench.discover(router_id)
    with pytest.raises(Invalid, match="device-mode update hotspot=yes") as refused:
        bench.request(router_id)
    assert refused.value.field == "hotspots"


def test_a_router_that_does_not_keep_what_it_took_is_not_called_active(bench: RouterBench) -> None:
    router_id = bench.router()
    router = bench.fakes[router_id]
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    asked = bench.request(router_id)
    assert asked.job_id is not None
    changed = router.machine.tables.changed

    def meddle(path: str) -> None:
        if path == "/radius/incoming":
            router.machine.tables.one("/ip/hotspot")["disabled"] = "true"
        changed(path)

    router.machine.tables.changed = meddle
    router.machine.tables.one("/radius/incoming")["port"] = "1700"
    with pytest.raises(Exception, match="set /ip hotspot kibali-hotspot-ether3"):
        bench.work(asked.job_id, last=True)
    assert bench.deployment(asked.id).state == "failed"


# Never two at once.


def test_two_deployments_to_one_router_never_overlap(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    bench.request(router_id)
    for kind in ("deploy", "undo", "reprovision"):
        with pytest.raises(Conflict):
            bench.request(router_id, kind)


def test_what_its_job_left_open_is_ended(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    asked = bench.request(router_id)
    settle = "UPDATE job SET state = 'failed', error = 'LeaseLost: its worker died', finished_at = now() WHERE id = :id"
    bench.execute(settle, id=asked.job_id)
    with bench.sessions.begin() as session:
        job_id = enqueue(session, settle_deployments).id
    bench.work(job_id)
    failed = bench.deployment(asked.id)
    assert (failed.state, failed.error) == ("failed", "LeaseLost: its worker died")
    assert bench.read(router_id).status == "failed"
    again = bench.deploy(router_id)
    assert (again.id, again.state) == (asked.id, "completed")
