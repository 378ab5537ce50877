"""`kibali webhook`"""

from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.webhook_endpoint import DeliveryOut, DeliveryQuery, WebhookChange, WebhookCreate, WebhookEndpointOut
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.options import json_option, pass_settings
from cli.output import print_json, print_rows
from db import webhook_endpoint
from db.page import PageRequest
from settings import Settings

COLUMNS = ("id", "name", "url", "types", "failures", "disabled_at", "disabled_reason")
DELIVERY_COLUMNS = ("id", "event_id", "type", "state", "attempts", "created_at", "response_status", "error")

webhook_argument = click.argument("webhook_id", metavar="ID", type=ID)


@click.group()
def webhook() -> None:
    """Where events are sent, and what became of each."""


@webhook.command()
@tenant_option
@model_options(WebhookCreate)
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Has events sent to a URL from now on. Prints the secret that signs them, once."""
    body = read_options(WebhookCreate, options)
    with at_tenant(settings, tenant_slug) as desk:
        made, secret = webhook_endpoint.create(desk.session, desk.tenant.id, values_of(body), desk.keyring)
        record = {**WebhookEndpointOut.of(made).model_dump(mode="json"), "secret": secret}
    print_record(record, as_json=as_json)


@webhook.command("list")
@tenant_option
@json_option
@pass_settings
def list_webhooks(settings: Settings, tenant_slug: str | None, as_json: bool) -> None:
    """All of them, by id."""
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row("id", lambda request: webhook_endpoint.page(desk.session, request))
        rows = [printable(WebhookEndpointOut.of(row), as_json=as_json) for row in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@webhook.command()
@webhook_argument
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, webhook_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one."""
    with at_tenant(settings, tenant_slug) as desk:
        found = WebhookEndpointOut.of(webhook_endpoint.by_id(desk.session, webhook_id))
    print_record(found, as_json=as_json)


@webhook.command()
@webhook_argument
@tenant_option
@model_options(WebhookChange)
@json_option
@pass_settings
def change(settings: Settings, /, webhook_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the given fields; --enabled has what happens from then on sent again."""
    body = read_options(WebhookChange, options)
    with at_tenant(settings, tenant_slug) as desk:
        changed = WebhookEndpointOut.of(webhook_endpoint.change(desk.session, webhook_id, given(body), desk.now))
    print_record(changed, as_json=as_json)


@webhook.command("rotate-secret")
@webhook_argument
@tenant_option
@json_option
@pass_settings
def rotate_secret(settings: Settings, webhook_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """Makes a new secret and prints it, once. For a day the old one signs beside it."""
    with at_tenant(settings, tenant_slug) as desk:
        changed, secret = webhook_endpoint.rotate_secret(desk.session, webhook_id, desk.keyring, desk.now)
        record = {"id": changed.id, "name": changed.name, "secret": secret}
    print_record(record, as_json=as_json)


@webhook.command()
@webhook_argument
@tenant_option
@pass_settings
def remove(settings: Settings, webhook_id: int, tenant_slug: str | None) -> None:
    """With all that is known of its deliveries."""
    with at_tenant(settings, tenant_slug) as desk:
        webhook_endpoint.remove(desk.session, webhook_id)
    click.echo(f"webhook {webhook_id} is removed")


@webhook.command()
@webhook_argument
@tenant_option
@json_option
@pass_settings
def test(settings: Settings, webhook_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """Sends a test. `webhook deliveries` tells what came of it."""
    with at_tenant(settings, tenant_slug) as desk:
        made = DeliveryOut.of(webhook_endpoint.add_test(desk.session, webhook_id, desk.now))
    print_record(made, as_json=as_json)


@webhook.command()
@webhook_argument
@tenant_option
@model_options(DeliveryQuery, without=("limit", "cursor", "sort"))
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@json_option
@pass_settings
def deliveries(
    settings: Settings, /, webhook_id: int, tenant_slug: str | None, limit: int, as_json: bool, **options: Any
) -> None:
    """What was sent, newest first, and what came of it."""
    query = read_options(DeliveryQuery, options)
    with at_tenant(settings, tenant_slug) as desk:
        request = PageRequest("id", descending=True, limit=limit)
        page = webhook_endpoint.deliveries(desk.session, request, webhook_id, query.state)
        rows = [printable(DeliveryOut.of(row), as_json=as_json) for row in page.items]
    print_rows(rows, DELIVERY_COLUMNS, as_json=as_json)


@webhook.command()
@webhook_argument
@click.option("--delivery", "delivery_id", type=ID, help="Only this one, whatever became of it.")
@tenant_option
@json_option
@pass_settings
def retry(settings: Settings, webhook_id: int, delivery_id: int | None, tenant_slug: str | None, as_json: bool) -> None:
    """Sends again what failed, or one delivery."""
    with at_tenant(settings, tenant_slug) as desk:
        retried = webhook_endpoint.retry(desk.session, webhook_id, delivery_id, desk.now)
    if as_json:
        print_json({"retried": retried})
        return
    click.echo(f"{retried} will be sent again")
