"""/api/v1/subscribers/import and /export, /api/v1/imports: subscribers and their subscriptions as a file."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from api.answers import Text
from api.auth import READERS, WRITERS
from api.cursor import listing, page_request
from api.endpoint import Call, Reply, Upload, endpoint, with_query, with_upload
from api.schemas.base import Listed
from api.schemas.subscriber_import import (
    ExportQuery,
    FileImportListQuery,
    FileImportOut,
    FileImportQuery,
    FileImportWithErrors,
    RowError,
)
from db import subscriber_export, subscriber_import
from db.refusal import Invalid
from isp.subscriber_file import BadFile
from tasks.subscriber_imports import start_import

MAX_UPLOAD_BYTES = 32_000_000
_TYPES = {"text/csv": "csv", "application/json": "json"}


@with_upload(WRITERS, FileImportQuery, (*_TYPES,), MAX_UPLOAD_BYTES, {202: FileImportOut})
def start(call: Call, query: FileImportQuery, upload: Upload) -> Reply:
    """Imports subscribers and their subscriptions from a file, by a job. Sent again, it makes nothing twice.

    CSV (comma, semicolon or tab; UTF-8 or UTF-16) whose first line names the columns, or a JSON list of objects: name,
    msisdn, email, note, plan (name or id), service, username, password, macs, framed_ip_address, expires_at.
    """
    try:
        found = start_import(
            call.session,
            call.tenant_id,
            call.admin_id,
            upload.content,
            call.keyring,
            file_format=_TYPES[upload.media_type],
            dry_run=query.dry_run,
        )
    except BadFile as error:
        raise Invalid(str(error), code="bad_file") from None
    return Reply(FileImportOut.of(found), 202, {"Location": f"/api/v1/imports/{found.id}"})


@with_query(READERS, FileImportListQuery, {200: Listed[FileImportOut]})
def index(call: Call, query: FileImportListQuery) -> Reply:
    """Lists imports, newest first."""
    page = subscriber_import.page(call.session, page_request(query, subscriber_import.SORTS))
    return listing(query, page, FileImportOut.of)


@endpoint(READERS, {200: FileImportWithErrors})
def read(call: Call) -> Reply:
    """Shows an import: how far it is, what it made, and what was wrong with which row."""
    found = subscriber_import.by_id(call.session, call.id)
    errors = [RowError(**error) for error in found.errors]
    return Reply(FileImportWithErrors.beside(FileImportOut.of(found), errors=errors))


@with_query(READERS, ExportQuery, {200: (Text("text/csv"), Text("application/json"))})
def export(call: Call, query: ExportQuery) -> Reply:
    """Exports all subscribers with their subscriptions, a row for each, as an import takes it. Without passwords."""
    written = subscriber_export.as_csv if query.format == "csv" else subscriber_export.as_json
    now = call.now

    def pieces(session: Session) -> Iterator[str]:
        return written(session, now)

    name = f"subscribers-{now:%Y-%m-%d}.{query.format}"
    media_type = "text/csv" if query.format == "csv" else "application/json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Reply(None, headers=headers, stream=pieces, media_type=media_type)
