"""`kibali subscriber import` and `export`: subscribers and their subscriptions as a file."""

import sys
import time
from pathlib import Path

import click
from rich.progress import BarColumn, Progress, TextColumn

from api.schemas.subscriber_import import FileImportOut
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, print_record
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows, progress_console
from db import job_list, subscriber_export, subscriber_import
from isp.subscriber_file import BadFile
from settings import Settings
from tasks.subscriber_imports import start_import

_LOOK_EVERY_S = 0.3
_SHOWN_ERRORS = 20
_COLUMNS = (
    "id",
    "created_at",
    "finished_at",
    "dry_run",
    "rows_read",
    "subscribers_made",
    "subscriptions_made",
    "rows_bad",
)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "file_format", type=click.Choice(["csv", "json"]), help="Default: as the file is named.")
@click.option("--dry-run", is_flag=True, help="Make nothing; say what would be made, and what is wrong.")
@click.option("--no-wait", is_flag=True, help="Do not wait for the job.")
@tenant_option
@json_option
@pass_settings
def import_file(
    settings: Settings,
    file: Path,
    file_format: str | None,
    dry_run: bool,
    no_wait: bool,
    tenant_slug: str | None,
    as_json: bool,
) -> None:
    """Takes subscribers and their subscriptions from FILE; - is standard input. Sent again, it makes nothing twice.

    CSV whose first line names the columns, or a JSON list of objects: name, msisdn, email, note, plan, service,
    username, password, macs, framed_ip_address, expires_at. docs/import.md tells more.
    """
    content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    chosen = file_format or ("json" if file.suffix.lower() == ".json" else "csv")
    with at_tenant(settings, tenant_slug) as desk:
        try:
            made = start_import(
                desk.session, desk.tenant.id, None, content, desk.keyring, file_format=chosen, dry_run=dry_run
            )
        except BadFile as error:
            raise Failure(str(error)) from None
        import_id, job_id = made.id, made.job_id
        shown = FileImportOut.of(made).model_dump(mode="json")
    if no_wait:
        print_record(shown, as_json=as_json)
        return
    assert job_id is not None
    _follow(settings, tenant_slug, job_id)
    if rows_bad := _report(settings, tenant_slug, import_id, as_json=as_json):
        raise Failure(f"{rows_bad} rows were not taken. Put them right and import the file again.")


@click.command()
@tenant_option
@json_option
@pass_settings
def imports(settings: Settings, tenant_slug: str | None, as_json: bool) -> None:
    """Imports of files, the newest first."""
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row("-id", lambda request: subscriber_import.page(desk.session, request))
        rows = [printable(FileImportOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, _COLUMNS, as_json=as_json)


@click.command("import-report")
@click.argument("import_id", metavar="IMPORT", type=ID)
@tenant_option
@json_option
@pass_settings
def import_report(settings: Settings, import_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """How far an import is, what it made, and what was wrong with which row."""
    _report(settings, tenant_slug, import_id, as_json=as_json)


@click.command("export")
@click.option("--format", "file_format", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
@tenant_option
@pass_settings
def export_file(settings: Settings, file_format: str, output: Path | None, tenant_slug: str | None) -> None:
    """Writes all subscribers with their subscriptions, as `import` takes them. Without passwords."""
    written = subscriber_export.as_csv if file_format == "csv" else subscriber_export.as_json
    with at_tenant(settings, tenant_slug) as desk:
        target = output.open("w", encoding="utf-8", newline="") if output else sys.stdout
        try:
            for piece in written(desk.session, desk.now):
                target.write(piece)
        finally:
            if output:
                target.close()


def _report(settings: Settings, tenant_slug: str | None, import_id: int, *, as_json: bool) -> int:
    """How many rows were not taken."""
    with at_tenant(settings, tenant_slug) as desk:
        found = subscriber_import.by_id(desk.session, import_id)
        shown = FileImportOut.of(found).model_dump(mode="json")
        errors = list(found.errors)
    if as_json:
        print_json({**shown, "errors": errors})
    else:
        print_record(shown, as_json=False)
        for wrong in errors[:_SHOWN_ERRORS]:
            column = f" {wrong['field']}:" if wrong["field"] else ""
            click.echo(f"line {wrong['line']}:{column} {wrong['message']}", err=True)
    return found.rows_bad


def _follow(settings: Settings, tenant_slug: str | None, job_id: int) -> None:
    """Until the job has ended. Raises Failure if it failed."""
    columns = TextColumn("importing"), BarColumn(), TextColumn("{task.percentage:>3.0f} %")
    with Progress(*columns, console=progress_console(), transient=True) as progress:
        shown = progress.add_task("importing", total=100)
        while True:
            with at_tenant(settings, tenant_slug) as desk:
                job = job_list.by_id(desk.session, job_id)
                state, percent, error = job.state, job.progress, job.error
            progress.update(shown, completed=percent)
            if state == "succeeded":
                return
            if state in ("failed", "cancelled"):
                raise Failure(f"the import {state}: {error or 'it was cancelled'}")
            time.sleep(_LOOK_EVERY_S)
