"""/api/v1/payments/inbox: what M-Pesa sent to the webhooks, as it came, and what became of it."""

from api.auth import WRITERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, endpoint, with_query
from api.schemas.base import Listed
from api.schemas.inbox import WebhookBody, WebhookOut, WebhookQuery
from db import webhook_inbox


@with_query(WRITERS, WebhookQuery, {200: Listed[WebhookOut]})
def index(call: Call, query: WebhookQuery) -> Reply:
    """Lists webhooks, newest first. Those that made no sense have the outcome `unreadable`."""
    filters = query.model_dump(exclude={"limit", "cursor", "sort"})
    page = webhook_inbox.page(call.session, page_request(query, webhook_inbox.SORTS), **filters)
    return listing(query, page, WebhookOut.of)


@endpoint(WRITERS, {200: WebhookBody})
def read(call: Call) -> Reply:
    """Shows a webhook with its body."""
    return Reply(WebhookBody.read(webhook_inbox.by_id(call.session, call.id)))
