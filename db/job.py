"""Jobs: work to be done, as rows. A row is written in the transaction that caused it and outlives every process.

A job is `pending` until a worker claims it, then `running` under a lease that the worker keeps renewing. Its effects
and its end are one transaction, fenced by the claim: whoever lost the lease changes nothing.

Here: the table and how a job comes into being. job_life: how one is run. job_sweep: what keeps all of them going.
job_list: what an operator sees and may do.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, DateTime, Index, Integer, Uuid, func, literal, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, CreatedAt, Id, Json, String, TenantId, Timestamp


class Job(Base):
    __tablename__ = "job"
    __table_args__ = (
        Index("job_due_at_idx", "due_at", postgresql_where="state = 'pending'"),
        Index("job_lease_until_idx", "lease_until", postgresql_where="state = 'running'"),
        Index("job_queue_failed_at_idx", "queue", "finished_at", postgresql_where="state = 'failed'"),
        Index("job_tenant_id_created_at_idx", "tenant_id", "created_at", postgresql_where="tenant_id IS NOT NULL"),
        Index("job_finished_at_idx", "finished_at", postgresql_where="state IN ('succeeded', 'cancelled')"),
        Index("job_unique_key_key", "unique_key", unique=True, postgresql_where="state IN ('pending', 'running')"),
        Index("job_periodic_idx", "unique_key", "created_at", postgresql_where="unique_key LIKE 'periodic:%'"),
        CheckConstraint("state IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')", name="state"),
        CheckConstraint("attempts >= 0 AND attempts <= max_attempts", name="attempts"),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        CheckConstraint(
            "(state = 'running') = (claim IS NOT NULL) AND (state = 'running') = (lease_until IS NOT NULL)",
            name="claim",
        ),
        CheckConstraint("(state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)", name="finished"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId | None]
    queue: Mapped[String]
    task: Mapped[String]
    args: Mapped[Json]
    """Ids and plain values; never a secret."""
    unique_key: Mapped[String | None]
    """At most one unfinished job has it."""
    state: Mapped[String] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    max_attempts: Mapped[int] = mapped_column(Integer)
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    nudged_at: Mapped[Timestamp | None]
    """When its id was last put on the Redis queue."""
    claim: Mapped[UUID | None] = mapped_column(Uuid)
    lease_until: Mapped[Timestamp | None]
    progress: Mapped[int] = mapped_column(Integer, server_default="0")
    error: Mapped[String | None]
    request_id: Mapped[String | None]
    """Of the request that caused it, by which the logs of both are tied."""
    created_at: Mapped[CreatedAt]
    started_at: Mapped[Timestamp | None]
    finished_at: Mapped[Timestamp | None]


UNFINISHED = ("pending", "running")


def in_state(*states: str) -> ColumnElement[bool]:
    """The states stand in the statement itself: behind parameters PostgreSQL does not recognise its partial indexes."""
    written = [literal(state, literal_execute=True) for state in states]
    return Job.state == written[0] if len(written) == 1 else Job.state.in_(written)


def add(
    session: Session,
    *,
    queue: str,
    task: str,
    args: Mapping[str, Any],
    max_attempts: int,
    due_at: datetime | None = None,
    unique_key: str | None = None,
    tenant_id: int | None = None,
    nudged: bool = False,
    request_id: str | None = None,
) -> tuple[int, bool]:
    """The id of a pending job in the running transaction, and True; or of the unfinished job of that `unique_key`, and
    False.

    `due_at` None is at once. `nudged` says that the caller puts the id on Redis after the commit.
    """
    values = {
        "queue": queue,
        "task": task,
        "args": json.dumps(dict(args)),
        "max_attempts": max_attempts,
        "due_at": due_at,
        "unique_key": unique_key,
        "tenant_id": tenant_id,
        "request_id": request_id,
        "nudged": nudged,
    }
    for _ in range(10):
        made: int | None = session.execute(_ADD, values).scalar()
        if made is not None:
            return made, True
        there: int | None = session.execute(_UNFINISHED, {"unique_key": unique_key}).scalar()
        if there is not None:
            return there, False
        # It finished between the two statements.
    raise RuntimeError(f"a job that this transaction can not see has the unique key {unique_key}")


# Written by hand: each payment sends it twice, and SQLAlchemy takes longer to make it than PostgreSQL to do it.
_ADD = text("""
INSERT INTO job (queue, task, args, max_attempts, due_at, unique_key, tenant_id, request_id, nudged_at)
VALUES (:queue, :task, CAST(:args AS jsonb), :max_attempts, coalesce(CAST(:due_at AS timestamptz), now()), :unique_key,
        :tenant_id, :request_id, CASE WHEN :nudged THEN clock_timestamp() END)
    ON CONFLICT (unique_key) WHERE state IN ('pending', 'running') DO NOTHING
RETURNING id""")
_UNFINISHED = text("SELECT id FROM job WHERE unique_key = :unique_key AND state IN ('pending', 'running')")
