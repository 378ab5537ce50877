"""`kibali demo pay PHONE`: a payment from the prompt on a phone to a login, with a fake M-Pesa and all else real."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import click
from sqlalchemy import select

from cli.demo_screen import Screen
from cli.desk import Desk, at_owner, at_tenant
from cli.failure import Failure
from cli.fake_daraja import FakeDaraja, fake_daraja
from cli.fields import ID
from cli.first_run import TENANT, SampleLogin, sample_login
from cli.instance import lock
from cli.instance.readiness import NotReady, api, freeradius, heartbeat, reachable_at
from cli.nas import Nas, NoAnswer
from cli.office import at_office
from cli.options import pass_settings
from db import ledger, payment_account, plan, subscription_life, tenant
from db.payment import Payment
from db.payment_account import NewPaymentAccount
from db.payment_intent import NewIntent, PaymentIntent
from db.plan import Plan
from db.refusal import Refusal
from db.subscription import Subscription
from db.webhook_inbox import WebhookInbox
from isp.msisdn import parse_msisdn
from settings import Settings
from tasks import payment_orders

T = TypeVar("T")

ACCOUNT = "Demo: a fake M-Pesa"
MAC = "02:00:00:00:00:01"
STEP_WITHIN_S = 20.0
LOOK_EVERY_S = 0.01
# A person takes a moment to enter a PIN.
DECIDES_AFTER_S = 1.0

# As the command says it → as the fake Daraja calls it.
FAILURES = {
    "cancelled": "cancelled",
    "wrong-pin": "wrong_pin",
    "insufficient-balance": "insufficient_balance",
    "unreachable": "unreachable",
    "expired": "expired",
}
_SECRET = ("Password", "CallBackURL")


@click.command()
@click.argument("phone")
@click.option("--plan-id", type=ID, help="What is bought. Default: the sample plan.")
@click.option("--amount-kes", type=click.IntRange(1, 250_000), help="What is paid. Default: the plan's price.")
@click.option("--fails", type=click.Choice(list(FAILURES)), help="How the customer does not pay.")
@pass_settings
def pay(settings: Settings, phone: str, plan_id: int | None, amount_kes: int | None, fails: str | None) -> None:
    """Let PHONE pay for a plan of the sample tenant, and log in with what it bought.

    M-Pesa is a fake that this command starts and stops; everything else is real. No phone rings and no money moves.
    """
    msisdn = _msisdn(phone)
    sample = _ready_sample(settings)
    held = lock.take(settings.var / "demo-pay.lock")
    if held is None:
        raise Failure("another `./kibali demo pay` is at work. Wait until it is done.")
    with held, fake_daraja() as daraja, _account(settings, daraja) as account_id:
        daraja.behave(msisdn, preset=FAILURES[fails] if fails else "paid", decides_after_s=DECIDES_AFTER_S)
        amount = None if amount_kes is None else Decimal(amount_kes)
        _Demo(settings, sample, daraja, Screen()).run(msisdn, account_id, plan_id, amount)


def _msisdn(phone: str) -> str:
    msisdn = parse_msisdn(phone)
    if msisdn is None or not msisdn.startswith("254"):
        raise Failure(f"{phone!r} is no mobile number of Kenya. Write it as 0712345678 or +254712345678.")
    return msisdn


def _ready_sample(settings: Settings) -> SampleLogin:
    """Raises Failure where a part that the demo needs does not do its work, or the sample tenant is gone."""
    for name, probe in (("worker-payments", heartbeat), ("api", api), ("freeradius", freeradius)):
        try:
            probe(settings, name, 0)
        except NotReady as error:
            raise Failure(f"{name} is not ready ({error}). Start Kibali with ./kibali up.") from None
    with at_tenant(settings, TENANT):
        pass  # there is a database, and that tenant in it
    sample = sample_login(settings)
    if sample is None:
        raise Failure("the sample subscriber is gone, so there is nothing to show. It comes with an empty database.")
    return sample


@contextmanager
def _account(settings: Settings, daraja: FakeDaraja) -> Iterator[int]:
    """The sample tenant's payment account at the fake, in use as long as the fake is there."""
    new = NewPaymentAccount("paybill", ACCOUNT, daraja.paybill, daraja.credentials)
    with at_tenant(settings, TENANT) as desk:
        keyring = desk.keyring
    with at_owner(settings) as session:
        sample = tenant.by_slug(session, TENANT)
        assert sample is not None
        account_id = payment_account.at_local_gateway(session, sample.id, new, daraja.url, keyring).id
    try:
        yield account_id
    finally:
        with at_tenant(settings, TENANT) as desk:
            payment_account.disable(desk.session, account_id, desk.now)


@dataclass
class _Demo:
    settings: Settings
    sample: SampleLogin
    daraja: FakeDaraja
    screen: Screen

    def run(self, msisdn: str, account_id: int, plan_id: int | None, amount_kes: Decimal | None) -> None:
        self.screen.step(f"A fake M-Pesa listens on {self.daraja.url}; payment account {account_id} leads there")
        intent_id, amount_kes, reference = self._ask(msisdn, account_id, plan_id, amount_kes)
        with at_tenant(self.settings, TENANT) as desk:
            self._show_push(desk, intent_id)
            self.screen.step(f"The phone of {msisdn} asks: pay KES {amount_kes} to {self.daraja.paybill}, {reference}?")
            self._show_callback(desk, intent_id)
            intent = self._until(desk, lambda: self._settled(desk, intent_id), "the callback was not read")
            if intent.state == "paid":
                self._show_payment(desk, intent)
            else:
                self._show_failure(desk, intent)

    def _ask(
        self, msisdn: str, account_id: int, plan_id: int | None, amount_kes: Decimal | None
    ) -> tuple[int, Decimal, str]:
        with at_office(self.settings, TENANT) as desk:
            chosen = plan.by_id(desk.session, plan_id) if plan_id else self._sample_plan(desk)
            new = NewIntent(chosen.id, msisdn, payment_account_id=account_id, amount_kes=amount_kes)
            try:
                intent = payment_orders.initiate(desk.session, desk.tenant.id, new, desk.now)
            except Refusal as refusal:
                again = " Or give another phone number." if refusal.code in ("open", "too_soon") else ""
                raise Failure(f"{refusal.message}{again}") from None
            told = intent.id, intent.amount_kes, intent.account_reference
            self.screen.step(f"{msisdn} wants to pay for {chosen.name}, which costs KES {chosen.price_kes}")
        self.screen.begun_at = datetime.now(UTC)
        self.screen.moment(self.screen.begun_at, f"payment intent {intent.id} is committed, and the job that asks")
        return told

    def _sample_plan(self, desk: Desk) -> Plan:
        mine = (Subscription.username == self.sample.username) & (Subscription.status != "cancelled")
        of_sample = select(Subscription.plan_id).where(mine)
        return plan.by_id(desk.session, desk.session.scalar(of_sample) or 0)

    def _show_push(self, desk: Desk, intent_id: int) -> None:
        self.screen.step("A worker sends the STK push, once")

        def push() -> dict[str, Any] | None:
            intent = self._intent(desk, intent_id)
            if intent.state == "failed":
                raise Failure(f"nobody was asked: {intent.note or intent.failure_code}.")
            told = [each for each in self.daraja.prompts() if each["account_reference"] == intent.account_reference]
            return told[0] if told else None

        sent = self._until(desk, push, "no worker sent it. See var/log/worker-payments.log")
        self.screen.moment(datetime.fromisoformat(sent["pushed_at"]), "as M-Pesa got it:")
        body = {name: "…" if name in _SECRET else value for name, value in sent["push"].items()}
        self.screen.note(json.dumps(body, ensure_ascii=False))
        prompted = self._until(
            desk, lambda: self._intent_past(desk, intent_id, "initiated", "prompting"), "the push was not answered"
        )
        assert prompted.prompted_at is not None
        checkout = prompted.checkout_request_id
        self.screen.moment(datetime.now(UTC), f"M-Pesa will ask the phone, and calls that {checkout}")

    def _show_callback(self, desk: Desk, intent_id: int) -> None:
        statement = select(WebhookInbox).where(WebhookInbox.intent_id == intent_id).order_by(WebhookInbox.id).limit(1)
        webhook = self._until(
            desk, lambda: desk.session.scalar(statement), "M-Pesa's callback did not come: is KIBALI_HTTP_PORT right"
        )
        self.screen.moment(webhook.received_at, "the customer has decided, and M-Pesa's callback is in the inbox:")
        self.screen.note(webhook.body.decode("utf-8", "replace"))

    def _show_failure(self, desk: Desk, intent: PaymentIntent) -> None:
        self.screen.step("Nothing was paid")
        assert intent.settled_at is not None
        self.screen.moment(intent.settled_at, f"the intent is {intent.state}, with M-Pesa's code {intent.failure_code}")
        self.screen.note(f"The customer is told: {intent.failure_reason}")
        credited = desk.session.scalar(select(Payment.id).where(Payment.intent_id == intent.id))
        if credited is not None:
            raise Failure(f"and yet payment {credited} was made of it: report this.")
        self.screen.note("No payment was recorded, and no subscription was touched.")

    def _show_payment(self, desk: Desk, intent: PaymentIntent) -> None:
        self.screen.step("A worker believes the callback, finds its intent, and credits it: one transaction")
        statement = select(Payment).where(Payment.intent_id == intent.id, Payment.state != "received")
        paid = self._until(desk, lambda: desk.session.scalar(statement), "the payment was not applied")
        assert paid.applied_at is not None
        self.screen.moment(paid.applied_at, f"payment {paid.id} of KES {paid.amount_kes}, receipt {paid.receipt}")
        balance_kes = ledger.balance(desk.session, paid.subscriber_id or 0)
        self.screen.note(f"subscriber {paid.subscriber_id}; KES {balance_kes} stay in the wallet")
        if paid.subscription_id is None:
            self.screen.note("That does not cover the plan's price, so the money waits there.")
            return
        subscription = desk.session.get_one(Subscription, paid.subscription_id)
        expires = f"{subscription.expires_at:%Y-%m-%d %H:%M} UTC" if subscription.expires_at else "never"
        self.screen.note(f"subscription {subscription.id}, {subscription.status}, expires {expires}")
        secret = subscription_life.password(subscription, desk.keyring)
        self.screen.step("The customer's credentials")
        self.screen.note(f"username {subscription.username}  password {secret}")
        self._log_in(subscription.username, secret)

    def _log_in(self, username: str, secret: str) -> None:
        self.screen.step("A login with them, by RADIUS")
        bind, auth, acct = self.settings.radius_bind, self.settings.radius_auth_port, self.settings.radius_acct_port
        nas = Nas(reachable_at(bind), auth, acct, self.sample.radius_secret)
        try:
            answer = nas.login(username, secret, mac=MAC)
        except NoAnswer as error:
            raise Failure(f"{error}. Is FreeRADIUS running? See `./kibali status`.") from None
        self.screen.exchange("Access-Request", answer)
        if answer.code != "Access-Accept":
            raise Failure(f"that was not the answer to expect: {answer.attributes.get('Reply-Message', answer.code)}")
        self.screen.moment(datetime.now(UTC), "the customer is online")

    def _settled(self, desk: Desk, intent_id: int) -> PaymentIntent | None:
        return self._intent_past(desk, intent_id, "initiated", "prompting", "prompted")

    def _intent_past(self, desk: Desk, intent_id: int, *states: str) -> PaymentIntent | None:
        intent = self._intent(desk, intent_id)
        return None if intent.state in states else intent

    def _intent(self, desk: Desk, intent_id: int) -> PaymentIntent:
        return desk.session.get_one(PaymentIntent, intent_id, populate_existing=True)

    def _until(self, desk: Desk, look: Callable[[], T | None], otherwise: str) -> T:
        """What `look` finds, in a transaction of its own each time. Raises Failure if it finds nothing in time."""
        deadline = time.monotonic() + STEP_WITHIN_S
        while (found := look()) is None:
            if time.monotonic() > deadline:
                raise Failure(f"{otherwise}. ./kibali status shows which part is down.")
            desk.session.rollback()
            time.sleep(LOOK_EVERY_S)
        return found
