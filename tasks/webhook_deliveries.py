"""Outgoing webhooks: events become deliveries, which are sent endpoint by endpoint."""

import time
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from db import webhook_endpoint
from db.webhook_endpoint import Attempt, WebhookDelivery, WebhookEndpoint
from isp import webhook_signature
from isp.encryption import Keyring
from settings import Networks
from tasks import webhook_http
from tasks.enqueue import enqueue
from tasks.queues import DEFAULT, MAINTENANCE
from tasks.registry import task
from tasks.running_job import RunningJob

# An endpoint keeps a worker no longer than this; what is left is the next job's.
SEND_FOR_S = 20.0
BATCH = 5_000

log = structlog.get_logger(__name__)


def relay(session: Session) -> None:
    """For the sweep, each second: makes deliveries of new events, and jobs of what is due."""
    while webhook_endpoint.look_at_events(session):
        session.commit()
    for endpoint_id, tenant_id in webhook_endpoint.due_endpoints(session):
        enqueue(
            session,
            deliver_webhooks,
            {"endpoint_id": endpoint_id},
            unique_key=f"webhook:{endpoint_id}",
            tenant_id=tenant_id,
        )
    session.commit()


@task(queue=DEFAULT)
def deliver_webhooks(session: Session, job: RunningJob, endpoint_id: int) -> None:
    """Sends what is due to one endpoint, the longest due first, until one is not taken."""
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    began = time.monotonic()
    while time.monotonic() - began < SEND_FOR_S:
        due = webhook_endpoint.next_due(session, endpoint_id)
        job.commit_step(session)  # nothing is locked while somebody else's server is asked
        if due is None:
            return
        endpoint, delivery = due
        attempt = send(endpoint, delivery, keyring, job.settings.webhook_networks, datetime.now(UTC))
        webhook_endpoint.note(session, delivery.id, attempt, datetime.now(UTC))
        job.commit_step(session)


def send(
    endpoint: WebhookEndpoint, delivery: WebhookDelivery, keyring: Keyring, allowed: Networks, now: datetime
) -> Attempt:
    """Raises nothing for what the receiver does; EncryptionError without the key."""
    body = delivery.body.encode()
    signed = webhook_signature.headers(
        delivery.webhook_id, int(now.timestamp()), body, webhook_endpoint.secrets_of(endpoint, keyring, now)
    )
    try:
        answer = webhook_http.post(endpoint.url, body, signed, allowed)
    except webhook_http.WebhookError as error:
        return Attempt(None, str(error))
    if 200 <= answer.status < 300:
        return Attempt(answer.status, None)
    return Attempt(answer.status, f"it answered {answer.status}: {answer.excerpt}"[:500], is_gone=answer.status == 410)


@task(queue=MAINTENANCE)
def prune_deliveries(session: Session, job: RunningJob) -> None:
    """Deletes deliveries that are older than KIBALI_KEEP_DELIVERIES_DAYS."""
    older_than = timedelta(days=job.settings.keep_deliveries_days)
    deleted = BATCH
    while deleted == BATCH:
        deleted = webhook_endpoint.prune(session, datetime.now(UTC), older_than, BATCH)
        job.commit_step(session)
