"""What travels over Redis: the id of a job, in decimal, on its queue's list."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from huey import RedisHuey
from huey.registry import Message
from huey.storage import RedisStorage
from redis import ConnectionPool

from tasks.queues import Queue

POP_TIMEOUT_S = 1


class JobIds:
    """Huey's serializer for messages that are nothing but a job's id: a pickle would run whatever Redis hands out."""

    def __init__(self, task_name: str) -> None:
        self._task_name = task_name

    def serialize(self, message: Any) -> bytes:
        return encode(message.args[0])

    def deserialize(self, data: bytes) -> Any:
        """Raises ValueError."""
        return Message(str(uuid4()), self._task_name, args=(int(data),), kwargs={}, retries=0, retry_delay=0)


def encode(job_id: int) -> bytes:
    return str(job_id).encode("ascii")


def make_storage(queue: Queue, pool: ConnectionPool) -> RedisStorage:
    """Huey's list for the queue; nothing is connected yet."""
    return RedisStorage(_name(queue), connection_pool=pool, clean_name=False)


def make_huey(queue: Queue, pool: ConnectionPool, run_job: Callable[[int], None]) -> RedisHuey:
    """A Huey whose one task is `run_job(job_id)`. It keeps no results: those are in the job's row."""
    task_name = "run_job"
    huey = RedisHuey(
        _name(queue),
        results=False,
        serializer=JobIds(f"{run_job.__module__}.{task_name}"),
        connection_pool=pool,
        clean_name=False,
        read_timeout=POP_TIMEOUT_S,
    )
    huey.task(name=task_name)(run_job)
    return huey


def _name(queue: Queue) -> str:
    return f"kibali.{queue.name}"
