"""Huey's consumer, fitted to jobs that live in PostgreSQL: a parent that keeps N worker processes alive."""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

import structlog
from huey.consumer import Consumer, Worker
from redis import RedisError

from tasks.heartbeat import Heartbeat
from tasks.outage import Outage
from tasks.queues import Queue

HEALTH_CHECK_EVERY_S = 1
# On SIGTERM a running job has this long to end; then it is given back. With Huey's own second and `_LAST_WAIT_S` the
# parent is gone after 10 s.
_FINISH_WITHIN_S = 7
_LAST_WAIT_S = 2
_PR_SET_PDEATHSIG = 1
# Whoever asks the API or RADIUS waits for the answer; nobody waits for a job by the millisecond.
_NICENESS = 5

log = structlog.get_logger(__name__)


class JobWorker(Worker):  # type: ignore[misc]  # Huey has no types
    """One process: takes ids from Redis and has their jobs run."""

    def __init__(self, *, start: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._start = start
        self._parent = os.getpid()  # made in the parent, run in the child
        self._redis = Outage("Redis", "this worker waits for it")

    def initialize(self) -> None:
        _die_with(self._parent)
        os.nice(_NICENESS)
        self._start()
        super().initialize()

    def loop(self, now: Any = None) -> None:
        try:
            message = self.huey.dequeue()
            self._redis.over()
            if message is not None:
                self.huey.execute(message, now)
        except RedisError as error:
            self._redis.seen(error)
            self.stop_flag.wait(1)
        except ValueError as error:
            log.error("a message that is no job id was thrown away", error=str(error)[:200])


class JobConsumer(Consumer):  # type: ignore[misc]
    """The parent. `start_worker` is called in each worker process before its first job."""

    def __init__(self, huey: Any, queue: Queue, heartbeat: Heartbeat, start_worker: Callable[[], None]) -> None:
        self._heartbeat = heartbeat
        self._start_worker = start_worker
        super().__init__(
            huey,
            workers=queue.workers,
            worker_type="process",
            periodic=False,
            health_check_interval=HEALTH_CHECK_EVERY_S,
            shutdown_timeout=_FINISH_WITHIN_S,
            graceful_signal="TERM",
        )
        # Huey would execute itself again, which fails for `python -m`.
        self._signal_actions[signal.SIGHUP] = (False, True)

    def loop(self, health_check_ts: float | None = None) -> float | None:
        self._heartbeat.beat_if_due()
        checked_at: float | None = super().loop(health_check_ts)
        return checked_at

    def run(self) -> None:
        super().run()
        for _, process in self.worker_threads:
            process.join(_LAST_WAIT_S)
            if process.is_alive():
                log.warning("a worker did not stop in time; its job is tried again elsewhere", pid=process.pid)
                process.kill()

    def _create_worker(self) -> JobWorker:
        return JobWorker(
            start=self._start_worker,
            huey=self.huey,
            stop_flag=self.stop_flag,
            default_delay=self.default_delay,
            max_delay=self.max_delay,
            backoff=self.backoff,
        )

    def _create_scheduler(self) -> None:
        return None

    def _create_process(self, process: Any, name: str) -> Any:
        return _NoProcess(self.stop_flag) if process is None else super()._create_process(process, name)


class _NoProcess:
    """In place of Huey's scheduler: when jobs are due is known to PostgreSQL, and the sweep looks there."""

    def __init__(self, stop_flag: Any) -> None:
        self._stop_flag = stop_flag

    def start(self) -> None:
        return None

    def join(self, timeout: float | None = None) -> None:
        return None

    def is_alive(self) -> bool:
        return not self._stop_flag.is_set()


def _die_with(parent: int) -> None:
    """Has the kernel kill this process when its parent ends, even by SIGKILL."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
