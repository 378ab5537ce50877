"""Vouchers: codes that are sold on slips, each good for one validity of its batch's plan, once.

A code is kept twice: as a digest under our keys, by which it is found, and sealed, for the print sheet. A copy of the
database alone yields no code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import payment
from db.base import Base, BigInt, CreatedAt, Id, Sealed, String, TenantId, Timestamp
from db.page import Page, PageRequest, Sort, one_page
from db.payment import Payment, Purpose, Receipt
from db.plan import Plan
from db.refusal import Conflict, Invalid, NotFound
from db.subscription import Subscription
from isp.encryption import Keyring
from isp.voucher import DEFAULT_LENGTH, LEAST_LENGTH, MOST_LENGTH, new_codes, normal_code

MOST_PER_BATCH = 5_000


class VoucherBatch(Base):
    __tablename__ = "voucher_batch"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"]),
        CheckConstraint(f"count BETWEEN 1 AND {MOST_PER_BATCH}", name="count"),
        CheckConstraint(f"code_length BETWEEN {LEAST_LENGTH} AND {MOST_LENGTH}", name="code_length"),
        CheckConstraint("expires_at > created_at", name="expires_at"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    plan_id: Mapped[BigInt]
    count: Mapped[int] = mapped_column(Integer)
    code_length: Mapped[int] = mapped_column(SmallInteger)
    note: Mapped[String | None]
    expires_at: Mapped[Timestamp | None]
    """Until when its codes can be redeemed; what is redeemed runs as long as the plan says."""
    created_at: Mapped[CreatedAt]
    revoked_at: Mapped[Timestamp | None]


class Voucher(Base):
    __tablename__ = "voucher"
    __table_args__ = (
        UniqueConstraint("tenant_id", "code_hash"),
        ForeignKeyConstraint(["tenant_id", "batch_id"], ["voucher_batch.tenant_id", "voucher_batch.id"]),
        ForeignKeyConstraint(["tenant_id", "payment_id"], ["payment.tenant_id", "payment.id"]),
        ForeignKeyConstraint(
            ["tenant_id", "redeemed_by_subscription_id"], ["subscription.tenant_id", "subscription.id"]
        ),
        Index("voucher_batch_id_idx", "batch_id"),
        CheckConstraint("state IN ('unused', 'redeemed', 'revoked')", name="state"),
        CheckConstraint("(state = 'redeemed') = (payment_id IS NOT NULL)", name="payment_of_a_redeemed"),
        CheckConstraint("(state = 'redeemed') = (redeemed_at IS NOT NULL)", name="redeemed"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    batch_id: Mapped[BigInt]
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    code_sealed: Mapped[Sealed]
    """Sealed for `voucher.code:<batch id>`."""
    state: Mapped[String] = mapped_column(server_default="unused")
    redeemed_at: Mapped[Timestamp | None]
    redeemed_by_subscription_id: Mapped[BigInt | None]
    """Known when its payment is applied, a moment after."""
    payment_id: Mapped[BigInt | None]


SORTS = {"id": Sort(VoucherBatch.id, int), "created_at": Sort(VoucherBatch.created_at, datetime)}


@dataclass(frozen=True, slots=True)
class NewBatch:
    plan_id: int
    count: int
    code_length: int = DEFAULT_LENGTH
    note: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Printed:
    """A voucher as it stands on the sheet."""

    voucher_id: int
    code: str
    state: str


@dataclass(frozen=True, slots=True)
class Redeemer:
    """Who redeems: a subscription, or whose phone or device it is to be. `msisdn` must be sure to be theirs."""

    subscription_id: int | None = None
    msisdn: str | None = None
    mac: str | None = None


def create_batch(session: Session, tenant_id: int, new: NewBatch, keyring: Keyring, now: datetime) -> VoucherBatch:
    """A batch with all its codes. Raises Invalid for a plan that is not on sale, or an expiry that is over."""
    plan = session.get(Plan, new.plan_id, with_for_update={"read": True})
    if plan is None:
        raise Invalid("There is no such plan.", field="plan_id", code="not_found")
    if plan.archived_at is not None:
        raise Invalid("This plan is archived.", field="plan_id", code="archived")
    if new.expires_at is not None and new.expires_at <= now:
        raise Invalid("It must be in the future.", field="expires_at")
    batch = VoucherBatch(
        tenant_id=tenant_id,
        plan_id=plan.id,
        count=new.count,
        code_length=new.code_length,
        note=new.note,
        expires_at=new.expires_at,
        created_at=now,
    )
    session.add(batch)
    session.flush()
    rows = [
        {
            "tenant_id": tenant_id,
            "batch_id": batch.id,
            "code_hash": _hashes(tenant_id, code, keyring)[0],
            "code_sealed": keyring.seal(code, f"voucher.code:{batch.id}"),
        }
        for code in new_codes(new.count, new.code_length)
    ]
    session.execute(insert(Voucher), rows)
    return batch


def batch_by_id(session: Session, batch_id: int) -> VoucherBatch:
    """Raises NotFound."""
    batch = session.get(VoucherBatch, batch_id)
    if batch is None:
        raise NotFound("voucher batch")
    return batch


def batches(session: Session, request: PageRequest) -> Page[VoucherBatch]:
    return one_page(session, select(VoucherBatch), VoucherBatch.id, SORTS, request, lambda row: row.VoucherBatch)


def counts(session: Session, batch_id: int) -> dict[str, int]:
    """How many are unused, redeemed and revoked."""
    statement = select(Voucher.state, func.count().label("vouchers")).where(Voucher.batch_id == batch_id)
    found = {row.state: row.vouchers for row in session.execute(statement.group_by(Voucher.state))}
    return {state: found.get(state, 0) for state in ("unused", "redeemed", "revoked")}


def sheet(session: Session, batch_id: int, keyring: Keyring) -> Iterator[Printed]:
    """The codes of a batch in clear, in order. Raises EncryptionError."""
    statement = select(Voucher).where(Voucher.batch_id == batch_id).order_by(Voucher.id)
    for voucher in session.scalars(statement):
        yield Printed(voucher.id, keyring.open(voucher.code_sealed, f"voucher.code:{batch_id}"), voucher.state)


def revoke_batch(session: Session, batch_id: int, now: datetime) -> int:
    """Makes what is unused of it worthless; how many codes that were. Raises NotFound."""
    batch = session.get(VoucherBatch, batch_id, with_for_update=True)
    if batch is None:
        raise NotFound("voucher batch")
    batch.revoked_at = batch.revoked_at or now
    unused = update(Voucher).where(Voucher.batch_id == batch_id, Voucher.state == "unused")
    revoked = session.scalars(unused.values(state="revoked").returning(Voucher.id)).all()
    session.flush()
    return len(revoked)


def redeem(session: Session, tenant_id: int, typed: str, redeemer: Redeemer, keyring: Keyring, now: datetime) -> int:
    """Uses the code up and records what it is worth; the id of that payment, which the task `apply_payment` credits.

    Raises Invalid `voucher` for a code that is none of ours, Conflict `redeemed`, `revoked`, `expired`, or `archived`
    (its plan), Invalid or Conflict for a subscription that can not have it. Of any number at once, one succeeds.
    """
    code = normal_code(typed)
    found = None
    if code is not None:
        by_code = Voucher.code_hash.in_(_hashes(tenant_id, code, keyring))
        statement = select(Voucher).where(Voucher.tenant_id == tenant_id, by_code).with_for_update(key_share=True)
        found = session.scalar(statement.execution_options(populate_existing=True))
    if found is None:
        raise Invalid("This is not one of our vouchers. Check the code.", field="code", code="voucher")
    batch = session.get_one(VoucherBatch, found.batch_id)
    _check_usable(found, batch, now)
    plan = session.get_one(Plan, batch.plan_id, with_for_update={"read": True})
    if plan.archived_at is not None:
        raise Conflict("What this voucher is for is not sold any more. Contact your provider.", code="archived")
    _check_subscription(session, redeemer)
    payment_id, is_new = payment.record(
        session,
        tenant_id,
        Receipt("voucher", str(found.id), plan.price_kes, now, msisdn_text=redeemer.msisdn, msisdn=redeemer.msisdn),
        now,
        Purpose(subscription_id=redeemer.subscription_id, plan_id=plan.id, mac=redeemer.mac),
    )
    assert is_new
    found.state, found.redeemed_at, found.payment_id = "redeemed", now, payment_id
    session.flush()
    return payment_id


def note_subscription(session: Session, redeemed_with: Payment) -> None:
    """Says on the voucher of a payment which subscription it went to."""
    session.execute(
        update(Voucher)
        .where(Voucher.payment_id == redeemed_with.id)
        .values(redeemed_by_subscription_id=redeemed_with.subscription_id)
        .execution_options(synchronize_session=False)
    )


def _hashes(tenant_id: int, code: str, keyring: Keyring) -> list[bytes]:
    return keyring.digests(code, f"voucher.code:{tenant_id}")


def _check_usable(voucher: Voucher, batch: VoucherBatch, now: datetime) -> None:
    if voucher.state == "redeemed":
        raise Conflict("This voucher has been used already.", code="redeemed", field="code")
    if voucher.state == "revoked" or batch.revoked_at is not None:
        raise Conflict("This voucher is not valid any more.", code="revoked", field="code")
    if batch.expires_at is not None and batch.expires_at <= now:
        raise Conflict("This voucher has expired.", code="expired", field="code")


def _check_subscription(session: Session, redeemer: Redeemer) -> None:
    if redeemer.subscription_id is None:
        if redeemer.msisdn is None and redeemer.mac is None:
            raise Invalid("Say for which phone, device or subscription the voucher is.", field="msisdn")
        return
    subscription = session.get(Subscription, redeemer.subscription_id)
    if subscription is None:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found")
    if subscription.status not in ("active", "pending"):
        raise Conflict(f"This subscription is {subscription.status}.", code=subscription.status)
