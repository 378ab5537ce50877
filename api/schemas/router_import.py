"""What is taken over from a running router."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Input, Output, Query
from api.schemas.fields import Id, Moment


class ImportIn(Input):
    """`plans` says which plan a profile is, such as `{"ppp/10M": 3}`; of the profiles in `confirm` the guessed plan is
    made, and with `confirm_all` of all that have one. A dry run writes nothing, and says what an import would do.
    """

    dry_run: bool = True
    plans: Mapping[str, Id] = Field({}, max_length=1000)
    confirm: list[str] = Field([], max_length=1000)
    confirm_all: bool = False


class ImportAccepted(Output):
    """The import that was asked for, and the job that does it."""

    import_id: int
    job_id: int


class ImportRowOut(Output):
    """A pool or an account. `outcome`: new (a dry run would import it), imported, there (Kibali has it), or failed."""

    kind: str
    name: str
    outcome: str
    reason: str | None
    subscription_id: int | None


class ImportOut(Output):
    """An import. `state`: pending, completed or failed. `profiles` has each profile's plan or guess, or why none."""

    id: int
    dry_run: bool
    state: str
    counts: Mapping[str, Mapping[str, int]]
    profiles: Mapping[str, Any]
    error: str | None
    job_id: int | None
    created_at: Moment
    finished_at: Moment | None


class ImportWithRows(ImportOut):
    """An import with what came of each item, at most 1000."""

    items: Sequence[ImportRowOut]


class ImportQuery(Query):
    """Only rows of this outcome."""

    outcome: Literal["new", "imported", "there", "failed"] | None = None


class PoolOut(Output):
    """A pool of the router, as it was imported."""

    name: str
    ranges: str
    addresses: int


class PoolsOut(Output):
    """The address pools of a router."""

    items: Sequence[PoolOut]
