"""A subscriber's wallet, line by line."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from db.ledger import LedgerEntry, LedgerPosting
from db.page import Page, PageRequest, Sort, one_page


@dataclass(frozen=True, slots=True)
class WalletLine:
    """What a posting gave to the wallet, or, below 0, took from it."""

    id: int
    kind: str
    amount_kes: Decimal
    payment_id: int | None
    subscription_id: int | None
    memo: str | None
    created_at: datetime


SORTS = {"id": Sort(LedgerEntry.id, int)}


def of_wallet(session: Session, subscriber_id: int, request: PageRequest) -> Page[WalletLine]:
    statement = (
        select(
            LedgerEntry.id,
            LedgerPosting.kind,
            LedgerEntry.amount_kes,
            LedgerPosting.payment_id,
            LedgerPosting.subscription_id,
            LedgerPosting.memo,
            LedgerPosting.created_at,
        )
        .join(LedgerPosting, LedgerPosting.id == LedgerEntry.posting_id)
        .where(LedgerEntry.subscriber_id == subscriber_id)
    )
    return one_page(session, statement, LedgerEntry.id, SORTS, request, _line)


def _line(row: Row[Any]) -> WalletLine:
    return WalletLine(**{name: getattr(row, name) for name in WalletLine.__dataclass_fields__})
