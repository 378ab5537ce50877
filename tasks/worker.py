"""`python -m tasks.worker QUEUE`: the workers of one queue, until SIGTERM."""

import argparse
import gc
import importlib
import sys

import logs
from settings import Settings, SettingsError
from tasks import messages
from tasks.consumer import JobConsumer
from tasks.heartbeat import Heartbeat
from tasks.modules import import_tasks
from tasks.queues import BY_NAME, Queue
from tasks.redis_pool import make_redis_pool
from tasks.runner import Runner


class Workers:
    """What Huey calls: `start` in each process after the fork, then `run_job` for each message."""

    def __init__(self, settings: Settings, queue: Queue) -> None:
        self._settings = settings
        self._queue = queue
        self._runner: Runner | None = None

    def start(self) -> None:
        self._runner = Runner(self._settings, self._queue)

    def run_job(self, job_id: int) -> None:
        assert self._runner is not None
        self._runner.run(job_id)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.worker")
    parser.add_argument("queue", choices=BY_NAME, metavar="QUEUE", help=", ".join(BY_NAME))
    parser.add_argument("--import", action="append", default=[], dest="modules", help="a further module with tasks")
    arguments = parser.parse_args()
    queue = BY_NAME[arguments.queue]
    try:
        settings = Settings.load()
        settings.database_dsn("worker")
        pool = make_redis_pool(settings, answer_timeout_s=messages.POP_TIMEOUT_S + 4)
    except SettingsError as error:
        sys.exit(f"worker: {error}")
    logs.configure(settings)
    import_tasks()
    for module in arguments.modules:
        importlib.import_module(module)
    gc.freeze()  # what is imported by now stays shared with the processes that are forked
    workers = Workers(settings, queue)
    heartbeat = Heartbeat(
        f"worker-{queue.name}", settings, make_redis_pool(settings), queue=queue.name, workers=queue.workers
    )
    JobConsumer(messages.make_huey(queue, pool, workers.run_job), queue, heartbeat, workers.start).run()


if __name__ == "__main__":
    main()
