"""What is posted when money moves. An entry takes from an account (below 0) or gives to it; a posting adds up to 0."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Account(StrEnum):
    MPESA = "mpesa"
    CASH = "cash"
    VOUCHER = "voucher"
    SUSPENSE = "suspense"
    WALLET = "wallet"
    SALES = "sales"
    REFUNDS = "refunds"


ACCOUNTS = tuple(account.value for account in Account)

# By a payment's provider.
SOURCES = {"daraja": Account.MPESA, "cash": Account.CASH, "voucher": Account.VOUCHER}


class PostingKind(StrEnum):
    PAYMENT = "payment"
    RENEWAL = "renewal"
    REVERSAL = "reversal"
    REFUND = "refund"
    ADJUSTMENT = "adjustment"
    """A payment turned out to be of another amount than was assumed."""
    VOUCHER = "voucher"
    SUSPENSE_ASSIGNED = "suspense_assigned"


@dataclass(frozen=True, slots=True)
class Entry:
    account: Account
    amount_kes: Decimal
    subscriber_id: int | None = None
    """Of the wallet, and of nothing else."""


def credited(source: Account, amount_kes: Decimal, subscriber_id: int) -> tuple[Entry, ...]:
    """Money that came in, or was waiting in suspense, becomes the subscriber's to spend."""
    return Entry(source, -amount_kes), Entry(Account.WALLET, amount_kes, subscriber_id)


def suspended(source: Account, amount_kes: Decimal) -> tuple[Entry, ...]:
    """Money came in and nobody knows whose it is."""
    return Entry(source, -amount_kes), Entry(Account.SUSPENSE, amount_kes)


def renewed(price_kes: Decimal, subscriber_id: int) -> tuple[Entry, ...]:
    """A plan is sold for what the subscriber has."""
    return Entry(Account.WALLET, -price_kes, subscriber_id), Entry(Account.SALES, price_kes)


def redeemed(price_kes: Decimal) -> tuple[Entry, ...]:
    """A plan is sold for a voucher, which is worth just that and nothing else: a debt does not eat it up."""
    return Entry(Account.VOUCHER, -price_kes), Entry(Account.SALES, price_kes)


def refunded(amount_kes: Decimal) -> tuple[Entry, ...]:
    """What waited in suspense was given back by other ways."""
    return Entry(Account.SUSPENSE, -amount_kes), Entry(Account.REFUNDS, amount_kes)


def reversed_entries(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """All of it back to where it came from."""
    return tuple(Entry(entry.account, -entry.amount_kes, entry.subscriber_id) for entry in entries if entry.amount_kes)


def is_balanced(entries: Sequence[Entry]) -> bool:
    return sum((entry.amount_kes for entry in entries), Decimal(0)) == 0


def price_due(price_kes: Decimal, quoted_kes: Decimal | None) -> Decimal:
    """What a plan costs a customer who was told a price before: the lower of the two."""
    return price_kes if quoted_kes is None else min(price_kes, quoted_kes)


def covers(balance_kes: Decimal, price_kes: Decimal) -> bool:
    """Whether the balance, what was just paid included, buys the plan. What is left stays in the wallet."""
    return balance_kes >= price_kes
