"""Jobs."""

from api.schemas.base import Output
from api.schemas.fields import Moment


class JobAccepted(Output):
    """The job that does what was asked for."""

    job_id: int


class JobOut(Output):
    """A job. `state`: pending, running, then succeeded, failed or cancelled; `error` says why the last try failed."""

    id: int
    task: str
    state: str
    attempts: int
    max_attempts: int
    progress: int
    error: str | None
    created_at: Moment
    due_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
