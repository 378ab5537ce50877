"""Deployments by real workers that are killed, and by a PostgreSQL that goes away, in the middle of a sentence."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from db.prepare import prepare
from settings import Settings
from tests.fakes.routeros import RunningRouter
from tests.integration.job_bench import Bench, make_bench, wait_until
from tests.integration.router_bench import RouterBench, make_router_bench
from tests.integration.test_deployments import FULL, is_write, without_ids
from tests.servers import UNPRIVILEGED, Servers, base_environ, process_environ


@pytest.fixture
def jobs(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, environ, var) as bench:
        yield bench


@pytest.fixture
def bench(settings: Settings) -> Iterator[RouterBench]:
    with make_router_bench(settings) as bench:
        yield bench


def hangs(router: RunningRouter) -> bool:
    return bool(router.faults) and router.faults[0].times == 0


def test_a_worker_killed_at_any_sentence_leaves_a_journal_from_which_the_next_goes_on(
    bench: RouterBench, jobs: Bench
) -> None:
    router_id = bench.router()
    router = bench.fakes[router_id]
    bench.discover(router_id)
    bench.configure(router_id, FULL)
    before = router.machine.snapshot()
    begin = len(router.commands())
    bench.deploy(router_id)
    sentences = router.commands()[begin:]
    wanted = without_ids(router.machine.snapshot())
    bench.deploy(router_id, kind="undo")
    writes = [at for at, command in enumerate(sentences) if is_write(command)]
    with jobs.worker("provisioning") as worker:
        for at in (writes[0], writes[len(writes) // 2], writes[-1]):
            # `late`: it does it, and nobody is left to hear of it.
            router.fail("/", "late", after=at + 1, seconds=3)
            asked = bench.request(router_id)
            assert asked.job_id is not None
            jobs.sweep.tick()
            wait_until(lambda: hangs(router), "the sentence has arrived")
            children = worker.children()
            for child in children:
                os.kill(child, signal.SIGKILL)
            wait_until(lambda: len(set(worker.children()) - set(children)) == 3, "others took their places")  # noqa: B023
            assert bench.deployment(asked.id).state == "running"
            steps = bench.steps(asked.id)
            assert [step.partition(" ")[0] for step in steps].count("sending") == 1
            router.faults.clear()
            jobs.end_lease(asked.job_id)
            jobs.sweep.tick()
            assert jobs.wait_for(asked.job_id, "succeeded").attempts == 2
            assert bench.deployment(asked.id).state == "completed"
            assert without_ids(router.machine.snapshot()) == wanted
            bench.deploy(router_id, kind="undo")
            assert router.machine.snapshot() == before


def test_a_postgresql_that_goes_away_in_the_middle_loses_nothing(
    secrets: Mapping[str, str], private_directory: Path, var: Path
) -> None:
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    environ = process_environ({**base_environ(var), **secrets})
    settings = Settings.load(environ, checkout=private_directory)
    servers = Servers(environ, settings)
    with ExitStack() as stack:
        stack.callback(servers.stop_all)
        servers.start("postgres")
        servers.start("redis")
        prepare(settings)
        jobs = stack.enter_context(make_bench(settings, environ, var))
        bench = stack.enter_context(make_router_bench(settings))
        router_id = bench.router()
        router = bench.fakes[router_id]
        before = router.machine.snapshot()
        bench.discover(router_id)
        bench.configure(router_id, FULL)
        asked = bench.request(router_id)
        assert asked.job_id is not None
        router.fail("/ip/hotspot/add", "late", seconds=2)
        stack.enter_context(jobs.worker("provisioning"))
        jobs.sweep.tick()
        wait_until(lambda: hangs(router), "the sentence has arrived")
        servers.stop("postgres")
        wait_until(lambda: len(router.machine.tables.items("/ip/hotspot")) == 1, "the router has done it")
        servers.start("postgres")
        bench.engine.dispose()
        wait_until(lambda: jobs.job(asked.job_id or 0).attempts == 1, "PostgreSQL is back")
        jobs.end_lease(asked.job_id)
        jobs.make_due(asked.job_id)
        jobs.sweep.tick()
        jobs.make_due(asked.job_id)
        jobs.wait_for(asked.job_id, "succeeded")
        assert bench.deployment(asked.id).state == "completed"
        bench.deploy(router_id, kind="undo")
        assert router.machine.snapshot() == before


def test_many_routers_are_deployed_to_side_by_side(bench: RouterBench, jobs: Bench) -> None:
    ids = [bench.router(latency_s=0.02) for _ in range(6)]
    for router_id in ids:
        bench.discover(router_id)
        bench.configure(router_id, FULL)
    asked = [bench.request(router_id) for router_id in ids]
    bench.fakes[ids[0]].mute = True
    with jobs.worker("provisioning"):
        for one in asked:
            assert one.job_id is not None
        jobs.sweep.tick()
        for one in asked[1:]:
            jobs.wait_for(one.job_id or 0, "succeeded")
        assert bench.deployment(asked[0].id).state in ("running", "retrying")
    began = [bench.deployment(one.id).started_at for one in asked[1:]]
    ended = [bench.deployment(one.id).finished_at for one in asked[1:]]
    overlaps = sum(
        began[a] < ended[b] and began[b] < ended[a]  # type: ignore[operator]
        for a in range(5)
        for b in range(a)
    )
    assert overlaps > 0
