"""`kibali payment-account`"""

from typing import Any

import click

from api.schemas.base import given, values_of
from api.schemas.payment_account import (
    C2bUrlsOut,
    PaymentAccountChange,
    PaymentAccountCreate,
    PaymentAccountOut,
    RegisterPull,
)
from cli.desk import at_tenant, tenant_option
from cli.failure import Failure
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import printable
from cli.office import at_office, await_job
from cli.options import json_option, pass_settings
from cli.output import print_rows
from cli.secret_input import read_secrets
from db import audit, payment_account
from db.payment_account import NewPaymentAccount
from isp.webhook_urls import c2b_urls as urls_of
from settings import Settings
from tasks import payment_orders

COLUMNS = ("id", "name", "kind", "shortcode", "till_number", "base_url", "confirm_above_kes")
NAMES = ("consumer_key", "consumer_secret", "passkey")

account_argument = click.argument("account_id", metavar="ID", type=ID)
credentials_option = click.option(
    "--credentials", "source", metavar="FILE", help="consumer_key=…, consumer_secret=…, passkey=…; - is standard input."
)


@click.group("payment-account")
def accounts() -> None:
    """Your paybills and tills: where customers' money goes."""


@accounts.command()
@tenant_option
@model_options(PaymentAccountCreate, without=("credentials",))
@credentials_option
@json_option
@pass_settings
def add(settings: Settings, /, tenant_slug: str | None, source: str | None, as_json: bool, **options: Any) -> None:
    """Makes a payment account. Its secrets are asked for, or read from FILE; they are never shown."""
    body = read_options(PaymentAccountCreate, {**options, "credentials": read_secrets(NAMES, source)})
    with at_tenant(settings, tenant_slug) as desk:
        payment_account.check_base_url(body.base_url, settings.gateway_networks)
        new = NewPaymentAccount(**values_of(body))
        made = PaymentAccountOut.of(payment_account.create(desk.session, desk.tenant.id, new, desk.keyring))
    print_record(made, as_json=as_json)


@accounts.command("list")
@tenant_option
@json_option
@pass_settings
def list_accounts(settings: Settings, tenant_slug: str | None, as_json: bool) -> None:
    """Those in use. The first is the one that is used when nobody says which."""
    with at_tenant(settings, tenant_slug) as desk:
        found = payment_account.all_accounts(desk.session)
        rows = [printable(PaymentAccountOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@accounts.command()
@account_argument
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, account_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one account but its secrets."""
    with at_tenant(settings, tenant_slug) as desk:
        found = PaymentAccountOut.of(payment_account.by_id(desk.session, account_id))
    print_record(found, as_json=as_json)


@accounts.command()
@account_argument
@tenant_option
@model_options(PaymentAccountChange, without=("credentials",))
@credentials_option
@json_option
@pass_settings
def change(
    settings: Settings,
    /,
    account_id: int,
    tenant_slug: str | None,
    source: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Sets the given fields; an empty value ("") unsets one. Of the secrets those in FILE are replaced."""
    if source is not None:
        options["credentials"] = read_secrets(NAMES, source)
    body = read_options(PaymentAccountChange, options)
    with at_tenant(settings, tenant_slug) as desk:
        payment_account.check_base_url(body.base_url, settings.gateway_networks)
        changed = payment_account.change(desk.session, account_id, given(body), desk.keyring)
        record = PaymentAccountOut.of(changed)
    print_record(record, as_json=as_json)


@accounts.command()
@account_argument
@tenant_option
@pass_settings
def disable(settings: Settings, account_id: int, tenant_slug: str | None) -> None:
    """Nobody is asked to pay there any more. What still arrives is credited."""
    with at_tenant(settings, tenant_slug) as desk:
        payment_account.disable(desk.session, account_id, desk.now)
    click.echo(f"payment account {account_id} is disabled")


@accounts.command()
@account_argument
@tenant_option
@pass_settings
def test(settings: Settings, account_id: int, tenant_slug: str | None) -> None:
    """Asks M-Pesa whether it takes the account's consumer key and secret. Nobody is asked to pay."""
    with at_office(settings, tenant_slug) as desk:
        job_id = payment_orders.try_account(desk.session, desk.tenant.id, account_id).id
    await_job(settings, job_id)
    click.echo(f"M-Pesa takes the credentials of payment account {account_id}")


@accounts.command("c2b-urls")
@account_argument
@tenant_option
@json_option
@pass_settings
def c2b_urls(settings: Settings, account_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """Where M-Pesa is to send what customers pay by hand. Whoever knows these can claim to be M-Pesa: keep them."""
    check_public_url(settings)
    with at_tenant(settings, tenant_slug) as desk:
        account = payment_account.by_id(desk.session, account_id)
        audit.note(desk.session, "payment_account", account.id)
        urls = C2bUrlsOut.of(urls_of(settings.public_url, payment_account.c2b_token(account, desk.keyring)))
    print_record(urls, as_json=as_json)


@accounts.command("register-c2b")
@account_argument
@tenant_option
@pass_settings
def register_c2b(settings: Settings, account_id: int, tenant_slug: str | None) -> None:
    """Has M-Pesa send to Kibali what customers pay by hand."""
    check_public_url(settings)
    with at_office(settings, tenant_slug) as desk:
        job_id = payment_orders.register_c2b(desk.session, desk.tenant.id, account_id).id
    await_job(settings, job_id)
    click.echo(f"M-Pesa tells Kibali of what is paid to payment account {account_id}")


@accounts.command("register-pull")
@account_argument
@model_options(RegisterPull)
@tenant_option
@pass_settings
def register_pull(settings: Settings, /, account_id: int, tenant_slug: str | None, **options: Any) -> None:
    """Has M-Pesa keep what is paid to the account, so that Kibali finds payments that nobody told of."""
    body = read_options(RegisterPull, options)
    check_public_url(settings)
    with at_office(settings, tenant_slug) as desk:
        job_id = payment_orders.register_pull(desk.session, desk.tenant.id, account_id, body.nominated_phone).id
    await_job(settings, job_id)
    click.echo(f"M-Pesa keeps what is paid to payment account {account_id}")


@accounts.command()
@account_argument
@tenant_option
@pass_settings
def pull(settings: Settings, account_id: int, tenant_slug: str | None) -> None:
    """Looks for payments that nobody told of, now. It is done every ten minutes by itself."""
    with at_office(settings, tenant_slug) as desk:
        job_id = payment_orders.pull(desk.session, desk.tenant.id, account_id).id
    await_job(settings, job_id)
    click.echo(f"what was paid to payment account {account_id} is in the books: ./kibali payment list")


def check_public_url(settings: Settings) -> None:
    """Raises Failure if there is none."""
    if not settings.public_url:
        raise Failure("set KIBALI_PUBLIC_URL first: M-Pesa must know where to send payments. See docs/payments.md.")
