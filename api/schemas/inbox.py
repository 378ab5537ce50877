"""What M-Pesa sent to the webhooks."""

from typing import Literal, Self

from api.schemas.base import ListQuery, Output
from api.schemas.fields import Id, Moment, StoredAddress
from db.webhook_inbox import WebhookInbox

Outcome = Literal[
    "applied",
    "completed",
    "conflict",
    "contradicted",
    "duplicate",
    "failed",
    "linked",
    "mismatch",
    "suspense",
    "unknown",
    "unreadable",
]


class WebhookOut(Output):
    """A webhook. `outcome` is null until a job has read it; `error` is what made no sense.

    `source_listed`: whether M-Pesa is known to send from there.
    """

    id: int
    kind: str
    intent_id: int | None
    payment_account_id: int
    source_address: StoredAddress | None
    source_listed: bool
    received_at: Moment
    processed_at: Moment | None
    outcome: str | None
    error: str | None


class WebhookBody(WebhookOut):
    """A webhook with its body as text; bytes that are no UTF-8 as \\x…."""

    body: str

    @classmethod
    def read(cls, row: WebhookInbox) -> Self:
        return cls.beside(WebhookOut.of(row), body=row.body.decode("utf-8", "backslashreplace"))


class WebhookQuery(ListQuery):
    sort: Literal["id", "-id", "received_at", "-received_at"] = "-id"
    outcome: Outcome | None = None
    intent_id: Id | None = None
