"""What a task knows of the job it runs."""

from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker

from db import job_life
from settings import Settings
from tasks.stops import LeaseLost


@dataclass(frozen=True, slots=True)
class RunningJob:
    claim: job_life.Claim
    settings: Settings
    sessions: sessionmaker[Session]
    together: bool = False
    """In one transaction with others of its kind, which wait for it: it must ask nobody, commit nothing."""

    @property
    def id(self) -> int:
        return self.claim.job_id

    @property
    def tenant_id(self) -> int | None:
        return self.claim.tenant_id

    @property
    def is_last_attempt(self) -> bool:
        return self.claim.attempt >= self.claim.max_attempts

    def progress(self, percent: int) -> None:
        """For watchers: shown at once, whatever becomes of the job's own transaction. Raises LeaseLost."""
        with self.sessions.begin() as session:
            if not job_life.report_progress(session, self.claim, percent):
                raise LeaseLost

    def commit_step(self, session: Session) -> None:
        """Commits what the task did so far, so that a later attempt finds it done; or raises LeaseLost."""
        if not job_life.hold(session, self.claim):
            raise LeaseLost
        session.commit()
