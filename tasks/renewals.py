"""Renewals that somebody asks for."""

from datetime import UTC, datetime

from sqlalchemy.orm import Session

from db import ledger, plan, renewal, subscription_list
from db.job import Job
from db.refusal import Conflict, Invalid, NotFound, Refusal
from tasks.apply_payment import renew_at_once
from tasks.enqueue import enqueue
from tasks.queues import PAYMENTS
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure


def ask_for_renewal(session: Session, tenant_id: int, subscription_id: int, plan_id: int | None) -> Job:
    """The job that will buy one more validity from the wallet; `plan_id` None: of the plan it has.

    The same one for who asks twice at once. Raises NotFound, Invalid, and Conflict if it can be seen not to work out.
    """
    subscription = subscription_list.by_id(session, subscription_id).subscription
    try:
        wanted = plan.by_id(session, plan_id or subscription.plan_id)
    except NotFound:
        raise Invalid("There is no such plan.", field="plan_id", code="not_found") from None
    renewal.check_renewable(subscription, wanted, ledger.balance(session, subscription.subscriber_id))
    args = {"subscription_id": subscription.id, "plan_id": wanted.id}
    job = enqueue(session, renew_subscription, args, tenant_id=tenant_id, unique_key=f"renew:{subscription.id}")
    if job.args != args:
        raise Conflict(f"Job {job.id} is about to renew it with another plan.", code="in_progress")
    return job


@task(queue=PAYMENTS)
def renew_subscription(session: Session, job: RunningJob, subscription_id: int, plan_id: int) -> None:
    """Buys one more validity from the subscriber's wallet."""
    try:
        renew_at_once(session, subscription_id, plan_id, datetime.now(UTC))
    except Refusal as refusal:
        raise PermanentFailure(refusal.message) from None
