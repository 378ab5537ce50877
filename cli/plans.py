"""`kibali plan`"""

from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.plan import PlanChange, PlanCreate, PlanOut, PlanQuery
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_rows
from db import plan as plans
from settings import Settings

COLUMNS = ("id", "name", "service", "price_kes", "upload_kbps", "download_kbps", "validity_count", "validity_unit")


@click.group()
def plan() -> None:
    """What subscribers buy: speed, validity, limits, price."""


@plan.command()
@tenant_option
@model_options(PlanCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Makes a plan."""
    body = read_options(PlanCreate, options)
    with at_tenant(settings, tenant_slug) as desk:
        created = PlanOut.of(plans.create(desk.session, desk.tenant.id, values_of(body)))
    print_record(created, as_json=as_json)


@plan.command("list")
@tenant_option
@model_options(PlanQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_plans(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Those on sale, or with --archived those that were."""
    query = read_options(PlanQuery, options)
    with at_tenant(settings, tenant_slug) as desk:
        rows = [
            printable(PlanOut.of(row), as_json=as_json)
            for row in every_row(
                query.sort,
                lambda request: plans.page(desk.session, request, service=query.service, archived=query.archived),
            )
        ]
    print_rows(rows, COLUMNS, as_json=as_json)


@plan.command()
@click.argument("plan_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, plan_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one plan."""
    with at_tenant(settings, tenant_slug) as desk:
        found = PlanOut.of(plans.by_id(desk.session, plan_id))
    print_record(found, as_json=as_json)


@plan.command()
@click.argument("plan_id", metavar="ID", type=ID)
@tenant_option
@model_options(PlanChange)
@json_option
@pass_settings
def change(settings: Settings, /, plan_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the given fields; an empty value ("") unsets one."""
    body = read_options(PlanChange, options)
    with at_tenant(settings, tenant_slug) as desk:
        changed = PlanOut.of(plans.change(desk.session, plan_id, given(body)))
    print_record(changed, as_json=as_json)


@plan.command()
@click.argument("plan_id", metavar="ID", type=ID)
@tenant_option
@pass_settings
def remove(settings: Settings, plan_id: int, tenant_slug: str | None) -> None:
    """Takes a plan off sale for good. Its record stays."""
    with at_tenant(settings, tenant_slug) as desk:
        plans.archive(desk.session, plan_id, desk.now)
    click.echo(f"plan {plan_id} is archived")
