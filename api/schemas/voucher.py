"""Vouchers: batches of codes, each worth one validity of a plan."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints

from api.schemas.base import Input, ListQuery, Output
from api.schemas.fields import Id, Line, Lines, Mac, Moment, Msisdn
from isp.voucher import DEFAULT_LENGTH

MAX_BATCH = 5_000


def _moment(value: object) -> object:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


class BatchCreate(Input):
    plan_id: Id
    count: int = Field(ge=1, le=MAX_BATCH)
    code_length: int = Field(DEFAULT_LENGTH, ge=8, le=20)
    note: Lines | None = None
    expires_at: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = None


class BatchOut(Output):
    id: int
    plan_id: int
    count: int
    code_length: int
    note: str | None
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class BatchQuery(ListQuery):
    sort: Literal["id", "-id", "created_at", "-created_at"] = "-id"


class Redeem(Input):
    """A code as it was typed, for a subscription, or for whoever has `phone`; `mac` is let in by itself."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64), Line]
    subscription_id: Id | None = None
    phone: Msisdn | None = None
    mac: Mac | None = None
