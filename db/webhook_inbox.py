"""The inbox: what providers sent to our webhooks, byte by byte, before anybody has made sense of it.

The API stores a body and answers; a job reads it. Bodies come any number of times, in any order, and from anybody who
knows a token, so nothing is believed for having arrived.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    CursorResult,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    delete,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held
from db.base import Base, BigInt, CreatedAt, Id, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import NotFound

MAX_BODY_BYTES = 64 * 1024


class WebhookInbox(Base):
    __tablename__ = "webhook_inbox"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "intent_id"], ["payment_intent.tenant_id", "payment_intent.id"]),
        ForeignKeyConstraint(["tenant_id", "payment_account_id"], ["payment_account.tenant_id", "payment_account.id"]),
        Index("webhook_inbox_received_at_idx", "received_at"),
        Index("webhook_inbox_unprocessed_idx", "received_at", postgresql_where="processed_at IS NULL"),
        Index("webhook_inbox_intent_id_idx", "intent_id", postgresql_where="intent_id IS NOT NULL"),
        CheckConstraint("kind IN ('stk', 'c2b_confirmation')", name="kind"),
        CheckConstraint("(kind = 'stk') = (intent_id IS NOT NULL)", name="intent_of_stk"),
        CheckConstraint(f"octet_length(body) <= {MAX_BODY_BYTES}", name="body"),
        CheckConstraint("(processed_at IS NULL) = (outcome IS NULL)", name="outcome"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    kind: Mapped[String]
    intent_id: Mapped[BigInt | None]
    """Whose callback token was in the path."""
    payment_account_id: Mapped[BigInt]
    source_address: Mapped[str | None] = mapped_column(INET)
    source_listed: Mapped[bool] = mapped_column(Boolean)
    """Whether the provider is known to send from there."""
    body: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[CreatedAt]
    processed_at: Mapped[Timestamp | None]
    outcome: Mapped[String | None]
    error: Mapped[String | None]


SORTS = {"id": Sort(WebhookInbox.id, int), "received_at": Sort(WebhookInbox.received_at, datetime)}


@dataclass(frozen=True, slots=True)
class Stored:
    inbox_id: int
    tenant_id: int


def store(
    session: Session, kind: str, token_hash: bytes, source_address: str | None, source_listed: bool, body: bytes
) -> Stored | None:
    """Keeps a body for whoever the token belongs to; None for a token of nobody. Needs no tenant."""
    statement = text("SELECT * FROM store_webhook(:kind, :token_hash, CAST(:source AS inet), :listed, :body)")
    values = {
        "kind": kind,
        "token_hash": token_hash,
        "source": source_address,
        "listed": source_listed,
        "body": body[:MAX_BODY_BYTES],
    }
    row = session.execute(statement, values).one_or_none()
    return Stored(row.inbox_id, row.tenant_id) if row else None


def by_id(session: Session, inbox_id: int) -> WebhookInbox:
    """Raises NotFound."""
    found = session.get(WebhookInbox, inbox_id)
    if found is None:
        raise NotFound("webhook")
    return found


def hold(session: Session, inbox_id: int) -> WebhookInbox:
    """As it is now, and so until the transaction ends. Raises NotFound."""
    found = held.lock(session, WebhookInbox, inbox_id)
    if found is None:
        raise NotFound("webhook")
    return found


def finish(webhook: WebhookInbox, outcome: str, now: datetime, error: str | None = None) -> None:
    webhook.processed_at, webhook.outcome, webhook.error = now, outcome, error


def page(
    session: Session, request: PageRequest, *, outcome: str | None = None, intent_id: int | None = None
) -> Page[WebhookInbox]:
    statement = select(WebhookInbox)
    if outcome is not None:
        statement = statement.where(WebhookInbox.outcome == outcome)
    if intent_id is not None:
        statement = statement.where(WebhookInbox.intent_id == intent_id)
    return one_page(session, statement, WebhookInbox.id, SORTS, request, lambda row: row.WebhookInbox)


def unprocessed(session: Session, before: datetime, limit: int) -> list[WebhookInbox]:
    """Those received before then, the oldest first."""
    statement = select(WebhookInbox).where(WebhookInbox.processed_at.is_(None), WebhookInbox.received_at < before)
    return list(session.scalars(statement.order_by(WebhookInbox.received_at).limit(limit)))


def prune(session: Session, now: datetime, older_than: timedelta, limit: int) -> int:
    """Deletes those that were processed long ago; how many."""
    old = (
        select(WebhookInbox.id)
        .where(WebhookInbox.received_at < now - older_than, WebhookInbox.processed_at.is_not(None))
        .order_by(WebhookInbox.received_at)
        .limit(limit)
    )
    result = session.execute(delete(WebhookInbox).where(WebhookInbox.id.in_(old)))
    assert isinstance(result, CursorResult)
    return result.rowcount
