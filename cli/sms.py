"""`kibali sms`"""

from typing import Annotated, Any, Literal

import click
from pydantic import StringConstraints

from api.schemas.base import Input, ListQuery, Output
from api.schemas.fields import Line, Moment, Msisdn
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.office import at_office, await_job
from cli.options import json_option, pass_settings
from cli.output import print_rows
from cli.secret_input import read_secret
from db import audit, sms
from db.sms import GatewayTerms
from settings import Settings
from tasks import sms as sms_tasks

COLUMNS = ("id", "created_at", "kind", "msisdn", "state", "error")

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Line]
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", max_length=200), Line]


class GatewaySet(Input):
    provider: Literal["outbox", "africastalking"]
    username: Word | None = None
    sender_id: Word | None = None
    base_url: BaseUrl | None = None
    on_failure: bool = False


class GatewayOut(Output):
    """Without its API key."""

    provider: str
    username: str | None
    sender_id: str | None
    base_url: str | None
    on_failure: bool


class MessageOut(Output):
    """Without its text, which may hold a password."""

    id: int
    kind: str
    msisdn: str
    state: str
    subscription_id: int | None
    provider_message_id: str | None
    error: str | None
    created_at: Moment
    sent_at: Moment | None


class MessageQuery(ListQuery):
    sort: Literal["id", "-id", "created_at", "-created_at"] = "-id"
    state: Literal["waiting", "kept", "sent", "failed"] | None = None


class Phone(Input):
    phone: Msisdn


@click.group("sms")
def messages() -> None:
    """SMS to customers: how to log in after a payment, until when it is renewed."""


@messages.group()
def gateway() -> None:
    """Who sends them. Without one, none is written."""


@gateway.command("set")
@tenant_option
@model_options(GatewaySet)
@json_option
@pass_settings
def set_gateway(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Sets the gateway, whose API key is asked for, or read from standard input.

    `outbox` sends nothing: what would be sent is kept for you to see.
    """
    body = read_options(GatewaySet, options)
    key = read_secret("API key") if body.provider != "outbox" else None
    terms = GatewayTerms(body.provider, body.username, body.sender_id, body.base_url, key, body.on_failure)
    with at_tenant(settings, tenant_slug) as desk:
        record = GatewayOut.of(sms.set_gateway(desk.session, desk.tenant.id, terms, desk.keyring))
    print_record(record, as_json=as_json)


@gateway.command()
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, tenant_slug: str | None, as_json: bool) -> None:
    """The gateway without its API key."""
    with at_tenant(settings, tenant_slug) as desk:
        found = sms.gateway(desk.session, desk.tenant.id)
        if found is None:
            raise Failure("there is no gateway, so no SMS is sent. Set one: ./kibali sms gateway set --help")
        record = GatewayOut.of(found)
    print_record(record, as_json=as_json)


@gateway.command()
@tenant_option
@pass_settings
def remove(settings: Settings, tenant_slug: str | None) -> None:
    """From now on no SMS is written."""
    with at_tenant(settings, tenant_slug) as desk:
        sms.remove_gateway(desk.session, desk.tenant.id)
    click.echo("no SMS is sent any more")


@messages.command()
@click.argument("phone")
@tenant_option
@pass_settings
def test(settings: Settings, phone: str, tenant_slug: str | None) -> None:
    """Sends PHONE a message that says that it is a test."""
    msisdn = read_options(Phone, {"phone": phone}).phone
    with at_office(settings, tenant_slug) as desk:
        found = sms.gateway(desk.session, desk.tenant.id)
        if found is None:
            raise Failure("there is no gateway. Set one: ./kibali sms gateway set --help")
        written = sms_tasks.send_test(desk.session, found, msisdn, desk.keyring, desk.now)
        message_id, job_id = written.message_id, written.job_id
    if job_id is not None:
        await_job(settings, job_id)
    click.echo(f"message {message_id} is {'kept in the outbox' if job_id is None else 'sent'}")


@messages.command("list")
@tenant_option
@model_options(MessageQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_messages(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Messages of the last 30 days, newest first, without their texts."""
    query = read_options(MessageQuery, options)
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(query.sort, lambda request: sms.page(desk.session, request, state=query.state))
        rows = [printable(MessageOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@messages.command("show")
@click.argument("message_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def show_message(settings: Settings, message_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """One message with its text, which may hold a password."""
    with at_tenant(settings, tenant_slug) as desk:
        found = sms.by_id(desk.session, message_id)
        audit.note(desk.session, "sms_message", found.id)
        record = {**MessageOut.of(found).model_dump(mode="json"), "text": sms.body(found, desk.keyring)}
    print_record(record, as_json=as_json)
