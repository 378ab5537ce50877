"""Tenants and their admins, as whoever runs the platform makes them."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, StringConstraints

from api.schemas.base import Input, Output
from api.schemas.fields import Email, LongName, Moment, Slug

Role = Literal["owner", "manager", "cashier", "support", "read-only", "platform"]


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("It must be a time zone such as Africa/Nairobi.") from None
    return value


class TenantCreate(Input):
    slug: Slug
    name: LongName
    language: Literal["en", "sw"] = "en"
    timezone: Annotated[str, AfterValidator(_timezone)] = "Africa/Nairobi"


class TenantOut(Output):
    id: int
    slug: str
    name: str
    language: str
    timezone: str
    created_at: Moment


class AdminCreate(Input):
    email: Email
    role: Role
    password: Annotated[str, StringConstraints(min_length=12, max_length=200)] | None = None


class AdminOut(Output):
    id: int
    tenant_id: int | None
    email: str
    role: str
    created_at: Moment
    disabled_at: Moment | None
