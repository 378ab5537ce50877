"""The tasks of payment accounts: trying out their credentials, and telling M-Pesa where to send what customers pay.

What came of it is an event, and the job's end: its error says what an operator is to do.
"""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db import event, payment_account
from db.payment_account import PaymentAccount
from isp.encryption import EncryptionError, Keyring
from isp.webhook_urls import c2b_urls
from tasks.daraja import Daraja, DarajaError
from tasks.open_provider import open_daraja
from tasks.queues import PAYMENTS
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure


@task(queue=PAYMENTS)
def check_credentials(session: Session, job: RunningJob, account_id: int) -> None:
    """Asks Daraja for a token, once: an operator waits for the answer and can ask again."""
    account, daraja, _ = _open(session, job, account_id)
    try:
        daraja.check_credentials(datetime.now(UTC))
    except DarajaError as error:
        _tell(session, account, "payment_account.tested", str(error))
        job.commit_step(session)
        raise PermanentFailure(str(error)) from None
    _tell(session, account, "payment_account.tested", None)


@task(queue=PAYMENTS)
def register_c2b_urls(session: Session, job: RunningJob, account_id: int) -> None:
    """Registers our webhooks with M-Pesa. Should validation not answer, M-Pesa takes the money: it goes to suspense."""
    if not job.settings.public_url:
        raise PermanentFailure("KIBALI_PUBLIC_URL is not set: M-Pesa must know where to send payments.")
    account, daraja, keyring = _open(session, job, account_id)
    urls = c2b_urls(job.settings.public_url, payment_account.c2b_token(account, keyring))
    try:
        daraja.register_urls(urls.confirmation_url, urls.validation_url, datetime.now(UTC))
    except DarajaError as error:
        if not error.permanent and not job.is_last_attempt:
            raise
        _tell(session, account, "payment_account.c2b_registered", str(error))
        job.commit_step(session)
        raise PermanentFailure(str(error)) from None
    _tell(session, account, "payment_account.c2b_registered", None)


def _open(session: Session, job: RunningJob, account_id: int) -> tuple[PaymentAccount, Daraja, Keyring]:
    """Ends the transaction: nothing is held while we wait for Daraja."""
    account = payment_account.by_id(session, account_id)
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    try:
        daraja = open_daraja(account, keyring, job.settings, job.sessions)
    except EncryptionError as error:
        raise PermanentFailure(str(error)) from None
    job.commit_step(session)
    return account, daraja, keyring


def _tell(session: Session, account: PaymentAccount, type_: str, error: str | None) -> None:
    data = {"payment_account_id": account.id, "ok": error is None, "error": error}
    event.record(session, type_, data, account.tenant_id)
