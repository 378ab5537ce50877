"""Plans: speeds in kbit/s, sizes in bytes, prices in KES as text."""

from typing import Annotated, Literal

from pydantic import Field

from api.schemas.base import Input, ListQuery, Output, partial
from api.schemas.fields import Bytes, Kbps, Kes, ListName, Moment, Name, Seconds, StoredKes, TimeOfDay

Service = Literal["hotspot", "pppoe", "any"]


class _PlanOffer(Input):
    name: Name
    price_kes: Kes
    upload_kbps: Kbps
    download_kbps: Kbps
    validity_unit: Literal["hours", "days", "months", "unlimited"]


class PlanTerms(Input):
    """What a plan gives for its price. What belongs together (say, the five fields of a burst) is given together."""

    service: Service = "any"

    burst_upload_kbps: Kbps | None = None
    burst_download_kbps: Kbps | None = None
    burst_threshold_upload_kbps: Kbps | None = None
    burst_threshold_download_kbps: Kbps | None = None
    burst_time_s: Seconds | None = None
    priority: Annotated[int, Field(ge=1, le=8)] | None = None
    min_upload_kbps: Kbps | None = None
    min_download_kbps: Kbps | None = None

    validity_count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    validity_from: Literal["purchase", "first_login"] = "purchase"
    grace_hours: int = Field(0, ge=0, le=8760)

    devices: int = Field(1, ge=1, le=1_000)
    on_device_limit: Literal["reject", "drop_oldest"] = "reject"
    time_limit_s: Bytes | None = None
    data_limit_bytes: Bytes | None = None
    upload_limit_bytes: Bytes | None = None
    download_limit_bytes: Bytes | None = None
    limit_period: Literal["validity", "day", "week", "month"] = "validity"
    limit_reset_day: int = Field(1, ge=1, le=31)
    after_limit: Literal["stop", "throttle"] = "stop"
    fair_use_upload_kbps: Kbps | None = None
    fair_use_download_kbps: Kbps | None = None

    boost_from: TimeOfDay | None = None
    boost_until: TimeOfDay | None = None
    boost_upload_kbps: Kbps | None = None
    boost_download_kbps: Kbps | None = None

    idle_timeout_s: Seconds | None = None
    interim_interval_s: int = Field(300, ge=60, le=3600)
    framed_pool: ListName | None = None
    framed_ipv6_pool: ListName | None = None
    delegated_ipv6_pool: ListName | None = None
    address_list: ListName | None = None
    on_expiry: Literal["reject", "walled_garden"] = "reject"
    walled_garden_address_list: ListName | None = None


class PlanCreate(PlanTerms, _PlanOffer):
    """A plan as it is made."""


PlanChange = partial(PlanCreate, "PlanChange")


class _PlanHead(Output):
    id: int
    name: str
    price_kes: StoredKes
    upload_kbps: int
    download_kbps: int
    validity_unit: str
    created_at: Moment
    archived_at: Moment | None


class PlanOut(PlanTerms, _PlanHead):
    """A plan. `archived_at` is set once it is off sale."""


class PlanQuery(ListQuery):
    sort: Literal["id", "-id", "name", "-name", "price_kes", "-price_kes", "created_at", "-created_at"] = "id"
    service: Service | None = None
    archived: bool = False
