"""/api/v1/subscriptions"""

from api import jobs
from api.auth import CASHIERS, TELLERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import Listed, given, values_of
from api.schemas.job import JobAccepted
from api.schemas.subscription import (
    ChangePlan,
    Renew,
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionCreated,
    SubscriptionOut,
    SubscriptionQuery,
    SubscriptionTerms,
)
from db import subscription_life, subscription_list
from db.subscription_life import NewSubscription
from db.subscription_list import Filters
from tasks.renewals import ask_for_renewal


@with_query(CASHIERS, SubscriptionQuery, {200: Listed[SubscriptionOut]})
def index(call: Call, query: SubscriptionQuery) -> Reply:
    """Lists subscriptions."""
    filters = Filters(**query.model_dump(exclude={"limit", "cursor", "sort"}))
    request = page_request(query, subscription_list.SORTS)
    page = subscription_list.page(call.session, request, filters, call.now)
    return listing(query, page, lambda listed: SubscriptionOut.at(listed, call.now))


@with_body(WRITERS, SubscriptionCreate, {201: SubscriptionCreated})
def create(call: Call, body: SubscriptionCreate) -> Reply:
    """Makes a subscription. A password that was made up is in this answer and in no other."""
    new = NewSubscription(**values_of(body))
    created = subscription_life.create(call.session, call.tenant_id, new, call.keyring, call.now)
    made_up = {"password": created.password} if body.password is None else {}
    content = SubscriptionCreated.beside(_shown(call, created.subscription.id), **made_up)
    return Reply(content, 201, {"Location": f"/api/v1/subscriptions/{created.subscription.id}"})


@endpoint(CASHIERS, {200: SubscriptionOut})
def read(call: Call) -> Reply:
    """Shows a subscription."""
    return Reply(_shown(call, call.id))


@with_body(WRITERS, SubscriptionChange, {200: SubscriptionOut})
def change(call: Call, body: SubscriptionTerms) -> Reply:
    """Changes a subscription: what is given. `macs` and `router_ids` replace all of theirs."""
    subscription_life.change(call.session, call.id, given(body), call.keyring, call.now)
    return Reply(_shown(call, call.id))


@endpoint(WRITERS, {204: None})
def cancel(call: Call) -> Reply:
    """Cancels a subscription. The record stays; username, address and devices are free for another."""
    subscription_life.cancel(call.session, call.id, call.now)
    return NO_CONTENT


@endpoint(WRITERS, {200: SubscriptionOut})
def suspend(call: Call) -> Reply:
    """Bars a subscription until it is resumed. Its time runs on."""
    subscription_life.suspend(call.session, call.id, call.now)
    return Reply(_shown(call, call.id))


@endpoint(WRITERS, {200: SubscriptionOut})
def resume(call: Call) -> Reply:
    """Lifts a suspension."""
    subscription_life.resume(call.session, call.id, call.now)
    return Reply(_shown(call, call.id))


@with_body(TELLERS, Renew, {202: JobAccepted})
def renew(call: Call, body: Renew) -> Reply:
    """Buys one more validity from the subscriber's wallet, before the old one ends or after. The job does it.

    While a renewal of the subscription is on its way, the same one is answered with its job, another with 409.
    """
    job = ask_for_renewal(call.session, call.tenant_id, call.id, body.plan_id)
    return jobs.accepted(job)


@with_body(WRITERS, ChangePlan, {200: SubscriptionOut})
def change_plan(call: Call, body: ChangePlan) -> Reply:
    """Moves a subscription to another plan. It keeps the expiry that was paid for, and costs nothing."""
    subscription_life.change(call.session, call.id, {"plan_id": body.plan_id}, call.keyring, call.now)
    return Reply(_shown(call, call.id))


def _shown(call: Call, subscription_id: int) -> SubscriptionOut:
    return SubscriptionOut.at(subscription_list.by_id(call.session, subscription_id), call.now)
