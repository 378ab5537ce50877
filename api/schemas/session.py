"""Sessions. Octets as the subscriber sees them: input is the upload."""

from typing import Literal
from uuid import UUID

from api.schemas.base import ListQuery, Output
from api.schemas.fields import Id, Moment, StoredAddress, StoredMac, Username


class SessionOut(Output):
    """A session; `stopped_at` null while it is open, `subscription_id` null if the router let a stranger in."""

    session_key: UUID
    username: str
    subscription_id: int | None
    router_id: int
    acct_session_id: str
    calling_station_id: StoredMac | None
    framed_ip_address: StoredAddress | None
    started_at: Moment
    last_seen_at: Moment
    stopped_at: Moment | None
    terminate_cause: str | None
    session_time_s: int
    input_octets: int
    output_octets: int
    service: str


class SessionQuery(ListQuery):
    sort: Literal["started_at", "-started_at"] = "-started_at"
    open: bool | None = None
    subscription: Id | None = None
    router: Id | None = None
    username: Username | None = None
