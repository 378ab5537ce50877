"""/api/v1/subscribers"""

from api.auth import CASHIERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import given, values_of
from api.schemas.subscriber import SubscriberChange, SubscriberCreate, SubscriberOut, SubscriberQuery
from db import subscriber


@with_query(CASHIERS, SubscriberQuery)
def index(call: Call, query: SubscriberQuery) -> Reply:
    page = subscriber.page(
        call.session,
        page_request(query, subscriber.SORTS),
        msisdn=query.msisdn,
        name=query.name,
        archived=query.archived,
    )
    return listing(query, page, SubscriberOut.of)


@with_body(WRITERS, SubscriberCreate)
def create(call: Call, body: SubscriberCreate) -> Reply:
    created = subscriber.create(call.session, call.tenant_id, values_of(body))
    return Reply(SubscriberOut.of(created), 201, {"Location": f"/api/v1/subscribers/{created.id}"})


@endpoint(CASHIERS)
def read(call: Call) -> Reply:
    return Reply(SubscriberOut.of(subscriber.by_id(call.session, call.id)))


@with_body(WRITERS, SubscriberChange)
def change(call: Call, body: SubscriberCreate) -> Reply:
    return Reply(SubscriberOut.of(subscriber.change(call.session, call.id, given(body))))


@endpoint(WRITERS)
def archive(call: Call) -> Reply:
    """The record stays; the phone number is free for another."""
    subscriber.archive(call.session, call.id, call.now)
    return NO_CONTENT
