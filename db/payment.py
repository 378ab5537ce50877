"""Payments: money received, and credit made of a voucher. A row is the fact; what it became is in the ledger.

Whoever sends the same money again, by whatever way, finds its row: by receipt, or, where a query has none to give, as
the one payment of its intent that waits for a receipt.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    bindparam,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import MACADDR
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held
from db.base import Base, BigInt, Id, String, TenantId, Timestamp
from db.money import Kes
from db.page import Page, PageRequest, Sort, one_page
from db.refusal import NotFound


class Payment(Base):
    __tablename__ = "payment"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "payment_account_id"], ["payment_account.tenant_id", "payment_account.id"]),
        ForeignKeyConstraint(["tenant_id", "intent_id"], ["payment_intent.tenant_id", "payment_intent.id"]),
        ForeignKeyConstraint(["tenant_id", "subscriber_id"], ["subscriber.tenant_id", "subscriber.id"]),
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"]),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"]),
        # One row per receipt; what was merged into another keeps its receipt as a record.
        Index(
            "payment_tenant_id_provider_receipt_key",
            "tenant_id",
            "provider",
            "receipt",
            unique=True,
            postgresql_where="state <> 'merged'",
        ),
        # By which it is looked up when a customer reads it out, of whatever provider and merged ones too.
        Index("payment_tenant_id_receipt_idx", "tenant_id", "receipt"),
        Index("payment_provisional_key", "intent_id", unique=True, postgresql_where="receipt IS NULL"),
        Index("payment_intent_id_idx", "intent_id", postgresql_where="intent_id IS NOT NULL"),
        Index("payment_tenant_id_received_at_idx", "tenant_id", "received_at"),
        Index("payment_tenant_id_booked_at_idx", "tenant_id", "booked_at"),
        Index("payment_tenant_id_subscriber_id_idx", "tenant_id", "subscriber_id"),
        Index("payment_tenant_id_amount_kes_idx", "tenant_id", "amount_kes"),
        Index("payment_tenant_id_provider_id_idx", "tenant_id", "provider", "id"),
        # What few payments come to; most are applied.
        Index(
            "payment_undone_idx",
            "tenant_id",
            "state",
            "id",
            postgresql_where="state IN ('reversed', 'refunded', 'merged')",
        ),
        Index("payment_reversed_at_idx", "tenant_id", "reversed_at", postgresql_where="reversed_at IS NOT NULL"),
        Index("payment_received_idx", "received_at", postgresql_where="state = 'received'"),
        Index("payment_suspense_idx", "tenant_id", "id", postgresql_where="state = 'suspense'"),
        CheckConstraint("provider IN ('daraja', 'cash', 'voucher')", name="provider"),
        CheckConstraint("state IN ('received', 'suspense', 'applied', 'reversed', 'refunded', 'merged')", name="state"),
        CheckConstraint("amount_kes > 0 OR provider = 'voucher' AND amount_kes = 0", name="amount"),
        CheckConstraint("receipt IS NOT NULL OR intent_id IS NOT NULL", name="receipt_or_intent"),
        CheckConstraint("length(receipt) BETWEEN 1 AND 64", name="receipt"),
        CheckConstraint("(state = 'received') = (booked_at IS NULL)", name="booked"),
        CheckConstraint("state <> 'applied' OR applied_at IS NOT NULL", name="applied"),
        CheckConstraint("state <> 'suspense' OR suspense_reason IS NOT NULL", name="suspense"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    payment_account_id: Mapped[BigInt | None]
    provider: Mapped[String]
    receipt: Mapped[String | None]
    """Of M-Pesa, of a receipt book, or the voucher's id; None until the receipt of a payment found by a query comes."""
    amount_kes: Mapped[Kes]
    provisional_kes: Mapped[Kes | None]
    """What it was taken to be before its receipt came, where that said otherwise."""
    msisdn_text: Mapped[String | None]
    """Whose phone, as sent: perhaps masked or hashed."""
    msisdn: Mapped[String | None]
    """The same, if that is certain."""
    bill_ref: Mapped[String | None]
    payer_name: Mapped[String | None]
    intent_id: Mapped[BigInt | None]
    subscriber_id: Mapped[BigInt | None]
    subscription_id: Mapped[BigInt | None]
    plan_id: Mapped[BigInt | None]
    """What is bought, where that is not what the subscription has."""
    mac: Mapped[str | None] = mapped_column(MACADDR)
    """The device that pays, which is to be let in."""
    admin_id: Mapped[int | None] = mapped_column(ForeignKey("admin.id"))
    """Who recorded cash."""
    memo: Mapped[String | None]
    paid_at: Mapped[Timestamp]
    received_at: Mapped[Timestamp]
    """When we heard of it."""
    booked_at: Mapped[Timestamp | None]
    """When it entered the ledger: as credit or as suspense."""
    applied_at: Mapped[Timestamp | None]
    """When it was credited, once: whoever sets it does so."""
    state: Mapped[String] = mapped_column(server_default="received")
    suspense_reason: Mapped[String | None]
    reversed_at: Mapped[Timestamp | None]
    """When it was reversed, or merged into another."""


SORTS = {
    "id": Sort(Payment.id, int),
    "received_at": Sort(Payment.received_at, datetime),
    "amount_kes": Sort(Payment.amount_kes, Decimal),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payment as its provider tells it."""

    provider: str
    receipt: str | None
    amount_kes: Decimal
    paid_at: datetime
    payment_account_id: int | None = None
    msisdn_text: str | None = None
    msisdn: str | None = None
    bill_ref: str | None = None
    payer_name: str | None = None


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a payment is for, as far as that is known."""

    intent_id: int | None = None
    subscriber_id: int | None = None
    subscription_id: int | None = None
    plan_id: int | None = None
    mac: str | None = None
    admin_id: int | None = None
    memo: str | None = None


NO_PURPOSE = Purpose()

# Written by hand: SQLAlchemy takes longer to make them, for each payment anew, than PostgreSQL to do them.
_COLUMNS = ("tenant_id", "received_at", *Receipt.__dataclass_fields__, *Purpose.__dataclass_fields__)
_RECORD = text(
    f"INSERT INTO payment ({', '.join(_COLUMNS)}) VALUES ({', '.join(f':{name}' for name in _COLUMNS)})"  # noqa: S608
    " ON CONFLICT DO NOTHING RETURNING id"
).bindparams(bindparam("mac", type_=MACADDR))
_CLAIM = (
    select(Payment)
    .from_statement(
        text(
            "UPDATE payment SET applied_at = :now"
            " WHERE id = :payment_id AND applied_at IS NULL AND state IN ('received', 'suspense') RETURNING *"
        )
    )
    .execution_options(populate_existing=True)
)


def record(
    session: Session, tenant_id: int, receipt: Receipt, now: datetime, purpose: Purpose = NO_PURPOSE
) -> tuple[int, bool]:
    """The id of a new payment, and True; or of the one that has this receipt, or waits for one, already, and False.

    Waits for a transaction that is about to record the same.
    """
    values = {
        "tenant_id": tenant_id,
        "received_at": now,
        **{name: getattr(receipt, name) for name in Receipt.__dataclass_fields__},
        **{name: getattr(purpose, name) for name in Purpose.__dataclass_fields__},
    }
    new: int | None = session.execute(_RECORD, values).scalar()
    if new is not None:
        return new, True
    if receipt.receipt is None:
        same = _provisional(purpose.intent_id or 0)
    else:
        same = _of_receipt(tenant_id, receipt.provider, receipt.receipt)
    return session.execute(select(Payment.id).where(same)).scalar_one(), False


def by_id(session: Session, payment_id: int) -> Payment:
    """Raises NotFound."""
    payment = session.get(Payment, payment_id)
    if payment is None:
        raise NotFound("payment")
    return payment


def page(
    session: Session,
    request: PageRequest,
    *,
    state: str | None = None,
    provider: str | None = None,
    subscriber_id: int | None = None,
    receipt: str | None = None,
) -> Page[Payment]:
    statement = select(Payment)
    wanted = {"state": state, "provider": provider, "subscriber_id": subscriber_id, "receipt": receipt}
    for name, value in wanted.items():
        if value is not None:
            statement = statement.where(getattr(Payment, name) == value)
    return one_page(session, statement, Payment.id, SORTS, request, lambda row: row.Payment)


def lock(session: Session, payment_id: int) -> Payment:
    """As it is now, and so until the transaction ends. Raises NotFound."""
    payment = held.lock(session, Payment, payment_id)
    if payment is None:
        raise NotFound("payment")
    return payment


def claim(session: Session, payment_id: int, now: datetime) -> Payment | None:
    """The payment, which the caller is to credit; None if it is credited, or not to be, or someone got there first."""
    claimed: Payment | None = session.scalar(_CLAIM, {"payment_id": payment_id, "now": now})
    if claimed is not None:
        held.note(session, claimed)
    return claimed


def of_receipt_or_waiting(
    session: Session, tenant_id: int, provider: str, receipt: str, intent_id: int
) -> tuple[Payment | None, Payment | None]:
    """The payment that has the receipt, and the intent's that waits for its own; both locked."""
    either = _of_receipt(tenant_id, provider, receipt) | _provisional(intent_id)
    statement = select(Payment).where(either).order_by(Payment.id).with_for_update(key_share=True)
    found = session.scalars(statement.execution_options(populate_existing=True)).all()
    there = next((each for each in found if each.receipt == receipt), None)
    return there, next((each for each in found if each.receipt is None), None)


def by_receipt(session: Session, tenant_id: int, provider: str, receipt: str) -> Payment | None:
    """Locked."""
    return _locked(session, _of_receipt(tenant_id, provider, receipt))


def known_receipts(session: Session, tenant_id: int, provider: str, receipts: Collection[str]) -> set[str]:
    """Those of `receipts` that a payment has already."""
    mine = (Payment.tenant_id == tenant_id) & (Payment.provider == provider) & Payment.receipt.in_(receipts)
    return set(session.scalars(select(Payment.receipt).where(mine, Payment.state != "merged")))


def provisional_of(session: Session, intent_id: int) -> Payment | None:
    """The intent's payment that waits for its receipt, locked."""
    return _locked(session, _provisional(intent_id))


def is_paid(session: Session, intent_id: int) -> bool:
    """Whether any payment of the intent is there."""
    return session.scalar(select(Payment.id).where(Payment.intent_id == intent_id).limit(1)) is not None


def unapplied(session: Session, before: datetime, limit: int) -> list[Payment]:
    """Payments received before then that nobody has credited or suspended, the oldest first."""
    statement = select(Payment).where(Payment.state == "received", Payment.received_at < before)
    return list(session.scalars(statement.order_by(Payment.received_at).limit(limit)))


def _of_receipt(tenant_id: int, provider: str, receipt: str) -> ColumnElement[bool]:
    same = (Payment.tenant_id == tenant_id) & (Payment.provider == provider) & (Payment.receipt == receipt)
    return same & (Payment.state != "merged")


def _provisional(intent_id: int) -> ColumnElement[bool]:
    return (Payment.intent_id == intent_id) & Payment.receipt.is_(None)


def _locked(session: Session, condition: ColumnElement[bool]) -> Payment | None:
    statement = select(Payment).where(condition).with_for_update(key_share=True)
    return session.scalar(statement.execution_options(populate_existing=True))
