"""A router's status has two writers, its watcher and the deployments to it: they agree, whoever comes first."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from db import router_life
from db.router_state import RouterState
from settings import Settings
from tasks.deployments import prove_radius
from tasks.enqueue import enqueue
from tasks.routeros_errors import RouterError
from tests.integration.router_bench import RouterBench, make_router_bench
from tests.integration.test_deployments import FULL
from tests.integration.watching import Site, wait_until, watching


@pytest.fixture
def bench(settings_of_module: Settings) -> Iterator[RouterBench]:
    with make_router_bench(settings_of_module) as bench:
        yield bench


def site_of(bench: RouterBench) -> Site:
    return Site(bench.tenant_id, bench.keyring, bench.engine, bench.sessions, bench.settings)


def statuses(bench: RouterBench, router_id: int) -> list[tuple[str, str]]:
    return [(told["was"], told["status"]) for told in bench.events(router_id, "router.status")]


def unreached(bench: RouterBench, router_id: int, reason: str = "It does not answer.") -> None:
    with bench.sessions.begin() as session:
        now = datetime.now(UTC)
        router_life.unreached(session, router_id, reason=reason, permanent=False, offered_sha256=None, now=now)


def reached(bench: RouterBench, router_id: int) -> None:
    with bench.sessions.begin() as session:
        now = datetime.now(UTC)
        router_life.reached(session, router_id, facts=None, certificate_sha256=None, obstacles=None, now=now)


def begin_probing(bench: RouterBench, router_id: int) -> None:
    with bench.sessions.begin() as session:
        router_life.begin_probing(session, router_id, datetime.now(UTC))


def begin_deployment(bench: RouterBench, router_id: int) -> None:
    with bench.sessions.begin() as session:
        router_life.provisioning(session, router_id, datetime.now(UTC))


def test_a_watcher_that_looks_all_the_time_does_not_interfere_with_a_deployment(bench: RouterBench) -> None:
    router_id = bench.router()
    fake = bench.fakes[router_id]
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    with watching(site_of(bench), period_s=0.05):
        wait_until(lambda: fake.commands().count("/system/resource/print") > 3, "it is watched")
        fake.fail("/ip", "late", times=None, seconds=0.02)
        assert bench.deploy(router_id).state == "completed"
        count = len(fake.commands())
        wait_until(lambda: len(fake.commands()) > count + 20, "it is watched on")
    assert statuses(bench, router_id) == [("online", "provisioning"), ("provisioning", "active")]
    assert bench.read(router_id).status == "active"


def test_while_a_deployment_is_under_way_a_failing_watcher_changes_nothing(bench: RouterBench) -> None:
    router_id = bench.router()
    begin_deployment(bench, router_id)
    for _ in range(5):
        unreached(bench, router_id)
        reached(bench, router_id)
        unreached(bench, router_id)
    assert bench.read(router_id).status == "provisioning"
    assert statuses(bench, router_id) == [("online", "provisioning")]


def test_a_deployment_ends_the_probing_and_not_the_other_way_round(bench: RouterBench) -> None:
    """The last try in vain would have called a router `connection_failed` that is being deployed to."""
    router_id = bench.router()
    begin_probing(bench, router_id)
    bench.execute("UPDATE router_state SET probe_tries = 59 WHERE router_id = :id", id=router_id)
    begin_deployment(bench, router_id)
    unreached(bench, router_id)
    assert bench.read(router_id).status == "provisioning"
    with bench.sessions() as session:
        state = session.get_one(RouterState, router_id)
        assert (state.probe_due_at, state.probe_tries) == (None, 0)
    with bench.sessions.begin() as session:
        router_life.provisioned(session, router_id, "active", None, datetime.now(UTC))
    assert bench.read(router_id).status == "active"


def test_one_that_was_offline_before_a_deployment_is_afterwards_what_the_deployment_made_it(
    bench: RouterBench,
) -> None:
    router_id = bench.router()
    for _ in range(2):
        unreached(bench, router_id)
    assert bench.read(router_id).status == "offline"
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    assert bench.deploy(router_id).state == "completed"
    reached(bench, router_id)
    assert bench.read(router_id).status == "active"
    for _ in range(2):
        unreached(bench, router_id)
    reached(bench, router_id)
    assert statuses(bench, router_id)[-2:] == [("active", "offline"), ("offline", "active")]


def test_a_failed_deployment_is_failed_again_with_its_reason_after_the_router_was_away(bench: RouterBench) -> None:
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    asked = bench.request(router_id)
    assert asked.job_id is not None
    bench.fakes[router_id].fail("/ip/hotspot/add", "trap", words="failure: no room")
    with pytest.raises((RouterError, Exception)):
        bench.work(asked.job_id, last=True)
    reason = bench.read(router_id).status_reason
    assert bench.read(router_id).status == "failed"
    assert reason
    assert "no room" in reason
    for _ in range(2):
        unreached(bench, router_id)
    assert bench.read(router_id).status_reason == "It does not answer."
    reached(bench, router_id)
    router = bench.read(router_id)
    assert (router.status, router.status_reason) == ("failed", reason)
    bench.fakes[router_id].faults.clear()
    assert bench.deploy(router_id).state == "completed"
    assert (bench.read(router_id).status, bench.read(router_id).status_reason) == ("active", None)


def test_a_router_that_is_removed_in_the_middle_stays_as_it_was(bench: RouterBench) -> None:
    router_id = bench.router()
    begin_deployment(bench, router_id)
    bench.execute("UPDATE router SET removed_at = now() WHERE id = :id", id=router_id)
    with bench.sessions.begin() as session:
        router_life.provisioned(session, router_id, "active", None, datetime.now(UTC))
    assert bench.read(router_id).status == "provisioning"


# What a customer's login proves


def customer(bench: RouterBench, router_id: int, at: str, *, known: bool = True) -> None:
    bench.execute(
        "INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,"
        " interim_interval_s, started_at, last_seen_at)"
        f" VALUES (:key, :tenant, :router, :subscription, 'hotspot', 'jane', '80000001', 300, {at}, now())",
        key=str(uuid4()),
        tenant=bench.tenant_id,
        router=router_id,
        subscription=7 if known else None,
    )


def prove(bench: RouterBench) -> None:
    with bench.sessions.begin() as session:
        job_id = enqueue(session, prove_radius).id
    bench.work(job_id)


def test_the_first_customer_since_a_deployment_proves_that_radius_works(bench: RouterBench) -> None:
    router_id, other_id = bench.router(), bench.router()
    waiting = bench.deploy(router_id, FULL)
    assert waiting.radius == "waiting", "nobody is at its hotspot"
    customer(bench, router_id, "now() - interval '1 h'")
    customer(bench, other_id, "now()")
    customer(bench, router_id, "now()", known=False)
    prove(bench)
    assert bench.deployment(waiting.id).radius == "waiting", "that says nothing of what was deployed"
    customer(bench, router_id, "now()")
    prove(bench)
    assert bench.deployment(waiting.id).radius == "proved"
    prove(bench)
    told = [each for each in bench.events(router_id, "router.progress") if each["stage"] == "completed"]
    assert [each["radius"] for each in told] == ["waiting", "proved"]
    again = bench.deploy(router_id)
    assert again.radius == "waiting", "what was proved was the deployment before"
