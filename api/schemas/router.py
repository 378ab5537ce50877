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
from db.router_history import RouterHistory


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


class RouterStatusOut(Output):
    """How it is: `status_reason` says in words what is wrong and what to do.

    While it is being probed, `probe_tries` were in vain and the next is at `probe_due_at`; of 60.
    """

    status: str
    status_reason: str | None
    status_changed_at: Moment
    last_seen_at: Moment | None
    booted_at: Moment | None
    failures: int
    probe_due_at: Moment | None
    probe_tries: int

    @classmethod
    def of_both(cls, router: object, state: object) -> "RouterStatusOut":
        mine = ("status", "status_reason", "status_changed_at")
        return cls.model_construct(
            **{name: getattr(router if name in mine else state, name) for name in cls.model_fields}
        )


class InterfaceTrafficOut(Output):
    """Octets since the router started. Of a `slave` they are counted at its bridge, too."""

    name: str
    type: str
    running: bool
    slave: bool
    rx_bytes: int
    tx_bytes: int


class RouterLiveOut(Output):
    """What was read last, at `read_at`; null: nothing yet. It is read each 30 s."""

    read_at: Moment | None
    booted_at: Moment | None
    cpu_load_percent: int | None
    free_memory_bytes: int | None
    total_memory_bytes: int | None
    free_hdd_bytes: int | None
    total_hdd_bytes: int | None
    hotspot_sessions: int | None
    ppp_sessions: int | None
    interfaces: list[InterfaceTrafficOut] | None

    @classmethod
    def of(cls, row: object) -> "RouterLiveOut":
        values = {name: getattr(row, name) for name in cls.model_fields}
        if values["interfaces"] is not None:
            values["interfaces"] = [InterfaceTrafficOut.model_construct(**each) for each in values["interfaces"]]
        return cls.model_construct(**values)


class HistoryQuery(Query):
    """`period`: of 300 s, kept for 30 days, or of 3600 s, kept for 400; the last `hours` of them."""

    period: Literal["300", "3600"] = "300"
    hours: int = Field(24, ge=1, le=9600)


class RouterPeriodOut(Output):
    """One period. Averages and traffic are null where nothing was read; `failures`: how often it did not answer."""

    began_at: Moment
    period_s: int
    readings: int
    failures: int
    cpu_load_percent: float | None
    cpu_load_max_percent: int | None
    free_memory_min_bytes: int | None
    hotspot_sessions: float | None
    hotspot_sessions_max: int | None
    ppp_sessions: float | None
    ppp_sessions_max: int | None
    rx_bytes: int | None
    tx_bytes: int | None

    @classmethod
    def of(cls, row: RouterHistory) -> "RouterPeriodOut":  # type: ignore[override]
        read = row.readings > 0

        def average(total: int) -> float | None:
            return round(total / row.readings, 2) if read else None

        return cls.model_construct(
            began_at=row.began_at,
            period_s=row.period_s,
            readings=row.readings,
            failures=row.failures,
            cpu_load_percent=average(row.cpu_load_sum),
            cpu_load_max_percent=row.cpu_load_max if read else None,
            free_memory_min_bytes=row.free_memory_min_bytes,
            hotspot_sessions=average(row.hotspot_sessions_sum),
            hotspot_sessions_max=row.hotspot_sessions_max if read else None,
            ppp_sessions=average(row.ppp_sessions_sum),
            ppp_sessions_max=row.ppp_sessions_max if read else None,
            rx_bytes=row.rx_bytes if read else None,
            tx_bytes=row.tx_bytes if read else None,
        )


class RouterHistoryOut(Output):
    """Periods, the oldest first."""

    items: list[RouterPeriodOut]


class CertificateAccept(Input):
    """The one in `api_certificate_offered_sha256`, as the router itself shows it."""

    sha256: CertificateSha256
