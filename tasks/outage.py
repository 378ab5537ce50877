"""One line in the log when something goes away, one when it is back; not one per attempt."""

import structlog
from sqlalchemy import exc

# What SQLAlchemy raises while PostgreSQL does not answer; other errors are faults of a statement.
POSTGRES_AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)

log = structlog.get_logger(__name__)


class Outage:
    """Whether `what` is away, as far as this process has seen."""

    def __init__(self, what: str, meanwhile: str) -> None:
        """`meanwhile` tells an operator what that means until it is back."""
        self._what = what
        self._meanwhile = meanwhile
        self._is_on = False

    def seen(self, error: Exception) -> None:
        if not self._is_on:
            self._is_on = True
            reason = " ".join(str(getattr(error, "orig", error)).split())
            log.warning(f"{self._what} is away: {self._meanwhile}", error=f"{type(error).__name__}: {reason}"[:300])

    def over(self) -> None:
        if self._is_on:
            self._is_on = False
            log.info(f"{self._what} is back")
