"""Outgoing webhooks: events become deliveries, which are sent tenant by tenant.

A tenant has one job at a time, so however many endpoints it has and however slow they are, it holds one worker of the
queue; the job sends to all of them at once, to each one delivery after the other.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.orm import Session

from db import webhook_endpoint
from db.webhook_endpoint import Attempt, WebhookDelivery, WebhookEndpoint
from isp import webhook_signature
from isp.encryption import EncryptionError, Keyring
from settings import Networks
from tasks import webhook_http
from tasks.enqueue import enqueue
from tasks.queues import MAINTENANCE, WEBHOOKS
from tasks.registry import task
from tasks.running_job import RunningJob

# After this a tenant begins nothing new, and webhook_http.LONGEST_S later at most its worker is the next one's.
TURN_S = 10.0
# Of the sweep's second, however many events there are: what else it does is for every tenant.
RELAY_FOR_S = 0.5
BATCH = 5_000

log = structlog.get_logger(__name__)


def relay(session: Session) -> None:
    """For the sweep, each second: makes deliveries of new events, and a job of what is due to each tenant.

    What it has no time for is the next second's.
    """
    ends_at = time.monotonic() + RELAY_FOR_S
    while webhook_endpoint.look_at_events(session) and time.monotonic() < ends_at:
        session.commit()
    for tenant_id in webhook_endpoint.due_tenants(session):
        key = f"webhooks:{tenant_id}"
        enqueue(session, deliver_webhooks, {"tenant_id": tenant_id}, unique_key=key, tenant_id=tenant_id)
    session.commit()


@task(queue=WEBHOOKS)
def deliver_webhooks(session: Session, job: RunningJob, tenant_id: int) -> None:
    """Sends what is due to a tenant's endpoints, to each the longest due first, until one is not taken."""
    asyncio.run(_Turn(session, job, tenant_id).run())


class _Turn:
    """The endpoints are asked together; the database, which answers at once, by this one thread."""

    def __init__(self, session: Session, job: RunningJob, tenant_id: int) -> None:
        self._session, self._job, self._tenant_id = session, job, tenant_id
        self._keyring = Keyring.parse(job.settings.encryption_keys.reveal())
        self._ends_at = time.monotonic() + TURN_S
        self._under_way: dict[asyncio.Task[Attempt], tuple[int, int]] = {}
        """Of which endpoint, and of which delivery."""

    async def run(self) -> None:
        while self._begin():
            done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                _endpoint_id, delivery_id = self._under_way.pop(each)
                webhook_endpoint.note(self._session, delivery_id, each.result(), datetime.now(UTC))
            self._job.commit_step(self._session)

    def _begin(self) -> bool:
        """Sends the next delivery to each endpoint that waits for none; whether any is under way."""
        if time.monotonic() < self._ends_at:
            busy = [endpoint_id for endpoint_id, _delivery_id in self._under_way.values()]
            for endpoint, delivery in webhook_endpoint.next_due(self._session, self._tenant_id, busy):
                sent = send(endpoint, delivery, self._keyring, self._job.settings.webhook_networks, datetime.now(UTC))
                self._under_way[asyncio.create_task(sent)] = endpoint.id, delivery.id
            self._job.commit_step(self._session)  # nothing is locked while somebody else's server is asked
        return bool(self._under_way)


async def send(
    endpoint: WebhookEndpoint, delivery: WebhookDelivery, keyring: Keyring, allowed: Networks, now: datetime
) -> Attempt:
    """Raises nothing: one endpoint's trouble is not the others'."""
    body = delivery.body.encode()
    try:
        secrets = webhook_endpoint.secrets_of(endpoint, keyring, now)
        signed = webhook_signature.headers(delivery.webhook_id, int(now.timestamp()), body, secrets)
        answer = await webhook_http.post(endpoint.url, body, signed, allowed)
    except (webhook_http.WebhookError, EncryptionError) as error:
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
