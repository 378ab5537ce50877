"""`kibali voucher`"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from api import voucher_sheet
from api.schemas.base import values_of
from api.schemas.payment import PaymentOut
from api.schemas.voucher import BatchCreate, BatchOut, BatchQuery, Code, Redeem, SheetQuery
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.office import at_office
from cli.options import json_option, pass_settings
from cli.output import print_rows
from cli.payments import credited, wait_option
from cli.secret_input import read_secret
from db import audit, voucher
from db.voucher import NewBatch, Redeemer
from isp.voucher import printed
from settings import Settings
from tasks import payment_orders

COLUMNS = ("id", "plan_id", "count", "note", "created_at", "expires_at", "revoked_at")

batch_argument = click.argument("batch_id", metavar="BATCH", type=ID)


@click.group("voucher")
def vouchers() -> None:
    """Codes on slips of paper, each worth one validity of a plan, once."""


@vouchers.command()
@tenant_option
@model_options(BatchCreate)
@json_option
@pass_settings
def create(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Makes a batch of codes for a plan."""
    new = NewBatch(**values_of(read_options(BatchCreate, options)))
    with at_tenant(settings, tenant_slug) as desk:
        made = BatchOut.of(voucher.create_batch(desk.session, desk.tenant.id, new, desk.keyring, desk.now))
    print_record(made, as_json=as_json)


@vouchers.command("list")
@tenant_option
@model_options(BatchQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_batches(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Batches, newest first."""
    query = read_options(BatchQuery, options)
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(query.sort, lambda request: voucher.batches(desk.session, request))
        rows = [printable(BatchOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@vouchers.command()
@batch_argument
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, batch_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """A batch, and how many of its codes are unused, redeemed and revoked."""
    with at_tenant(settings, tenant_slug) as desk:
        batch = BatchOut.of(voucher.batch_by_id(desk.session, batch_id))
        counts = voucher.counts(desk.session, batch_id)
    record = batch.model_dump(mode="json")
    print_record({**record, "vouchers": counts} if as_json else {**record, **counts}, as_json=as_json)


@vouchers.command()
@batch_argument
@tenant_option
@json_option
@pass_settings
def codes(settings: Settings, batch_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """The codes of a batch. Whoever has a code can use it."""
    with at_tenant(settings, tenant_slug) as desk:
        batch = voucher.batch_by_id(desk.session, batch_id)
        audit.note(desk.session, "voucher_batch", batch.id)
        found = [
            Code(id=each.voucher_id, code=printed(each.code), state=each.state)
            for each in voucher.sheet(desk.session, batch.id, desk.keyring)
        ]
    print_rows([each.model_dump() for each in found], ("id", "code", "state"), as_json=as_json)


@vouchers.command()
@batch_argument
@tenant_option
@click.option("--out", metavar="FILE", required=True, help="Required. - is standard output.")
@model_options(SheetQuery)
@pass_settings
def sheet(settings: Settings, /, batch_id: int, tenant_slug: str | None, out: str, **options: Any) -> None:
    """Writes what is unused of a batch as a PDF to be printed and cut. Whoever has the file can use the codes."""
    url = read_options(SheetQuery, options).login_url or settings.voucher_url or None
    with at_tenant(settings, tenant_slug) as desk:
        content = voucher_sheet.pdf(desk.session, batch_id, url, desk.keyring, desk.now)
    if out == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        write_private(Path(out), content)
    except OSError as error:
        raise Failure(f"--out: {out}: {error.strerror}. With --out - your shell writes it.") from None
    click.echo(out)


@vouchers.command()
@batch_argument
@tenant_option
@pass_settings
def revoke(settings: Settings, batch_id: int, tenant_slug: str | None) -> None:
    """What is unused of a batch is worth nothing any more."""
    with at_tenant(settings, tenant_slug) as desk:
        revoked = voucher.revoke_batch(desk.session, batch_id, desk.now)
    click.echo(f"{revoked} vouchers of batch {batch_id} are revoked")


@vouchers.command()
@tenant_option
@model_options(Redeem, without=("code",))
@wait_option
@json_option
@pass_settings
def redeem(settings: Settings, /, tenant_slug: str | None, no_wait: bool, as_json: bool, **options: Any) -> None:
    """Uses up a voucher, whose code is asked for, or read from standard input."""
    body = read_options(Redeem, {**options, "code": read_secret("code")})
    redeemer = Redeemer(body.subscription_id, body.phone, body.mac)
    with at_office(settings, tenant_slug) as desk:
        redeemed = payment_orders.redeem(desk.session, desk.tenant.id, body.code, redeemer, desk.keyring, desk.now)
        paid = PaymentOut.of(redeemed)
    print_record(paid if no_wait else credited(settings, tenant_slug, paid), as_json=as_json)


def write_private(path: Path, content: bytes) -> None:
    """For its owner's eyes alone. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
