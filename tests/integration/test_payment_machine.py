"""Payments against a model: whatever is told of money, by whatever way, in whatever order, the books say what is true.

The machine is the real thing on a real PostgreSQL. The model knows of each customer's money only whether it was told
of, by what way, and whether it was taken back.
"""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from db import renewal
from db.payment_intent import PaymentIntent
from db.renewal import Renewal
from isp.payment import Accepted, Failed, Paid, PushOutcome, QueryOutcome, Rejected, Unanswered, Unknown
from settings import Settings
from tasks import payment_decisions, payment_recovery
from tasks.apply_payment import renew_from_wallet
from tests.integration.payment_bench import DAY, PaymentBench, make_payment_bench

PRICE = 50
PHONES = ("254700000001", "254700000002")
# What can be told of a customer's money, the likelier the oftener. "wrong": a query that says failed, whatever is true.
TOLD = (
    *("callback", "c2b", "till", "query", "second_payment", "operator") * 2,
    *("wrong_query", "empty_query", "failure", "nonsense", "forgery"),
)
OTHERWISE = ("cash", "nobody", "reversal", "hour", "month")
# What has to come in this order, and seldom does by chance.
CHAINS = (
    ("query", "till", "callback"),
    ("till", "query", "c2b"),
    ("query", "till", "operator", "callback"),
    ("failure", "query", "callback", "failure"),
    ("callback", "second_payment", "reversal"),
)
HAPPENING = st.one_of(st.sampled_from(TOLD + OTHERWISE).map(lambda what: (what,)), st.sampled_from(CHAINS))
STORY = st.lists(HAPPENING, min_size=2, max_size=6).map(lambda story: sum(story, ()))


@dataclass
class Money:
    """What one customer pays when asked. `row`: its payment, of which a query or a receipt told; `side`: what a till's
    C2B told of it while nobody could know that it is the same."""

    intent_id: int
    number: int
    paid: bool
    """Whether the customer did pay."""
    told_paid: bool = False
    """Whether anybody told us, of this intent, that they did."""
    row: str | None = None
    row_reversed: bool = False
    side: str | None = None
    again: int = 0
    """How often the customer paid once more, by the same account reference."""

    @property
    def receipt(self) -> str:
        return f"SKL{self.number}"

    @property
    def booked_kes(self) -> int:
        """What the books say was received."""
        return PRICE * ((self.row is not None and not self.row_reversed) + (self.side is not None) + self.again)


def checkout_of(intent: PaymentIntent) -> str:
    """As its callback has it: the answer to the push may not have come."""
    return intent.checkout_request_id or f"late{intent.id}"


class Payments(RuleBasedStateMachine):
    """One price, two phones; a day in which everything that can happen to a payment happens."""

    database: Settings

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.bench: PaymentBench = self.stack.enter_context(make_payment_bench(self.database))
        self.plan_id = self.bench.plan(str(PRICE))
        self.all: list[Money] = []
        self.cash_kes = 0
        self.unknown_kes = 0

    def teardown(self) -> None:
        self.bench.check_books()
        self.stack.close()

    # The customer, and our asking.

    @rule(
        phone=st.sampled_from(PHONES),
        answer=st.sampled_from(["accepted", "accepted", "unanswered", "busy"]),
        pays=st.sampled_from([True, True, True, False]),
        story=STORY,
    )
    def a_customer_buys(self, phone: str, answer: str, pays: bool, story: tuple[str, ...]) -> None:
        self.go_on(self.ask(phone, answer, pays), story)

    @rule(number=st.integers(1, 8), story=STORY)
    @precondition(lambda self: self.all)
    def more_happens(self, number: int, story: tuple[str, ...]) -> None:
        self.go_on(self.all[-min(number, len(self.all))], story)

    def go_on(self, money: Money, story: tuple[str, ...]) -> None:
        for what in story:
            # What a receipt would tell of money that was sent back has tests of its own.
            if what in OTHERWISE or not money.row_reversed:
                getattr(self, f"do_{what}")(money)

    def ask(self, phone: str, answer: str, pays: bool) -> Money:
        """After a while, in which every earlier prompt of the phone ended."""
        self.bench.now += timedelta(minutes=3)
        for money in self.all:
            self.close(money)
        number = len(self.all) + 1
        outcomes: dict[str, PushOutcome] = {
            "accepted": Accepted(f"m{number}", f"checkout{number}"),
            "unanswered": Unanswered("time-out"),
            "busy": Rejected("500.003.02", "busy", permanent=False),
        }
        self.bench.provider.push_outcomes = [outcomes[answer]]
        intent_id = self.bench.intent(self.plan_id, phone)
        assert self.bench.push(intent_id)
        assert self.bench.push(intent_id) == (answer == "busy"), "a customer is asked again only if nobody was asked"
        money = Money(intent_id, number, pays)
        self.all.append(money)
        return money

    def close(self, money: Money) -> None:
        """As when all queries were asked in vain."""
        self.bench.scalars(
            "UPDATE payment_intent SET state = 'unknown', next_query_at = NULL, settled_at = now()"
            " WHERE id = :id AND state IN ('prompting', 'prompted', 'unknown') RETURNING id",
            id=money.intent_id,
        )

    # What is told of it.

    def do_callback(self, money: Money) -> None:
        if money.paid:
            intent = self.bench.read_intent(money.intent_id)
            checkout = checkout_of(intent)
            inbox_id = self.bench.callback(intent, receipt=money.receipt, amount=str(PRICE), checkout=checkout)
            self.tell_receipt(money, inbox_id)

    def do_c2b(self, money: Money) -> None:
        if money.paid:
            reference = self.bench.read_intent(money.intent_id).account_reference
            self.tell_receipt(money, self.bench.c2b(money.receipt, str(PRICE), reference))

    def tell_receipt(self, money: Money, inbox_id: int) -> None:
        assert self.bench.process(inbox_id) in ("applied", "duplicate", "completed", "linked")
        money.told_paid = True
        # What a till told, it turns out, is the same; if it was assigned, what a query had found is taken back.
        money.row, money.side = "receipt", None

    def do_second_payment(self, money: Money) -> None:
        """Other money than the first, which is credit."""
        if money.row == "receipt":
            reference = self.bench.read_intent(money.intent_id).account_reference
            receipt = f"{money.receipt}.{money.again}"
            assert self.bench.process(self.bench.c2b(receipt, str(PRICE), reference)) == "applied"
            money.again += 1

    def do_till(self, money: Money) -> None:
        """C2B without an account, of a phone that is masked."""
        if not money.paid:
            return
        is_news = money.row != "receipt" and money.side is None
        outcome = self.bench.process(self.bench.c2b(money.receipt, str(PRICE), "", phone="2547 ***** 001"))
        assert outcome == ("suspense" if is_news else "duplicate")
        money.side = "suspense" if is_news else money.side

    def do_query(self, money: Money) -> None:
        if self.query(money, Paid() if money.paid else Failed("1032")) and money.paid:
            money.told_paid = True
            money.row = money.row or "provisional"

    def do_wrong_query(self, money: Money) -> None:
        self.query(money, Failed("1032"))

    def do_empty_query(self, money: Money) -> None:
        self.query(money, Unknown("time-out"))

    def query(self, money: Money, answer: QueryOutcome) -> bool:
        """Whether there was anything to ask."""
        with self.bench.sessions.begin() as session:
            asked = payment_recovery.question(session, money.intent_id, self.bench.now + DAY)
            if asked is None:
                return False
            bench = self.bench
            payment_recovery.note_answer(session, asked, answer, bench.provider, bench.keyring, bench.now)
            return True

    def do_failure(self, money: Money) -> None:
        intent = self.bench.read_intent(money.intent_id)
        self.bench.process(self.bench.callback(intent, "1037", checkout=checkout_of(intent)))

    def do_nonsense(self, money: Money) -> None:
        intent = self.bench.read_intent(money.intent_id)
        self.bench.process(self.bench.callback(intent, "?", checkout=checkout_of(intent)))

    def do_forgery(self, money: Money) -> None:
        """A callback about another prompt than its token's."""
        intent = self.bench.read_intent(money.intent_id)
        if intent.checkout_request_id is not None:
            told = self.bench.callback(intent, receipt="FORGED", amount=str(PRICE), checkout="somebody-elses")
            assert self.bench.process(told) == "mismatch"

    def do_operator(self, money: Money) -> None:
        """Who assigns what waits, to the oldest subscription."""
        waiting = "SELECT id FROM payment WHERE receipt = :receipt AND state = 'suspense'"
        payment_ids = self.bench.scalars(waiting, receipt=money.receipt)
        targets = self.bench.scalars("SELECT id FROM subscription ORDER BY id LIMIT 1")
        if payment_ids and targets:
            with self.bench.sessions.begin() as session:
                payment_decisions.assign(session, payment_ids[0], targets[0], self.bench.keyring, self.bench.now)
            money.side = "assigned"

    # What else happens.

    def do_cash(self, money: Money) -> None:
        intent = self.bench.read_intent(money.intent_id)
        for subscriber_id in self.bench.scalars("SELECT id FROM subscriber WHERE msisdn = :phone", phone=intent.msisdn):
            self.bench.pay_cash("30", subscriber_id=subscriber_id)
            self.cash_kes += 30

    def do_nobody(self, _: Money) -> None:
        """The same C2B of nobody we know, again and again."""
        outcome = self.bench.process(self.bench.c2b("NOBODY", str(PRICE), "who knows"))
        assert outcome == ("duplicate" if self.unknown_kes else "suspense")
        self.unknown_kes = PRICE

    def do_reversal(self, money: Money) -> None:
        paid = "SELECT id FROM payment WHERE intent_id = :id AND state IN ('applied', 'suspense')"
        for payment_id in self.bench.scalars(paid, id=money.intent_id):
            with self.bench.sessions.begin() as session:
                assert payment_decisions.reverse(session, payment_id, "asked for", self.bench.now)
            money.row_reversed, money.again = True, 0

    def do_hour(self, _: Money) -> None:
        self.pass_time(timedelta(hours=1))

    def do_month(self, _: Money) -> None:
        self.pass_time(30 * DAY)

    def pass_time(self, time: timedelta) -> None:
        self.bench.now += time
        with self.bench.sessions.begin() as session:
            due = renewal.due(session, self.bench.now, 100)
        for subscription_id in due:
            for expected in (True, False):
                with self.bench.sessions.begin() as session:
                    assert renew_from_wallet(session, subscription_id, self.bench.now) is expected

    # What always holds.

    @invariant()
    def each_shilling_is_booked_once(self) -> None:
        booked = sum(money.booked_kes for money in self.all) + self.unknown_kes
        assert -self.bench.account("mpesa") == booked
        assert -self.bench.account("cash") == self.cash_kes

    @invariant()
    def what_was_sold_was_given(self) -> None:
        assert self.bench.account("sales") == PRICE * self.bench.renewals()

    @invariant()
    def what_was_given_is_what_is_left(self) -> None:
        """A day from when it was paid, or from the end of the day before, where nothing was taken back."""
        given: dict[int, list[datetime]] = {}
        with self.bench.sessions() as session:
            for row in session.query(Renewal).order_by(Renewal.id):
                given.setdefault(row.subscription_id, []).append(row.created_at)
        taken_back = self.bench.scalars("SELECT subscription_id FROM renewal WHERE reversed_at IS NOT NULL")
        for subscription_id in given.keys() - set(taken_back):
            ends = given[subscription_id][0]
            for paid_at in given[subscription_id]:
                ends = max(ends, paid_at) + DAY
            assert self.bench.read(subscription_id).expires_at == ends

    @invariant()
    def each_intent_is_fulfilled_once(self) -> None:
        """Of its own payments; what they left in the wallet may have bought more."""
        given = (
            "SELECT count(*) FROM renewal r JOIN payment p ON p.id = r.payment_id"
            " WHERE r.reversed_at IS NULL AND p.intent_id IS NOT NULL GROUP BY p.intent_id"
        )
        assert set(self.bench.scalars(given)) <= {1}

    @invariant()
    def who_was_told_paid_is_paid_and_nobody_else(self) -> None:
        paid = set(self.bench.scalars("SELECT id FROM payment_intent WHERE state = 'paid'"))
        assert paid == {money.intent_id for money in self.all if money.told_paid}

    @invariant()
    def a_phone_is_one_subscriber_and_a_receipt_one_payment(self) -> None:
        assert set(self.bench.scalars("SELECT count(*) FROM subscriber GROUP BY msisdn")) <= {1}
        live = "SELECT count(*) FROM payment WHERE state <> 'merged' AND receipt IS NOT NULL GROUP BY receipt"
        assert set(self.bench.scalars(live)) <= {1}
        assert self.bench.scalars("SELECT id FROM payment WHERE receipt = 'FORGED'") == []

    @invariant()
    def who_spent_no_reversed_money_owes_nothing(self) -> None:
        debts = self.bench.scalars("SELECT balance_kes FROM wallet WHERE balance_kes < 0")
        anything_taken_back = self.bench.scalars("SELECT 1 FROM ledger_posting WHERE kind = 'reversal' LIMIT 1")
        assert not debts or anything_taken_back
        assert sum(debts, Decimal(0)) >= -PRICE * len(self.all)


def test_the_books_say_what_is_true_whatever_is_told(settings_of_module: Settings) -> None:
    machine: Any = type("Machine", (Payments,), {"database": settings_of_module})
    checked = settings(
        max_examples=20,
        stateful_step_count=8,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # making a failure shorter would take minutes
    )
    run_state_machine_as_test(machine, settings=checked)
