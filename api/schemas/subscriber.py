"""Subscribers."""

from typing import Literal

from api.schemas.base import Input, ListQuery, Output, partial
from api.schemas.fields import Email, Lines, LongName, Moment, Msisdn


class SubscriberCreate(Input):
    name: LongName
    msisdn: Msisdn | None = None
    email: Email | None = None
    note: Lines | None = None


SubscriberChange = partial(SubscriberCreate, "SubscriberChange")


class SubscriberOut(Output):
    """A subscriber; `msisdn` in E.164 without the plus."""

    id: int
    name: str
    msisdn: str | None
    email: str | None
    note: str | None
    created_at: Moment
    archived_at: Moment | None


class SubscriberQuery(ListQuery):
    """`name` finds those whose name contains it."""

    sort: Literal["id", "-id", "name", "-name", "created_at", "-created_at"] = "id"
    msisdn: Msisdn | None = None
    name: LongName | None = None
    archived: bool = False
