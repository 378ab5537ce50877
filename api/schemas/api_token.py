"""API tokens."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from api.schemas.audit import storable
from api.schemas.base import Input, ListQuery, Output
from api.schemas.fields import Id, Moment, Name
from api.scopes import SCOPE


def _scope(value: str) -> str:
    if not SCOPE.fullmatch(value):
        raise ValueError("It must be a resource and read or write, such as payments:write or *:read.")
    return value


Scope = Annotated[str, AfterValidator(_scope)]


class ApiTokenCreate(Input):
    """`scopes` left out: all that the admin may do. `expires_at` left out: never."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=50)] | None = None
    expires_at: Annotated[AwareDatetime, Field(strict=False), AfterValidator(storable)] | None = None


class ApiTokenOut(Output):
    """Without the token itself, which is shown once."""

    id: int
    admin_id: int
    name: str
    scopes: list[str] | None
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


class ApiTokenMade(ApiTokenOut):
    """With the token, this once."""

    token: str


class ApiTokenQuery(ListQuery):
    """`admin_id`: an owner sees those of others. `revoked`: those of once."""

    sort: Literal["id", "-id"] = "id"
    admin_id: Id | None = None
    revoked: bool = False
