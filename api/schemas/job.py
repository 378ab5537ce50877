"""Jobs and queues."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from api.schemas.base import Input, ListQuery, Output
from api.schemas.fields import Id, Moment
from db.job_list import QueueCounts
from tasks.queues import BY_NAME

QueueName = Annotated[str, StringConstraints(pattern=f"^({'|'.join(BY_NAME)})$")]
TaskName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,99}$")]


class JobAccepted(Output):
    """The job that does what was asked for."""

    job_id: int


class JobOut(Output):
    """A job. `state`: pending, running, then succeeded, failed or cancelled; `error` says why the last try failed.

    `progress` is in percent; `request_id` is that of the request which caused it, by which the logs know it.
    """

    id: int
    queue: str
    task: str
    args: dict[str, Any]
    state: str
    attempts: int
    max_attempts: int
    progress: int
    error: str | None
    request_id: str | None
    created_at: Moment
    due_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class JobQuery(ListQuery):
    sort: Literal["id", "-id"] = "-id"
    queue: QueueName | None = None
    state: Literal["pending", "running", "succeeded", "failed", "cancelled"] | None = None
    task: TaskName | None = None


class FailedQuery(ListQuery):
    sort: Literal["id", "-id"] = "-id"
    queue: QueueName | None = None
    task: TaskName | None = None


class RetryFailed(Input):
    """One of them: `job_id`; `all` true; or `queue`, `task` or both."""

    job_id: Id | None = None
    queue: QueueName | None = None
    task: TaskName | None = None
    all: Annotated[bool, Field(description="Of every queue.")] = False

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        some = self.queue is not None or self.task is not None
        if (self.job_id is not None) + self.all + some != 1:
            raise ValueError("Say which: job_id; or all; or queue, task or both.")
        return self


class Retried(Output):
    """How many jobs will be tried again."""

    retried: int


class QueueOut(Output):
    """A queue. `workers_alive` is counted on all machines, and null while Redis is away."""

    queue: str
    workers: int
    workers_alive: int | None
    limit_s: int
    due: int
    later: int
    running: int
    failed: int
    oldest_due_s: int | None

    @classmethod
    def of_counts(cls, counts: QueueCounts, **values: Any) -> Self:
        names = ("due", "later", "running", "failed", "oldest_due_s")
        return cls(**values, **{name: getattr(counts, name) for name in names})


class Queues(Output):
    """All queues."""

    items: list[QueueOut]
