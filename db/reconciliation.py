"""Reconciliation: what payments say was received against what the ledger says became of it, for a tenant's day."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db import tenant
from db.ledger import LedgerEntry, LedgerPosting, Wallet
from db.payment import Payment
from isp.ledger import Account, PostingKind

_SOURCES = (Account.MPESA.value, Account.CASH.value, Account.VOUCHER.value)


@dataclass(frozen=True, slots=True)
class DayReport:
    """A local day of the tenant. `received` and `reversed` are summed over payments, the rest over the ledger.

    What was received, less what was reversed, is in wallets, in sales, in suspense or refunded: `difference_kes` is 0.
    """

    day: date
    received_kes: Decimal
    adjusted_kes: Decimal
    """By receipts that told another amount than a query had us assume."""
    reversed_kes: Decimal
    wallet_kes: Decimal
    """What wallets gained; below 0 on a day when more was spent than paid in."""
    sales_kes: Decimal
    suspense_kes: Decimal
    refunded_kes: Decimal

    @property
    def credited_kes(self) -> Decimal:
        return self.wallet_kes + self.sales_kes

    @property
    def difference_kes(self) -> Decimal:
        gone = self.credited_kes + self.suspense_kes + self.refunded_kes
        return self.received_kes + self.adjusted_kes - self.reversed_kes - gone


def of_day(session: Session, tenant_id: int, day: date) -> DayReport:
    zone = tenant.timezone_of(session, tenant_id)
    begins = datetime.combine(day, time.min, zone)
    ends = datetime.combine(day + timedelta(days=1), time.min, zone)
    mine = Payment.tenant_id == tenant_id
    booked = mine & (Payment.booked_at >= begins) & (Payment.booked_at < ends)
    taken_back = mine & (Payment.reversed_at >= begins) & (Payment.reversed_at < ends)
    moved = _moved(session, tenant_id, begins, ends)
    of_adjustments = _moved(session, tenant_id, begins, ends, LedgerPosting.kind == PostingKind.ADJUSTMENT.value)
    return DayReport(
        day=day,
        received_kes=_sum(session, func.coalesce(Payment.provisional_kes, Payment.amount_kes), booked),
        adjusted_kes=-sum((of_adjustments.get(source, Decimal(0)) for source in _SOURCES), Decimal(0)),
        reversed_kes=_sum(session, Payment.amount_kes, taken_back),
        wallet_kes=moved.get(Account.WALLET, Decimal(0)),
        sales_kes=moved.get(Account.SALES, Decimal(0)),
        suspense_kes=moved.get(Account.SUSPENSE, Decimal(0)),
        refunded_kes=moved.get(Account.REFUNDS, Decimal(0)),
    )


def wrong_wallets(session: Session, tenant_id: int) -> list[int]:
    """Subscribers whose wallet is not the sum of its entries. None, unless somebody wrote SQL by hand."""
    sums = (
        select(LedgerEntry.subscriber_id, func.sum(LedgerEntry.amount_kes).label("sum_kes"))
        .where(LedgerEntry.tenant_id == tenant_id, LedgerEntry.account == Account.WALLET.value)
        .group_by(LedgerEntry.subscriber_id)
        .subquery()
    )
    statement = (
        select(Wallet.subscriber_id)
        .outerjoin(sums, sums.c.subscriber_id == Wallet.subscriber_id)
        .where(Wallet.tenant_id == tenant_id, Wallet.balance_kes != func.coalesce(sums.c.sum_kes, 0))
    )
    return list(session.scalars(statement.order_by(Wallet.subscriber_id)))


def _moved(
    session: Session, tenant_id: int, begins: datetime, ends: datetime, *conditions: ColumnElement[bool]
) -> dict[str, Decimal]:
    """Account → what it gained."""
    statement = (
        select(LedgerEntry.account, func.sum(LedgerEntry.amount_kes).label("gained_kes"))
        .join(LedgerPosting, LedgerPosting.id == LedgerEntry.posting_id)
        .where(LedgerPosting.tenant_id == tenant_id, LedgerPosting.created_at >= begins)
        .where(LedgerPosting.created_at < ends, *conditions)
        .group_by(LedgerEntry.account)
    )
    return {row.account: row.gained_kes for row in session.execute(statement)}


def _sum(
    session: Session, amount: ColumnElement[Decimal] | InstrumentedAttribute[Decimal], condition: ColumnElement[bool]
) -> Decimal:
    found = session.scalar(select(func.sum(amount)).where(condition))
    return Decimal(0) if found is None else found
