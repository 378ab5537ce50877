"""The jobs of payments: a customer asked once, whoever dies; what nobody told us found by asking; nothing left open."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from db import job_life, payment_account, payment_intent, webhook_inbox
from db.payment_intent import NewIntent, PaymentIntent
from db.refusal import Conflict, Refusal
from isp.payment import Accepted, Failed, Paid, Pending, Rejected, Unanswered, Unknown
from settings import Seconds, Secret, Settings
from tasks import payments
from tasks.daraja_token import Token, shared_token
from tasks.enqueue import enqueue
from tasks.open_provider import AccountTokens
from tasks.registry import task_of
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure
from tests.integration.payment_bench import DAY, NOW, PHONE, PaymentBench, at_once, make_payment_bench

BUSY = Rejected("500.003.02", "spike arrest", permanent=False)


@pytest.fixture(scope="module")
def database(settings_of_module: Settings) -> Settings:
    return replace(settings_of_module, public_url="https://pay.example.net/")


@dataclass
class Shop:
    """The bench, its clock as the tasks see it, and a worker that runs one job when it is told to."""

    bench: PaymentBench
    settings: Settings

    def enqueue(self, function: Callable[..., None], **args: Any) -> int:
        with self.bench.sessions.begin() as session:
            return enqueue(session, function, args, tenant_id=self.bench.tenant_id).id

    def work(self, job_id: int) -> None:
        """One attempt, as a worker makes it. Raises what the task raises; the job is then due again."""
        self.execute("UPDATE job SET due_at = now() WHERE id = :id", id=job_id)
        with self.bench.sessions.begin() as session:
            name, queue = session.execute(text("SELECT task, queue FROM job WHERE id = :id"), {"id": job_id}).one()
            claim = job_life.claim(session, job_id, queue, lease_s=60)
        assert claim is not None, f"job {job_id} can not be claimed"
        function = getattr(payments, name)
        assert task_of(function).name == name
        with self.bench.sessions() as session:
            try:
                function(session, RunningJob(claim, self.settings, self.bench.sessions), **claim.args)
                assert job_life.succeed(session, claim)
                session.commit()
            except BaseException as error:
                session.rollback()
                with self.bench.sessions.begin() as after:
                    if claim.attempt < claim.max_attempts:
                        job_life.try_again(after, claim, repr(error), 0)
                    else:
                        job_life.fail(after, claim, repr(error))
                raise

    def push(self, intent_id: int) -> None:
        self.work(self.enqueue(payments.push_prompt, intent_id=intent_id))

    def waiting(self, task: str) -> list[Any]:
        """Jobs of the task that are to be done: (id, due_at), the next first."""
        statement = "SELECT id, due_at FROM job WHERE state = 'pending' AND task = :task ORDER BY due_at"
        with self.bench.engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(statement), {"task": task})]

    def execute(self, statement: str, **values: Any) -> None:
        with self.bench.engine.begin() as connection:
            connection.execute(text(statement), values)

    def ask_until_the_end(self) -> list[float]:
        """Runs the queries, each when it is due; the seconds after the prompt at which they were asked."""
        asked = []
        while waiting := self.waiting("query_prompt"):
            job_id, self.bench.now = waiting[0]
            asked.append((self.bench.now - NOW).total_seconds())
            self.work(job_id)
        return asked


@pytest.fixture
def shop(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with make_payment_bench(database) as bench:
        monkeypatch.setattr(payments, "open_provider", lambda *_: bench.provider)
        monkeypatch.setattr(payments, "_now", lambda: bench.now)
        yield Shop(bench, database)
        bench.check_books()


# Asking.


def test_a_gateway_on_this_machine_calls_back_on_loopback(shop: Shop) -> None:
    with psycopg.connect(shop.settings.database_admin_dsn(shop.settings.database_name)) as superuser:
        superuser.execute("UPDATE payment_account SET local_url = 'http://127.0.0.1:1'")
    shop.settings = replace(shop.settings, public_url="", http_bind="0.0.0.0", http_port=8123)
    shop.push(shop.bench.intent(shop.bench.plan(), payment_account_id=shop.bench.account_id))
    (prompt,) = shop.bench.provider.pushed
    assert prompt.callback_url.startswith("http://127.0.0.1:8123/webhooks/daraja/stk/")


def test_a_customer_is_asked_and_the_first_query_is_a_job_of_the_same_transaction(shop: Shop) -> None:
    bench = shop.bench
    plan_id = bench.plan("49.50", name="Siku 1 – Kasi!")
    intent_id = bench.intent(plan_id)
    shop.push(intent_id)
    (prompt,) = bench.provider.pushed
    intent = bench.read_intent(intent_id)
    token = payment_intent.callback_token(intent_id, bench.keyring)
    assert (prompt.msisdn, prompt.description) == (PHONE, "Siku 1 Kasi")
    assert prompt.amount_kes == 50
    assert prompt.account_reference == intent.account_reference
    assert prompt.callback_url == f"https://pay.example.net/webhooks/daraja/stk/{token}"
    assert (intent.state, intent.checkout_request_id is None) == ("prompted", False)
    assert [due_at for _, due_at in shop.waiting("query_prompt")] == [NOW + timedelta(seconds=20)]


class Killed(BaseException):
    """As by SIGKILL."""


@pytest.mark.parametrize("when", ["before the provider heard of it", "after the customer was asked"])
def test_a_worker_that_dies_while_it_asks_leaves_a_prompt_that_is_never_repeated(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    bench, asked = shop.bench, []

    def die(prompt: Any) -> Any:
        if when == "after the customer was asked":
            asked.append(prompt)
        raise Killed

    intent_id = bench.intent(bench.plan())
    job_id = shop.enqueue(payments.push_prompt, intent_id=intent_id)
    with monkeypatch.context() as patch:
        patch.setattr(bench.provider, "push", die)
        with pytest.raises(Killed):
            shop.work(job_id)
    shop.work(job_id)
    assert bench.provider.pushed == []
    assert bench.read_intent(intent_id).state == "prompting"
    if asked:  # its callback finds it without a CheckoutRequestID
        inbox_id = bench.callback(bench.read_intent(intent_id), checkout="c9", receipt="SKL1", amount="50")
        assert bench.process(inbox_id) == "applied"
    else:
        assert shop.ask_until_the_end() == [20, 60, 120, 300, 900]
        assert bench.read_intent(intent_id).state == "unknown"
        assert bench.provider.queried == []


def test_two_workers_with_the_same_intent_ask_once(shop: Shop) -> None:
    intent_id = shop.bench.intent(shop.bench.plan())
    assert sorted(map(str, at_once(*[lambda: shop.bench.push(intent_id)] * 5))) == ["False"] * 4 + ["True"]
    assert len(shop.bench.provider.pushed) == 1


def test_a_refusal_that_may_pass_is_tried_again_with_the_same_callback(shop: Shop) -> None:
    bench = shop.bench
    bench.provider.push_outcomes = [BUSY, Accepted("m", "c")]
    intent_id = bench.intent(bench.plan())
    job_id = shop.enqueue(payments.push_prompt, intent_id=intent_id)
    with pytest.raises(payments.NotPrompted, match="spike arrest"):
        shop.work(job_id)
    assert bench.read_intent(intent_id).state == "initiated"
    bench.now += timedelta(seconds=10)
    shop.work(job_id)
    assert bench.read_intent(intent_id).state == "prompted"
    first, second = bench.provider.pushed
    assert first.callback_url == second.callback_url
    # The query of the prompt that was not made asks nothing, that of the other does.
    for query_id, _ in shop.waiting("query_prompt"):
        bench.now = NOW + timedelta(seconds=30)
        shop.work(query_id)
    assert bench.provider.queried == ["c"]


def test_a_refusal_that_does_not_pass_fails_with_a_sentence_for_the_customer(shop: Shop) -> None:
    bench = shop.bench
    bench.provider.push_outcomes = [BUSY] * 4
    intent_id = bench.intent(bench.plan())
    job_id = shop.enqueue(payments.push_prompt, intent_id=intent_id)
    for _ in range(3):
        with pytest.raises(payments.NotPrompted):
            shop.work(job_id)
    shop.work(job_id)
    failed = bench.read_intent(intent_id)
    assert (failed.state, failed.failure_code, failed.failure_reason) == ("failed", "500.003.02", "en: 500.003.02")
    assert bench.events("payment.failed")[0]["reason"] == "en: 500.003.02"


def test_without_a_public_url_nobody_is_asked_and_the_operator_is_told(shop: Shop) -> None:
    shop.settings = replace(shop.settings, public_url="")
    intent_id = shop.bench.intent(shop.bench.plan())
    with pytest.raises(PermanentFailure, match="KIBALI_PUBLIC_URL"):
        shop.push(intent_id)
    failed = shop.bench.read_intent(intent_id)
    assert (failed.state, failed.failure_code) == ("failed", "no_public_url")
    assert shop.bench.provider.pushed == []


# Who may be asked again, and when.


def refused(shop: Shop, plan_id: int, msisdn: str = PHONE) -> str | None:
    try:
        shop.bench.intent(plan_id, msisdn)
    except Refusal as refusal:
        return refusal.code
    return None


def test_a_phone_has_one_prompt_of_an_account_before_it(shop: Shop) -> None:
    plan_id = shop.bench.plan()
    results = at_once(*[lambda: shop.bench.intent(plan_id)] * 5)
    assert sum(isinstance(result, int) for result in results) == 1
    assert refused(shop, plan_id) == "open"
    assert refused(shop, plan_id, "254700000002") is None


@pytest.mark.parametrize(
    ("code", "amount", "after_s", "expected"),
    [
        ("1032", "50", 59, "too_soon"),
        ("1032", "50", 60, None),
        ("0", "50", 60, "too_soon"),
        ("0", "50", 119, "too_soon"),
        ("0", "50", 120, None),
        ("0", "51", 60, None),
        ("?", "50", 60, "open"),
        ("?", "50", 899, "open"),
    ],
)
def test_a_phone_is_asked_again_when_mpesa_lets_it(
    shop: Shop, code: str, amount: str, after_s: int, expected: str | None
) -> None:
    bench = shop.bench
    bench.process(bench.callback(bench.prompted(bench.plan("50")), code, receipt="SKL1", amount="50"))
    bench.now += timedelta(seconds=after_s)
    assert refused(shop, bench.plan(amount)) == expected


def test_an_intent_that_needs_review_does_not_keep_its_customer_from_paying(shop: Shop) -> None:
    plan_id = shop.bench.plan()
    shop.push(shop.bench.intent(plan_id))
    shop.ask_until_the_end()
    assert refused(shop, plan_id) is None


def test_nothing_is_asked_without_an_account(shop: Shop) -> None:
    with shop.bench.office() as session:
        payment_account.disable(session, shop.bench.account_id, NOW)
    with pytest.raises(Conflict, match="Add your paybill or till first"):
        shop.bench.intent(shop.bench.plan())


# Queries.


@pytest.mark.parametrize("answer", [Pending(), Unknown("time-out")], ids=["pending", "silent"])
def test_what_no_callback_came_for_is_asked_for_five_times_and_then_left_to_a_person(shop: Shop, answer: Any) -> None:
    bench = shop.bench
    bench.provider.query_outcome = answer
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    assert shop.ask_until_the_end() == [20, 60, 120, 300, 900]
    unknown = bench.read_intent(intent_id)
    assert (unknown.state, unknown.queries, unknown.next_query_at) == ("unknown", 5, None)
    assert bench.events("payment.unknown")[0]["intent_id"] == intent_id
    bench.now += DAY
    assert bench.process(bench.callback(unknown, receipt="SKL1", amount="50")) == "applied"


def test_a_payment_that_a_query_finds_is_credited_and_asked_for_no_more(shop: Shop) -> None:
    bench = shop.bench
    bench.provider.query_outcome = Paid()
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    assert shop.ask_until_the_end() == [20]
    assert [(each.receipt, each.state) for each in bench.payments()] == [(None, "applied")]
    assert bench.read_intent(intent_id).state == "paid"


def test_a_query_that_says_failed_is_asked_on_for_it_may_be_wrong(shop: Shop) -> None:
    """The sandbox has answered failed for payments that succeeded."""
    bench = shop.bench
    bench.provider.query_outcome = Failed("1032")
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    (job_id, _) = shop.waiting("query_prompt")[0]
    bench.now += timedelta(seconds=20)
    shop.work(job_id)
    assert bench.read_intent(intent_id).state == "failed"
    bench.provider.query_outcome = Paid()
    assert shop.ask_until_the_end() == [60]
    paid = bench.read_intent(intent_id)
    assert (paid.state, paid.failure_code, paid.failure_reason) == ("paid", None, None)
    assert len(bench.payments()) == 1


def test_after_a_callback_of_success_nobody_is_asked(shop: Shop) -> None:
    bench = shop.bench
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    bench.process(bench.callback(bench.read_intent(intent_id), receipt="SKL1", amount="50"))
    assert shop.ask_until_the_end() == [20]
    assert bench.provider.queried == []


def test_a_success_after_a_failure_is_found_though_its_callback_is_lost(shop: Shop) -> None:
    """1037, then the customer pays, then the API is down when M-Pesa tells of it: the money was never credited."""
    bench = shop.bench
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    bench.process(bench.callback(bench.read_intent(intent_id), "1037"))
    assert bench.read_intent(intent_id).state == "failed"
    bench.provider.query_outcome = Failed("1037")
    (job_id, bench.now) = shop.waiting("query_prompt")[0]
    shop.work(job_id)
    bench.provider.query_outcome = Paid()
    assert shop.ask_until_the_end() == [60]
    assert bench.read_intent(intent_id).state == "paid"
    assert len(bench.payments()) == 1
    assert len(bench.events("payment.failed")) == 1, "the same failure is told once"


def test_the_settings_say_when_queries_are_asked(shop: Shop) -> None:
    bench = shop.bench
    shop.settings = replace(shop.settings, payment_queries_s=Seconds((3, 7)))
    shop.push(bench.intent(bench.plan()))
    assert shop.ask_until_the_end() == [3, 7]


def test_two_workers_with_the_same_question_count_it_once(shop: Shop) -> None:
    bench = shop.bench
    bench.provider.query_outcome = Paid()
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    bench.now += timedelta(seconds=20)
    (first, _) = shop.waiting("query_prompt")[0]
    second = shop.enqueue(payments.query_prompt, intent_id=intent_id)
    at_once(lambda: shop.work(first), lambda: shop.work(second))
    assert len(bench.payments()) == 1
    assert bench.read_intent(intent_id).queries == 1


def test_a_callback_that_comes_while_the_answer_to_the_push_is_stored_is_believed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused as another prompt's: the intent was read without its CheckoutRequestID, then found by it."""
    bench = shop.bench
    bench.provider.push_outcomes = [Unanswered("slow")]
    intent = bench.prompted(bench.plan())
    read = payment_intent.by_id

    def read_just_before_the_answer(session: Any, intent_id: int) -> PaymentIntent:
        seen = read(session, intent_id)
        shop.execute("UPDATE payment_intent SET checkout_request_id = 'c1' WHERE id = :id", id=intent_id)
        return seen

    monkeypatch.setattr(payment_intent, "by_id", read_just_before_the_answer)
    assert bench.process(bench.callback(intent, checkout="c1", receipt="SKL1", amount="50")) == "applied"


# What keeps all of it going.


def test_the_sweep_asks_where_a_query_got_lost(shop: Shop) -> None:
    bench = shop.bench
    intent_id = bench.intent(bench.plan())
    shop.push(intent_id)
    shop.execute("DELETE FROM job WHERE task = 'query_prompt'")
    shop.work(shop.enqueue(payments.sweep_intents))
    assert shop.waiting("query_prompt") == [], "it is not late yet"
    bench.now += timedelta(minutes=3)
    for _ in range(2):
        shop.work(shop.enqueue(payments.sweep_intents))
    ((job_id, _),) = shop.waiting("query_prompt")
    shop.work(job_id)
    assert len(bench.provider.queried) == 1


def test_the_sweep_settles_what_can_not_be_asked_and_what_nobody_was_asked_for(shop: Shop) -> None:
    bench = shop.bench
    plan_id = bench.plan()
    asked = bench.intent(plan_id)
    shop.push(asked)
    never = bench.intent(plan_id, "254700000002")
    shop.execute("DELETE FROM job")
    bench.now += timedelta(hours=2)
    shop.work(shop.enqueue(payments.sweep_intents))
    assert (bench.read_intent(asked).state, bench.read_intent(asked).next_query_at) == ("unknown", None)
    assert (bench.read_intent(never).state, bench.read_intent(never).failure_code) == ("failed", "not_sent")
    assert shop.waiting("query_prompt") == []


def test_all_that_expired_is_renewed_from_the_wallets_that_hold_enough(shop: Shop) -> None:
    bench = shop.bench
    plan_id = bench.plan("50")
    rich = [bench.subscription(plan_id) for _ in range(3)]
    poor = bench.subscription(plan_id)
    for made in rich:
        bench.pay_cash("120", subscription_id=made.id)
    bench.pay_cash("70", subscription_id=poor.id)
    bench.now += 3 * DAY
    for _ in range(2):
        shop.work(shop.enqueue(payments.renew_expired))
    assert [bench.read(made.id).expires_at for made in rich] == [bench.now + DAY] * 3
    assert [bench.balance(made.subscriber_id) for made in rich] == [20] * 3
    assert bench.read(poor.id).expires_at == NOW + 2 * DAY


def test_decisions_of_an_operator_that_can_not_be_carried_out_fail_with_a_sentence(shop: Shop) -> None:
    payment_id = shop.bench.pay_cash("50", subscription_id=shop.bench.subscription(shop.bench.plan()).id).payment_id
    with pytest.raises(PermanentFailure, match="applied, not in suspense"):
        shop.work(shop.enqueue(payments.record_refund, payment_id=payment_id, memo="x"))
    with pytest.raises(PermanentFailure, match="no such payment"):
        shop.work(shop.enqueue(payments.reverse_payment, payment_id=999, memo="x"))
    shop.work(shop.enqueue(payments.reverse_payment, payment_id=payment_id, memo="x"))
    assert shop.bench.read_payment(payment_id).state == "reversed"


def test_what_was_read_long_ago_leaves_the_inbox(shop: Shop) -> None:
    bench = shop.bench
    old, new, unread = (bench.c2b(f"SKL{number}", "50", "nobody") for number in range(3))
    bench.process(old)
    bench.process(new)
    shop.execute("UPDATE webhook_inbox SET received_at = :at WHERE id IN (:a, :b)", at=NOW - 91 * DAY, a=old, b=unread)
    shop.execute("UPDATE webhook_inbox SET received_at = :at WHERE id = :id", at=NOW, id=new)
    shop.work(shop.enqueue(payments.prune_webhooks))
    assert bench.scalars("SELECT id FROM webhook_inbox ORDER BY id") == [new, unread]


# What the API may, and may not.


def test_a_webhook_is_stored_for_whoever_its_token_belongs_to_and_for_nobody_else(shop: Shop) -> None:
    bench = shop.bench
    intent = bench.prompted(bench.plan())
    tokens = {"stk": payment_intent.callback_token(intent.id, bench.keyring)}
    with bench.office() as session:
        account = payment_account.by_id(session, bench.account_id)
        tokens["c2b_confirmation"] = payment_account.c2b_token(account, bench.keyring)
    with bench.offices.begin() as session:  # in no tenant
        for kind, token in tokens.items():
            stored = webhook_inbox.store(session, kind, payment_account.token_hash(token), "192.0.2.7", True, b"{}")
            assert stored is not None
            assert stored.tenant_id == bench.tenant_id
        other_kind = payment_account.token_hash(tokens["stk"])
        assert webhook_inbox.store(session, "c2b_confirmation", other_kind, None, False, b"{}") is None
        assert webhook_inbox.store(session, "stk", b"nobody's", None, False, b"{}") is None
    assert bench.scalars("SELECT intent_id FROM webhook_inbox ORDER BY id") == [intent.id, None]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO ledger_posting (tenant_id, kind, created_at) VALUES (:tenant, 'payment', now())",
        "INSERT INTO wallet (tenant_id, subscriber_id) VALUES (:tenant, 1)",
        "UPDATE wallet SET balance_kes = 1000",
        "UPDATE payment SET state = 'received'",
        "UPDATE payment_intent SET state = 'paid'",
        "DELETE FROM voucher",
        "UPDATE webhook_inbox SET body = ''",
        "INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at)"
        " VALUES (:tenant, 'daraja', 'SKL1', 50, now(), now())",
        "INSERT INTO payment (tenant_id, provider, receipt, amount_kes, paid_at, received_at, applied_at, booked_at,"
        " state) VALUES (:tenant, 'cash', '1', 50, now(), now(), now(), now(), 'applied')",
    ],
)
def test_the_api_writes_no_money(shop: Shop, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|row-level security"), shop.bench.office() as session:
        session.execute(text(statement), {"tenant": shop.bench.tenant_id})


def test_all_workers_share_one_token_and_one_of_them_fetches_it(shop: Shop) -> None:
    bench = shop.bench
    fetched: list[int] = []
    now = datetime.now(UTC)

    def fetch() -> Token:
        fetched.append(len(fetched) + 1)
        return Token(Secret(f"token {len(fetched)}"), now + timedelta(hours=1))

    def get() -> str:
        store = AccountTokens(bench.account_id, bench.keyring, bench.sessions)
        return shared_token(store, fetch, now).reveal()

    assert at_once(*[get] * 4) == ["token 1"] * 4
    assert fetched == [1]
    sealed = bench.scalars("SELECT oauth_token_sealed FROM payment_account")[0]
    assert b"token 1" not in bytes(sealed)


def test_an_intent_is_for_what_its_tenant_has(shop: Shop) -> None:
    bench = shop.bench
    plan_id = bench.plan()
    for field, value in (("plan_id", 999), ("subscription_id", 999), ("payment_account_id", 999), ("router_id", 999)):
        values: dict[str, Any] = {"plan_id": plan_id, "msisdn": PHONE, field: value}
        with pytest.raises(Refusal) as caught, bench.office() as session:
            payment_intent.create(session, bench.tenant_id, NewIntent(**values), NOW)
        assert (caught.value.code, caught.value.field) == ("not_found", field)
