"""Outgoing webhooks and their deliveries."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas.base import Input, ListQuery, Output, partial
from api.schemas.event import EventType
from api.schemas.fields import Id, Line, Moment, Name


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("It must be a URL such as https://example.net/hook.") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or not value.isascii():
        raise ValueError("It must be a URL such as https://example.net/hook.")
    if parts.username is not None or parts.password is not None:
        raise ValueError("It must not hold a name or a password: they would be shown. Use the signature.")
    if parts.fragment:
        raise ValueError("It must not have a part behind #.")
    return value


Url = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000), Line, AfterValidator(_url)
]


class WebhookCreate(Input):
    """Where events are to be sent. `types` as in a list of events: `payment.processed`, or `payment.*`."""

    name: Name
    url: Url
    types: Annotated[list[EventType], Field(min_length=1, max_length=50)]


class _WebhookFields(WebhookCreate):
    enabled: bool


WebhookChange = partial(_WebhookFields, "WebhookChange")


class WebhookEndpointOut(Output):
    """A webhook. It is off while `disabled_at` is set; `failures` are those in a row since `failing_since`."""

    id: int
    name: str
    url: str
    types: list[str]
    failures: int
    failing_since: Moment | None
    paused_until: Moment | None
    disabled_at: Moment | None
    disabled_reason: str | None
    created_at: Moment
    updated_at: Moment


class WebhookWithSecret(Output):
    """A webhook with the secret that signs what is sent, which is said this once."""

    webhook: WebhookEndpointOut
    secret: str


class WebhookEndpointQuery(ListQuery):
    sort: Literal["id", "-id", "name", "-name"] = "id"


class DeliveryOut(Output):
    """An event on its way. `state`: pending, then delivered or failed; `error` says why the last attempt failed."""

    id: int
    webhook_id: str
    event_id: int | None
    type: str
    body: str
    state: str
    attempts: int
    due_at: Moment
    created_at: Moment
    attempted_at: Moment | None
    response_status: int | None
    error: str | None
    delivered_at: Moment | None


class DeliveryQuery(ListQuery):
    sort: Literal["id", "-id"] = "-id"
    state: Literal["pending", "delivered", "failed"] | None = None


class RetryDeliveries(Input):
    """`delivery_id`: that one, whatever became of it; left out, all that failed."""

    delivery_id: Id | None = None


class RetriedDeliveries(Output):
    """How many will be sent again."""

    retried: int
