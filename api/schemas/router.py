"""Routers. A RADIUS secret goes in and never comes out, but for the one that was made up, once."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from api.schemas.base import Input, ListQuery, Output, Query, partial
from api.schemas.fields import (
    CertificateSha256,
    Moment,
    Name,
    NasAddress,
    Port,
    RadiusSecret,
    RouterUsername,
    StoredAddress,
)


class RouterTerms(Input):
    name: Name
    nas_address: NasAddress
    require_message_authenticator: Literal["auto", "yes", "no"] = "auto"
    coa_port: Port = 3799
    swap_octets: bool = False
    api_address: NasAddress | None = Field(None, description="Where its API is; null: at nas_address.")
    api_port: Port = 8728
    api_ssl_port: Port = 8729
    api_username: RouterUsername = "kibali"
    api_plain: Literal["never", "fallback", "only"] = Field(
        "never",
        description="Whether its API may be used without TLS: fallback where it has no certificate, only through"
        " networks that nobody else reads.",
    )
    api_certificate_sha256: CertificateSha256 | None = Field(
        None, description="The fingerprint that its bootstrap script printed; null: that of the first contact."
    )


TunnelKind = Literal["wireguard", "sstp", "l2tp"]


class RouterCreate(RouterTerms):
    """`nas_address` is where its RADIUS packets come from; left out, `radius_secret` is made up.

    A router behind carrier NAT is given a `tunnel` instead of an address: `wireguard` for RouterOS 7, `sstp` or `l2tp`
    for 6.
    """

    nas_address: NasAddress | None = None  # type: ignore[assignment]
    tunnel: TunnelKind | None = None
    radius_secret: RadiusSecret | None = None


class _RouterSecret(RouterTerms):
    radius_secret: RadiusSecret


RouterChange = partial(_RouterSecret, "RouterChange")


class RouterOut(Output):
    """A router. `removed_at` is set once it is out of service."""

    id: int
    name: str
    nas_address: StoredAddress
    require_message_authenticator: str
    coa_port: int
    swap_octets: bool
    api_address: StoredAddress | None
    api_port: int
    api_ssl_port: int
    api_username: str
    api_plain: str
    api_certificate_sha256: str | None
    api_certificate_offered_sha256: str | None
    identity: str | None
    routeros_version: str | None
    architecture: str | None
    board: str | None
    model: str | None
    serial_number: str | None
    license_level: str | None
    device_mode: Mapping[str, str] | None
    status: str
    status_reason: str | None
    status_changed_at: Moment
    created_at: Moment
    updated_at: Moment
    removed_at: Moment | None


class RouterCreated(RouterOut):
    """`radius_secret` is there if it was made up."""

    radius_secret: str = ""


class BootstrapQuery(Query):
    """Of which RouterOS, 6 or 7; `remove`: the script that takes away what the other did."""

    variant: Literal["v6", "v7"] = "v7"
    remove: bool = False


class TunnelCreate(Input):
    kind: TunnelKind


class TunnelQuery(Query):
    """Where its RADIUS packets come from without the tunnel."""

    nas_address: NasAddress


class TunnelOut(Output):
    """How a router behind carrier NAT reaches us. Paste its bootstrap script again after a change."""

    kind: str
    address: StoredAddress
    created_at: Moment


class RouterQuery(ListQuery):
    sort: Literal["id", "-id", "name", "-name", "created_at", "-created_at"] = "id"
    status: (
        Literal["pending", "probing", "online", "provisioning", "active", "connection_failed", "failed", "offline"]
        | None
    ) = None
    removed: bool = False
