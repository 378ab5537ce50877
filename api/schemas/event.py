"""Events, as a list and over a WebSocket."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas.base import Input, ListQuery, Output
from api.schemas.fields import MAX_ID, Id, Moment


def _type(value: str) -> str:
    if not re.fullmatch(r"[a-z_]{1,32}\.([a-z_]{1,32}|\*)", value, re.ASCII):
        raise ValueError("It must be a type such as payment.processed, or a subject such as payment.*.")
    return value


def _types(value: str) -> str:
    for each in value.split(","):
        _type(each)
    return value


EventType = Annotated[str, StringConstraints(max_length=65), AfterValidator(_type)]


def watching_role(role: str) -> str:
    """In whose place the admin watches: in a tenant of their choice, the platform's admins see what its owner does."""
    return "owner" if role == "platform" else role


class EventOut(Output):
    """A fact. Ids are in the order in which facts became true: what is new always has a higher id."""

    id: int
    type: str
    created_at: Moment
    subscription_id: int | None
    router_id: int | None
    data: dict[str, Any]


class EventQuery(ListQuery):
    """`type`: one or several, with commas between: payment.processed, or payment.* for all about payments."""

    sort: Literal["id", "-id"] = "-id"
    type: Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_types)] | None = None
    subscription_id: Id | None = None
    router_id: Id | None = None
    since: Moment | None = None
    until: Moment | None = None


class TicketOut(Output):
    """Good for one connection, `expires_in_s` seconds long."""

    ticket: str
    expires_in_s: int


class Hello(Input):
    """The first message of a client: who it is, and from where it goes on.

    `tenant`: its short name, for the platform's admins. `after`: the last id it has seen; null for what happens from
    now on. `types` null: all that its role may see.
    """

    type: Literal["auth"]
    token: str | None = Field(None, max_length=200)
    ticket: str | None = Field(None, max_length=200)
    tenant: str | None = Field(None, max_length=63)
    after: Annotated[int, Field(ge=0, le=MAX_ID)] | None = None
    types: Annotated[list[EventType], Field(min_length=1, max_length=50)] | None = None
