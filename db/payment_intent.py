"""Payment intents: that a customer is to be asked for money, and for what. Written before anybody is asked.

Each carries an account reference and a callback token of its own, so whatever arrives about it finds it, in any order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import MACADDR
from sqlalchemy.orm import Mapped, Session, mapped_column

from db import held, payment_account
from db.base import Base, BigInt, CreatedAt, Id, String, TenantId, Timestamp
from db.money import Kes
from db.page import Page, PageRequest, Sort, one_page
from db.payment_account import PaymentAccount
from db.plan import Plan
from db.refusal import Conflict, Invalid, NotFound
from db.router import Router
from db.subscription import Subscription
from isp.encryption import Keyring
from isp.payment import IntentState, amount_to_ask_for, new_account_reference, prompt_again_at

# The customer has a prompt before them, or may have; a query has not settled it yet.
_OPEN = "state IN ('initiated', 'prompting', 'prompted') OR state = 'unknown' AND next_query_at IS NOT NULL"
MOST_KES = Decimal(250_000)


class PaymentIntent(Base):
    __tablename__ = "payment_intent"
    __table_args__ = (
        UniqueConstraint("tenant_id", "id"),
        UniqueConstraint("account_reference"),
        UniqueConstraint("callback_token_hash"),
        UniqueConstraint("checkout_request_id"),
        ForeignKeyConstraint(["tenant_id", "payment_account_id"], ["payment_account.tenant_id", "payment_account.id"]),
        ForeignKeyConstraint(["tenant_id", "plan_id"], ["plan.tenant_id", "plan.id"]),
        ForeignKeyConstraint(["tenant_id", "subscriber_id"], ["subscriber.tenant_id", "subscriber.id"]),
        ForeignKeyConstraint(["tenant_id", "subscription_id"], ["subscription.tenant_id", "subscription.id"]),
        ForeignKeyConstraint(["tenant_id", "router_id"], ["router.tenant_id", "router.id"]),
        Index("payment_intent_open_key", "payment_account_id", "msisdn", unique=True, postgresql_where=_OPEN),
        Index("payment_intent_tenant_id_msisdn_idx", "tenant_id", "msisdn", "created_at"),
        Index("payment_intent_next_query_at_idx", "next_query_at", postgresql_where="next_query_at IS NOT NULL"),
        Index("payment_intent_initiated_idx", "created_at", postgresql_where="state = 'initiated'"),
        CheckConstraint("state IN ('initiated', 'prompting', 'prompted', 'paid', 'failed', 'unknown')", name="state"),
        CheckConstraint("amount_kes BETWEEN 1 AND 250000 AND amount_kes = trunc(amount_kes)", name="amount"),
        CheckConstraint("price_kes >= 0", name="price"),
        CheckConstraint("msisdn ~ '^254[17][0-9]{8}$'", name="msisdn"),
        CheckConstraint("account_reference ~ '^[0-9A-Z]{6,12}$'", name="account_reference"),
        CheckConstraint("state NOT IN ('prompting', 'prompted') OR prompted_at IS NOT NULL", name="prompted"),
        CheckConstraint("queries >= 0", name="queries"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    payment_account_id: Mapped[BigInt]
    plan_id: Mapped[BigInt]
    subscriber_id: Mapped[BigInt | None]
    subscription_id: Mapped[BigInt | None]
    """What it is to renew; or, once it is fulfilled, what it made or renewed."""
    msisdn: Mapped[String]
    """Who is asked."""
    mac: Mapped[str | None] = mapped_column(MACADDR)
    """The device that pays, which is to be let in."""
    router_id: Mapped[BigInt | None]
    amount_kes: Mapped[Kes]
    """What is asked for: whole shillings."""
    price_kes: Mapped[Kes]
    """The plan's price as the customer was told; a later rise does not count for them."""
    account_reference: Mapped[String]
    callback_token_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[String] = mapped_column(server_default="initiated")
    failure_code: Mapped[String | None]
    failure_reason: Mapped[String | None]
    """For the customer, in the tenant's language."""
    note: Mapped[String | None]
    """For the operator: what the provider last said, where that was no plain answer."""
    merchant_request_id: Mapped[String | None]
    checkout_request_id: Mapped[String | None]
    created_at: Mapped[CreatedAt]
    prompted_at: Mapped[Timestamp | None]
    settled_at: Mapped[Timestamp | None]
    """When it first became paid, failed or unknown."""
    fulfilled_at: Mapped[Timestamp | None]
    """When the plan it is for was given; it is given once."""
    next_query_at: Mapped[Timestamp | None]
    queries: Mapped[int] = mapped_column(SmallInteger, server_default="0")


SORTS = {
    "id": Sort(PaymentIntent.id, int),
    "created_at": Sort(PaymentIntent.created_at, datetime),
}


@dataclass(frozen=True, slots=True)
class NewIntent:
    """Who is asked (`msisdn` as 2547… or 2541…) to pay for what. None for account: the tenant's first; None for amount:
    the plan's price, rounded up to whole shillings."""

    plan_id: int
    msisdn: str
    payment_account_id: int | None = None
    subscriber_id: int | None = None
    subscription_id: int | None = None
    mac: str | None = None
    router_id: int | None = None
    amount_kes: Decimal | None = None


def create(session: Session, tenant_id: int, new: NewIntent, now: datetime) -> PaymentIntent:
    """An intent to be pushed by the task `push_prompt`.

    Raises Invalid for what it can not have; Conflict `open` while the phone has a prompt of this account before it,
    `too_soon` within the pause between two prompts, `no_account` without a payment account.
    """
    account = _account_to_use(session, new.payment_account_id)
    plan = _plan_to_sell(session, new.plan_id)
    subscriber_id = _check_subscription(session, new)
    amount_kes = amount_to_ask_for(plan.price_kes) if new.amount_kes is None else new.amount_kes
    if not 1 <= amount_kes <= MOST_KES or amount_kes != int(amount_kes):
        raise Invalid(f"M-Pesa moves whole shillings from 1 to {MOST_KES}.", field="amount_kes")
    _check_last_prompt(session, account, new.msisdn, amount_kes, now)
    intent = PaymentIntent(
        tenant_id=tenant_id,
        payment_account_id=account.id,
        plan_id=plan.id,
        subscriber_id=subscriber_id,
        subscription_id=new.subscription_id,
        msisdn=new.msisdn,
        mac=new.mac,
        router_id=new.router_id,
        amount_kes=amount_kes,
        price_kes=plan.price_kes,
        account_reference=new_account_reference(),
        created_at=now,
    )
    session.add(intent)
    session.flush()
    return intent


def by_id(session: Session, intent_id: int) -> PaymentIntent:
    """Raises NotFound."""
    intent = session.get(PaymentIntent, intent_id)
    if intent is None:
        raise NotFound("payment intent")
    return intent


def page(
    session: Session, request: PageRequest, *, state: str | None = None, msisdn: str | None = None
) -> Page[PaymentIntent]:
    statement = select(PaymentIntent)
    if state:
        statement = statement.where(PaymentIntent.state == state)
    if msisdn:
        statement = statement.where(PaymentIntent.msisdn == msisdn)
    return one_page(session, statement, PaymentIntent.id, SORTS, request, lambda row: row.PaymentIntent)


def seen(session: Session, intent_id: int) -> PaymentIntent:
    """As this transaction holds it; if it does not, as it was just now. Raises NotFound."""
    there: PaymentIntent | None = held.facts(session).get((PaymentIntent, intent_id))
    return there or by_id(session, intent_id)


def lock(session: Session, intent_id: int) -> PaymentIntent:
    """As it is now, and so until the transaction ends. Whoever credits an intent holds it first."""
    found = held.lock(session, PaymentIntent, intent_id)
    if found is None:
        raise NotFound("payment intent")
    return found


def callback_token(intent_id: int, keyring: Keyring) -> str:
    """The secret in the path of the intent's callbacks, the same whenever it is asked for. Hexadecimal: M-Pesa refuses
    URLs with some words in them."""
    return keyring.digests(str(intent_id), "payment_intent.callback_token")[0][:20].hex()


def begin_prompting(
    session: Session, intent_id: int, token: str, now: datetime, next_query_at: datetime | None
) -> bool:
    """Whether this caller may ask the customer, once that is committed: the intent was `initiated` and now is not."""
    statement = (
        update(PaymentIntent)
        .where(PaymentIntent.id == intent_id, PaymentIntent.state == IntentState.INITIATED.value)
        .values(
            state=IntentState.PROMPTING.value,
            callback_token_hash=payment_account.token_hash(token),
            prompted_at=now,
            queries=0,
            next_query_at=next_query_at,
        )
        .returning(PaymentIntent.id)
    )
    return session.scalar(statement.execution_options(synchronize_session=False)) is not None


def settle(intent: PaymentIntent, state: IntentState, now: datetime) -> bool:
    """Moves the locked intent to `state`. Whether that is a change: nothing follows success."""
    if intent.state in (state, IntentState.PAID):
        return False
    intent.state = state.value
    if state in (IntentState.PAID, IntentState.FAILED, IntentState.UNKNOWN):
        intent.settled_at = now
    if state is IntentState.PAID:
        intent.failure_code = intent.failure_reason = intent.note = intent.next_query_at = None
    return True


def unasked(session: Session, before: datetime, limit: int) -> Sequence[PaymentIntent]:
    """Intents whose query is overdue since `before`, the oldest first."""
    statement = select(PaymentIntent).where(PaymentIntent.next_query_at < before)
    return session.scalars(statement.order_by(PaymentIntent.next_query_at).limit(limit)).all()


def unpushed(session: Session, before: datetime, limit: int) -> Sequence[PaymentIntent]:
    """Intents that nobody was asked for since `before`, the oldest first."""
    statement = select(PaymentIntent).where(PaymentIntent.state == "initiated", PaymentIntent.created_at < before)
    return session.scalars(statement.order_by(PaymentIntent.created_at).limit(limit)).all()


def _account_to_use(session: Session, account_id: int | None) -> PaymentAccount:
    if account_id is None:
        accounts = [each for each in payment_account.all_accounts(session) if each.local_url is None]
        if not accounts:
            raise Conflict("There is no payment account yet. Add your paybill or till first.", code="no_account")
        return accounts[0]
    account = session.get(PaymentAccount, account_id)
    if account is None:
        raise Invalid("There is no such payment account.", field="payment_account_id", code="not_found")
    if account.disabled_at is not None:
        raise Invalid("This payment account is disabled.", field="payment_account_id", code="disabled")
    return account


def _plan_to_sell(session: Session, plan_id: int) -> Plan:
    plan = session.get(Plan, plan_id)
    if plan is None:
        raise Invalid("There is no such plan.", field="plan_id", code="not_found")
    if plan.archived_at is not None:
        raise Invalid("This plan is archived.", field="plan_id", code="archived")
    return plan


def _check_subscription(session: Session, new: NewIntent) -> int | None:
    """The subscriber who buys, if that is known."""
    if new.router_id is not None and session.get(Router, new.router_id) is None:
        raise Invalid("There is no such router.", field="router_id", code="not_found")
    if new.subscription_id is None:
        return new.subscriber_id
    subscription = session.get(Subscription, new.subscription_id)
    if subscription is None:
        raise Invalid("There is no such subscription.", field="subscription_id", code="not_found")
    if subscription.status == "cancelled":
        raise Invalid("This subscription is cancelled.", field="subscription_id", code="cancelled")
    if new.subscriber_id not in (None, subscription.subscriber_id):
        raise Invalid("This subscription is another subscriber's.", field="subscriber_id")
    return subscription.subscriber_id


def _check_last_prompt(
    session: Session, account: PaymentAccount, msisdn: str, amount_kes: Decimal, now: datetime
) -> None:
    recent = (
        select(PaymentIntent)
        .where(PaymentIntent.tenant_id == account.tenant_id, PaymentIntent.msisdn == msisdn)
        .where(PaymentIntent.created_at > now - timedelta(hours=1))
        .order_by(PaymentIntent.created_at.desc())
    )
    for last in session.scalars(recent):
        state = IntentState(last.state)
        if last.payment_account_id == account.id and _is_open(last):
            raise Conflict(
                f"This phone is being asked for a payment already (intent {last.id}).", code="open", field="msisdn"
            )
        if last.prompted_at is None:
            continue
        same_amount = last.amount_kes == amount_kes and state is not IntentState.FAILED
        wait_s = (prompt_again_at(last.prompted_at, same_amount) - now).total_seconds()
        if wait_s > 0:
            raise Conflict(
                f"M-Pesa asks a phone again only after a pause: try in {int(wait_s) + 1} seconds.",
                code="too_soon",
                field="msisdn",
            )


def _is_open(intent: PaymentIntent) -> bool:
    return intent.state in ("initiated", "prompting", "prompted") or (
        intent.state == "unknown" and intent.next_query_at is not None
    )
