"""Backups of routers' configurations: a version for each that differed from the one before, sealed.

What is in force is the newest; `confirmed_at` says until when it was seen so. When a router's turn is, and what kept
it from being read last, is in its `router_state`.
"""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    BigInteger,
    CursorResult,
    ForeignKeyConstraint,
    Integer,
    UniqueConstraint,
    literal,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import audit
from db.base import Base, BigInt, Id, Sealed, String, TenantId, Timestamp
from db.refusal import NotFound
from db.router_state import RouterState
from isp.encryption import Keyring
from isp.router_backup import DiffLine, diff, next_due

KEPT = timedelta(days=400)
MOST = 400
"""Of one router, should it change every few minutes."""
AGAIN_AFTER = timedelta(hours=1)
"""When a router is read again of which the last reading came to nothing."""


class RouterBackup(Base):
    __tablename__ = "router_backup"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        UniqueConstraint("router_id", "number"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    router_id: Mapped[BigInt]
    number: Mapped[int] = mapped_column(Integer)
    """1 for the router's first."""
    taken_at: Mapped[Timestamp]
    confirmed_at: Mapped[Timestamp]
    """When the router was read last and had this."""
    routeros_version: Mapped[String]
    lines: Mapped[int] = mapped_column(Integer)
    text_sealed: Mapped[Sealed]
    """As isp.router_backup writes it; compressed, and sealed for `router_backup.text:<router_id>:<number>`."""


@dataclass(frozen=True, slots=True)
class Compared:
    old: int | None
    """None: there was nothing before."""
    new: int
    lines: Sequence[DiffLine]


def store(
    session: Session, state: RouterState, text_: str, routeros_version: str, keyring: Keyring, now: datetime
) -> tuple[RouterBackup, bool]:
    """What the router has now, and whether that is a new version. The caller holds `state` locked."""
    state.backup_due_at, state.backup_error = next_due(state.router_id, now), None
    last = _last(session, state.router_id)
    if last is not None and text_of(last, keyring) == text_:
        last.confirmed_at = now
        session.flush()
        return last, False
    number = last.number + 1 if last else 1
    made = RouterBackup(
        tenant_id=state.tenant_id,
        router_id=state.router_id,
        number=number,
        taken_at=now,
        confirmed_at=now,
        routeros_version=routeros_version,
        lines=text_.count("\n"),
        text_sealed=keyring.seal(_packed(text_), _belongs_to(state.router_id, number)),
    )
    session.add(made)
    session.flush()
    return made, True


def note_failure(session: Session, router_id: int, reason: str) -> None:
    session.get_one(RouterState, router_id, with_for_update=True).backup_error = reason
    session.flush()


def take_due(session: Session, now: datetime, limit: int) -> Sequence[tuple[int, int]]:
    """(router, tenant) of routers whose turn has come and that answer; they come again in an hour, unless `store` says
    otherwise.
    """
    statement = text("""
        UPDATE router_state SET backup_due_at = :again
         WHERE router_id IN (
               SELECT s.router_id FROM router_state s JOIN router r ON r.id = s.router_id
                WHERE r.removed_at IS NULL AND r.status IN ('online', 'active', 'failed')
                  AND (s.backup_due_at IS NULL OR s.backup_due_at <= :now)
                ORDER BY s.backup_due_at NULLS FIRST, s.router_id LIMIT :limit
                  FOR UPDATE OF s SKIP LOCKED)
        RETURNING router_id, tenant_id""")
    rows = session.execute(statement, {"now": now, "again": now + AGAIN_AFTER, "limit": limit})
    return sorted((row.router_id, row.tenant_id) for row in rows)


def versions(session: Session, router_id: int, limit: int = MOST) -> Sequence[RouterBackup]:
    """The newest first."""
    of_router = select(RouterBackup).where(RouterBackup.router_id == router_id)
    return session.scalars(of_router.order_by(RouterBackup.number.desc()).limit(limit)).all()


def version(session: Session, router_id: int, number: int | None) -> RouterBackup:
    """None: the newest. Raises NotFound."""
    if number is None:
        found = _last(session, router_id)
    else:
        # As wide as what may be asked for.
        is_it = (RouterBackup.router_id == router_id) & (RouterBackup.number == literal(number, BigInteger))
        found = session.scalar(select(RouterBackup).where(is_it))
    if found is None:
        raise NotFound("backup")
    return found


def read(session: Session, router_id: int, number: int | None, keyring: Keyring) -> str:
    """A version, or the newest. The audit log has who read it. Raises NotFound, EncryptionError."""
    found = version(session, router_id, number)
    _note(session, router_id, found.number)
    return text_of(found, keyring)


def compare(session: Session, router_id: int, number: int | None, against: int | None, keyring: Keyring) -> Compared:
    """A version, or the newest, with `against`, or the one before it. Raises NotFound, EncryptionError."""
    new = version(session, router_id, number)
    old = _before(session, new) if against is None else version(session, router_id, against)
    lines = diff(text_of(old, keyring) if old else "", text_of(new, keyring))
    return Compared(old.number if old else None, new.number, lines)


def read_comparison(
    session: Session, router_id: int, number: int | None, against: int | None, keyring: Keyring
) -> Compared:
    """As `compare`, for somebody's eyes: the audit log has whose."""
    compared = compare(session, router_id, number, against, keyring)
    _note(session, router_id, compared.new)
    return compared


def text_of(backup: RouterBackup, keyring: Keyring) -> str:
    """Raises EncryptionError."""
    return _unpacked(keyring.open(backup.text_sealed, _belongs_to(backup.router_id, backup.number)))


def prune(session: Session, now: datetime, limit: int) -> int:
    """Deletes versions that were replaced too long ago, or by too many, at most `limit`; how many. The newest stays."""
    result = session.execute(
        text("""
            DELETE FROM router_backup WHERE id IN (
                SELECT id FROM (
                    SELECT id, row_number() OVER of_router AS newer, lag(taken_at) OVER of_router AS replaced_at
                      FROM router_backup
                    WINDOW of_router AS (PARTITION BY router_id ORDER BY number DESC)) ranked
                 WHERE newer > :most OR replaced_at < :before LIMIT :limit)"""),
        {"most": MOST, "before": now - KEPT, "limit": limit},
    )
    assert isinstance(result, CursorResult)
    return result.rowcount


def _note(session: Session, router_id: int, number: int) -> None:
    audit.note(session, "router_backup", f"{router_id},{number}")


def _before(session: Session, backup: RouterBackup) -> RouterBackup | None:
    """None if there is none any more."""
    earlier = (RouterBackup.router_id == backup.router_id) & (RouterBackup.number < backup.number)
    return session.scalar(select(RouterBackup).where(earlier).order_by(RouterBackup.number.desc()).limit(1))


def _last(session: Session, router_id: int) -> RouterBackup | None:
    return next(iter(versions(session, router_id, limit=1)), None)


def _packed(text_: str) -> str:
    return base64.b64encode(zlib.compress(text_.encode(), 9)).decode()


def _unpacked(packed: str) -> str:
    return zlib.decompress(base64.b64decode(packed)).decode()


def _belongs_to(router_id: int, number: int) -> str:
    return f"router_backup.text:{router_id}:{number}"
