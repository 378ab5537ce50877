"""Logging in with an email and a password: attempts are counted before they are checked (claim_login in PostgreSQL)."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Index, LargeBinary, delete, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, Id, String, Timestamp

WINDOW = timedelta(minutes=15)
OF_SOURCE = 5
"""Failures within the window, of one source for one admin."""
AT_SOURCE = 30
"""Of one source for any."""
OF_ALL = 50
"""Of all sources for one admin; those that the admin logged in from before are not bound by it."""


class LoginAttempt(Base):
    """One that failed, or is being checked. Without the email: what is typed there may be a password."""

    __tablename__ = "login_attempt"
    __table_args__ = (
        Index("login_attempt_email_digest_attempted_at_idx", "email_digest", "attempted_at"),
        Index("login_attempt_source_attempted_at_idx", "source", "attempted_at"),
        Index("login_attempt_attempted_at_idx", "attempted_at"),
    )

    id: Mapped[Id]
    email_digest: Mapped[bytes] = mapped_column(LargeBinary)
    source: Mapped[String]
    attempted_at: Mapped[Timestamp]


@dataclass(frozen=True, slots=True)
class Claimed:
    """Either the seconds to wait, or the attempt."""

    wait_s: int | None
    attempt_id: int | None


@dataclass(frozen=True, slots=True)
class Login:
    """What an attempt is checked against."""

    admin_id: int
    tenant_id: int | None
    email: str
    role: str
    password_hash: str
    is_shut_out: bool
    """Disabled, or the tenant is closed."""
    has_totp: bool


def claim(session: Session, email: str, source: str) -> Claimed:
    """To be committed before the password is looked at."""
    statement = text("SELECT * FROM claim_login(:email, :source, :window_s, :of_source, :at_source, :of_all)")
    values = {
        "email": email,
        "source": source,
        "window_s": int(WINDOW.total_seconds()),
        "of_source": OF_SOURCE,
        "at_source": AT_SOURCE,
        "of_all": OF_ALL,
    }
    row = session.execute(statement, values).one()
    return Claimed(row.wait_s, row.attempt_id)


def forgive(session: Session, attempt_id: int) -> None:
    """It was no failure."""
    session.execute(text("SELECT forgive_login(:attempt_id)"), {"attempt_id": attempt_id})


def of_email(session: Session, email: str) -> Login | None:
    statement = text(
        "SELECT admin_id, tenant_id, email, role, password_hash, is_shut_out, has_totp FROM login_of(:email)"
    )
    row = session.execute(statement, {"email": email}).one_or_none()
    return Login(*row) if row else None


def prune(session: Session, now: datetime, *, limit: int) -> int:
    """Deletes attempts that do not count any more; how many."""
    old = select(LoginAttempt.id).where(LoginAttempt.attempted_at < now - WINDOW).limit(limit)
    return len(session.scalars(delete(LoginAttempt).where(LoginAttempt.id.in_(old)).returning(LoginAttempt.id)).all())
