"""Imports of subscribers and their subscriptions from a file that was sent."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from db import subscriber_import
from db.bulk_subscribers import Batch, take
from db.subscriber_import import SubscriberImport
from isp.encryption import Keyring
from isp.subscriber_file import BadFile, BadRow, Row, checked, rows_of, text_of
from tasks.enqueue import enqueue
from tasks.queues import IMPORTS, MAINTENANCE
from tasks.registry import task
from tasks.running_job import RunningJob
from tasks.stops import PermanentFailure

BATCH = 500

Numbered = tuple[int, Mapping[str, str]]


def start_import(
    session: Session,
    tenant_id: int,
    admin_id: int | None,
    content: bytes,
    keyring: Keyring,
    *,
    file_format: str,
    dry_run: bool,
) -> SubscriberImport:
    """An import with its job. Raises BadFile for what can not be read at all, Conflict where many wait already."""
    text = text_of(content)
    rows = rows_of(text, file_format)
    if next(rows, None) is None:
        raise BadFile("There is no row in it.")
    if file_format == "json":  # which is broken as a whole, not in a line
        deque(rows, maxlen=0)
    made = subscriber_import.create(
        session, tenant_id, admin_id, text, keyring, file_format=file_format, dry_run=dry_run
    )
    job = enqueue(session, import_subscriber_file, {"import_id": made.id}, tenant_id=tenant_id)
    made.job_id = job.id
    session.flush()
    return made


@task(queue=IMPORTS)
def import_subscriber_file(session: Session, job: RunningJob, import_id: int) -> None:
    """Takes the rows of an import, some hundred at a time; tried again, it goes on where it was."""
    found = subscriber_import.by_id(session, import_id)
    if found.finished_at is not None:
        return
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    text = subscriber_import.text_of(session, import_id, keyring)
    try:
        total = sum(1 for _ in rows_of(text, found.format))
    except BadFile as error:
        subscriber_import.finish(session, found, datetime.now(UTC))
        job.commit_step(session)
        raise PermanentFailure(str(error)) from None
    rows = islice(rows_of(text, found.format), found.rows_read, None)
    batch = Batch(found.tenant_id, keyring, datetime.now(UTC), dry_run=found.dry_run)
    while some := list(islice(rows, BATCH)):
        good, errors = _checked(some)
        taken = take(session, batch, good)
        errors = sorted([*errors, *taken.errors], key=lambda error: error["line"])
        counts = {
            "rows_read": len(some),
            "rows_bad": len(errors),
            "rows_known": taken.known,
            "subscribers_made": taken.subscribers,
            "subscriptions_made": taken.subscriptions,
        }
        subscriber_import.note(session, found, counts, errors)
        job.commit_step(session)
        job.progress(min(99, found.rows_read * 100 // total))
    subscriber_import.finish(session, found, datetime.now(UTC))


@task(queue=MAINTENANCE)
def forget_unread_imports(session: Session, job: RunningJob) -> None:
    """Deletes files, which may hold passwords, whose import came to nothing."""
    subscriber_import.forget_unread(session, datetime.now(UTC))


def _checked(rows: Sequence[Numbered]) -> tuple[list[tuple[int, Row]], list[dict[str, Any]]]:
    good: list[tuple[int, Row]] = []
    errors: list[dict[str, Any]] = []
    for line, values in rows:
        try:
            good.append((line, checked(values)))
        except BadRow as error:
            errors.append({"line": line, "field": error.field, "message": error.message})
    return good, errors
