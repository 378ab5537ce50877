"""SMS: written in the transaction of what they tell, sent by a job of it, through the tenant's gateway.

What goes wrong with a message never stops what it tells: money is credited, whether or not a phone hears of it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import held, sms, subscription_life, tenant
from db.sms import SmsGateway
from db.subscriber import Subscriber
from db.subscription import Subscription
from db.tenant import Tenant
from isp.encryption import EncryptionError, Keyring
from isp.sms import SmsKind, text
from settings import Networks, Secret, Settings
from tasks.africastalking import PRODUCTION_URL, AfricasTalking
from tasks.daraja_http import make_http
from tasks.enqueue import enqueue
from tasks.public_http import PublicOnly
from tasks.queues import MAINTENANCE, SMS
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.sms_provider import SmsError, SmsProvider
from tasks.stops import PermanentFailure

KEPT_FOR = timedelta(days=30)
BATCH = 1_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Written:
    """`job_id` None: it is not sent, but kept."""

    message_id: int
    job_id: int | None


@task(queue=SMS)
def send_sms(session: Session, job: RunningJob, message_id: int) -> None:
    """Sends a waiting message. Where a worker dies in between, it is sent twice rather than never."""
    message = sms.by_id(session, message_id)
    gateway = sms.gateway(session, message.tenant_id)
    if message.state != "waiting":
        return
    if gateway is None or gateway.provider == "outbox":
        sms.lock(session, message_id).state = "kept"
        return
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    try:
        provider, body = _provider(gateway, keyring, job.settings), sms.body(message, keyring)
    except EncryptionError as error:
        raise PermanentFailure(str(error)) from None
    job.commit_step(session)  # nothing is held while we wait
    try:
        sent = provider.send(message.msisdn, body)
    except SmsError as error:
        if not error.permanent and not job.is_last_attempt:
            raise
        failed = sms.lock(session, message_id)
        failed.state, failed.error = "failed", str(error)
        job.commit_step(session)
        raise PermanentFailure(str(error)) from None
    taken = sms.lock(session, message_id)
    taken.state, taken.sent_at, taken.provider_message_id = "sent", datetime.now(UTC), sent.provider_message_id
    taken.error = None


@task(queue=MAINTENANCE)
def prune_sms(session: Session, job: RunningJob) -> None:
    """Deletes messages of long ago: they hold passwords."""
    deleted = BATCH
    while deleted == BATCH:
        deleted = sms.prune(session, datetime.now(UTC), KEPT_FOR, BATCH)
        job.commit_step(session)


def tell_paid(
    session: Session, subscription: Subscription, msisdn: str | None, keyring: Keyring, now: datetime, *, is_new: bool
) -> None:
    """After a payment: how to log in, or until when it is renewed. In the transaction of the payment."""
    owner_id = subscription.tenant_id
    found = held.once(session, (SmsGateway, owner_id), lambda: sms.gateway(session, owner_id))
    if found is None:
        return
    phone = msisdn or session.get_one(Subscriber, subscription.subscriber_id).msisdn
    if phone is None:
        return
    owner = session.get_one(Tenant, subscription.tenant_id)
    zone = tenant.timezone_of(session, owner.id)
    until = f"{subscription.expires_at.astimezone(zone):%d.%m.%Y %H:%M}" if subscription.expires_at else None
    values = {"username": subscription.username}
    if is_new:
        values["password"] = subscription_life.password(subscription, keyring)
    kind = SmsKind.CREDENTIALS if is_new else SmsKind.RENEWED
    body = text(kind, owner.language, tenant=owner.name, until=until, **values)
    _tell(session, found, kind, phone, body, keyring, now, subscription.id)


def tell_failed(session: Session, tenant_id: int, msisdn: str, reason: str, keyring: Keyring, now: datetime) -> None:
    """That nothing was paid, and why; where the tenant wants that."""
    found = sms.gateway(session, tenant_id)
    if found is None or not found.on_failure:
        return
    owner = session.get_one(Tenant, tenant_id)
    body = text(SmsKind.FAILED, owner.language, tenant=owner.name, reason=reason)
    _tell(session, found, SmsKind.FAILED, msisdn, body, keyring, now)


def send_test(session: Session, gateway: SmsGateway, msisdn: str, keyring: Keyring, now: datetime) -> Written:
    """To see whether the gateway works."""
    owner = session.get_one(Tenant, gateway.tenant_id)
    body = text(SmsKind.TEST, owner.language, tenant=owner.name)
    return _write(session, gateway, SmsKind.TEST, msisdn, body, keyring, now)


def _tell(
    session: Session,
    gateway: SmsGateway,
    kind: SmsKind,
    msisdn: str,
    body: str,
    keyring: Keyring,
    now: datetime,
    subscription_id: int | None = None,
) -> None:
    """Where PostgreSQL refuses the message, the payment is credited all the same."""
    try:
        with session.begin_nested():
            _write(session, gateway, kind, msisdn, body, keyring, now, subscription_id)
    except SQLAlchemyError as error:
        log.error("an SMS could not be written", kind=kind.value, error=type(error).__name__)


def _write(
    session: Session,
    gateway: SmsGateway,
    kind: SmsKind,
    msisdn: str,
    body: str,
    keyring: Keyring,
    now: datetime,
    subscription_id: int | None = None,
) -> Written:
    """The message, and the job that sends it, if it is to be sent."""
    is_kept = gateway.provider == "outbox"
    written = sms.write(
        session,
        gateway.tenant_id,
        kind,
        msisdn,
        body,
        state="kept" if is_kept else "waiting",
        keyring=keyring,
        now=now,
        subscription_id=subscription_id,
    )
    if is_kept:
        return Written(written.id, None)
    args, unique_key = {"message_id": written.id}, f"sms:{written.id}"
    return Written(written.id, enqueue(session, send_sms, args, tenant_id=gateway.tenant_id, unique_key=unique_key).id)


def _provider(gateway: SmsGateway, keyring: Keyring, settings: Settings) -> SmsProvider:
    assert gateway.username is not None
    return AfricasTalking(
        _http(settings.gateway_networks),
        gateway.base_url or PRODUCTION_URL,
        gateway.username,
        Secret(sms.api_key(gateway, keyring)),
        gateway.sender_id,
    )


@cache
def _http(allowed: Networks) -> httpx.Client:
    return make_http(transport=PublicOnly(allowed))
