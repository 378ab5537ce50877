"""Idempotency keys: who sends a request again, with the same key, gets the answer that the first one got.

A key is claimed, and its answer stored, in the transaction of what the request does: there is never one without the
other. Answers are sealed, for some hold a password that is said once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    CursorResult,
    ForeignKey,
    Index,
    LargeBinary,
    delete,
    exc,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, String, TenantId, Timestamp
from db.refusal import Conflict, Invalid
from isp.encryption import Keyring

_WAIT = "5s"
_LOCK_NOT_AVAILABLE = "55P03"


class IdempotencyKey(Base):
    __tablename__ = "idempotency_key"
    __table_args__ = (
        Index("idempotency_key_created_at_idx", "created_at"),
        CheckConstraint("length(key) BETWEEN 1 AND 255", name="key"),
    )

    tenant_id: Mapped[TenantId] = mapped_column(primary_key=True)
    admin_id: Mapped[int] = mapped_column(ForeignKey("admin.id"), primary_key=True)
    """Whose key it is: two admins may have made up the same."""
    key: Mapped[String] = mapped_column(primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    """HMAC-SHA256, by which another request with the same key is known: what it says may hold a password."""
    answer_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """None only inside the transaction that claimed the key."""
    created_at: Mapped[Timestamp]


@dataclass(frozen=True, slots=True)
class Request:
    """A request that carries a key. `digests`: of what it says, under each of our keys; one of them is stored."""

    tenant_id: int
    admin_id: int
    key: str
    digests: Sequence[bytes]


def claim(session: Session, request: Request, keyring: Keyring, now: datetime) -> str | None:
    """The answer that the same request got before; None if there was none, and the caller makes it and `store`s it.

    Waits for a transaction that has the key. Raises Conflict `in_progress` if that takes long, Invalid `key_reused`
    where the key came with another request.
    """
    values = insert(IdempotencyKey).values(
        tenant_id=request.tenant_id,
        admin_id=request.admin_id,
        key=request.key,
        request_digest=request.digests[0],
        created_at=now,
    )
    new = values.on_conflict_do_nothing().returning(IdempotencyKey.key)
    found = select(IdempotencyKey.request_digest, IdempotencyKey.answer_sealed).where(*_is(request))
    session.execute(text(f"SET LOCAL lock_timeout = '{_WAIT}'"))
    try:
        while True:
            if session.scalar(new) is not None:
                session.execute(text("SET LOCAL lock_timeout TO DEFAULT"))
                return None
            if (row := session.execute(found).one_or_none()) is not None:
                break
            # It was pruned between the two statements.
    except exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        message = "A request with this key is still being answered. Send it again in a moment."
        raise Conflict(message, code="in_progress", field="Idempotency-Key") from None
    if row.request_digest not in request.digests:
        message = "This key came with another request before. Make up a new one for each request."
        raise Invalid(message, code="key_reused", field="Idempotency-Key")
    return keyring.open(row.answer_sealed, _purpose(request))


def store(session: Session, request: Request, answer: str, keyring: Keyring) -> None:
    """For those who send the claimed request again."""
    sealed = keyring.seal(answer, _purpose(request))
    statement = update(IdempotencyKey).where(*_is(request)).values(answer_sealed=sealed)
    session.execute(statement.execution_options(synchronize_session=False))


def prune(session: Session, now: datetime, older_than: timedelta, limit: int) -> int:
    """Deletes old ones; how many."""
    identity = tuple_(IdempotencyKey.tenant_id, IdempotencyKey.admin_id, IdempotencyKey.key)
    old = (
        select(IdempotencyKey.tenant_id, IdempotencyKey.admin_id, IdempotencyKey.key)
        .where(IdempotencyKey.created_at < now - older_than)
        .order_by(IdempotencyKey.created_at)
        .limit(limit)
    )
    statement = delete(IdempotencyKey).where(identity.in_(old))
    result = session.execute(statement.execution_options(synchronize_session=False))
    assert isinstance(result, CursorResult)
    return result.rowcount


def _is(request: Request) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.tenant_id == request.tenant_id,
        IdempotencyKey.admin_id == request.admin_id,
        IdempotencyKey.key == request.key,
    )


def _purpose(request: Request) -> str:
    return f"idempotency_key.answer:{request.tenant_id}:{request.admin_id}:{request.key}"
