"""Subscriptions. A password goes in and never comes out, but for the one that was made up, once."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from api.schemas.base import Input, ListQuery, Output, partial
from api.schemas.fields import (
    DelegatedIpv6Prefix,
    FramedIpAddress,
    Id,
    Mac,
    Moment,
    Password,
    StoredAddress,
    StoredMac,
    Username,
)
from db.subscription_list import Listed

Service = Literal["hotspot", "pppoe"]
Macs = Annotated[list[Mac], Field(max_length=100)]
RouterIds = Annotated[list[Id], Field(max_length=1_000)]
"""The only routers it is valid on; empty for all of the tenant's."""


class SubscriptionTerms(Input):
    plan_id: Id
    service: Service
    username: Username
    password: Password
    macs: Macs
    router_ids: RouterIds
    framed_ip_address: FramedIpAddress | None = None
    delegated_ipv6_prefix: DelegatedIpv6Prefix | None = None
    bind_mac: bool
    bound_mac: Mac | None = None


class SubscriptionCreate(Input):
    """Left out: `service` is the plan's, `username` the phone number on a hotspot or made up, `password` made up."""

    subscriber_id: Id
    plan_id: Id
    service: Service | None = None
    username: Username | None = None
    password: Password | None = None
    macs: Macs = Field([])
    router_ids: RouterIds = Field([])
    framed_ip_address: FramedIpAddress | None = None
    delegated_ipv6_prefix: DelegatedIpv6Prefix | None = None
    bind_mac: bool = False


SubscriptionChange = partial(SubscriptionTerms, "SubscriptionChange")


class Renew(Input):
    """Left out, `plan_id` is the plan it has. Another one begins at once."""

    plan_id: Id | None = None


class ChangePlan(Input):
    """The plan that it is to have from now on."""

    plan_id: Id


class SubscriptionOut(Output):
    """A subscription. `activated_at` null: its time starts at the first login. `expires_at` null beside it: never.

    `router_ids` empty: valid on every router of the tenant.
    """

    id: int
    subscriber_id: int
    plan_id: int
    service: str
    username: str
    status: str
    state: str
    activated_at: Moment | None
    expires_at: Moment | None
    macs: list[str]
    router_ids: list[int]
    framed_ip_address: StoredAddress | None
    delegated_ipv6_prefix: StoredAddress | None
    bind_mac: bool
    bound_mac: StoredMac | None
    created_at: Moment
    updated_at: Moment

    @classmethod
    def at(cls, listed: Listed, now: datetime) -> Self:
        """The subscription as it is at `now`."""
        values: dict[str, Any] = {name: getattr(listed.subscription, name, None) for name in cls.model_fields}
        values |= {"state": listed.state(now).value, "macs": listed.macs, "router_ids": listed.router_ids}
        return cls.model_construct(**values)


class SubscriptionCreated(SubscriptionOut):
    """`password` is there if it was made up."""

    password: str = ""


class SubscriptionQuery(ListQuery):
    sort: Literal["id", "-id", "username", "-username", "created_at", "-created_at", "expires_at", "-expires_at"] = "id"
    subscriber_id: Id | None = None
    plan_id: Id | None = None
    service: Service | None = None
    username: Username | None = None
    mac: Mac | None = None
    state: Literal["pending", "active", "grace", "expired", "suspended", "cancelled"] | None = None
