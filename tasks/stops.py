"""What ends a job before its function returns."""


class PermanentFailure(Exception):
    """Raised by a task: trying again would not help. The job is failed at once; the message is for an operator."""


class UnknownTask(Exception):
    """This process knows no task of that name: it runs an older version than the one that enqueued the job."""


# psycopg cancels the query in flight when it sees a KeyboardInterrupt, and for nothing else that a signal handler could
# raise. Nor does a task's `except Exception` catch it.
class TimeLimitExceeded(KeyboardInterrupt):
    """The job ran longer than it may."""


class RunAlone(Exception):
    """Raised by a task that runs together with others, before it changed anything: it is to run by itself."""


class LeaseLost(KeyboardInterrupt):
    """The job is not ours any more: it was cancelled, or the lease was not renewed in time and someone else has it."""
