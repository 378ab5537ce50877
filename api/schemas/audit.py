"""The audit log."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, StringConstraints, WithJsonSchema

from api.schemas.base import ListQuery, Output
from api.schemas.fields import Id, Line, Moment, StoredAddress


def storable(moment: datetime) -> datetime:
    if not 2000 <= moment.year <= 2999:  # beyond the calendar's ends a time zone leads out of it
        raise ValueError("It must be a time between the years 2000 and 2999.")
    return moment


Time = Annotated[AwareDatetime, AfterValidator(storable), WithJsonSchema({"type": "string", "format": "date-time"})]
Word = Annotated[str, StringConstraints(min_length=1, max_length=254), Line]


class AuditQuery(ListQuery):
    """`what` is a kind of thing, such as plan or payment_account, and `what_id` which one. `until` is not included."""

    sort: Literal["id", "-id"] = "-id"
    admin_id: Id | None = None
    who: Word | None = None
    via: Literal["api", "cli"] | None = None
    operation: Literal["insert", "update", "delete", "note"] | None = None
    what: Word | None = None
    what_id: Word | None = None
    request_id: Word | None = None
    since: Time | None = None
    until: Time | None = None


class AuditOut(Output):
    """One change. `before` and `after` hold what differs; of a secret, "…". A `note` changed nothing."""

    id: int
    created_at: Moment
    tenant_id: int | None
    admin_id: int | None
    who: str
    via: str
    address: StoredAddress | None
    credential: str | None
    request_id: str | None
    action: str
    operation: str
    what: str
    what_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
