"""`kibali subscription`"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from api.schemas.base import given, values_of
from api.schemas.job import JobOut
from api.schemas.subscription import (
    ChangePlan,
    Renew,
    SubscriptionChange,
    SubscriptionCreate,
    SubscriptionOut,
    SubscriptionQuery,
)
from cli.desk import Desk, at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import subscription_life, subscription_list
from db.subscription import Subscription
from db.subscription_life import NewSubscription
from db.subscription_list import Filters
from settings import Settings
from tasks.renewals import ask_for_renewal

COLUMNS = ("id", "username", "service", "state", "expires_at", "subscriber_id", "plan_id")


@click.group()
def subscription() -> None:
    """Who may log in, on which plan, until when."""


@subscription.command()
@tenant_option
@model_options(SubscriptionCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Begins a subscription. A password that is made up is shown now and never again."""
    body = read_options(SubscriptionCreate, options)
    with at_tenant(settings, tenant_slug) as desk:
        new = NewSubscription(**values_of(body))
        created = subscription_life.create(desk.session, desk.tenant.id, new, desk.keyring, desk.now)
        record = _shown(desk, created.subscription.id).model_dump(mode="json")
    if body.password is None:
        record["password"] = created.password
    print_record(record, as_json=as_json)


@subscription.command("list")
@tenant_option
@model_options(SubscriptionQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_subscriptions(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """All, or those that fit the options."""
    query = read_options(SubscriptionQuery, options)
    filters = Filters(**query.model_dump(exclude={"limit", "cursor", "sort"}))
    with at_tenant(settings, tenant_slug) as desk:
        rows = [
            printable(SubscriptionOut.at(row, desk.now), as_json=as_json)
            for row in every_row(
                query.sort, lambda request: subscription_list.page(desk.session, request, filters, desk.now)
            )
        ]
    print_rows(rows, COLUMNS, as_json=as_json)


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, subscription_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one subscription."""
    with at_tenant(settings, tenant_slug) as desk:
        found = _shown(desk, subscription_id)
    print_record(found, as_json=as_json)


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@model_options(SubscriptionChange)
@json_option
@pass_settings
def change(settings: Settings, /, subscription_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the given fields; an empty value ("") unsets one. --macs and --router-ids replace all of theirs."""
    body = read_options(SubscriptionChange, options)
    with at_tenant(settings, tenant_slug) as desk:
        subscription_life.change(desk.session, subscription_id, given(body), desk.keyring, desk.now)
        changed = _shown(desk, subscription_id)
    print_record(changed, as_json=as_json)


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@pass_settings
def remove(settings: Settings, subscription_id: int, tenant_slug: str | None) -> None:
    """Cancels a subscription for good. Its record stays; username, address and devices are free."""
    with at_tenant(settings, tenant_slug) as desk:
        subscription_life.cancel(desk.session, subscription_id, desk.now)
    click.echo(f"subscription {subscription_id} is cancelled")


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def suspend(settings: Settings, subscription_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """Bars it until it is resumed. Its time runs on."""
    _switch(settings, subscription_life.suspend, subscription_id, tenant_slug, as_json)


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def resume(settings: Settings, subscription_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """Lifts a suspension."""
    _switch(settings, subscription_life.resume, subscription_id, tenant_slug, as_json)


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@model_options(Renew)
@json_option
@pass_settings
def renew(settings: Settings, /, subscription_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Buys one more validity from the subscriber's wallet, as a job. Another plan begins at once."""
    body = read_options(Renew, options)
    with at_tenant(settings, tenant_slug) as desk:
        job = ask_for_renewal(desk.session, desk.tenant.id, subscription_id, body.plan_id)
        record = JobOut.of(job).model_dump(mode="json")
    print_record(record, as_json=as_json)


@subscription.command()
@click.argument("subscription_id", metavar="ID", type=ID)
@tenant_option
@model_options(ChangePlan)
@json_option
@pass_settings
def change_plan(
    settings: Settings, /, subscription_id: int, tenant_slug: str | None, as_json: bool, **options: Any
) -> None:
    """Moves it to another plan. It keeps the expiry that was paid for, and costs nothing."""
    body = read_options(ChangePlan, options)
    with at_tenant(settings, tenant_slug) as desk:
        subscription_life.change(desk.session, subscription_id, {"plan_id": body.plan_id}, desk.keyring, desk.now)
        changed = _shown(desk, subscription_id)
    print_record(changed, as_json=as_json)


def _switch(
    settings: Settings,
    act: Callable[[Session, int, datetime], Subscription],
    subscription_id: int,
    tenant_slug: str | None,
    as_json: bool,
) -> None:
    with at_tenant(settings, tenant_slug) as desk:
        act(desk.session, subscription_id, desk.now)
        switched = _shown(desk, subscription_id)
    print_record(switched, as_json=as_json)


def _shown(desk: Desk, subscription_id: int) -> SubscriptionOut:
    return SubscriptionOut.at(subscription_list.by_id(desk.session, subscription_id), desk.now)
