"""Tasks: plain functions `fn(session, job, **args)` with a queue.

The function's effects in `session` and the job's end are committed together, by the worker. A task is known by its
function's name, which is what a job's row holds: a renamed task fails the jobs that wait under the old name.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

from sqlalchemy.orm import Session

from tasks.queues import Queue
from tasks.running_job import RunningJob
from tasks.stops import UnknownTask

P = ParamSpec("P")
HoldAll = Callable[[Session, Sequence[Mapping[str, Any]]], None]
TaskFunction = Callable[Concatenate[Session, RunningJob, P], None]


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    queue: Queue
    limit_s: int
    ahead: bool
    hold_all: HoldAll | None
    function: Callable[..., None]
    signature: inspect.Signature

    def check_args(self, args: Mapping[str, Any]) -> None:
        """Raises TypeError if the function does not take them."""
        try:
            self.signature.bind(None, None, **args)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None


_tasks: dict[str, Task] = {}


def task(
    *, queue: Queue, limit_s: int | None = None, ahead: bool = False, hold_all: HoldAll | None = None
) -> Callable[[TaskFunction[P]], TaskFunction[P]]:
    """Makes the decorated function a task of `queue`, to run for at most `limit_s` seconds (None: as the queue says).

    `ahead`: it is short and somebody waits for it, so it is nudged before what else is in the queue.

    `hold_all`: of jobs that wait together, a worker runs many in one transaction, which begins with this: it is given
    the arguments of all, and holds the rows that they will hold. Where one of them fails, each is run by itself.

    The function stays what it was: call it in tests.
    """

    def register(function: TaskFunction[P]) -> TaskFunction[P]:
        name = function.__name__
        if name in _tasks:
            raise ValueError(
                f"there are two tasks named {name}: in {_tasks[name].function.__module__} and {function.__module__}"
            )
        _tasks[name] = Task(
            name, queue, limit_s or queue.limit_s, ahead, hold_all, function, inspect.signature(function)
        )
        return function

    return register


def task_of(function: Callable[..., None]) -> Task:
    """Raises TypeError for a function that is no task."""
    found = _tasks.get(function.__name__)
    if found is None or found.function is not function:
        raise TypeError(f"{function.__module__}.{function.__name__} is no task: decorate it with @task(queue=…)")
    return found


def can_run_together(name: str) -> bool:
    return name in _tasks and _tasks[name].hold_all is not None


def task_named(name: str) -> Task:
    """Raises UnknownTask."""
    try:
        return _tasks[name]
    except KeyError:
        raise UnknownTask(f"this worker knows no task {name}; if Kibali was updated, restart the workers") from None
