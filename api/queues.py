"""/api/v1/queues and /api/v1/jobs: what waits, what runs, what failed; trying again, cancelling."""

from collections.abc import Sequence

import structlog
from redis import RedisError

from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_body, with_query
from api.rights import MENDERS, WATCHERS
from api.schemas.base import Listed
from api.schemas.job import FailedQuery, JobOut, JobQuery, QueueOut, Queues, Retried, RetryFailed
from db import job_list
from db.job import Job
from db.job_list import QueueCounts
from db.page import Page
from tasks.heartbeat import all_alive, workers_by_queue
from tasks.queues import QUEUES

log = structlog.get_logger(__name__)


@endpoint(WATCHERS, {200: Queues})
def index(call: Call) -> Reply:
    """Lists the queues: what waits in each and for how long, what runs, what failed, and who works on them."""
    counts = job_list.counts_by_queue(call.session)
    try:
        alive = workers_by_queue(all_alive(call.redis))
    except RedisError as error:
        log.warning("no answer from Redis about the workers", error=str(error))
        alive = None
    items = [
        QueueOut.of_counts(
            counts.get(queue.name, QueueCounts()),
            queue=queue.name,
            workers=queue.workers,
            workers_alive=None if alive is None else alive.get(queue.name, 0),
            limit_s=queue.limit_s,
        )
        for queue in QUEUES
    ]
    return Reply(Queues(items=items))


@with_query(WATCHERS, FailedQuery, {200: Listed[JobOut]})
def failed(call: Call, query: FailedQuery) -> Reply:
    """Lists jobs that failed, newest first."""
    page = _page(call, query, ("failed",))
    return listing(query, page, JobOut.of)


@with_body(MENDERS, RetryFailed, {200: Retried})
def retry_failed(call: Call, body: RetryFailed) -> Reply:
    """Tries failed jobs again: one by its id, or all, or all of a queue or of a task.

    Of those that do the same only the newest, and none while another is at it.
    """
    if body.job_id is not None:
        job_list.retry(call.session, body.job_id)
        return Reply(Retried(retried=1))
    return Reply(Retried(retried=job_list.retry_failed(call.session, body.queue, body.task)))


@with_query(WATCHERS, JobQuery, {200: Listed[JobOut]})
def jobs(call: Call, query: JobQuery) -> Reply:
    """Lists jobs, newest first."""
    page = _page(call, query, (query.state,) if query.state else ())
    return listing(query, page, JobOut.of)


@endpoint(MENDERS, {200: JobOut})
def retry(call: Call) -> Reply:
    """Tries a failed job again, with all its attempts."""
    return Reply(JobOut.of(job_list.retry(call.session, call.id)))


@endpoint(MENDERS, {200: JobOut})
def cancel(call: Call) -> Reply:
    """Cancels a job. One that runs stops within seconds.

    Of most jobs nothing stays, for they write all at their end. What a job does step by step stays as far as it came:
    an import keeps the subscribers and subscriptions of the rows it has read, some hundred at a time; a text message,
    a webhook, an order to a payment provider or to a router that went out is not called back.
    """
    return Reply(JobOut.of(job_list.cancel(call.session, call.id)))


def _page(call: Call, query: FailedQuery | JobQuery, states: Sequence[str]) -> Page[Job]:
    request = page_request(query, job_list.SORTS)
    tenant_id = call.caller.tenant_id
    return job_list.page(call.session, request, tenant_id=tenant_id, queue=query.queue, states=states, task=query.task)
