"""The tasks of payments. Each is thin: what it does is a plain function elsewhere, which tests call."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from db import held, payment_account, payment_intent, renewal, webhook_inbox
from db.payment_account import PaymentAccount
from db.refusal import Refusal
from isp.encryption import Keyring
from isp.payment import IntentState
from tasks import payment_decisions, payment_recovery, payment_webhooks, prompting
from tasks.apply_payment import apply_payment, renew_from_wallet
from tasks.enqueue import enqueue
from tasks.open_provider import open_provider
from tasks.payment_provider import PaymentProvider
from tasks.queues import MAINTENANCE, PAYMENTS
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure

BATCH = 500
WEBHOOKS_KEPT = timedelta(days=90)

log = structlog.get_logger(__name__)


class NotPrompted(Exception):
    """The provider would not ask the customer now; nobody was asked."""


@task(queue=PAYMENTS)
def push_prompt(session: Session, job: RunningJob, intent_id: int) -> None:
    """Asks the customer of an intent, once; the queries that follow are jobs of the same transaction."""
    account = payment_account.by_id(session, payment_intent.by_id(session, intent_id).payment_account_id)
    public_url = job.settings.public_url if account.local_url is None else job.settings.local_api_url
    if not public_url:
        prompting.fail(session, payment_intent.lock(session, intent_id), prompting.NO_PUBLIC_URL, None, _now())
        job.commit_step(session)
        raise PermanentFailure("KIBALI_PUBLIC_URL is not set: M-Pesa must know where to send its callbacks.")
    provider, queries_s = _provider(job, account), job.settings.payment_queries_s
    prompt = prompting.begin(session, intent_id, public_url, _keyring(job), _now(), queries_s)
    if prompt is None:
        return
    _ask_later(session, job, intent_id, payment_intent.by_id(session, intent_id).next_query_at)
    job.commit_step(session)
    outcome = provider.push(prompt)
    is_last = job.is_last_attempt
    state = prompting.note_outcome(session, intent_id, outcome, provider, _now(), is_last_attempt=is_last)
    if state is IntentState.INITIATED:
        job.commit_step(session)
        raise NotPrompted(payment_intent.by_id(session, intent_id).note or "")


@task(queue=PAYMENTS)
def query_prompt(session: Session, job: RunningJob, intent_id: int) -> None:
    """Asks the provider what became of a prompt; the next question is a job of the same transaction."""
    asked = payment_recovery.question(session, intent_id, _now())
    if asked is None:
        return
    provider = _provider_of_intent(session, job, intent_id)
    job.commit_step(session)  # nothing is held while we wait
    checkout_request_id = asked.checkout_request_id
    outcome = provider.query(checkout_request_id) if checkout_request_id else payment_recovery.NEVER_ANSWERED
    again_at = payment_recovery.note_answer(
        session, asked, outcome, provider, _keyring(job), _now(), job.settings.payment_queries_s
    )
    _ask_later(session, job, intent_id, again_at)


def _hold_webhooks(session: Session, all_args: Sequence[Mapping[str, Any]]) -> None:
    payment_webhooks.hold_all(session, [args["inbox_id"] for args in all_args])


# A customer who has paid waits for this one; prompts may wait half a minute for M-Pesa each.
@task(queue=PAYMENTS, ahead=True, hold_all=_hold_webhooks)
def process_webhook(session: Session, job: RunningJob, inbox_id: int) -> None:
    """Reads what came into the inbox, and credits it."""
    webhook = webhook_inbox.hold(session, inbox_id)
    account_id = webhook.payment_account_id
    account = held.once(session, (PaymentAccount, account_id), lambda: session.get_one(PaymentAccount, account_id))
    provider = held.once(session, (open_provider, account_id), lambda: _provider(job, account))
    outcome = payment_webhooks.process(
        session, webhook, account, provider, _keyring(job), _now(), may_ask=not job.together
    )
    log.info("webhook", inbox_id=inbox_id, outcome=outcome)


@task(queue=PAYMENTS, ahead=True)
def apply_received(session: Session, job: RunningJob, payment_id: int) -> None:
    """Credits a payment that was recorded: cash, a voucher."""
    apply_payment(session, payment_id, _keyring(job), _now())


@task(queue=PAYMENTS)
def assign_suspense(session: Session, job: RunningJob, payment_id: int, subscription_id: int) -> None:
    """Credits money in suspense to the one it is for."""
    try:
        payment_decisions.assign(session, payment_id, subscription_id, _keyring(job), _now())
    except Refusal as refusal:
        raise PermanentFailure(refusal.message) from None


@task(queue=PAYMENTS)
def record_refund(session: Session, job: RunningJob, payment_id: int, memo: str) -> None:
    """Notes that money in suspense was sent back."""
    try:
        payment_decisions.record_refund(session, payment_id, memo, _now())
    except Refusal as refusal:
        raise PermanentFailure(refusal.message) from None


@task(queue=PAYMENTS)
def reverse_payment(session: Session, job: RunningJob, payment_id: int, memo: str) -> None:
    """Takes back what a payment gave."""
    try:
        payment_decisions.reverse(session, payment_id, memo, _now())
    except Refusal as refusal:
        raise PermanentFailure(refusal.message) from None


@task(queue=MAINTENANCE)
def renew_expired(session: Session, job: RunningJob) -> None:
    """Renews from their wallets the subscriptions that expired, each in a transaction of its own."""
    last_id, ids = 0, renewal.due(session, _now(), BATCH)
    while ids:
        for subscription_id in ids:
            if renew_from_wallet(session, subscription_id, _now()):
                log.info("renewed from the wallet", subscription_id=subscription_id)
            job.commit_step(session)
        last_id = ids[-1]
        ids = renewal.due(session, _now(), BATCH, after_id=last_id)


@task(queue=MAINTENANCE)
def sweep_intents(session: Session, job: RunningJob) -> None:
    """Asks where a query got lost, and settles what can not be asked."""
    settled = payment_recovery.give_up(session, _now())
    job.commit_step(session)
    lost = payment_recovery.lost_queries(session, _now())
    for intent in lost:
        unique_key = f"query:{intent.id}:late"
        enqueue(session, query_prompt, {"intent_id": intent.id}, tenant_id=intent.tenant_id, unique_key=unique_key)
    if settled or lost:
        log.warning("payments whose jobs were lost", settled=settled, asked_again=len(lost))


@task(queue=MAINTENANCE)
def prune_webhooks(session: Session, job: RunningJob) -> None:
    """Deletes what came into the inbox long ago and was read."""
    deleted = BATCH
    while deleted == BATCH:
        deleted = webhook_inbox.prune(session, _now(), WEBHOOKS_KEPT, BATCH)
        job.commit_step(session)


def _ask_later(session: Session, job: RunningJob, intent_id: int, due_at: datetime | None) -> None:
    if due_at is not None:
        unique_key = f"query:{intent_id}:{due_at.timestamp():.0f}"
        args = {"intent_id": intent_id}
        enqueue(session, query_prompt, args, due_at=due_at, unique_key=unique_key, tenant_id=job.tenant_id)


def _provider_of_intent(session: Session, job: RunningJob, intent_id: int) -> PaymentProvider:
    intent = payment_intent.by_id(session, intent_id)
    return _provider(job, payment_account.by_id(session, intent.payment_account_id))


def _provider(job: RunningJob, account: PaymentAccount) -> PaymentProvider:
    return open_provider(account, _keyring(job), job.settings, job.sessions)


def _keyring(job: RunningJob) -> Keyring:
    return Keyring.parse(job.settings.encryption_keys.reveal())


def _now() -> datetime:
    return datetime.now(UTC)
