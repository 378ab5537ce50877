"""Imports of subscribers: the file that was sent, sealed until it is read, how far its job is, and what was wrong.

A file may hold passwords: it is sealed in pieces, and deleted with the transaction that ends the import.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held
from db.base import Base, BigInt, CreatedAt, Id, String, TenantId, Timestamp
from db.job import Job, in_state
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Conflict, NotFound
from isp.encryption import Keyring

MOST_UNFINISHED = 5
"""Of a tenant; the others wait behind them."""
MAX_ERRORS = 1_000
"""So many are kept; the count says how many there are."""
FORMATS = ("csv", "json")
KEPT_UNREAD = timedelta(days=2)
"""A file whose job was cancelled, or failed, is deleted after that."""
# Of a whole file, in the characters that are sealed at a time.
_PIECE = 1_000_000


class SubscriberImport(Base):
    __tablename__ = "subscriber_import"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["admin_id"], ["admin.id"]),
        Index("subscriber_import_job_id_idx", "job_id"),
        CheckConstraint(f"format IN {FORMATS}", name="format"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    admin_id: Mapped[BigInt | None]
    """None for an import by the command line."""
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id", ondelete="SET NULL"))
    format: Mapped[String]
    dry_run: Mapped[bool] = mapped_column(Boolean)
    rows_read: Mapped[int] = mapped_column(Integer, server_default="0")
    """Where a job that is tried again goes on."""
    subscribers_made: Mapped[int] = mapped_column(Integer, server_default="0")
    subscriptions_made: Mapped[int] = mapped_column(Integer, server_default="0")
    rows_known: Mapped[int] = mapped_column(Integer, server_default="0")
    """Rows of which everything was there before."""
    rows_bad: Mapped[int] = mapped_column(Integer, server_default="0")
    errors: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """Of the first bad rows: line, field, message."""
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[Timestamp | None]


class ImportPiece(Base):
    """A piece of the file, sealed for `subscriber_import:<import id>:<number>`."""

    __tablename__ = "subscriber_import_piece"

    import_id: Mapped[int] = mapped_column(ForeignKey("subscriber_import.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant_id: Mapped[TenantId]
    content_sealed: Mapped[bytes] = mapped_column(LargeBinary)


SORTS = {"id": Sort(SubscriberImport.id, int), "created_at": Sort(SubscriberImport.created_at, datetime)}


def create(
    session: Session,
    tenant_id: int,
    admin_id: int | None,
    text: str,
    keyring: Keyring,
    *,
    file_format: str,
    dry_run: bool,
) -> SubscriberImport:
    _check_room(session, tenant_id)
    made = SubscriberImport(tenant_id=tenant_id, admin_id=admin_id, format=file_format, dry_run=dry_run)
    session.add(made)
    session.flush()
    for number, at in enumerate(range(0, len(text), _PIECE)):
        sealed = keyring.seal(text[at : at + _PIECE], _purpose(made.id, number))
        session.add(ImportPiece(import_id=made.id, number=number, tenant_id=tenant_id, content_sealed=sealed))
        session.flush()
    return made


def _check_room(session: Session, tenant_id: int) -> None:
    held.take_turn(session, "subscriber_import", tenant_id)
    mine = (SubscriberImport.tenant_id == tenant_id) & SubscriberImport.finished_at.is_(None)
    jobs = select(func.count()).join_from(SubscriberImport, Job, Job.id == SubscriberImport.job_id)
    unfinished = jobs.where(mine, in_state("pending", "running"))
    if (session.scalar(unfinished) or 0) >= MOST_UNFINISHED:
        message = f"{MOST_UNFINISHED} imports are under way. Wait until one is finished, or cancel its job."
        raise Conflict(message, code="too_many")


def by_id(session: Session, import_id: int) -> SubscriberImport:
    """Raises NotFound."""
    found = session.get(SubscriberImport, import_id)
    if found is None:
        raise NotFound("import")
    return found


def page(session: Session, request: PageRequest) -> Page[SubscriberImport]:
    statement = select(SubscriberImport)
    return one_page(session, statement, SubscriberImport.id, SORTS, request, lambda row: row.SubscriberImport)


def text_of(session: Session, import_id: int, keyring: Keyring) -> str:
    """The file; empty if it was deleted. Raises EncryptionError."""
    return "".join(_pieces(session, import_id, keyring))


def note(
    session: Session, found: SubscriberImport, counts: Mapping[str, int], errors: Sequence[Mapping[str, Any]]
) -> None:
    """Adds to its counts, and to its errors while there are few."""
    for name, number in counts.items():
        setattr(found, name, getattr(found, name) + number)
    found.errors = [*found.errors, *map(dict, errors)][:MAX_ERRORS]
    session.flush()


def finish(session: Session, found: SubscriberImport, now: datetime) -> None:
    """Its file is gone with that."""
    found.finished_at = now
    session.flush()
    session.execute(delete(ImportPiece).where(ImportPiece.import_id == found.id))


def forget_unread(session: Session, now: datetime) -> int:
    """Deletes files that nobody reads any more; how many imports they were of."""
    old = SubscriberImport.created_at < now - KEPT_UNREAD
    unread = select(SubscriberImport.id).where(old, SubscriberImport.finished_at.is_(None))
    ids = list(session.scalars(unread))
    session.execute(delete(ImportPiece).where(ImportPiece.import_id.in_(ids)))
    session.execute(update(SubscriberImport).where(SubscriberImport.id.in_(ids)).values(finished_at=now))
    return len(ids)


def _pieces(session: Session, import_id: int, keyring: Keyring) -> Iterator[str]:
    statement = select(ImportPiece).where(ImportPiece.import_id == import_id).order_by(ImportPiece.number)
    for piece in session.scalars(statement):
        yield keyring.open(piece.content_sealed, _purpose(import_id, piece.number))


def _purpose(import_id: int, number: int) -> str:
    return f"subscriber_import:{import_id}:{number}"
