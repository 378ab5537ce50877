"""What came into the webhooks' inbox, read and acted upon. Nothing in it is believed for having arrived.

A callback that carries the intent's token from an address of the provider's, with the amount and phone that were asked
for, is believed. Of any other the provider is asked by a query first; and if it does not say the same, nobody is
credited.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import event, held, ledger, payment_intent, webhook_inbox
from db.payment import Receipt
from db.payment_account import PaymentAccount
from db.payment_intent import PaymentIntent
from db.subscriber import Subscriber
from db.subscription import Subscription
from db.webhook_inbox import WebhookInbox
from isp.encryption import Keyring
from isp.msisdn import parse_msisdn
from isp.payment import Failed, IntentState, Paid, StkResult, Unknown, after_callback
from tasks import prompting, sms
from tasks.payment_provider import PaymentProvider, Unreadable
from tasks.receive_payment import PROVIDER, credit_intent, receive_c2b
from tasks.stops import RunAlone


class Unconfirmed(Exception):
    """A callback needs a query to say the same, and that does not say anything yet: to be tried again."""


def hold_all(session: Session, inbox_ids: Sequence[int]) -> None:
    """What processing them is likely to hold, in the order in which all hold it: intents, wallets, subscriptions."""
    webhooks = held.lock_all(session, WebhookInbox, inbox_ids)
    waiting = [webhook for webhook in webhooks if webhook.outcome is None]
    intents = held.lock_all(session, PaymentIntent, [each.intent_id for each in waiting if each.intent_id is not None])
    buyers = {each.subscriber_id for each in intents if each.subscriber_id is not None}
    if buyers:
        ledger.lock_wallets(session, buyers)
        held.read_all(session, Subscriber, buyers)
    wanted = [each.subscription_id for each in intents if each.subscription_id is not None]
    held.lock_all(session, Subscription, wanted)


def process(
    session: Session,
    webhook: WebhookInbox,
    account: PaymentAccount,
    provider: PaymentProvider,
    keyring: Keyring,
    now: datetime,
    *,
    may_ask: bool = True,
) -> str:
    """The outcome of what is held in the inbox, written beside the body. Safe to repeat.

    Raises Unconfirmed; and, before anything is changed, RunAlone where the provider is to be asked but not `may_ask`.
    """
    if webhook.outcome is not None:
        return webhook.outcome
    try:
        if webhook.kind == "stk":
            outcome = _callback(session, webhook, account, provider, keyring, now, may_ask)
        else:
            outcome = _confirmation(session, webhook, account, provider, keyring, now)
        error = None
    except Unreadable as unreadable:
        outcome, error = "unreadable", str(unreadable)
    webhook_inbox.finish(webhook, outcome, now, error)
    if outcome in ("unreadable", "mismatch", "contradicted", "conflict"):
        data = {"inbox_id": webhook.id, "outcome": outcome, "intent_id": webhook.intent_id}
        event.record(session, "payment.webhook_refused", data, webhook.tenant_id)
    return outcome


def _confirmation(
    session: Session,
    webhook: WebhookInbox,
    account: PaymentAccount,
    provider: PaymentProvider,
    keyring: Keyring,
    now: datetime,
) -> str:
    told = provider.parse_confirmation(webhook.body)
    return receive_c2b(session, account, told, webhook.source_listed, keyring, now).value


def _callback(
    session: Session,
    webhook: WebhookInbox,
    account: PaymentAccount,
    provider: PaymentProvider,
    keyring: Keyring,
    now: datetime,
    may_ask: bool,
) -> str:
    told = provider.parse_callback(webhook.body)
    assert webhook.intent_id is not None
    seen = payment_intent.seen(session, webhook.intent_id)
    if not _is_of(session, told, seen):
        return "mismatch"
    if isinstance(told.verdict, Paid) and _needs_confirmation(account, webhook, told, seen):
        if not may_ask:
            raise RunAlone
        match provider.query(told.checkout_request_id):
            case Failed():
                return "contradicted"
            case Paid():
                pass
            case _:
                raise Unconfirmed("the provider's query does not confirm the callback yet")
    intent = payment_intent.lock(session, webhook.intent_id)
    if not _is_of(session, told, intent):
        return "mismatch"
    intent.merchant_request_id = intent.merchant_request_id or told.merchant_request_id
    intent.checkout_request_id = intent.checkout_request_id or told.checkout_request_id
    if isinstance(told.verdict, Paid):
        return credit_intent(session, intent, _receipt_of(told, intent, now), keyring, now).value
    state = after_callback(IntentState(intent.state), told.verdict)
    if state == intent.state:
        return "duplicate"
    match told.verdict:
        case Failed(code):
            prompting.fail(session, intent, code, provider, now)
            sms.tell_failed(session, intent.tenant_id, intent.msisdn, intent.failure_reason or "", keyring, now)
        case Unknown(reason):
            prompting.leave_unknown(session, intent, reason, now)
    return state.value


def _is_of(session: Session, told: StkResult, intent: PaymentIntent) -> bool:
    """Whether a callback that came with the intent's token is about its prompt, and no other's."""
    if intent.checkout_request_id is not None:
        return intent.checkout_request_id == told.checkout_request_id
    # Not this one: the answer to its push may have been stored since it was read.
    other = (PaymentIntent.checkout_request_id == told.checkout_request_id) & (PaymentIntent.id != intent.id)
    return session.scalar(select(PaymentIntent.id).where(other)) is None


def _needs_confirmation(account: PaymentAccount, webhook: WebhookInbox, told: StkResult, intent: PaymentIntent) -> bool:
    amount_kes = intent.amount_kes if told.amount_kes is None else told.amount_kes
    is_much = account.confirm_above_kes is not None and amount_kes > account.confirm_above_kes
    phone = parse_msisdn(told.msisdn_text)
    is_another = amount_kes != intent.amount_kes or phone not in (None, intent.msisdn)
    return is_much or is_another or not webhook.source_listed


def _receipt_of(told: StkResult, intent: PaymentIntent, now: datetime) -> Receipt:
    return Receipt(
        PROVIDER,
        told.receipt,
        intent.amount_kes if told.amount_kes is None else told.amount_kes,
        told.paid_at or now,
        payment_account_id=intent.payment_account_id,
        msisdn_text=told.msisdn_text,
        msisdn=parse_msisdn(told.msisdn_text),
    )
