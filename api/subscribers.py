"""/api/v1/subscribers"""

from api.auth import CASHIERS, WRITERS
from api.cursor import listing_of_rows, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import Listed, given, values_of
from api.schemas.subscriber import SubscriberChange, SubscriberCreate, SubscriberOut, SubscriberQuery
from db import subscriber


@with_query(CASHIERS, SubscriberQuery, {200: Listed[SubscriberOut]})
def index(call: Call, query: SubscriberQuery) -> Reply:
    """Lists subscribers, or with `archived` those that were."""
    page = subscriber.page(
        call.reader,
        page_request(query, subscriber.SORTS),
        msisdn=query.msisdn,
        name=query.name,
        archived=query.archived,
    )
    return listing_of_rows(query, page, SubscriberOut)


@with_body(WRITERS, SubscriberCreate, {201: SubscriberOut})
def create(call: Call, body: SubscriberCreate) -> Reply:
    """Makes a subscriber."""
    created = subscriber.create(call.session, call.tenant_id, values_of(body))
    return Reply(SubscriberOut.of(created), 201, {"Location": f"/api/v1/subscribers/{created.id}"})


@endpoint(CASHIERS, {200: SubscriberOut})
def read(call: Call) -> Reply:
    """Shows a subscriber."""
    return Reply(SubscriberOut.of(subscriber.by_id(call.session, call.id)))


@with_body(WRITERS, SubscriberChange, {200: SubscriberOut})
def change(call: Call, body: SubscriberCreate) -> Reply:
    """Changes a subscriber: what is given."""
    return Reply(SubscriberOut.of(subscriber.change(call.session, call.id, given(body))))


@endpoint(WRITERS, {204: None})
def archive(call: Call) -> Reply:
    """Archives a subscriber. The record stays; the phone number is free for another."""
    subscriber.archive(call.session, call.id, call.now)
    return NO_CONTENT
