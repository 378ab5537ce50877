"""Payments that nobody told us of and that no query finds: all that was paid to an account, pulled, and credited.

A callback may be lost while the worker that pushed the prompt dies before it has written down what to ask for. M-Pesa
keeps for 48 hours what customers paid to a shortcode that is registered for it, with the account that they gave.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from db import event, payment, payment_account
from db.payment_account import PaymentAccount
from isp.daraja_pull import REACHES_BACK
from isp.encryption import EncryptionError, Keyring
from isp.payment import C2bPayment
from isp.webhook_urls import c2b_urls
from tasks.daraja import Daraja, DarajaError
from tasks.enqueue import enqueue
from tasks.open_provider import open_daraja
from tasks.queues import MAINTENANCE, PAYMENTS
from tasks.receive_payment import PROVIDER, Outcome, receive_c2b
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure

# A payment may be listed some time after it was made.
OVERLAP = timedelta(hours=1)
# M-Pesa refuses what lies further back than it reaches.
SPARE = timedelta(minutes=5)
_MOST_PAGES = 1000

log = structlog.get_logger(__name__)


@task(queue=PAYMENTS)
def register_pull(session: Session, job: RunningJob, account_id: int, msisdn: str) -> None:
    """Has M-Pesa keep what is paid to the account. What came of it is an event."""
    if not job.settings.public_url:
        raise PermanentFailure("KIBALI_PUBLIC_URL is not set: M-Pesa must know it to register the account.")
    account, daraja, keyring = _open(session, job, account_id)
    url = c2b_urls(job.settings.public_url, payment_account.c2b_token(account, keyring)).confirmation_url
    try:
        daraja.register_pull(msisdn, url, _now())
    except DarajaError as error:
        if not error.permanent and not job.is_last_attempt:
            raise
        _tell(session, account, "payment_account.pull_registered", {"ok": False, "error": str(error)})
        job.commit_step(session)
        raise PermanentFailure(str(error)) from None
    payment_account.note_pull_registered(session, account_id, _now())
    _tell(session, account, "payment_account.pull_registered", {"ok": True, "error": None})


@task(queue=PAYMENTS)
def pull_payments(session: Session, job: RunningJob, account_id: int) -> None:
    """Credits what was paid to the account and is not on record; each payment is committed by itself."""
    account, daraja, keyring = _open(session, job, account_id)
    until = _now()
    since = _since(account, until)
    found = 0
    try:
        for page in _pages(session, job, daraja, since, until):
            known = payment.known_receipts(session, account.tenant_id, PROVIDER, [told.receipt for told in page])
            for told in page:
                if told.receipt in known:
                    continue
                outcome = receive_c2b(session, account, told, True, keyring, _now())
                if outcome is not Outcome.DUPLICATE:
                    found += 1
                    data = {"receipt": told.receipt, "amount_kes": str(told.amount_kes), "outcome": outcome.value}
                    _tell(session, account, "payment.found", data)
                    log.info("a payment that nobody told of", receipt=told.receipt, outcome=outcome.value)
                job.commit_step(session)
    except DarajaError as error:
        if error.permanent:
            raise PermanentFailure(str(error)) from None
        raise
    payment_account.note_pulled(session, account_id, until)
    if found:
        log.warning("payments that nobody told of were found", account_id=account_id, payments=found)


@task(queue=MAINTENANCE)
def pull_all(session: Session, job: RunningJob) -> None:
    """Has the payments of every account pulled that is registered for it."""
    for account in payment_account.to_pull(session):
        unique_key = f"pull:{account.id}"
        enqueue(session, pull_payments, {"account_id": account.id}, tenant_id=account.tenant_id, unique_key=unique_key)


def _since(account: PaymentAccount, until: datetime) -> datetime:
    """Never from before the account was registered: what was paid then, somebody else has credited."""
    began = account.pull_registered_at or until
    again = began if account.pulled_until is None else max(began, account.pulled_until - OVERLAP)
    return max(until - REACHES_BACK + SPARE, again)


def _pages(
    session: Session, job: RunningJob, daraja: Daraja, since: datetime, until: datetime
) -> Iterator[list[C2bPayment]]:
    """Each page's payments. Nothing is held while we wait for Daraja. Raises DarajaError."""
    seen: set[str] = set()
    offset = 0
    for _ in range(_MOST_PAGES):
        job.commit_step(session)
        page = daraja.pull(since, until, offset, _now())
        if page.unreadable:
            log.warning("pulled payments that can not be read", rows=len(page.unreadable), reason=page.unreadable[0])
        news = [told for told in page.payments if told.receipt not in seen]
        if not news:
            return  # the end; or a gateway that tells the same whatever the offset
        yield news
        seen |= {told.receipt for told in news}
        offset += page.rows


def _open(session: Session, job: RunningJob, account_id: int) -> tuple[PaymentAccount, Daraja, Keyring]:
    account = payment_account.by_id(session, account_id)
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    try:
        daraja = open_daraja(account, keyring, job.settings, job.sessions)
    except EncryptionError as error:
        raise PermanentFailure(str(error)) from None
    job.commit_step(session)
    return account, daraja, keyring


def _tell(session: Session, account: PaymentAccount, type_: str, data: Mapping[str, object]) -> None:
    event.record(session, type_, {"payment_account_id": account.id, **data}, account.tenant_id)


def _now() -> datetime:
    return datetime.now(UTC)
