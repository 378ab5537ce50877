"""Vouchers: batches of codes, each worth one validity of a plan."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from api.schemas.base import Input, ListQuery, Output, Query
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
    """A batch of vouchers. `revoked_at` is set once what was unused of it is worth nothing."""

    id: int
    plan_id: int
    count: int
    code_length: int
    note: str | None
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class VoucherCounts(Output):
    """How many of a batch are in which state."""

    unused: int
    redeemed: int
    revoked: int


class BatchStanding(BatchOut):
    """A batch, and how many of its codes are in which state."""

    vouchers: VoucherCounts


class Code(Output):
    """A voucher as it stands on the sheet. `state`: unused, redeemed, revoked."""

    id: int
    code: str
    state: str


class Codes(Output):
    """All codes of a batch."""

    items: list[Code]


class Revoked(Output):
    """How many codes are worth nothing any more."""

    revoked: int


class BatchQuery(ListQuery):
    sort: Literal["id", "-id", "created_at", "-created_at"] = "-id"


def _login_url(value: str) -> str:
    if not value.startswith(("https://", "http://")) or "{code}" not in value:
        raise ValueError("It must begin with https:// or http:// and have {code} where the code is to stand.")
    return value


class SheetQuery(Query):
    """`login_url`: where the QR codes lead, with {code} for the code. Default: KIBALI_VOUCHER_URL."""

    login_url: Annotated[str, StringConstraints(max_length=200), Line, AfterValidator(_login_url)] | None = None


class Redeem(Input):
    """A code as it was typed, for a subscription, or for whoever has `phone`; `mac` is let in by itself."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64), Line]
    subscription_id: Id | None = None
    phone: Msisdn | None = None
    mac: Mac | None = None
