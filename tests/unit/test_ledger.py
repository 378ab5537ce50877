"""Postings: whatever is posted adds up to nothing, and a reversal is all of it the other way round."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.ledger import (
    Account,
    Entry,
    covers,
    credited,
    is_balanced,
    price_due,
    redeemed,
    refunded,
    renewed,
    reversed_entries,
    suspended,
)

KES = st.decimals(min_value="0.01", max_value="250000", places=2)


@given(KES, KES)
def test_every_posting_adds_up_to_nothing(amount_kes: Decimal, price_kes: Decimal) -> None:
    postings = (
        credited(Account.MPESA, amount_kes, 7),
        suspended(Account.CASH, amount_kes),
        renewed(price_kes, 7),
        redeemed(price_kes),
        refunded(amount_kes),
    )
    for entries in postings:
        assert is_balanced(entries)
        assert is_balanced(reversed_entries(entries))
        assert all((entry.account is Account.WALLET) == (entry.subscriber_id is not None) for entry in entries)


@given(KES, KES)
def test_a_reversal_leaves_every_account_as_if_nothing_had_been(amount_kes: Decimal, price_kes: Decimal) -> None:
    given_ = [*credited(Account.MPESA, amount_kes, 7), *renewed(price_kes, 7)]
    left: dict[tuple[Account, int | None], Decimal] = {}
    for entry in [*given_, *reversed_entries(given_)]:
        key = entry.account, entry.subscriber_id
        left[key] = left.get(key, Decimal(0)) + entry.amount_kes
    assert set(left.values()) == {Decimal(0)}


def test_an_unbalanced_posting_is_seen() -> None:
    assert not is_balanced([Entry(Account.CASH, Decimal(-5)), Entry(Account.SALES, Decimal("4.99"))])


@pytest.mark.parametrize(
    ("price", "quoted", "due"),
    [("50", None, "50"), ("60", "50", "50"), ("40", "50", "40"), ("49.50", "49.50", "49.50")],
)
def test_a_customer_pays_the_price_they_were_told_or_less(price: str, quoted: str | None, due: str) -> None:
    assert price_due(Decimal(price), None if quoted is None else Decimal(quoted)) == Decimal(due)


@pytest.mark.parametrize(("balance", "price", "buys"), [("50", "50", True), ("49.99", "50", False), ("-1", "0", False)])
def test_a_plan_is_bought_by_what_covers_it(balance: str, price: str, buys: bool) -> None:
    assert covers(Decimal(balance), Decimal(price)) is buys
