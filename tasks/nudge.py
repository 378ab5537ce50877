"""Nudges: the id of a due job on its queue's Redis list, so that a worker looks at once. Losing one loses no job."""

import time
from collections.abc import Mapping, Sequence

from redis import ConnectionPool, Redis, RedisError
from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from tasks import messages
from tasks.outage import Outage
from tasks.queues import QUEUES

# After a failure nobody waits for Redis again for this long.
_LEAVE_ALONE_S = 2.0
_NUDGER = "kibali_nudger"
_WAITING = "kibali_nudges"


class Nudger:
    """Puts job ids on Redis; safe to share between threads."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._redis = Redis(connection_pool=pool)
        self._keys: dict[str, str] = {queue.name: messages.make_storage(queue, pool).queue_key for queue in QUEUES}
        self._outage = Outage("Redis", "new jobs wait for the sweep, which puts them on their way when it is back")
        self._leave_alone_until = 0.0

    def try_push(self, job_ids: Mapping[str, Sequence[int]], *, ahead: bool = False) -> None:
        """Queue name → ids, the first to be run first. Never raises: what is not pushed is left to the sweep."""
        if time.monotonic() < self._leave_alone_until:
            return
        try:
            self.push(job_ids, ahead=ahead)
        except RedisError as error:
            self._leave_alone_until = time.monotonic() + _LEAVE_ALONE_S
            self._outage.seen(error)
        else:
            self._outage.over()

    def push(self, job_ids: Mapping[str, Sequence[int]], *, ahead: bool = False) -> None:
        """Like `try_push`, but raises RedisError. Ids of a queue that is not declared are passed over.

        `ahead`: before all that wait, the last to be run first.
        """
        known = {self._keys[queue]: ids for queue, ids in job_ids.items() if ids and queue in self._keys}
        if known:
            with self._redis.pipeline(transaction=False) as pipeline:
                for key, ids in known.items():
                    (pipeline.rpush if ahead else pipeline.lpush)(key, *map(messages.encode, ids))
                pipeline.execute()

    def take(self, queue: str, most: int) -> list[int]:
        """Ids from the queue's list, as many as are there, the next first; empty while Redis is away."""
        try:
            taken = self._redis.rpop(self._keys[queue], most)
            return [int(each) for each in taken or ()]
        except (RedisError, ValueError):
            return []

    def put_back(self, queue: str, job_ids: Sequence[int]) -> None:
        """What `take` took, in the same order."""
        self.try_push({queue: job_ids[::-1]}, ahead=True)

    def lengths(self) -> dict[str, int]:
        """Queue name → nudges that no worker has taken. Raises RedisError."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in self._keys.values():
                pipeline.llen(key)
            return dict(zip(self._keys, pipeline.execute(), strict=True))


def nudge_after_commit(factory: sessionmaker[Session], nudger: Nudger) -> None:
    """From now on, what `enqueue` adds in the factory's sessions is nudged once their transaction is committed."""
    factory.configure(info={_NUDGER: nudger})
    event.listen(factory, "after_commit", _push)
    event.listen(factory, "after_transaction_end", _forget)


def will_nudge(session: Session) -> bool:
    """Whether the session's factory was given to `nudge_after_commit`."""
    return _NUDGER in session.info


def after_commit(session: Session, queue: str, job_id: int, *, ahead: bool) -> None:
    session.info.setdefault(_WAITING, {}).setdefault(ahead, {}).setdefault(queue, []).append(job_id)


def _push(session: Session) -> None:
    # Also called when a savepoint is released; its jobs are nudged with the rest, at the end.
    if not session.in_nested_transaction() and (waiting := session.info.pop(_WAITING, None)):
        for ahead, job_ids in waiting.items():
            session.info[_NUDGER].try_push(job_ids, ahead=ahead)


def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_WAITING, None)
