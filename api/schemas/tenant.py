"""Tenants and their admins, as whoever runs the platform makes them."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

from api.schemas.auth import NewPassword
from api.schemas.base import Input, ListQuery, Output, partial
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


class _Terms(TenantCreate):
    """What may be changed. `closed`: its admins are shut out."""

    closed: bool


TenantChange = partial(_Terms, "TenantChange")


class TenantOut(Output):
    """A tenant: an operator, apart from all others."""

    id: int
    slug: str
    name: str
    language: str
    timezone: str
    created_at: Moment
    closed_at: Moment | None


class TenantQuery(ListQuery):
    sort: Literal["id", "-id", "slug", "-slug", "created_at", "-created_at"] = "id"


class AdminTerms(Input):
    email: Email
    role: Role


class AdminCreate(AdminTerms):
    """`password` left out: one is made up. Either way it must be changed at the first login."""

    password: NewPassword | None = None


class _AdminTerms(AdminTerms):
    disabled: bool


AdminChange = partial(_AdminTerms, "AdminChange")


class AdminOut(Output):
    """An admin of a tenant, or of the platform, without one."""

    id: int
    tenant_id: int | None
    email: str
    role: str
    created_at: Moment
    disabled_at: Moment | None
    must_change_password: bool
    password_changed_at: Moment | None
    last_login_at: Moment | None


class AdminMade(AdminOut):
    """With the password that was made up, this once. It must be changed at the first login."""

    password: str = ""


class AdminQuery(ListQuery):
    sort: Literal["id", "-id", "email", "-email", "created_at", "-created_at"] = "id"
    role: Role | None = None
    disabled: bool = False


class PasswordReset(Input):
    """`password` left out: one is made up. Either way it must be changed at the next login."""

    password: NewPassword | None = None


class PasswordMade(Output):
    """The password that was made up, this once; nothing, if one was given."""

    password: str = ""
