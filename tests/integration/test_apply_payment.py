"""The one door for money: what a payment becomes, once, whoever brings it, however often and at the same time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from db import reconciliation, subscription_life, voucher
from db.refusal import Conflict, Invalid
from isp.payment import Failed, Paid
from settings import Settings
from tasks import payment_decisions
from tasks.apply_payment import Kept, renew_at_once, renew_from_wallet
from tasks.payment_recovery import Question, note_answer
from tasks.payment_webhooks import Unconfirmed
from tests.integration.api_server import make_operator
from tests.integration.payment_bench import DAY, NOW, PHONE, PaymentBench, at_once, make_payment_bench

MAC = "02:00:00:00:00:01"


@pytest.fixture
def bench(settings_of_module: Settings) -> Iterator[PaymentBench]:
    with make_payment_bench(settings_of_module) as bench:
        yield bench
        bench.check_books()


def query(bench: PaymentBench, intent_id: int, outcome: Any) -> Any:
    intent = bench.read_intent(intent_id)
    asked = Question(intent.id, intent.payment_account_id, intent.checkout_request_id, intent.queries)
    with bench.sessions.begin() as session:
        return note_answer(session, asked, outcome, bench.provider, bench.keyring, bench.now)


# From a phone to a subscription.


def test_a_paid_prompt_makes_a_subscriber_with_a_subscription_a_device_and_credentials(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("50"), mac=MAC)
    assert bench.process(bench.callback(intent, receipt="SKL1", amount="50", phone="254712***678")) == "applied"
    paid = bench.read_intent(intent.id)
    made = bench.read(paid.subscription_id or 0)
    assert (paid.state, made.status, made.username) == ("paid", "active", PHONE)
    assert (made.activated_at, made.expires_at) == (NOW, NOW + DAY)
    assert len(subscription_life.password(made, bench.keyring)) == 8
    assert bench.scalars("SELECT upper(mac::text) FROM device WHERE subscription_id = :id", id=made.id) == [MAC]
    assert bench.scalars("SELECT msisdn FROM subscriber") == [PHONE]
    assert (bench.account("mpesa"), bench.account("sales"), bench.balance(made.subscriber_id)) == (-50, 50, 0)
    assert bench.events("subscriber.provisioned")[0]["username"] == PHONE
    processed = bench.events("payment.processed")
    assert [(told["receipt"], told["amount_kes"], told["kept"]) for told in processed] == [("SKL1", "50.00", None)]


def test_a_phone_that_is_known_to_another_tenant_logs_in_by_its_number_here_too(
    bench: PaymentBench, settings_of_module: Settings
) -> None:
    """To ask for the name among all tenants also meant to read all their subscriptions: no index begins with it."""
    neighbour = replace(bench, tenant_id=make_operator(settings_of_module, "neighbour").tenant_id)
    neighbour.subscription(neighbour.plan(), username=PHONE)
    intent = bench.prompted(bench.plan("50"))
    assert bench.process(bench.callback(intent, receipt="SKL1", amount="50")) == "applied"
    assert bench.read(bench.read_intent(intent.id).subscription_id or 0).username == PHONE


def test_a_second_purchase_extends_the_same_subscription_and_its_use_begins_anew(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    first = bench.prompted(plan_id)
    bench.process(bench.callback(first, receipt="SKL1", amount="50"))
    subscription_id = bench.read_intent(first.id).subscription_id or 0
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE usage SET input_octets = 7, output_octets = 8, session_time_s = 9"))
    bench.now += timedelta(hours=3)
    second = bench.prompted(plan_id)
    bench.process(bench.callback(second, receipt="SKL2", amount="50"))
    assert bench.read_intent(second.id).subscription_id == subscription_id
    assert bench.read(subscription_id).expires_at == NOW + 2 * DAY
    begun = "SELECT array[validity_input_octets, validity_output_octets, validity_session_time_s] FROM usage"
    assert bench.scalars(begun) == [[7, 8, 9]]


def test_another_plan_runs_beside_one_that_is_not_over_and_takes_the_place_of_one_that_is(bench: PaymentBench) -> None:
    daily, weekly = bench.plan("50"), bench.plan("300", validity_count=7)
    first = bench.prompted(daily)
    bench.process(bench.callback(first, receipt="SKL1", amount="50"))
    old = bench.read_intent(first.id).subscription_id or 0
    bench.now += timedelta(hours=3)
    beside = bench.prompted(weekly)
    bench.process(bench.callback(beside, receipt="SKL2", amount="300"))
    new = bench.read_intent(beside.id).subscription_id or 0
    assert new != old
    assert bench.read(old).expires_at == NOW + DAY
    bench.now = NOW + 10 * DAY
    again = bench.prompted(bench.plan("20", validity_unit="hours"))
    bench.process(bench.callback(again, receipt="SKL3", amount="20"))
    assert bench.read_intent(again.id).subscription_id == old
    assert bench.read(old).expires_at == bench.now + timedelta(hours=1)


def test_the_device_that_pays_belongs_to_what_it_paid_for(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    bench.subscription(plan_id, macs=[MAC])
    intent = bench.prompted(plan_id, mac=MAC)
    bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
    assert bench.scalars("SELECT subscription_id FROM device") == [bench.read_intent(intent.id).subscription_id]


def test_a_plan_that_counts_from_the_first_login_waits_for_it_and_a_second_payment_is_kept(bench: PaymentBench) -> None:
    plan_id = bench.plan("50", validity_from="first_login")
    first = bench.prompted(plan_id)
    bench.process(bench.callback(first, receipt="SKL1", amount="50"))
    made = bench.read(bench.read_intent(first.id).subscription_id or 0)
    assert (made.activated_at, made.expires_at) == (None, None)
    bench.now += timedelta(hours=1)
    second = bench.prompted(plan_id)
    bench.process(bench.callback(second, receipt="SKL2", amount="50"))
    assert bench.balance(made.subscriber_id) == 50
    assert bench.events("payment.processed")[1]["kept"] == "nothing_to_extend"


@pytest.mark.parametrize("online", [False, True])
def test_an_expired_plan_that_counts_from_the_first_login_waits_again_unless_somebody_is_online(
    bench: PaymentBench, online: bool
) -> None:
    made = bench.subscription(bench.plan("50", validity_from="first_login"))
    with bench.engine.begin() as connection:
        past = {"at": NOW - DAY}
        connection.execute(text("UPDATE subscription SET activated_at = :at, expires_at = :at"), past)
        if online:
            connection.execute(
                text(
                    "INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username,"
                    " acct_session_id, interim_interval_s, started_at, last_seen_at) VALUES"
                    " (gen_random_uuid(), :tenant_id, 1, :id, 'hotspot', 'x', 'x', 300, :at, :at)"
                ),
                {**past, "tenant_id": bench.tenant_id, "id": made.id},
            )
    bench.pay_cash("50", subscription_id=made.id)
    renewed = bench.read(made.id)
    assert renewed.expires_at == (NOW + DAY if online else None)
    assert renewed.activated_at == (NOW if online else None)


def test_a_pending_subscription_begins_when_it_is_paid_for(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE subscription SET status = 'pending', activated_at = NULL, expires_at = NULL"))
    bench.pay_cash("50", subscription_id=made.id)
    assert (bench.read(made.id).status, bench.read(made.id).expires_at) == ("active", NOW + DAY)


@pytest.mark.parametrize("status", ["suspended", "cancelled"])
def test_money_for_what_can_not_be_renewed_stays_in_the_wallet(bench: PaymentBench, status: str) -> None:
    made = bench.subscription(bench.plan("50"))
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE subscription SET status = :status"), {"status": status})
    applied = bench.pay_cash("50", subscription_id=made.id)
    assert applied.kept in (Kept.SUSPENDED, Kept.NOTHING_TO_EXTEND)
    assert bench.balance(made.subscriber_id) == 50
    assert bench.read(made.id).expires_at == made.expires_at


def test_nobody_buys_a_way_around_a_suspension(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"), msisdn=PHONE)
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE subscription SET status = 'suspended'"))
    intent = bench.prompted(bench.plan("20"))
    bench.process(bench.callback(intent, receipt="SKL1", amount="20"))
    assert bench.scalars("SELECT count(*) FROM subscription") == [1]
    assert bench.balance(made.subscriber_id) == 20


# More, less, twice.


def test_what_is_paid_over_the_price_stays_in_the_wallet(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("49.50"))
    bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
    paid = bench.read_intent(intent.id)
    assert bench.balance(paid.subscriber_id) == Decimal("0.50")
    assert bench.account("sales") == Decimal("49.50")


def test_too_little_activates_nothing_and_the_rest_later_does(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    bench.now += 3 * DAY
    short = bench.pay_cash("30", subscription_id=made.id)
    assert (short.kept, short.balance_kes) == (Kept.NOT_ENOUGH, Decimal(30))
    assert bench.read(made.id).expires_at == NOW + DAY
    rest = bench.pay_cash("20", subscription_id=made.id)
    assert (rest.kept, rest.balance_kes) == (None, Decimal(0))
    assert bench.read(made.id).expires_at == NOW + 4 * DAY


def test_a_second_real_payment_of_one_intent_is_kept_as_credit(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("50"))
    bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
    assert bench.process(bench.c2b("SKL2", "50", intent.account_reference)) == "applied"
    assert bench.balance(bench.read_intent(intent.id).subscriber_id) == 50
    assert bench.renewals() == 1


def test_a_price_that_rose_since_the_customer_was_asked_does_not_count(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    intent = bench.prompted(plan_id)
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE plan SET price_kes = 80"))
    bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
    assert bench.renewals() == 1


# The same money, by many ways.


def orders() -> list[tuple[str, ...]]:
    return [
        ("callback", "callback", "callback"),
        ("callback", "c2b", "query"),
        ("c2b", "callback", "query"),
        ("query", "callback", "c2b"),
        ("query", "c2b", "callback"),
        ("c2b", "query", "callback"),
        ("failed", "callback", "failed"),
        ("callback", "failed", "query"),
        ("failed query", "callback", "query"),
        ("unknown", "query", "callback"),
        ("till", "callback", "query"),
        ("till", "query", "callback"),
        ("query", "till", "callback"),
        ("callback", "till", "query"),
    ]


def tell(bench: PaymentBench, intent_id: int, how: str) -> object:
    intent = bench.read_intent(intent_id)
    match how:
        case "callback":
            return bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
        case "failed":
            return bench.process(bench.callback(intent, "1037"))
        case "unknown":
            return bench.process(bench.callback(intent, "?"))
        case "c2b":
            return bench.process(bench.c2b("SKL1", "50", intent.account_reference, phone="2547 ***** 678"))
        case "till":  # where nobody gives an account, and the phone is masked
            return bench.process(bench.c2b("SKL1", "50", "", phone="2547 ***** 678"))
        case "query":
            return query(bench, intent_id, Paid())
        case _:
            return query(bench, intent_id, Failed("1032"))


@pytest.mark.parametrize("order", orders(), ids=" then ".join)
def test_the_same_money_is_credited_once_in_whatever_order_it_is_told(
    bench: PaymentBench, order: tuple[str, ...]
) -> None:
    intent = bench.prompted(bench.plan("50"))
    for how in order:
        tell(bench, intent.id, how)
    paid = bench.read_intent(intent.id)
    assert paid.state == "paid"
    assert bench.renewals() == 1
    assert (bench.account("sales"), bench.account("suspense"), bench.account("mpesa")) == (50, 0, -50)
    assert bench.read(paid.subscription_id or 0).expires_at == NOW + DAY
    live = [each for each in bench.payments() if each.state != "merged"]
    assert [(each.receipt, each.state) for each in live] == [("SKL1", "applied")]


@pytest.mark.parametrize("round_", range(4))
def test_the_same_money_told_by_all_at_the_same_moment_is_credited_once(bench: PaymentBench, round_: int) -> None:
    intent = bench.prompted(bench.plan("50"))
    webhooks = [bench.callback(intent, receipt="SKL1", amount="50") for _ in range(3)]
    webhooks += [bench.c2b("SKL1", "50", intent.account_reference) for _ in range(2)]
    webhooks.append(webhooks[0])
    works: list[Any] = [lambda inbox_id=inbox_id: bench.process(inbox_id) for inbox_id in webhooks]
    results = at_once(*works, lambda: query(bench, intent.id, Paid()))
    assert not [result for result in results if isinstance(result, Exception)], results
    assert bench.renewals() == 1
    assert (bench.account("sales"), bench.account("mpesa")) == (50, -50)
    assert [each.receipt for each in bench.payments()] == ["SKL1"]


def test_one_payment_applied_by_many_workers_at_once_is_applied_by_one(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    payment_id = bench.cash("50", subscription_id=made.id)
    results = at_once(*[lambda: bench.apply(payment_id)] * 6)
    assert [type(result).__name__ for result in results].count("Applied") == 1
    assert results.count(None) == 5
    assert bench.read(made.id).expires_at == NOW + 2 * DAY


def test_payments_of_a_new_phone_at_once_make_one_subscriber_and_one_subscription(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    intents = []
    for _ in range(4):
        intents.append(bench.prompted(plan_id))
        with bench.engine.begin() as connection:  # long ago, and forgotten
            connection.execute(text("UPDATE payment_intent SET state = 'failed', created_at = now() - interval '1 y'"))
    callbacks = [bench.callback(intent, receipt=f"SKL{intent.id}", amount="50") for intent in intents]
    results = at_once(*[lambda inbox_id=inbox_id: bench.process(inbox_id) for inbox_id in callbacks])
    assert results == ["applied"] * 4
    assert bench.scalars("SELECT count(*) FROM subscriber") == [1]
    assert bench.scalars("SELECT expires_at FROM subscription") == [NOW + 4 * DAY]


def test_two_intents_never_share_a_receipt(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    one, other = bench.prompted(plan_id), bench.prompted(plan_id, "254700000002")
    bench.process(bench.callback(one, receipt="SKL1", amount="50"))
    assert bench.process(bench.callback(other, receipt="SKL1", amount="50")) == "conflict"
    assert bench.account("mpesa") == -50
    assert bench.events("payment.webhook_refused")[0]["intent_id"] == other.id


def test_a_receipt_that_tells_another_amount_than_was_assumed_corrects_the_books(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("50"))
    query(bench, intent.id, Paid())
    bench.now += DAY
    assert bench.process(bench.c2b("SKL1", "70", intent.account_reference)) == "completed"
    assert bench.balance(bench.read_intent(intent.id).subscriber_id) == 20
    assert bench.account("mpesa") == -70


# Callbacks that are not believed.


def test_a_callback_from_elsewhere_is_believed_only_when_a_query_says_the_same(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("50"))
    inbox_id = bench.callback(intent, receipt="SKL1", amount="50", listed=False)
    with pytest.raises(Unconfirmed):
        bench.process(inbox_id)
    bench.provider.query_outcome = Paid()
    assert bench.process(inbox_id) == "applied"
    assert bench.provider.queried == [intent.checkout_request_id] * 2


@pytest.mark.parametrize(
    "told", [{"amount": "5000"}, {"amount": "50", "phone": "254700000009"}], ids=["amount", "phone"]
)
def test_a_callback_that_does_not_fit_what_was_asked_and_that_a_query_contradicts_credits_nobody(
    bench: PaymentBench, told: dict[str, Any]
) -> None:
    intent = bench.prompted(bench.plan("50"))
    bench.provider.query_outcome = Failed("1032")
    assert bench.process(bench.callback(intent, receipt="SKL1", **told)) == "contradicted"
    assert bench.payments() == []
    assert bench.read_intent(intent.id).state == "prompted"


def test_a_callback_above_the_accounts_threshold_is_confirmed(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("10001"))
    with pytest.raises(Unconfirmed):
        bench.process(bench.callback(intent, receipt="SKL1", amount="10001"))


def test_a_callback_about_another_prompt_than_its_token_is_refused(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    intent, other = bench.prompted(plan_id), bench.prompted(plan_id, "254700000002")
    inbox_id = bench.callback(intent, receipt="SKL1", amount="50", checkout=other.checkout_request_id)
    assert bench.process(inbox_id) == "mismatch"
    assert bench.payments() == []


def test_what_can_not_be_read_is_kept_and_told(bench: PaymentBench) -> None:
    inbox_id = bench.webhook("c2b_confirmation", b"<html>")
    assert bench.process(inbox_id) == "unreadable"
    assert bench.scalars("SELECT error FROM webhook_inbox") == ["not JSON"]
    assert bench.events("payment.webhook_refused")[0]["inbox_id"] == inbox_id


# C2B and suspense.


@pytest.mark.parametrize("bill_ref", ["jane", " JANE ", "0712345678", "+254 712 345 678", "712345678"])
def test_c2b_finds_a_subscription_by_username_or_phone(bench: PaymentBench, bill_ref: str) -> None:
    made = bench.subscription(bench.plan("50"), msisdn=PHONE, username="jane")
    assert bench.process(bench.c2b("SKL1", "50", bill_ref, phone="f" * 64)) == "applied"
    assert bench.read(made.id).expires_at == NOW + 2 * DAY


@pytest.mark.parametrize(
    ("bill_ref", "phone"),
    [("nobody", PHONE), ("", "2547 ***** 678"), ("", "a" * 64), ("2547 ***** 678", PHONE), ("0799999999", PHONE)],
)
def test_c2b_of_nobody_we_know_for_certain_waits_in_suspense(bench: PaymentBench, bill_ref: str, phone: str) -> None:
    bench.subscription(bench.plan("50"), msisdn=PHONE)
    assert bench.process(bench.c2b("SKL1", "50", bill_ref, phone=phone)) == "suspense"
    assert (bench.account("suspense"), bench.renewals()) == (50, 0)
    assert bench.scalars("SELECT count(*) FROM subscriber") == [1]
    assert bench.process(bench.c2b("SKL1", "50", bill_ref, phone=phone)) == "duplicate"


def test_at_a_till_a_phone_that_is_certain_says_who_paid(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"), msisdn=PHONE)
    assert bench.process(bench.c2b("SKL1", "50", "", phone=PHONE)) == "applied"
    assert bench.read(made.id).expires_at == NOW + 2 * DAY


def test_c2b_from_elsewhere_than_the_provider_credits_nobody(bench: PaymentBench) -> None:
    bench.subscription(bench.plan("50"), username="jane")
    assert bench.process(bench.c2b("SKL1", "50", "jane", listed=False)) == "suspense"
    assert [each.suspense_reason for each in bench.payments()] == ["unlisted_source"]


def test_c2b_of_a_phone_with_two_subscriptions_is_kept_in_the_wallet(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"), msisdn=PHONE, username="first")
    with bench.sessions.begin() as session:
        new = subscription_life.NewSubscription(made.subscriber_id, made.plan_id, username="second")
        subscription_life.create(session, bench.tenant_id, new, bench.keyring, NOW)
    bench.process(bench.c2b("SKL1", "50", PHONE))
    assert bench.events("payment.processed")[0]["kept"] == "no_choice"
    assert bench.balance(made.subscriber_id) == 50


def test_suspense_is_assigned_once(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    bench.process(bench.c2b("SKL1", "50", "nobody"))
    payment_id = bench.payments()[0].id

    def assign() -> object:
        with bench.sessions.begin() as session:
            return payment_decisions.assign(session, payment_id, made.id, bench.keyring, bench.now)

    results = at_once(assign, assign, assign)
    assert [type(result).__name__ for result in results].count("Applied") == 1
    assert bench.read(made.id).expires_at == NOW + 2 * DAY
    assert (bench.account("suspense"), bench.account("sales")) == (0, 50)


def test_suspense_that_was_sent_back_is_recorded_and_can_not_be_assigned(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    bench.process(bench.c2b("SKL1", "50", "nobody"))
    payment_id = bench.payments()[0].id
    with bench.sessions.begin() as session:
        assert payment_decisions.record_refund(session, payment_id, "sent back by hand", bench.now)
    with bench.sessions.begin() as session:
        assert not payment_decisions.record_refund(session, payment_id, "again", bench.now)
    with pytest.raises(Conflict, match="refunded"), bench.sessions.begin() as session:
        payment_decisions.assign(session, payment_id, made.id, bench.keyring, bench.now)
    assert (bench.account("suspense"), bench.account("refunds")) == (0, 50)


def test_a_prompt_whose_money_an_operator_had_assigned_is_credited_no_second_time(bench: PaymentBench) -> None:
    """The query paid the intent, the C2B of the till waited, was assigned by hand, and then the callback came."""
    intent = bench.prompted(bench.plan("50"))
    other = bench.subscription(bench.plan("50"))
    query(bench, intent.id, Paid())
    bench.process(bench.c2b("SKL1", "50", "", phone="2547 ***** 678"))
    waiting = next(each for each in bench.payments() if each.receipt)
    with bench.sessions.begin() as session:
        payment_decisions.assign(session, waiting.id, other.id, bench.keyring, bench.now)
    assert bench.process(bench.callback(intent, receipt="SKL1", amount="50")) == "linked"
    assert (bench.account("mpesa"), bench.account("sales"), bench.renewals()) == (-50, 50, 1)
    assert bench.process(bench.c2b("SKL2", "50", intent.account_reference)) == "applied", "this is other money"
    assert bench.account("mpesa") == -100


# Taken back.


def reverse(bench: PaymentBench, payment_id: int) -> object:
    with bench.sessions.begin() as session:
        return payment_decisions.reverse(session, payment_id, "customer complained", bench.now)


def test_a_reversal_takes_back_the_money_and_the_time_once(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    first = bench.pay_cash("50", subscription_id=made.id)
    bench.pay_cash("70", subscription_id=made.id)
    assert bench.read(made.id).expires_at == NOW + 3 * DAY
    results = at_once(*[lambda: reverse(bench, first.payment_id)] * 3)
    assert sorted(map(str, results)) == ["False", "False", "True"]
    assert bench.read(made.id).expires_at == NOW + 2 * DAY
    assert (bench.account("cash"), bench.account("sales"), bench.balance(made.subscriber_id)) == (-70, 50, 20)
    assert bench.events("payment.reversed")[0]["renewals_taken_back"] == 1
    assert bench.events("subscription.changed")[-1]["why"] == "reversal"


def test_a_reversal_of_what_was_spent_otherwise_is_a_debt_that_is_paid_first(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    kept = bench.pay_cash("40", subscription_id=made.id)
    bench.pay_cash("10", subscription_id=made.id)
    assert bench.renewals() == 1
    reverse(bench, kept.payment_id)
    assert bench.balance(made.subscriber_id) == -40
    short = bench.pay_cash("50", subscription_id=made.id)
    assert (short.kept, short.balance_kes) == (Kept.NOT_ENOUGH, Decimal(10))


def test_reversing_what_made_a_subscription_leaves_it_expired(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("50"))
    bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
    bench.now += timedelta(hours=1)
    reverse(bench, bench.payments()[0].id)
    assert bench.read(bench.read_intent(intent.id).subscription_id or 0).expires_at == NOW
    assert bench.read_intent(intent.id).fulfilled_at is None


@pytest.mark.parametrize(
    "plan", [{"validity_unit": "unlimited", "validity_count": None}, {"validity_from": "first_login"}]
)
def test_reversing_time_without_end_ends_it_now(bench: PaymentBench, plan: dict[str, Any]) -> None:
    intent = bench.prompted(bench.plan("50", **plan))
    bench.process(bench.callback(intent, receipt="SKL1", amount="50"))
    bench.now += timedelta(hours=1)
    reverse(bench, bench.payments()[0].id)
    assert bench.read(bench.read_intent(intent.id).subscription_id or 0).expires_at == bench.now


def test_a_provisional_payment_that_was_reversed_is_not_credited_by_its_receipt(bench: PaymentBench) -> None:
    intent = bench.prompted(bench.plan("50"))
    query(bench, intent.id, Paid())
    reverse(bench, bench.payments()[0].id)
    assert bench.process(bench.callback(intent, receipt="SKL1", amount="50")) == "completed"
    assert (bench.account("mpesa"), bench.renewals()) == (0, 0)


# From the wallet.


def renew(bench: PaymentBench, subscription_id: int) -> bool:
    with bench.sessions.begin() as session:
        return renew_from_wallet(session, subscription_id, bench.now)


def test_an_expiry_is_answered_from_the_wallet_once(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    bench.pay_cash("200", subscription_id=made.id)
    assert not renew(bench, made.id), "it has not expired"
    bench.now = NOW + 2 * DAY
    assert sorted(map(str, at_once(*[lambda: renew(bench, made.id)] * 5))) == ["False"] * 4 + ["True"]
    assert bench.read(made.id).expires_at == bench.now + DAY
    assert bench.balance(made.subscriber_id) == 100
    assert bench.scalars("SELECT count(*) FROM renewal WHERE automatic") == [1]


@pytest.mark.parametrize("why", ["not enough", "not wanted", "suspended"])
def test_an_expiry_is_not_answered_where_it_must_not_be(bench: PaymentBench, why: str) -> None:
    made = bench.subscription(bench.plan("50"))
    bench.pay_cash("40" if why == "not enough" else "100", subscription_id=made.id)
    with bench.engine.begin() as connection:
        if why == "not wanted":
            connection.execute(text("UPDATE subscription SET auto_renew = false"))
        if why == "suspended":
            connection.execute(text("UPDATE subscription SET status = 'suspended'"))
    bench.now = NOW + 9 * DAY
    assert not renew(bench, made.id)


# Vouchers.


def test_a_voucher_is_redeemed_by_one_of_many_at_once(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    code = bench.code(bench.plan("30", validity_unit="hours", validity_count=3))
    results = at_once(*[lambda: bench.redeem(code.lower(), subscription_id=made.id)] * 5)
    (payment_id,) = [result for result in results if isinstance(result, int)]
    assert {str(result) for result in results if isinstance(result, Conflict)} == {
        "This voucher has been used already."
    }
    applied = bench.apply(payment_id)
    assert applied is not None
    assert applied.subscription_id == made.id
    assert bench.read(made.id).expires_at == NOW + timedelta(hours=3), "another plan begins at once"
    assert (bench.account("voucher"), bench.account("sales"), bench.balance(made.subscriber_id)) == (-30, 30, 0)
    assert bench.scalars("SELECT redeemed_by_subscription_id FROM voucher WHERE state = 'redeemed'") == [made.id]


@pytest.mark.parametrize("who", [{"msisdn": PHONE, "mac": MAC}, {"mac": MAC}], ids=["phone", "device"])
def test_a_voucher_makes_a_subscription_for_a_phone_or_a_device(bench: PaymentBench, who: dict[str, str]) -> None:
    applied = bench.apply(bench.redeem(bench.code(bench.plan("30")), **who))
    assert applied is not None
    assert bench.scalars("SELECT subscription_id FROM device") == [applied.subscription_id]
    assert bench.scalars("SELECT msisdn FROM subscriber") == [who.get("msisdn")]


def test_a_voucher_is_worth_its_plan_though_a_debt_is_owed(bench: PaymentBench) -> None:
    plan_id = bench.plan("50")
    made = bench.subscription(plan_id)
    kept = bench.pay_cash("40", subscription_id=made.id)
    bench.pay_cash("10", subscription_id=made.id)
    reverse(bench, kept.payment_id)
    applied = bench.apply(bench.redeem(bench.code(plan_id), subscription_id=made.id))
    assert applied is not None
    assert (applied.kept, applied.balance_kes) == (None, Decimal(-40))


@pytest.mark.parametrize("why", ["revoked", "expired", "voucher"])
def test_a_voucher_that_is_not_good_is_refused(bench: PaymentBench, why: str) -> None:
    plan_id = bench.plan("30")
    code = bench.code(plan_id, expires_at=NOW + DAY)
    if why == "revoked":
        with bench.office() as session:
            assert voucher.revoke_batch(session, bench.scalars("SELECT id FROM voucher_batch")[0], NOW) == 3
    if why == "expired":
        bench.now += 2 * DAY
    typed = "7KQ2XM4P9D" if why == "voucher" else code
    with pytest.raises((Conflict, Invalid)) as refused:
        bench.redeem(typed, msisdn=PHONE)
    assert refused.value.code == why


# What the database itself refuses.


def test_a_posting_that_does_not_add_up_is_not_committed(bench: PaymentBench) -> None:
    statement = text(
        "WITH p AS (INSERT INTO ledger_posting (tenant_id, kind, created_at) VALUES (:tenant_id, 'payment', now())"
        " RETURNING id) INSERT INTO ledger_entry (tenant_id, posting_id, account, amount_kes)"
        " SELECT :tenant_id, id, 'cash', 5 FROM p"
    )
    with pytest.raises(IntegrityError, match="add up"), bench.engine.begin() as connection:
        connection.execute(statement, {"tenant_id": bench.tenant_id})


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_entry SET amount_kes = 1", "DELETE FROM ledger_entry", "DELETE FROM payment"]
)
def test_not_even_a_worker_changes_what_the_ledger_says(bench: PaymentBench, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), bench.engine.begin() as connection:
        connection.execute(text(statement))


def test_the_day_is_reconciled(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    first = bench.pay_cash("80", subscription_id=made.id)
    bench.process(bench.c2b("SKL1", "25", "nobody"))
    reverse(bench, first.payment_id)
    bench.pay_cash("60", subscription_id=made.id)
    with bench.sessions() as session:
        report = reconciliation.of_day(session, bench.tenant_id, NOW.date())
    told = (report.received_kes, report.reversed_kes, report.suspense_kes, report.credited_kes, report.sales_kes)
    assert told == tuple(map(Decimal, (165, 80, 25, 60, 50)))
    assert report.difference_kes == 0


def renew_now(bench: PaymentBench, subscription_id: int, plan_id: int) -> None:
    with bench.sessions.begin() as session:
        renew_at_once(session, subscription_id, plan_id, bench.now)


def test_a_renewal_that_is_asked_for_takes_the_wallets_money_before_the_expiry(bench: PaymentBench) -> None:
    made = bench.subscription(plan_id := bench.plan("50"))
    bench.pay_cash("120", subscription_id=made.id)
    assert bench.read(made.id).expires_at == NOW + 2 * DAY
    renew_now(bench, made.id, plan_id)
    assert bench.read(made.id).expires_at == NOW + 3 * DAY
    assert (bench.account("sales"), bench.balance(made.subscriber_id)) == (100, 20)
    assert bench.events("subscription.changed")[-1]["why"] == "wallet"
    with pytest.raises(Conflict, match=r"holds KES 20.00, the plan costs KES 50.00"):
        renew_now(bench, made.id, plan_id)
    assert bench.read(made.id).expires_at == NOW + 3 * DAY


def test_of_renewals_at_once_the_wallet_pays_as_many_as_it_holds(bench: PaymentBench) -> None:
    made = bench.subscription(plan_id := bench.plan("50"))
    bench.pay_cash("40", subscription_id=made.id)
    bench.pay_cash("120", subscription_id=made.id)
    results = at_once(*[lambda: renew_now(bench, made.id, plan_id)] * 6)
    assert [str(each) for each in results].count("None") == 2
    assert bench.balance(made.subscriber_id) == 10


def test_a_renewal_that_is_asked_for_with_another_plan_begins_at_once(bench: PaymentBench) -> None:
    made = bench.subscription(bench.plan("50"))
    bench.pay_cash("40", subscription_id=made.id)
    renew_now(bench, made.id, other_id := bench.plan("30"))
    assert (bench.read(made.id).plan_id, bench.read(made.id).expires_at) == (other_id, NOW + DAY)
    assert bench.balance(made.subscriber_id) == 10
