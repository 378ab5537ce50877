"""Imports of subscribers from a file."""

from typing import Literal

from api.schemas.base import ListQuery, Output, Query
from api.schemas.fields import Moment


class FileImportQuery(Query):
    """With `dry_run` nothing is made, and the import says what would be."""

    dry_run: bool = False


class FileImportListQuery(ListQuery):
    sort: Literal["id", "-id", "created_at", "-created_at"] = "-id"


class FileImportOut(Output):
    """An import of subscribers. `finished_at` null: its job is at work or failed; `rows_read` says how far it is.

    `rows_known`: rows of which everything was there before. With `dry_run`, nothing was made; the counts say what would
    be.
    """

    id: int
    job_id: int | None
    format: str
    dry_run: bool
    rows_read: int
    subscribers_made: int
    subscriptions_made: int
    rows_known: int
    rows_bad: int
    created_at: Moment
    finished_at: Moment | None


class RowError(Output):
    """What is wrong with a row: `line` of the CSV or item of the JSON; `field` is empty if it is the row as a whole."""

    line: int
    field: str
    message: str


class FileImportWithErrors(FileImportOut):
    """An import, with its first 1000 errors."""

    errors: list[RowError]


class ExportQuery(Query):
    format: Literal["csv", "json"] = "csv"
