"""Routers. A RADIUS secret goes in and never comes out, but for the one that was made up, once."""

from typing import Literal

from pydantic import Field

from api.schemas.base import Input, ListQuery, Output, partial
from api.schemas.fields import Moment, Name, NasAddress, RadiusSecret, StoredAddress


class RouterTerms(Input):
    name: Name
    nas_address: NasAddress
    require_message_authenticator: Literal["auto", "yes", "no"] = "auto"
    coa_port: int = Field(3799, ge=1, le=65535)
    swap_octets: bool = False


class RouterCreate(RouterTerms):
    """`nas_address` is where its RADIUS packets come from; left out, `radius_secret` is made up."""

    radius_secret: RadiusSecret | None = None


class _RouterSecret(RouterTerms):
    radius_secret: RadiusSecret


RouterChange = partial(_RouterSecret, "RouterChange")


class RouterOut(Output):
    id: int
    name: str
    nas_address: StoredAddress
    require_message_authenticator: str
    coa_port: int
    swap_octets: bool
    status: str
    created_at: Moment
    updated_at: Moment
    removed_at: Moment | None


class RouterQuery(ListQuery):
    sort: Literal["id", "-id", "name", "-name", "created_at", "-created_at"] = "id"
    status: (
        Literal["pending", "probing", "online", "provisioning", "active", "connection_failed", "failed", "offline"]
        | None
    ) = None
    removed: bool = False
