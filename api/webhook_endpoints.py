"""/api/v1/webhooks: where events are sent, and what became of each."""

from api.auth import READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body, with_query
from api.schemas.base import Listed, given, values_of
from api.schemas.webhook_endpoint import (
    DeliveryOut,
    DeliveryQuery,
    RetriedDeliveries,
    RetryDeliveries,
    WebhookChange,
    WebhookCreate,
    WebhookEndpointOut,
    WebhookEndpointQuery,
    WebhookWithSecret,
)
from db import webhook_endpoint


@with_query(READERS, WebhookEndpointQuery, {200: Listed[WebhookEndpointOut]})
def index(call: Call, query: WebhookEndpointQuery) -> Reply:
    """Lists the addresses that events are sent to."""
    page = webhook_endpoint.page(call.session, page_request(query, webhook_endpoint.SORTS))
    return listing(query, page, WebhookEndpointOut.of)


@with_body(WRITERS, WebhookCreate, {201: WebhookWithSecret})
def create(call: Call, body: WebhookCreate) -> Reply:
    """Has events sent to an address from now on.

    Each is a POST that is signed after Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
    """
    made, secret = webhook_endpoint.create(call.session, call.tenant_id, values_of(body), call.keyring)
    content = WebhookWithSecret(webhook=WebhookEndpointOut.of(made), secret=secret)
    return Reply(content, 201, {"Location": f"/api/v1/webhooks/{made.id}"})


@endpoint(READERS, {200: WebhookEndpointOut})
def read(call: Call) -> Reply:
    """Shows a webhook."""
    return Reply(WebhookEndpointOut.of(webhook_endpoint.by_id(call.session, call.id)))


@with_body(WRITERS, WebhookChange, {200: WebhookEndpointOut})
def change(call: Call, body: WebhookCreate) -> Reply:
    """Changes a webhook. `enabled` true has what happens from then on sent again."""
    return Reply(WebhookEndpointOut.of(webhook_endpoint.change(call.session, call.id, given(body), call.now)))


@endpoint(WRITERS, {204: None})
def remove(call: Call) -> Reply:
    """Removes a webhook, with what is known of its deliveries."""
    webhook_endpoint.remove(call.session, call.id)
    return NO_CONTENT


@endpoint(WRITERS, {200: WebhookWithSecret})
def rotate_secret(call: Call) -> Reply:
    """Makes a new secret. For a day the old one signs beside it."""
    changed, secret = webhook_endpoint.rotate_secret(call.session, call.id, call.keyring, call.now)
    return Reply(WebhookWithSecret(webhook=WebhookEndpointOut.of(changed), secret=secret))


@endpoint(WRITERS, {202: DeliveryOut})
def test(call: Call) -> Reply:
    """Sends a test, whose delivery tells what came of it."""
    return Reply(DeliveryOut.of(webhook_endpoint.add_test(call.session, call.id, call.now)), 202)


@with_query(READERS, DeliveryQuery, {200: Listed[DeliveryOut]})
def deliveries(call: Call, query: DeliveryQuery) -> Reply:
    """Lists what was sent, newest first, with what came of it."""
    request = page_request(query, webhook_endpoint.DELIVERY_SORTS)
    page = webhook_endpoint.deliveries(call.session, request, call.id, query.state)
    return listing(query, page, DeliveryOut.of)


@with_body(WRITERS, RetryDeliveries, {200: RetriedDeliveries})
def retry(call: Call, body: RetryDeliveries) -> Reply:
    """Sends one delivery again, or all that failed."""
    retried = webhook_endpoint.retry(call.session, call.id, body.delivery_id, call.now)
    return Reply(RetriedDeliveries(retried=retried))
