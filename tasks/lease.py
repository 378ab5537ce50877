"""A thread that renews a job's lease while the main thread runs it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from db import job_life

LEASE_S = 15.0
RENEW_EVERY_S = 5.0
_RETRY_EVERY_S = 1.0
# A job that is over its limit by this much does not let itself be interrupted: its process is ended.
_KILL_AFTER_LIMIT_S = 20.0

log = structlog.get_logger(__name__)


@contextmanager
def kept(
    sessions: sessionmaker[Session],
    claim: job_life.Claim,
    limit_s: float,
    on_lost: Callable[[], None],
    beside: Sequence[job_life.Claim] = (),
) -> Iterator[None]:
    """Renews the lease until the block ends; calls `on_lost` from another thread if it was lost before that.

    `beside`: jobs that were claimed beside it; to lose one is to lose all.
    """
    over = threading.Event()
    keeper = threading.Thread(
        target=_keep, args=(sessions, claim, beside, limit_s, on_lost, over), name=f"lease-{claim.job_id}", daemon=True
    )
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join(LEASE_S)


def _keep(
    sessions: sessionmaker[Session],
    claim: job_life.Claim,
    beside: Sequence[job_life.Claim],
    limit_s: float,
    on_lost: Callable[[], None],
    over: threading.Event,
) -> None:
    began = time.monotonic()
    lease_until = began + LEASE_S
    pause_s = RENEW_EVERY_S
    while not over.wait(pause_s):
        now = time.monotonic()
        if now > began + limit_s + _KILL_AFTER_LIMIT_S:
            log.critical("the job ignores its time limit; ending its process", job_id=claim.job_id, task=claim.task)
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            with sessions.begin() as session:
                ours = job_life.renew(session, claim, LEASE_S, beside)
        except SQLAlchemyError:
            # PostgreSQL is away. The lease holds for what is left of it; then someone else may have the job.
            ours = time.monotonic() < lease_until
            pause_s = _RETRY_EVERY_S
        else:
            lease_until = now + LEASE_S
            pause_s = RENEW_EVERY_S
        if not ours:
            if not over.is_set():
                on_lost()
            return
