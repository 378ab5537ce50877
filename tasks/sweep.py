"""`python -m tasks.sweep`: keeps every job going, until SIGTERM.

Each second: jobs whose worker died are taken back, periodic jobs are created, due jobs are nudged. What it does is in
PostgreSQL and may be repeated, so it can die at any point. Any number may run; one leads, the others stand by.

It polls rather than LISTENs. Whoever enqueues nudges by itself, so all that would be won is a second for the jobs of
those who do not (a retry, a Redis that was away); and a NOTIFY per job makes PostgreSQL commit those one at a time.
"""

import signal
import sys
import threading

import structlog
from redis import RedisError
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import logs
from db import job_sweep, metrics
from db.engine import make_engine
from settings import Settings, SettingsError
from tasks.heartbeat import Heartbeat
from tasks.nudge import Nudger
from tasks.outage import POSTGRES_AWAY, Outage
from tasks.periodic import PERIODIC
from tasks.redis_pool import make_redis_pool
from tasks.registry import task_of
from tasks.webhook_deliveries import relay

EVERY_S = 1.0
BATCH = 1000
# A job nudged this long ago and still waiting counts among those that should be on the Redis list.
FORGOTTEN_AFTER_S = 3.0
# Any number, the same in every sweep and used for nothing else.
_ADVISORY_LOCK = 0x6B696262

log = structlog.get_logger(__name__)


class Sweep:
    def __init__(self, engine: Engine, nudger: Nudger) -> None:
        self._engine = engine
        self._nudger = nudger
        self._leading: Connection | None = None
        self._postgres = Outage("PostgreSQL", "jobs wait until it is back")
        self._redis = Outage("Redis", "jobs wait until it is back")

    def tick(self) -> None:
        """One round, if this sweep leads. A failure of PostgreSQL or Redis is logged and left to the next round."""
        try:
            connection = self._leading = self._leading or self._try_to_lead()
            if connection is not None:
                take_back_lost(connection)
                create_periodic(connection)
                self._nudge(connection)
                relay_events(connection)
        except POSTGRES_AWAY as error:
            self._postgres.seen(error)
            self.step_down()
        except SQLAlchemyError:
            log.exception("this round failed")
            self.step_down()
        else:
            self._postgres.over()

    def step_down(self) -> None:
        """Another sweep may lead. Closing the connection releases the lock, if it did not break anyway."""
        if self._leading is not None:
            self._leading.invalidate()
            self._leading.close()
            self._leading = None

    def _try_to_lead(self) -> Connection | None:
        connection = self._engine.connect()
        try:
            connection.execute(text("SET statement_timeout = '30s'"))
            leads = connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            connection.commit()
        except SQLAlchemyError:
            connection.close()
            raise
        if not leads:
            connection.close()
            return None
        log.info("leading")
        return connection

    def _nudge(self, connection: Connection) -> None:
        try:
            nudge_forgotten(connection, self._nudger)
            nudge_new(connection, self._nudger)
        except RedisError as error:
            self._redis.seen(error)
        else:
            self._redis.over()


def take_back_lost(connection: Connection) -> None:
    with Session(connection) as session, session.begin():
        lost = job_sweep.take_back_lost(session)
    for job in lost:
        log.warning(
            "a worker died while it ran this job",
            job_id=job.job_id,
            queue=job.queue,
            task=job.task,
            attempts=job.attempts,
            now=job.state,
        )


def create_periodic(connection: Connection) -> None:
    with Session(connection) as session, session.begin():
        for periodic in PERIODIC:
            task = task_of(periodic.function)
            job_sweep.create_periodic(
                session,
                name=periodic.name,
                queue=task.queue.name,
                task=task.name,
                args=periodic.args,
                max_attempts=task.queue.max_attempts,
                every_s=periodic.every_s,
            )


def relay_events(connection: Connection) -> None:
    """New events are counted, and sent to whom a tenant wants them sent."""
    with Session(connection) as session:
        while metrics.count_events(session):
            session.commit()
        session.commit()
        relay(session)


def nudge_new(connection: Connection, nudger: Nudger) -> None:
    """Due jobs that were not nudged since they are due. Raises RedisError; then they stay marked as not nudged."""
    count = BATCH
    while count == BATCH:
        with Session(connection) as session, session.begin():
            new = job_sweep.take_new(session, BATCH)
            nudger.push(new)
        count = sum(map(len, new.values()))


def nudge_forgotten(connection: Connection, nudger: Nudger) -> None:
    """Where a Redis list holds fewer nudges than jobs that wait for theirs, the longest waiting are nudged again.

    So a nudge that was lost (Redis emptied, a worker killed with it in hand) is made good in seconds, and a long queue
    does not fill Redis with repetitions. Raises RedisError.
    """
    lengths = nudger.lengths()
    with Session(connection) as session, session.begin():
        for queue, waiting in job_sweep.waiting(session, FORGOTTEN_AFTER_S).items():
            missing = min(waiting - lengths.get(queue, waiting), BATCH)
            if missing > 0:
                nudger.push(job_sweep.take_forgotten(session, queue, FORGOTTEN_AFTER_S, missing))


def main() -> None:
    try:
        settings = Settings.load()
        engine = make_engine(settings, "worker", pool_size=1)
        pool = make_redis_pool(settings)
    except SettingsError as error:
        sys.exit(f"sweep: {error}")
    logs.configure(settings)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    heartbeat = Heartbeat("sweep", settings, pool)
    sweep = Sweep(engine, Nudger(pool))
    while not stop.is_set():
        heartbeat.beat_if_due()
        sweep.tick()
        stop.wait(EVERY_S)
    sweep.step_down()


if __name__ == "__main__":
    main()
