"""Jobs as rows: enqueueing, nudging, the sweep, periodic jobs, housekeeping. Real PostgreSQL and Redis, no workers."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from db import job_life, job_list
from db.engine import make_engine, session_factory, use_tenant
from db.refusal import Conflict, NotFound
from settings import Settings
from tasks import lease
from tasks.enqueue import enqueue
from tasks.maintenance import archive_sessions, maintain_partitions, prune_jobs, prune_passing_events
from tasks.nudge import Nudger, nudge_after_commit
from tasks.payments import process_webhook
from tasks.periodic import PERIODIC
from tasks.redis_pool import make_redis_pool
from tasks.running_job import RunningJob
from tasks.stops import LeaseLost
from tasks.sweep import Sweep
from tests.integration.job_bench import Bench, make_bench
from tests.integration.job_tasks import leave_mark, raise_error


@pytest.fixture
def bench(settings: Settings, environ: Mapping[str, str], var: Path) -> Iterator[Bench]:
    with make_bench(settings, environ, var) as bench:
        yield bench


def running(bench: Bench, settings: Settings, job_id: int) -> RunningJob:
    """The job, claimed as a worker claims it."""
    with bench.sessions.begin() as session:
        claim = job_life.claim(session, job_id, bench.job(job_id).queue, lease_s=15)
    assert claim is not None
    return RunningJob(claim, settings, bench.sessions)


def test_a_job_is_nudged_once_its_transaction_is_committed(bench: Bench) -> None:
    with bench.sessions() as session:
        job = enqueue(session, leave_mark, {"what": "paid"})
        session.flush()
        assert bench.nudges("payments") == []
        session.commit()
    assert bench.nudges("payments") == [job.id]
    row = bench.job(job.id)
    assert (row.state, row.queue, row.task, row.args) == ("pending", "payments", "leave_mark", {"what": "paid"})
    assert row.max_attempts == 4


def test_a_rollback_enqueues_nothing(bench: Bench) -> None:
    with bench.sessions() as session:
        enqueue(session, leave_mark)
        session.rollback()
        kept = enqueue(session, leave_mark)
        session.commit()
        enqueue(session, leave_mark)
    assert bench.nudges("payments") == [kept.id]
    assert bench.scalars("SELECT id FROM job") == [kept.id]


def test_what_a_paying_customer_waits_for_is_nudged_before_all_that_waits(bench: Bench) -> None:
    prompts = [bench.enqueue(leave_mark), bench.enqueue(leave_mark)]
    callback = bench.enqueue(process_webhook, {"inbox_id": 1})
    assert bench.nudges("payments") == [callback, *prompts]


def test_a_savepoint_nudges_nothing_before_the_outer_commit(bench: Bench) -> None:
    with bench.sessions() as session:
        with session.begin_nested():
            job = enqueue(session, leave_mark)
        assert bench.nudges("payments") == []
        session.commit()
    assert bench.nudges("payments") == [job.id]


def test_a_job_for_later_is_nudged_when_it_is_due(bench: Bench) -> None:
    job_id = bench.enqueue(leave_mark, due_at=datetime.now(UTC) + timedelta(hours=1))
    bench.sweep.tick()
    assert bench.nudges("payments") == []
    bench.make_due(job_id)
    bench.sweep.tick()
    bench.sweep.tick()
    assert bench.nudges("payments") == [job_id]


def test_a_job_whose_enqueuer_has_no_redis_is_nudged_by_the_sweep(bench: Bench) -> None:
    with session_factory(bench.engine).begin() as session:
        job_id = enqueue(session, leave_mark).id
    assert bench.nudges("payments") == []
    bench.sweep.tick()
    assert bench.nudges("payments") == [job_id]


def test_jobs_are_nudged_in_the_order_in_which_they_are_due(bench: Bench) -> None:
    with session_factory(bench.engine).begin() as session:
        now = datetime.now(UTC)
        ids = [enqueue(session, leave_mark, due_at=now - timedelta(seconds=ago)).id for ago in (10, 30, 20)]
    bench.sweep.tick()
    assert bench.nudges("payments") == [ids[1], ids[2], ids[0]]


def test_redis_emptied_is_noticed_and_every_waiting_job_nudged_again(bench: Bench) -> None:
    ids = [bench.enqueue(leave_mark) for _ in range(20)]
    bench.redis.flushall()
    bench.sweep.tick()
    assert bench.nudges("payments") == [], "too early: their nudges may still be on their way"
    bench.age_nudges()
    bench.sweep.tick()
    assert sorted(bench.nudges("payments")) == ids


def test_a_queue_that_is_long_is_not_filled_with_repetitions(bench: Bench) -> None:
    ids = [bench.enqueue(leave_mark) for _ in range(20)]
    for _ in range(3):
        bench.age_nudges()
        bench.sweep.tick()
    assert bench.nudges("payments") == ids


def test_one_lost_nudge_among_many_is_made_good(bench: Bench) -> None:
    ids = [bench.enqueue(leave_mark) for _ in range(5)]
    bench.age_nudges()
    bench.redis.rpop("huey.redis.kibali.payments")  # as by a worker that was killed before it could claim
    bench.sweep.tick()
    assert sorted(bench.nudges("payments")) == ids


def test_an_unfinished_job_of_the_same_unique_key_is_the_one_enqueued(bench: Bench) -> None:
    first = bench.enqueue(leave_mark, unique_key="query:7")
    assert bench.enqueue(leave_mark, unique_key="query:7") == first
    assert bench.enqueue(leave_mark, unique_key="query:8") != first
    with bench.sessions.begin() as session:
        job_list.cancel(session, first)
    again = bench.enqueue(leave_mark, unique_key="query:7")
    assert again != first
    assert bench.nudges("payments").count(first) == 1


def test_arguments_that_do_not_fit_are_refused_where_the_job_is_enqueued(bench: Bench) -> None:
    with pytest.raises(TypeError, match="raise_error"):
        bench.enqueue(raise_error, {"mesage": "typo"})
    assert bench.scalars("SELECT id FROM job") == []


def test_the_api_enqueues_for_its_tenant_alone(bench: Bench, settings: Settings) -> None:
    platform = make_engine(settings, "platform", pool_size=1)
    with platform.begin() as connection:
        make = "INSERT INTO tenant (slug, name, language, timezone) VALUES (:slug, :slug, 'en', 'UTC') RETURNING id"
        ours, theirs = (connection.scalar(text(make), {"slug": slug}) for slug in ("ours", "theirs"))
    platform.dispose()
    api = make_engine(settings, "api", pool_size=1)
    pool = make_redis_pool(settings)
    sessions = session_factory(api)
    nudge_after_commit(sessions, Nudger(pool))
    with use_tenant(sessions(), ours) as session:
        job = enqueue(session, leave_mark, tenant_id=ours, unique_key="renew:1")
        session.commit()
        with pytest.raises(ProgrammingError, match="row-level security"):
            enqueue(session, leave_mark, tenant_id=theirs)
    api.dispose()
    pool.disconnect()
    assert bench.nudges("payments") == [job.id]
    assert bench.job(job.id).tenant_id == ours


def test_a_job_is_claimed_once(bench: Bench) -> None:
    job_id = bench.enqueue(leave_mark)
    with bench.sessions.begin() as session:
        assert job_life.claim(session, job_id, "default", 15) is None, "it is of another queue"
        first = job_life.claim(session, job_id, "payments", 15)
        assert first is not None
        assert first.attempt == 1
    with bench.sessions.begin() as session:
        assert job_life.claim(session, job_id, "payments", 15) is None


def test_who_lost_the_lease_changes_nothing(bench: Bench, settings: Settings) -> None:
    job = running(bench, settings, bench.enqueue(leave_mark))
    bench.end_lease(job.id)
    bench.sweep.tick()
    new = running(bench, settings, job.id)
    with bench.sessions.begin() as session:
        assert not job_life.renew(session, job.claim, 15)
        assert not job_life.succeed(session, job.claim)
        assert not job_life.fail(session, job.claim, "late")
        assert not job_life.try_again(session, job.claim, "late", 1)
        assert not job_life.give_back(session, job.claim)
    with pytest.raises(LeaseLost):
        job.progress(50)
    with bench.sessions() as session, pytest.raises(LeaseLost):
        job.commit_step(session)
    row = bench.job(job.id)
    assert (row.state, row.claim, row.attempts) == ("running", new.claim.claim, 2)


def test_a_job_whose_worker_died_is_taken_back_while_it_has_attempts(bench: Bench, settings: Settings) -> None:
    job_id = bench.enqueue(leave_mark)
    for attempt in range(1, 5):
        running(bench, settings, job_id)
        bench.sweep.tick()
        assert bench.job(job_id).state == "running", "its lease is not over yet"
        bench.end_lease(job_id)
        bench.sweep.tick()
        assert bench.job(job_id).attempts == attempt
        assert bench.job(job_id).state == ("pending" if attempt < 4 else "failed")
    assert bench.job(job_id).error == "WorkerDied: the worker died at attempt 4 of 4"
    assert bench.scalars("SELECT data->>'error' FROM event WHERE type = 'job.failed'") == [bench.job(job_id).error]


def test_a_job_that_ignores_its_limit_takes_its_process_with_it(
    bench: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Event()
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(lease, "_KILL_AFTER_LIMIT_S", 0.0)
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.set() if (pid, number) == (os.getpid(), 9) else None)
    job = running(bench, settings, bench.enqueue(leave_mark))
    with lease.kept(bench.sessions, job.claim, limit_s=60, on_lost=pytest.fail):
        assert not killed.wait(0.1)
    with lease.kept(bench.sessions, job.claim, limit_s=0, on_lost=pytest.fail):
        assert killed.wait(5)


def test_a_lease_that_can_not_be_renewed_is_lost_when_it_is_over(
    bench: Bench, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 0.5)
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(lease, "_RETRY_EVERY_S", 0.01)
    job = running(bench, settings, bench.enqueue(leave_mark))
    nowhere = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/nothing")
    lost = Event()
    began = time.monotonic()
    with lease.kept(session_factory(nowhere), job.claim, limit_s=60, on_lost=lost.set):
        assert lost.wait(10)
    assert time.monotonic() - began >= 0.5


def test_who_watches_progress_learns_how_it_ended(bench: Bench, settings: Settings) -> None:
    def percents() -> list[int]:
        return bench.scalars("SELECT (data->>'percent')::int FROM event WHERE type = 'job.progress' ORDER BY id")

    watched = running(bench, settings, bench.enqueue(leave_mark))
    watched.progress(40)
    unwatched = running(bench, settings, bench.enqueue(leave_mark))
    for job in (watched, unwatched):
        with bench.sessions.begin() as session:
            assert job_life.succeed(session, job.claim)
    assert percents() == [40, 100]
    cancelled = bench.enqueue(leave_mark)
    with bench.sessions.begin() as session:
        job_list.cancel(session, cancelled)
    assert bench.scalars("SELECT data->>'job_id' FROM event WHERE type = 'job.cancelled'") == [str(cancelled)]


def test_progress_is_seen_at_once_and_is_an_event(bench: Bench, settings: Settings) -> None:
    job = running(bench, settings, bench.enqueue(leave_mark))
    with bench.sessions() as session:
        session.execute(text("SELECT 1"))
        job.progress(40)
        assert bench.job(job.id).progress == 40
    data = bench.scalars("SELECT data FROM event WHERE type = 'job.progress'")
    assert data == [{"job_id": job.id, "queue": "payments", "task": "leave_mark", "percent": 40}]


def test_only_one_of_two_sweeps_leads_and_the_other_takes_over(bench: Bench, settings: Settings) -> None:
    engine = make_engine(settings, "worker", pool_size=1)
    pool = make_redis_pool(settings)
    other = Sweep(engine, Nudger(pool))
    bench.sweep.tick()
    with session_factory(bench.engine).begin() as session:
        job_id = enqueue(session, leave_mark).id
    other.tick()
    assert bench.nudges("payments") == []
    bench.sweep.step_down()
    other.tick()
    bench.sweep.tick()
    assert bench.nudges("payments") == [job_id]
    other.step_down()
    engine.dispose()
    pool.disconnect()


def test_periodic_jobs_are_created_when_due_and_never_overlap(bench: Bench) -> None:
    def created() -> int:
        return len(bench.scalars("SELECT id FROM job WHERE unique_key = 'periodic:archive-sessions'"))

    every_s = next(periodic.every_s for periodic in PERIODIC if periodic.name == "archive-sessions")
    bench.sweep.tick()
    bench.sweep.tick()
    assert created() == 1
    bench.execute("UPDATE job SET created_at = created_at - make_interval(secs => :s)", s=every_s)
    bench.sweep.tick()
    assert created() == 1, "the first is not finished"
    bench.execute("UPDATE job SET state = 'succeeded', finished_at = now()")
    bench.sweep.tick()
    bench.sweep.tick()
    assert created() == 2
    bench.execute("UPDATE job SET state = 'succeeded', finished_at = now() WHERE state = 'pending'")
    bench.sweep.tick()
    assert created() == 2, "the second is not old enough"


def test_a_failed_job_is_tried_again_with_all_its_attempts(bench: Bench, settings: Settings) -> None:
    job = running(bench, settings, bench.enqueue(leave_mark))
    with bench.sessions.begin() as session:
        with pytest.raises(Conflict, match="running"):
            job_list.retry(session, job.id)
        job_life.fail(session, job.claim, "PermanentFailure: no such paybill")
        job_list.retry(session, job.id)
    row = bench.job(job.id)
    assert (row.state, row.attempts, row.error, row.finished_at) == ("pending", 0, None, None)


def test_retrying_all_leaves_out_what_another_job_does_already(bench: Bench) -> None:
    fail = "UPDATE job SET state = 'failed', finished_at = now() WHERE id = :id"
    plain = bench.enqueue(leave_mark)
    other_queue = bench.enqueue(raise_error, {"message": "no"})
    keyed = []
    for _ in range(2):
        keyed.append(bench.enqueue(leave_mark, unique_key="twice"))
        bench.execute(fail, id=keyed[-1])
    superseded = bench.enqueue(leave_mark, unique_key="superseded")
    bench.execute(fail, id=superseded)
    bench.enqueue(leave_mark, unique_key="superseded")
    for job_id in (plain, other_queue):
        bench.execute(fail, id=job_id)
    with bench.sessions.begin() as session:
        assert job_list.retry_failed(session, "payments") == 2
        with pytest.raises(Conflict, match="does the same"):
            job_list.retry(session, superseded)
    failed = bench.scalars("SELECT id FROM job WHERE state = 'failed' ORDER BY id")
    assert failed == sorted([other_queue, keyed[0], superseded])
    with bench.sessions.begin() as session:
        assert job_list.retry_failed(session) == 1, "of all queues: what is left to do in the other"


def test_cancelling_is_refused_for_what_is_over_or_unknown(bench: Bench) -> None:
    job_id = bench.enqueue(leave_mark)
    with bench.sessions.begin() as session:
        assert job_list.cancel(session, job_id).state == "cancelled"
        with pytest.raises(Conflict, match="over: cancelled"):
            job_list.cancel(session, job_id)
        with pytest.raises(NotFound):
            job_list.cancel(session, job_id + 1)


def test_closed_sessions_move_to_the_history_after_an_hour(bench: Bench, settings: Settings) -> None:
    insert = """
        INSERT INTO session (session_key, tenant_id, router_id, service, username, acct_session_id, interim_interval_s,
                             started_at, last_seen_at, stopped_at, terminate_cause, input_octets)
        SELECT gen_random_uuid(), 1, 1, 'pppoe', 'user' || n, n::text, 300, now() - interval '3 h', now(),
               now() - make_interval(mins => :minutes), 'User-Request', n FROM generate_series(1, :count) n"""
    bench.execute(insert, minutes=61, count=5_003)
    bench.execute(insert, minutes=59, count=2)
    bench.execute(insert, minutes=None, count=1)
    job = running(bench, settings, bench.enqueue(archive_sessions))
    with bench.sessions() as session:
        archive_sessions(session, job)
    assert bench.scalars("SELECT count(*) FROM session") == [3]
    assert bench.scalars("SELECT sum(input_octets) FROM session_history") == [5_003 * 5_004 // 2]


def test_a_session_that_came_back_and_ended_again_replaces_its_history(bench: Bench, settings: Settings) -> None:
    columns = "session_key, tenant_id, router_id, service, username, acct_session_id, interim_interval_s, started_at, "
    columns += "last_seen_at, stopped_at, input_octets"
    values = "'7b4e1b1e-0000-0000-0000-000000000001', 1, 1, 'pppoe', 'wanjiku', '1', 300, '2026-01-01', '2026-01-01', "
    values += "'2026-01-01 10:00+00', :octets"
    bench.execute(f"INSERT INTO session_history ({columns}) VALUES ({values})", octets=1)
    bench.execute(f"INSERT INTO session ({columns}) VALUES ({values})", octets=2)
    job = running(bench, settings, bench.enqueue(archive_sessions))
    with bench.sessions() as session:
        archive_sessions(session, job)
    assert bench.scalars("SELECT input_octets FROM session_history") == [2]
    assert bench.scalars("SELECT count(*) FROM session") == [0]


def test_events_that_only_say_how_something_is_are_pruned_and_others_stay(bench: Bench, settings: Settings) -> None:
    for event_type in ("dashboard.stats", "router.live", "payment.processed"):
        for age in ("25 hours", "23 hours"):
            bench.execute(
                "INSERT INTO event (type, data, created_at) VALUES (:type, '{}', now() - CAST(:age AS interval))",
                type=event_type,
                age=age,
            )
    job = running(bench, settings, bench.enqueue(prune_passing_events))
    with bench.sessions() as session:
        prune_passing_events(session, job)
        session.commit()
    kept = bench.scalars("SELECT type FROM event ORDER BY type")
    assert kept == ["dashboard.stats", "payment.processed", "payment.processed", "router.live"]


def test_a_setting_says_how_many_months_are_kept(bench: Bench, settings: Settings) -> None:
    def months(table: str) -> list[str]:
        return bench.scalars(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = CAST(:table AS regclass) AND c.relname ~ '[0-9]$' ORDER BY 1",
            table=table,
        )

    now = datetime.now(UTC)
    old = (now.replace(day=1) - timedelta(days=70)).replace(day=1).date()
    for table in ("event", "auth_log"):
        bench.execute("SELECT create_month_partition(:table, :month)", table=table, month=old)
        assert f"{table}_{old:%Y_%m}" in months(table)
    short = replace(settings, keep_events_months=1)
    job = running(bench, short, bench.enqueue(maintain_partitions))
    with bench.sessions() as session:
        maintain_partitions(session, job)
        session.commit()
    assert f"event_{old:%Y_%m}" not in months("event")
    assert f"auth_log_{old:%Y_%m}" in months("auth_log")


def test_old_jobs_are_pruned(bench: Bench, settings: Settings) -> None:
    cases = [
        ("succeeded", 6, True),
        ("succeeded", 8, False),
        ("cancelled", 8, False),
        ("failed", 89, True),
        ("failed", 91, False),
        ("pending", 400, True),
    ]
    old = [bench.enqueue(leave_mark) for _ in cases]
    for job_id, (state, age_days, _) in zip(old, cases, strict=True):
        bench.execute(
            "UPDATE job SET state = :state, created_at = now() - make_interval(days => :age),"
            " finished_at = CASE WHEN :state <> 'pending' THEN now() - make_interval(days => :age) END WHERE id = :id",
            state=state,
            age=age_days,
            id=job_id,
        )
    job = running(bench, settings, bench.enqueue(prune_jobs))
    with bench.sessions() as session:
        prune_jobs(session, job)
    left = bench.scalars("SELECT id FROM job")
    assert [job_id in left for job_id in old] == [stays for _, _, stays in cases]


def test_partitions_are_made_and_dropped_and_strays_are_logged(
    bench: Bench, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.scalars("SELECT create_month_partition('auth_log', '2020-01-01')")
    bench.execute("INSERT INTO event (type, created_at) VALUES ('test.stray', '2031-05-31 23:00-01')")
    month = f"event_{datetime.now(UTC):%Y_%m}"
    job = running(bench, settings, bench.enqueue(maintain_partitions))
    with bench.sessions() as session:
        maintain_partitions(session, job)
    tables = bench.scalars("SELECT relname FROM pg_class WHERE relkind = 'r'")
    assert month in tables
    assert "auth_log_2020_01" not in tables
    assert "2031-06" in capsys.readouterr().out
