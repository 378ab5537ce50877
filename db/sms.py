"""SMS to customers: a tenant's gateway, and the messages, whose texts hold passwords and are sealed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    CursorResult,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    UniqueConstraint,
    delete,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from db.base import Base, BigInt, CreatedAt, Id, Sealed, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import Invalid, NotFound
from isp.encryption import Keyring
from isp.sms import SmsKind

_KINDS = ", ".join(f"'{kind}'" for kind in SmsKind)


class SmsGateway(Base):
    """Who sends a tenant's messages. A tenant without one sends none."""

    __tablename__ = "sms_gateway"
    __table_args__ = (
        CheckConstraint("provider IN ('outbox', 'africastalking')", name="provider"),
        CheckConstraint("provider = 'outbox' OR username IS NOT NULL AND api_key_sealed IS NOT NULL", name="complete"),
    )

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"), primary_key=True, autoincrement=False)
    provider: Mapped[String]
    """`outbox` sends nothing: the messages stay here, for the operator to see."""
    username: Mapped[String | None]
    sender_id: Mapped[String | None]
    """The name that a phone shows, where one was registered."""
    base_url: Mapped[String | None]
    """Where it is not the provider's own: a sandbox."""
    api_key_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Sealed for `sms_gateway.api_key:<tenant id>`."""
    on_failure: Mapped[bool] = mapped_column(Boolean, server_default="false")
    """Whether customers are told that they did not pay; M-Pesa tells them most of it itself."""


class SmsMessage(Base):
    __tablename__ = "sms_message"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"]),
        Index("sms_message_tenant_id_created_at_idx", "tenant_id", "created_at"),
        Index("sms_message_created_at_idx", "created_at"),
        CheckConstraint(f"kind IN ({_KINDS})", name="kind"),
        CheckConstraint("state IN ('waiting', 'kept', 'sent', 'failed')", name="state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    subscription_id: Mapped[BigInt | None]
    kind: Mapped[String]
    msisdn: Mapped[String]
    body_sealed: Mapped[Sealed]
    """Sealed for `sms_message.body:<id>`."""
    state: Mapped[String]
    """`waiting` for its job; `kept` in the outbox."""
    provider_message_id: Mapped[String | None]
    error: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    sent_at: Mapped[Timestamp | None]


SORTS = {"id": Sort(SmsMessage.id, int), "created_at": Sort(SmsMessage.created_at, datetime)}


@dataclass(frozen=True, slots=True)
class GatewayTerms:
    """`api_key` None leaves the one that is there."""

    provider: str
    username: str | None = None
    sender_id: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    on_failure: bool = False


def gateway(session: Session, tenant_id: int) -> SmsGateway | None:
    return session.get(SmsGateway, tenant_id)


def set_gateway(session: Session, tenant_id: int, terms: GatewayTerms, keyring: Keyring) -> SmsGateway:
    """Raises Invalid where the provider needs more."""
    found = session.get(SmsGateway, tenant_id, with_for_update=True) or SmsGateway(tenant_id=tenant_id)
    found.provider, found.username = terms.provider, terms.username
    found.sender_id, found.base_url, found.on_failure = terms.sender_id, terms.base_url, terms.on_failure
    if terms.api_key is not None:
        found.api_key_sealed = keyring.seal(terms.api_key, f"sms_gateway.api_key:{tenant_id}")
    if terms.provider != "outbox" and not terms.username:
        raise Invalid("This provider needs the username of your account.", field="username", code="required")
    if terms.provider != "outbox" and found.api_key_sealed is None:
        raise Invalid("This provider needs an API key.", field="api_key", code="required")
    session.add(found)
    session.flush()
    return found


def remove_gateway(session: Session, tenant_id: int) -> None:
    session.execute(delete(SmsGateway).where(SmsGateway.tenant_id == tenant_id))


def api_key(found: SmsGateway, keyring: Keyring) -> str:
    """Raises EncryptionError."""
    assert found.api_key_sealed is not None
    return keyring.open(found.api_key_sealed, f"sms_gateway.api_key:{found.tenant_id}")


def write(
    session: Session,
    tenant_id: int,
    kind: SmsKind,
    msisdn: str,
    body: str,
    *,
    state: str,
    keyring: Keyring,
    now: datetime,
    subscription_id: int | None = None,
) -> SmsMessage:
    message = SmsMessage(
        tenant_id=tenant_id,
        subscription_id=subscription_id,
        kind=kind.value,
        msisdn=msisdn,
        body_sealed=b"",
        state=state,
        created_at=now,
    )
    session.add(message)
    session.flush()  # the id, which the text is sealed for
    message.body_sealed = keyring.seal(body, f"sms_message.body:{message.id}")
    session.flush()
    return message


def by_id(session: Session, message_id: int) -> SmsMessage:
    """Raises NotFound."""
    found = session.get(SmsMessage, message_id)
    if found is None:
        raise NotFound("message")
    return found


def lock(session: Session, message_id: int) -> SmsMessage:
    return session.get_one(SmsMessage, message_id, with_for_update=True, populate_existing=True)


def body(message: SmsMessage, keyring: Keyring) -> str:
    """In clear. Raises EncryptionError."""
    return keyring.open(message.body_sealed, f"sms_message.body:{message.id}")


def page(session: Session, request: PageRequest, *, state: str | None = None) -> Page[SmsMessage]:
    statement = select(SmsMessage)
    if state is not None:
        statement = statement.where(SmsMessage.state == state)
    return one_page(session, statement, SmsMessage.id, SORTS, request, lambda row: row.SmsMessage)


def prune(session: Session, now: datetime, older_than: timedelta, limit: int) -> int:
    """Deletes old messages; how many."""
    old = select(SmsMessage.id).where(SmsMessage.created_at < now - older_than).limit(limit)
    result = session.execute(delete(SmsMessage).where(SmsMessage.id.in_(old)))
    assert isinstance(result, CursorResult)
    return result.rowcount
