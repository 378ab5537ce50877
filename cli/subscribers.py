"""`kibali subscriber`"""

from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.payment import WalletLineOut, WalletOut
from api.schemas.subscriber import SubscriberChange, SubscriberCreate, SubscriberOut, SubscriberQuery
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from cli.subscriber_files import export_file, import_file, import_report, imports
from db import ledger, ledger_list
from db import subscriber as subscribers
from db.reading import InSession
from settings import Settings

WALLET_COLUMNS = ("created_at", "kind", "amount_kes", "payment_id", "subscription_id", "memo")
COLUMNS = ("id", "name", "msisdn", "email", "created_at")


@click.group()
def subscriber() -> None:
    """The people and businesses that hold subscriptions."""


@subscriber.command()
@tenant_option
@model_options(SubscriberCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Makes a subscriber."""
    body = read_options(SubscriberCreate, options)
    with at_tenant(settings, tenant_slug) as desk:
        created = SubscriberOut.of(subscribers.create(desk.session, desk.tenant.id, values_of(body)))
    print_record(created, as_json=as_json)


@subscriber.command("list")
@tenant_option
@model_options(SubscriberQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_subscribers(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Those of today, or with --archived those of once."""
    query = read_options(SubscriberQuery, options)
    filters = query.model_dump(include={"msisdn", "name", "archived"})
    with at_tenant(settings, tenant_slug) as desk:
        rows = [
            printable(SubscriberOut.of(row), as_json=as_json)
            for row in every_row(
                query.sort, lambda request: subscribers.page(InSession(desk.session), request, **filters)
            )
        ]
    print_rows(rows, COLUMNS, as_json=as_json)


@subscriber.command()
@click.argument("subscriber_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, subscriber_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one subscriber."""
    with at_tenant(settings, tenant_slug) as desk:
        found = SubscriberOut.of(subscribers.by_id(desk.session, subscriber_id))
    print_record(found, as_json=as_json)


@subscriber.command()
@click.argument("subscriber_id", metavar="ID", type=ID)
@tenant_option
@model_options(SubscriberChange)
@json_option
@pass_settings
def change(settings: Settings, /, subscriber_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the given fields; an empty value ("") unsets one."""
    body = read_options(SubscriberChange, options)
    with at_tenant(settings, tenant_slug) as desk:
        changed = SubscriberOut.of(subscribers.change(desk.session, subscriber_id, given(body)))
    print_record(changed, as_json=as_json)


@subscriber.command()
@click.argument("subscriber_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def wallet(settings: Settings, subscriber_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """What a subscriber has to spend, and how that came about, newest first."""
    with at_tenant(settings, tenant_slug) as desk:
        subscribers.by_id(desk.session, subscriber_id)
        balance = WalletOut.model_construct(
            subscriber_id=subscriber_id, balance_kes=ledger.balance(desk.session, subscriber_id)
        ).model_dump(mode="json")
        found = every_row("-id", lambda request: ledger_list.of_wallet(desk.session, subscriber_id, request))
        lines = [printable(WalletLineOut.of(each), as_json=as_json) for each in found]
    if as_json:
        print_json({**balance, "items": lines})
        return
    print_record(balance, as_json=False)
    print_rows(lines, WALLET_COLUMNS, as_json=False)


@subscriber.command()
@click.argument("subscriber_id", metavar="ID", type=ID)
@tenant_option
@pass_settings
def remove(settings: Settings, subscriber_id: int, tenant_slug: str | None) -> None:
    """Archives a subscriber without subscriptions. The record stays."""
    with at_tenant(settings, tenant_slug) as desk:
        subscribers.archive(desk.session, subscriber_id, desk.now)
    click.echo(f"subscriber {subscriber_id} is archived")


for command in (import_file, imports, import_report, export_file):
    subscriber.add_command(command)
