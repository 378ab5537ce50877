"""Vouchers: batches of codes, each worth one validity of a plan."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from api.schemas.base import Input, ListQuery, Output
from api.schemas.fields import Id, Line, Lines, Mac, Moment, Msisdn
from db.voucher import MOST_PER_BATCH
from isp.voucher import DEFAULT_LENGTH, LEAST_LENGTH, MOST_LENGTH

_MOST_YEAR = 2999


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or moment.year > _MOST_YEAR:
        raise ValueError("It must be a time with its zone, such as 2026-12-31T23:59:59+03:00.")
    return moment


class BatchCreate(Input):
    plan_id: Id
    count: int = Field(ge=1, le=MOST_PER_BATCH)
    code_length: int = Field(DEFAULT_LENGTH, ge=LEAST_LENGTH, le=MOST_LENGTH)
    note: Lines | None = None
    expires_at: Annotated[datetime, BeforeValidator(_moment)] | None = None


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
