"""The ledger: every movement of money as a posting whose entries add up to nothing. Rows are added, never changed.

An entry takes from an account (below 0) or gives to it (above). `mpesa`, `cash` and `voucher` are where money comes
from, `wallet` holds what a subscriber has to spend, `suspense` what nobody is known to have paid, `sales` what plans
were sold for, `refunds` what was given back by other ways than a reversal.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held
from db.base import Base, BigInt, Id, String, TenantId, Timestamp
from db.money import Kes
from isp.ledger import ACCOUNTS, Account, Entry, PostingKind

_WALLET = "wallet"
_KINDS = ", ".join(f"'{kind}'" for kind in PostingKind)


class LedgerPosting(Base):
    __tablename__ = "ledger_posting"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        ForeignKeyConstraint(["tenant_id", "payment_id"], ["payment.tenant_id", "payment.id"]),
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"]),
        Index("ledger_posting_tenant_id_created_at_idx", "tenant_id", "created_at"),
        Index("ledger_posting_payment_id_idx", "payment_id", postgresql_where="payment_id IS NOT NULL"),
        Index("ledger_posting_tenant_id_subscription_id_idx", "tenant_id", "subscription_id"),
        CheckConstraint(f"kind IN ({_KINDS})", name="kind"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    kind: Mapped[String]
    payment_id: Mapped[BigInt | None]
    subscription_id: Mapped[BigInt | None]
    memo: Mapped[String | None]
    created_at: Mapped[Timestamp]


class LedgerEntry(Base):
    """At commit the entries of a posting must add up to 0."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "posting_id"], ["ledger_posting.tenant_id", "ledger_posting.id"]),
        ForeignKeyConstraint(["tenant_id", "subscriber_id"], ["subscriber.tenant_id", "subscriber.id"]),
        Index("ledger_entry_posting_id_idx", "posting_id"),
        Index("ledger_entry_subscriber_id_idx", "subscriber_id", "id", postgresql_where="subscriber_id IS NOT NULL"),
        CheckConstraint(f"account IN {ACCOUNTS}", name="account"),
        CheckConstraint("(account = 'wallet') = (subscriber_id IS NOT NULL)", name="wallet_of_a_subscriber"),
        CheckConstraint("amount_kes <> 0", name="amount"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    posting_id: Mapped[BigInt]
    account: Mapped[String]
    subscriber_id: Mapped[BigInt | None]
    amount_kes: Mapped[Kes]


class Wallet(Base):
    """What a subscriber has to spend: the sum of their wallet entries, kept in the same transactions."""

    __tablename__ = "wallet"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "subscriber_id"], ["subscriber.tenant_id", "subscriber.id"]),
        # Only a reversal takes more than there is; what is paid next goes to that debt.
        CheckConstraint("balance_kes >= 0 OR in_debt", name="balance"),
        Index("wallet_filled_idx", "tenant_id", "subscriber_id", postgresql_where="balance_kes > 0"),
    )

    subscriber_id: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    tenant_id: Mapped[TenantId]
    balance_kes: Mapped[Kes] = mapped_column(server_default="0")
    in_debt: Mapped[bool] = mapped_column(Boolean, server_default="false")


def post(
    session: Session,
    tenant_id: int,
    kind: PostingKind,
    entries: Sequence[Entry],
    now: datetime,
    *,
    payment_id: int | None = None,
    subscription_id: int | None = None,
    memo: str | None = None,
) -> int | None:
    """Writes a posting and moves the wallets it names; its id. Entries of nothing are left out; None if none is left.

    Raises IntegrityError (`wallet_balance_check`) where a wallet does not hold what is taken, except for a reversal.
    """
    entries = [entry for entry in entries if entry.amount_kes]
    if not entries:
        return None
    for entry in sorted((e for e in entries if e.amount_kes < 0), key=lambda e: e.subscriber_id or 0):
        if entry.subscriber_id is not None:
            lock_wallet(session, tenant_id, entry.subscriber_id)  # a wallet that is made by it would owe
    values = {
        "tenant_id": tenant_id,
        "kind": kind.value,
        "payment_id": payment_id,
        "subscription_id": subscription_id,
        "memo": memo,
        "created_at": now,
        "may_owe": kind in _MAY_OWE,
        "accounts": [entry.account.value for entry in entries],
        "subscriber_ids": [entry.subscriber_id for entry in entries],
        "amounts_kes": [entry.amount_kes for entry in entries],
    }
    posted = session.execute(_POST, values).all()
    for row in posted:
        if row.subscriber_id is not None:
            held.facts(session)[_WALLET, row.subscriber_id] = row.balance_kes
    posting_id: int = posted[0].id
    return posting_id


# Wallets, posting and entries in one statement: it is sent for every payment, twice. Who is in debt may pay a part.
_POST = text("""
WITH entry AS (
    SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:subscriber_ids AS bigint[]), CAST(:amounts_kes AS numeric[]))
                  AS entry (account, subscriber_id, amount_kes)
), moved AS (
    INSERT INTO wallet (subscriber_id, tenant_id, balance_kes, in_debt)
    SELECT subscriber_id, :tenant_id, sum(amount_kes), sum(amount_kes) < 0
      FROM entry WHERE subscriber_id IS NOT NULL GROUP BY subscriber_id ORDER BY subscriber_id
        ON CONFLICT (subscriber_id) DO UPDATE
       SET balance_kes = wallet.balance_kes + excluded.balance_kes,
           in_debt = (:may_owe OR excluded.balance_kes > 0) AND wallet.balance_kes + excluded.balance_kes < 0
    RETURNING subscriber_id, balance_kes
), posting AS (
    INSERT INTO ledger_posting (tenant_id, kind, payment_id, subscription_id, memo, created_at)
    VALUES (:tenant_id, :kind, CAST(:payment_id AS bigint), CAST(:subscription_id AS bigint), CAST(:memo AS text),
            :created_at)
    RETURNING id
), entries AS (
    INSERT INTO ledger_entry (tenant_id, posting_id, account, subscriber_id, amount_kes)
    SELECT :tenant_id, posting.id, entry.* FROM posting, entry
)
SELECT posting.id, moved.subscriber_id, moved.balance_kes FROM posting LEFT JOIN moved ON true""")


def lock_wallet(session: Session, tenant_id: int, subscriber_id: int) -> Decimal:
    """The balance, which nobody else moves until the transaction ends. The wallet is made if it is not there."""
    known = held.facts(session)
    there: Decimal | None = known.get((_WALLET, subscriber_id))
    if there is not None:
        return there
    statement = select(Wallet.balance_kes).where(Wallet.subscriber_id == subscriber_id).with_for_update()
    there = session.scalar(statement)
    if there is None:
        new = insert(Wallet).values(tenant_id=tenant_id, subscriber_id=subscriber_id)
        session.execute(new.on_conflict_do_nothing())
        there = session.execute(statement).scalar_one()
    known[_WALLET, subscriber_id] = there
    return there


def lock_wallets(session: Session, subscriber_ids: Collection[int]) -> None:
    """Those that there are, in the order of their subscribers' ids."""
    known = held.facts(session)
    statement = select(Wallet.subscriber_id, Wallet.balance_kes).where(Wallet.subscriber_id.in_(subscriber_ids))
    for row in session.execute(statement.order_by(Wallet.subscriber_id).with_for_update()):
        known[_WALLET, row.subscriber_id] = row.balance_kes


def balance(session: Session, subscriber_id: int) -> Decimal:
    """0 for a subscriber who never paid; below 0 after a reversal of what was spent."""
    found = session.scalar(select(Wallet.balance_kes).where(Wallet.subscriber_id == subscriber_id))
    return Decimal(0) if found is None else found


def entries_of_payment(session: Session, payment_id: int) -> list[Entry]:
    """All that was posted for the payment, summed per account."""
    statement = (
        select(LedgerEntry.account, LedgerEntry.subscriber_id, func.sum(LedgerEntry.amount_kes).label("amount_kes"))
        .join(LedgerPosting, LedgerPosting.id == LedgerEntry.posting_id)
        .where(LedgerPosting.payment_id == payment_id)
        .group_by(LedgerEntry.account, LedgerEntry.subscriber_id)
        .order_by(LedgerEntry.account, LedgerEntry.subscriber_id)
    )
    return [Entry(Account(row.account), row.amount_kes, row.subscriber_id) for row in session.execute(statement)]


_MAY_OWE = (PostingKind.REVERSAL, PostingKind.ADJUSTMENT)
