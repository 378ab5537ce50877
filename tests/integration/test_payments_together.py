"""Callbacks that wait, credited in one transaction: each as if it had come alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.webhook_inbox import WebhookInbox
from isp.payment import Paid
from settings import Settings
from tasks import payment_webhooks, payments
from tasks.enqueue import enqueue
from tasks.runner import Runner
from tests.integration.payment_bench import DAY, NOW, PaymentBench, make_payment_bench
from tests.integration.test_jobs_together import runner_here

JANE, JOHN, MARY = "254712345678", "254712345679", "254712345680"
MAC = "02:00:00:00:00:01"


@dataclass
class Till:
    bench: PaymentBench
    runner: Runner

    def work(self, *inbox_ids: int) -> list[str]:
        """As a worker does that finds them all on Redis; the outcomes."""
        ids = []
        for inbox_id in inbox_ids:
            with self.bench.sessions.begin() as session:
                job = enqueue(session, payments.process_webhook, {"inbox_id": inbox_id}, tenant_id=self.bench.tenant_id)
                ids.append(job.id)
        self.runner._nudger.push({"payments": ids[1:]})
        self.runner.run(ids[0])
        assert self.bench.scalars("SELECT count(*) FROM job WHERE state <> 'succeeded' AND queue = 'payments'") == [0]
        outcomes = "SELECT outcome FROM webhook_inbox WHERE id = ANY(:ids) ORDER BY array_position(:ids, id)"
        return self.bench.scalars(outcomes, ids=list(inbox_ids))

    def transactions(self) -> int:
        """In how many the payments were credited."""
        return int(self.bench.scalars("SELECT count(DISTINCT xmin::text) FROM renewal")[0])


@pytest.fixture
def till(settings_of_module: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    with make_payment_bench(settings_of_module) as bench:
        monkeypatch.setattr(payments, "open_provider", lambda *_: bench.provider)
        monkeypatch.setattr(payments, "_now", lambda: bench.now)
        with runner_here(settings_of_module, monkeypatch) as runner:
            runner._nudger.take("payments", 1000)  # of the test before
            yield Till(bench, runner)
        bench.check_books()


def test_new_and_old_customers_are_credited_in_one_transaction(till: Till) -> None:
    bench, plan_id = till.bench, till.bench.plan("50")
    old = bench.subscription(plan_id, JOHN)
    with bench.engine.begin() as connection:
        connection.execute(text("UPDATE usage SET input_octets = 7"))
    intents = [
        bench.prompted(plan_id, JANE, mac=MAC),
        bench.prompted(plan_id, JOHN, subscription_id=old.id),
        bench.prompted(plan_id, MARY),
    ]
    told = [bench.callback(intent, receipt=f"SKL{intent.id}", amount="50") for intent in intents]
    assert till.work(*told) == ["applied"] * 3
    assert till.transactions() == 1
    assert bench.read(old.id).expires_at == NOW + 2 * DAY
    assert bench.scalars("SELECT validity_input_octets FROM usage WHERE subscription_id = :id", id=old.id) == [7]
    assert sorted(bench.scalars("SELECT username FROM subscription")) == sorted([JANE, old.username, MARY])
    assert (bench.account("mpesa"), bench.account("sales"), bench.account("wallet")) == (-150, 150, 0)
    assert len(bench.events("payment.processed")) == 3


def test_what_is_told_twice_and_by_hand_too_is_credited_once(till: Till) -> None:
    bench = till.bench
    intent = bench.prompted(bench.plan("50"))
    twice = [bench.callback(intent, receipt="SKL1", amount="50") for _ in range(2)]
    by_hand = bench.c2b("SKL1", "50", intent.account_reference)
    assert till.work(twice[0], by_hand, twice[1]) == ["applied", "duplicate", "duplicate"]
    assert (len(bench.payments()), bench.renewals(), bench.account("mpesa")) == (1, 1, -50)
    assert bench.payments()[0].state == "applied"


def test_two_payments_of_one_new_customer_give_one_subscription_two_validities(till: Till) -> None:
    bench, plan_id = till.bench, till.bench.plan("50")
    first = bench.prompted(plan_id)
    failed = bench.callback(first, "1032")
    assert till.work(failed) == ["failed"]
    bench.now += DAY / 24
    second = bench.prompted(plan_id)
    told = [bench.callback(intent, receipt=f"SKL{intent.id}", amount="50") for intent in (first, second)]
    assert till.work(*told) == ["applied"] * 2
    assert bench.scalars("SELECT expires_at FROM subscription") == [bench.now + 2 * DAY]
    assert (bench.renewals(), bench.account("sales"), bench.account("wallet")) == (2, 100, 0)


def test_one_that_m_pesa_is_to_be_asked_about_holds_up_no_other(till: Till) -> None:
    bench, plan_id = till.bench, till.bench.plan("50")
    intents = [bench.prompted(plan_id, phone) for phone in (JANE, JOHN, MARY)]
    strange = bench.callback(intents[1], receipt="SKL2", amount="50", listed=False)
    told = [bench.callback(intent, receipt=f"SKLX{intent.id}", amount="50") for intent in (intents[0], intents[2])]
    bench.provider.query_outcome = Paid()
    assert till.work(told[0], strange, told[1]) == ["applied"] * 3
    assert bench.provider.queried == [intents[1].checkout_request_id]
    assert till.transactions() == 2


def test_one_that_makes_no_sense_and_one_of_another_prompt_take_no_other_along(till: Till) -> None:
    bench, plan_id = till.bench, till.bench.plan("50")
    good, other = bench.prompted(plan_id, JANE), bench.prompted(plan_id, JOHN)
    garbage = bench.webhook("stk", b"\0", intent_id=other.id)
    mistaken = bench.callback(other, receipt="SKL9", amount="50", checkout=good.checkout_request_id)
    fine = bench.callback(good, receipt="SKL1", amount="50")
    assert till.work(garbage, mistaken, fine) == ["unreadable", "mismatch", "applied"]
    assert len(bench.payments()) == 1


def test_one_that_postgresql_refuses_takes_no_other_along(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, plan_id = till.bench, till.bench.plan("50")
    intents = [bench.prompted(plan_id, phone) for phone in (JANE, JOHN, MARY)]
    told = [bench.callback(intent, receipt=f"SKL{intent.id}", amount="50") for intent in intents]
    process = payment_webhooks.process

    def refused(session: Session, webhook: WebhookInbox, *args: Any, **options: Any) -> str:
        outcome = process(session, webhook, *args, **options)
        if webhook.intent_id == intents[1].id:
            session.execute(text("SELECT 1 / 0"))
        return outcome

    monkeypatch.setattr(payment_webhooks, "process", refused)
    with pytest.raises(AssertionError):
        till.work(*told)
    assert bench.scalars("SELECT state FROM job WHERE queue = 'payments' AND state <> 'succeeded'") == ["pending"]
    assert [each.intent_id for each in bench.payments()] == [intents[0].id, intents[2].id]
