"""What the tests of payments work with: a tenant with a plan and a paybill, a provider in memory, and the books."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from threading import Barrier, Thread
from typing import Any

import psycopg
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from db import (
    payment,
    payment_account,
    payment_intent,
    plan,
    reconciliation,
    subscriber,
    subscription_life,
    tenant,
    voucher,
    webhook_inbox,
)
from db.engine import make_engine, session_factory, use_tenant
from db.payment import Payment, Purpose, Receipt
from db.payment_account import NewPaymentAccount, PaymentAccount
from db.payment_intent import NewIntent, PaymentIntent
from db.subscription import Subscription
from db.subscription_life import NewSubscription
from db.voucher import NewBatch, Redeemer
from isp.encryption import Keyring
from isp.payment import (
    Accepted,
    C2bPayment,
    Failed,
    Paid,
    Pending,
    PushOutcome,
    QueryOutcome,
    StkResult,
    Unknown,
    Verdict,
)
from settings import Settings
from tasks import prompting
from tasks.apply_payment import Applied, apply_payment
from tasks.payment_provider import Prompt, Unreadable, ValidationRefusal, WebhookKind
from tasks.payment_webhooks import process

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
PHONE = "254712345678"

Kes = Decimal | int
"""So that a test may write 50."""

_numbers = count(1)


_VERDICTS: Mapping[str, Verdict] = {"0": Paid(), "?": Unknown("code 4242")}


class ProviderInMemory:
    """A PaymentProvider that answers what it was told to, and whose webhooks are JSON of the tests' own."""

    def __init__(self) -> None:
        self.pushed: list[Prompt] = []
        self.push_outcomes: list[PushOutcome] = []
        self.queried: list[str] = []
        self.query_outcome: QueryOutcome = Pending()

    def push(self, prompt: Prompt) -> PushOutcome:
        self.pushed.append(prompt)
        number = next(_numbers)
        return self.push_outcomes.pop(0) if self.push_outcomes else Accepted(f"m{number}", f"c{number}")

    def query(self, checkout_request_id: str) -> QueryOutcome:
        self.queried.append(checkout_request_id)
        return self.query_outcome

    def parse_callback(self, body: bytes) -> StkResult:
        told = _read(body)
        amount = told.get("amount")
        verdict: Verdict = _VERDICTS.get(told["code"], Failed(told["code"]))
        return StkResult(
            "m",
            told["checkout"],
            verdict,
            receipt=told.get("receipt"),
            amount_kes=None if amount is None else Decimal(amount),
            msisdn_text=told.get("phone"),
            paid_at=NOW,
        )

    def parse_confirmation(self, body: bytes) -> C2bPayment:
        told = _read(body)
        return C2bPayment(
            told["receipt"], Decimal(told["amount"]), told["bill_ref"], told.get("phone", ""), "JANE", NOW
        )

    def acknowledgement(self, kind: WebhookKind) -> Mapping[str, Any]:
        return {"ok": kind.value}

    def validation_answer(self, refusal: ValidationRefusal | None) -> Mapping[str, Any]:
        return {"refusal": refusal}

    def failure_sentence(self, code: str, language: str) -> str:
        return f"{language}: {code}"


def _read(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        raise Unreadable("not JSON") from None
    assert isinstance(told, dict)
    return told


@dataclass
class PaymentBench:
    engine: Engine
    sessions: sessionmaker[Session]
    offices: sessionmaker[Session]
    """As the API has them."""
    keyring: Keyring
    tenant_id: int
    account_id: int
    provider: ProviderInMemory = field(default_factory=ProviderInMemory)
    now: datetime = NOW

    @contextmanager
    def office(self) -> Iterator[Session]:
        """What the API and the commands do: in one tenant, without a worker's rights."""
        with self.offices() as session:
            yield use_tenant(session, self.tenant_id)
            session.commit()

    # What there is.

    def plan(self, price_kes: str = "50", **values: Any) -> int:
        columns = {
            "name": f"Plan {next(_numbers)}",
            "service": "hotspot",
            "price_kes": Decimal(price_kes),
            "upload_kbps": 1000,
            "download_kbps": 1000,
            "validity_unit": "days",
            "validity_count": 1,
        }
        with self.sessions.begin() as session:
            return plan.create(session, self.tenant_id, {**columns, **values}).id

    def subscription(self, plan_id: int, msisdn: str | None = None, **values: Any) -> Subscription:
        """Of a new subscriber; it began at `now`."""
        with self.sessions.begin() as session:
            who = subscriber.create(session, self.tenant_id, {"name": "Jane", "msisdn": msisdn})
            new = NewSubscription(subscriber_id=who.id, plan_id=plan_id, service="hotspot", **values)
            return subscription_life.create(session, self.tenant_id, new, self.keyring, self.now).subscription

    def read(self, subscription_id: int) -> Subscription:
        with self.sessions() as session:
            return session.get_one(Subscription, subscription_id)

    # What happens.

    def intent(self, plan_id: int, msisdn: str = PHONE, **values: Any) -> int:
        with self.office() as session:
            return payment_intent.create(session, self.tenant_id, NewIntent(plan_id, msisdn, **values), self.now).id

    def prompted(self, plan_id: int, msisdn: str = PHONE, **values: Any) -> PaymentIntent:
        """An intent whose customer has the prompt before them."""
        intent_id = self.intent(plan_id, msisdn, **values)
        self.push(intent_id)
        return self.read_intent(intent_id)

    def push(self, intent_id: int, *, is_last_attempt: bool = False) -> bool:
        """As the task does. Whether the customer was asked."""
        with self.sessions.begin() as session:
            prompt = prompting.begin(session, intent_id, "https://pay.example.net", self.keyring, self.now)
        if prompt is None:
            return False
        outcome = self.provider.push(prompt)
        with self.sessions.begin() as session:
            prompting.note_outcome(
                session, intent_id, outcome, self.provider, self.now, is_last_attempt=is_last_attempt
            )
        return True

    def read_intent(self, intent_id: int) -> PaymentIntent:
        with self.sessions() as session:
            return session.get_one(PaymentIntent, intent_id)

    def read_payment(self, payment_id: int) -> Payment:
        with self.sessions() as session:
            return session.get_one(Payment, payment_id)

    def payments(self) -> list[Payment]:
        with self.sessions() as session:
            return sorted(session.query(Payment), key=lambda each: each.id)

    def callback(self, intent: PaymentIntent, code: str = "0", *, listed: bool = True, **told: Any) -> int:
        """A callback in the inbox; its id."""
        checkout = told.pop("checkout", intent.checkout_request_id)
        return self.webhook("stk", {"code": code, "checkout": checkout, **told}, intent_id=intent.id, listed=listed)

    def c2b(self, receipt: str, amount: str, bill_ref: str, *, listed: bool = True, **told: Any) -> int:
        """A C2B confirmation in the inbox; its id."""
        body = {"receipt": receipt, "amount": amount, "bill_ref": bill_ref, **told}
        return self.webhook("c2b_confirmation", body, listed=listed)

    def webhook(self, kind: str, body: Any, *, intent_id: int | None = None, listed: bool = True) -> int:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        statement = text(
            "INSERT INTO webhook_inbox (tenant_id, kind, intent_id, payment_account_id, source_listed, body)"
            " VALUES (:tenant_id, :kind, :intent_id, :account_id, :listed, :body) RETURNING id"
        )
        values = {"tenant_id": self.tenant_id, "kind": kind, "intent_id": intent_id, "account_id": self.account_id}
        with self.engine.begin() as connection:
            return int(connection.scalar(statement, {**values, "listed": listed, "body": raw}) or 0)

    def process(self, inbox_id: int) -> str:
        with self.sessions.begin() as session:
            webhook = webhook_inbox.hold(session, inbox_id)
            account = session.get_one(PaymentAccount, webhook.payment_account_id)
            return process(session, webhook, account, self.provider, self.keyring, self.now)

    def cash(self, amount_kes: str, receipt: str | None = None, **purpose: Any) -> int:
        with self.office() as session:
            told = Receipt("cash", receipt or f"R{next(_numbers)}", Decimal(amount_kes), self.now)
            return payment.record(session, self.tenant_id, told, self.now, Purpose(**purpose))[0]

    def code(self, plan_id: int, **values: Any) -> str:
        """Of a batch of three vouchers."""
        with self.office() as session:
            batch = voucher.create_batch(
                session, self.tenant_id, NewBatch(plan_id, 3, **values), self.keyring, self.now
            )
            return next(voucher.sheet(session, batch.id, self.keyring)).code

    def redeem(self, code: str, **who: Any) -> int:
        """The payment, which is not applied yet."""
        with self.office() as session:
            return voucher.redeem(session, self.tenant_id, code, Redeemer(**who), self.keyring, self.now)

    def apply(self, payment_id: int) -> Applied | None:
        with self.sessions.begin() as session:
            return apply_payment(session, payment_id, self.keyring, self.now)

    def pay_cash(self, amount_kes: str, **purpose: Any) -> Applied:
        applied = self.apply(self.cash(amount_kes, **purpose))
        assert applied is not None
        return applied

    # What the books say.

    def balance(self, subscriber_id: int | None) -> Kes:
        found = self.scalars("SELECT balance_kes FROM wallet WHERE subscriber_id = :id", id=subscriber_id)
        return found[0] if found else Decimal(0)

    def account(self, name: str) -> Kes:
        return Decimal(
            self.scalars("SELECT coalesce(sum(amount_kes), 0) FROM ledger_entry WHERE account = :n", n=name)[0]
        )

    def events(self, type_: str) -> list[dict[str, Any]]:
        return self.scalars("SELECT data FROM event WHERE type = :type ORDER BY id", type=type_)

    def renewals(self) -> int:
        """Validities that were given and not taken back."""
        return int(self.scalars("SELECT count(*) FROM renewal WHERE reversed_at IS NULL")[0])

    def scalars(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.begin() as connection:
            return list(connection.scalars(text(statement), values))

    def check_books(self) -> None:
        """Each day of the test is reconciled and each wallet is the sum of its entries."""
        days = self.scalars("SELECT DISTINCT (created_at AT TIME ZONE 'Africa/Nairobi')::date FROM ledger_posting")
        with self.sessions() as session:
            for day in days:
                report = reconciliation.of_day(session, self.tenant_id, day)
                assert report.difference_kes == 0, report
            assert reconciliation.wrong_wallets(session, self.tenant_id) == []


def at_once(*works: Callable[[], object]) -> list[object]:
    """Runs each in a thread of its own, all let go at the same moment; what they returned or raised."""
    barrier = Barrier(len(works))
    results: list[object] = [None] * len(works)

    def run(at: int, work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[at] = work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[at] = error

    threads = [Thread(target=run, args=(at, work)) for at, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def empty(settings: Settings) -> None:
    """As the database was when it was prepared: in less time than a new one takes."""
    with psycopg.connect(settings.database_admin_dsn(settings.database_name)) as superuser:
        superuser.execute("TRUNCATE tenant, job, event, session RESTART IDENTITY CASCADE")


@contextmanager
def make_payment_bench(settings: Settings, slug: str = "acme") -> Iterator[PaymentBench]:
    """A new tenant in an emptied database."""
    empty(settings)
    keyring = Keyring.parse(settings.encryption_keys.reveal())
    platform = make_engine(settings, "platform", pool_size=1)
    with session_factory(platform).begin() as session:
        made = tenant.create(session, slug=slug, name="Acme", language="en", timezone="Africa/Nairobi")
        tenant_id = made.id
    platform.dispose()
    engine = make_engine(settings, "worker", pool_size=10)
    api = make_engine(settings, "api", pool_size=10)
    bench = PaymentBench(engine, session_factory(engine), session_factory(api), keyring, tenant_id, 0)
    credentials = {"consumer_key": "key", "consumer_secret": "secret", "passkey": "pass"}
    new = NewPaymentAccount("paybill", "Main", "174379", credentials, confirm_above_kes=Decimal(10_000))
    try:
        with bench.office() as session:
            bench.account_id = payment_account.create(session, tenant_id, new, keyring).id
        yield bench
    finally:
        engine.dispose()
        api.dispose()
