"""`kibali payment`"""

import time
from datetime import date
from typing import Any

import click

from api.schemas.base import values_of
from api.schemas.payment import (
    Assign,
    Cash,
    Initiate,
    IntentOut,
    IntentQuery,
    PaymentOut,
    PaymentQuery,
    ReportOut,
    ReportQuery,
    Why,
)
from cli.desk import at_tenant, tenant_option
from cli.fields import ID, model_options, print_record, read_options
from cli.lists import every_row, printable
from cli.office import WAIT_S, at_office, await_job
from cli.options import json_option, pass_settings
from cli.output import print_rows, progress_console
from cli.payment_accounts import check_public_url
from cli.payment_inbox import inbox
from db import payment, payment_intent, reconciliation, tenant
from db.job import Job
from db.payment_intent import NewIntent
from settings import Settings
from tasks import payment_orders

COLUMNS = ("id", "received_at", "state", "provider", "receipt", "amount_kes", "msisdn", "subscriber_id", "bill_ref")
INTENT_COLUMNS = ("id", "created_at", "state", "msisdn", "amount_kes", "plan_id", "failure_reason", "note")

# A customer has a minute to enter the PIN, and M-Pesa is asked after it.
_DECIDES_WITHIN_S = 150
_LOOK_EVERY_S = 0.1

payment_argument = click.argument("payment_id", metavar="ID", type=ID)
wait_option = click.option("--no-wait", is_flag=True, help="Do not wait until it is done.")


@click.group("payment")
def payments() -> None:
    """What customers paid, and who is asked to."""


payments.add_command(inbox)


@payments.command("list")
@tenant_option
@model_options(PaymentQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def list_payments(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Money received, and vouchers redeemed, newest first. With --state suspense: whose money nobody knows."""
    query = read_options(PaymentQuery, options)
    filters = query.model_dump(exclude={"limit", "cursor", "sort"})
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(query.sort, lambda request: payment.page(desk.session, request, **filters))
        rows = [printable(PaymentOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@payments.command()
@payment_argument
@tenant_option
@json_option
@pass_settings
def show(settings: Settings, payment_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one payment."""
    print_record(_payment(settings, tenant_slug, payment_id), as_json=as_json)


@payments.command()
@tenant_option
@model_options(Initiate)
@wait_option
@json_option
@pass_settings
def initiate(settings: Settings, /, tenant_slug: str | None, no_wait: bool, as_json: bool, **options: Any) -> None:
    """Asks a customer's phone to pay for a plan, and tells how it went."""
    check_public_url(settings)
    values = dict(values_of(read_options(Initiate, options)))
    new = NewIntent(msisdn=values.pop("phone"), **values)
    with at_office(settings, tenant_slug) as desk:
        intent = IntentOut.of(payment_orders.initiate(desk.session, desk.tenant.id, new, desk.now))
    print_record(intent if no_wait else _decided(settings, tenant_slug, intent), as_json=as_json)


@payments.command()
@tenant_option
@model_options(Cash)
@wait_option
@json_option
@pass_settings
def cash(settings: Settings, /, tenant_slug: str | None, no_wait: bool, as_json: bool, **options: Any) -> None:
    """Records cash under its number in the receipt book. The same number again is the same money."""
    taken = payment_orders.Cash(**values_of(read_options(Cash, options)))
    with at_office(settings, tenant_slug) as desk:
        paid = PaymentOut.of(payment_orders.take_cash(desk.session, desk.tenant.id, taken, desk.now)[0])
    print_record(paid if no_wait else credited(settings, tenant_slug, paid), as_json=as_json)


@payments.command()
@payment_argument
@tenant_option
@model_options(Assign)
@json_option
@pass_settings
def assign(settings: Settings, /, payment_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Gives money in suspense to a subscription's subscriber, and renews it if that is enough."""
    subscription_id = read_options(Assign, options).subscription_id
    with at_office(settings, tenant_slug) as desk:
        job = payment_orders.assign(desk.session, desk.tenant.id, payment_id, subscription_id)
    _print_done(settings, tenant_slug, job, payment_id, as_json=as_json)


@payments.command("refund-recorded")
@payment_argument
@tenant_option
@model_options(Why)
@json_option
@pass_settings
def refund_recorded(
    settings: Settings, /, payment_id: int, tenant_slug: str | None, as_json: bool, **options: Any
) -> None:
    """Notes that you sent money in suspense back. Kibali itself sends none."""
    memo = read_options(Why, options).memo
    with at_office(settings, tenant_slug) as desk:
        job = payment_orders.note_refund(desk.session, desk.tenant.id, payment_id, memo)
    _print_done(settings, tenant_slug, job, payment_id, as_json=as_json)


@payments.command()
@payment_argument
@tenant_option
@model_options(Why)
@json_option
@pass_settings
def reverse(settings: Settings, /, payment_id: int, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Takes back what a payment gave. What of it was spent is owed: the wallet goes below 0."""
    memo = read_options(Why, options).memo
    with at_office(settings, tenant_slug) as desk:
        job = payment_orders.reverse(desk.session, desk.tenant.id, payment_id, memo)
    _print_done(settings, tenant_slug, job, payment_id, as_json=as_json)


@payments.command()
@tenant_option
@click.option("--day", metavar="YYYY-MM-DD", help="Default: today, where the tenant is.")
@json_option
@pass_settings
def report(settings: Settings, tenant_slug: str | None, day: str | None, as_json: bool) -> None:
    """The money of a day. `difference kes` is 0.00, or the books are wrong: then report it."""
    chosen: date | None = read_options(ReportQuery, {"day": day}).day if day else None
    with at_tenant(settings, tenant_slug) as desk:
        if chosen is None:
            chosen = desk.now.astimezone(tenant.timezone_of(desk.session, desk.tenant.id)).date()
        found = ReportOut.of(reconciliation.of_day(desk.session, desk.tenant.id, chosen))
    print_record(found, as_json=as_json)


@payments.command()
@tenant_option
@model_options(IntentQuery, without=("limit", "cursor"))
@json_option
@pass_settings
def intents(settings: Settings, /, tenant_slug: str | None, as_json: bool, **options: Any) -> None:
    """Who was asked to pay, newest first."""
    query = read_options(IntentQuery, options)
    with at_tenant(settings, tenant_slug) as desk:
        found = every_row(
            query.sort,
            lambda request: payment_intent.page(desk.session, request, state=query.state, msisdn=query.phone),
        )
        rows = [printable(IntentOut.of(each), as_json=as_json) for each in found]
    print_rows(rows, INTENT_COLUMNS, as_json=as_json)


@payments.command()
@click.argument("intent_id", metavar="ID", type=ID)
@tenant_option
@json_option
@pass_settings
def intent(settings: Settings, intent_id: int, tenant_slug: str | None, as_json: bool) -> None:
    """All of one intent."""
    print_record(_intent(settings, tenant_slug, intent_id), as_json=as_json)


def credited(settings: Settings, tenant_slug: str | None, paid: PaymentOut) -> PaymentOut:
    """The recorded payment once a job has credited it; as it is if none does so in time."""
    deadline = time.monotonic() + WAIT_S
    while paid.state == "received":
        if time.monotonic() > deadline:
            progress_console().print("It is recorded, and will be credited. Are its workers up? ./kibali status")
            break
        time.sleep(_LOOK_EVERY_S)
        paid = _payment(settings, tenant_slug, paid.id)
    return paid


def _decided(settings: Settings, tenant_slug: str | None, asked: IntentOut) -> IntentOut:
    """The intent once it is settled; as it is if that takes too long. Says each state that it goes through."""
    screen, said = progress_console(), ""
    deadline = time.monotonic() + _DECIDES_WITHIN_S
    while True:
        if asked.state != said:
            said = asked.state
            screen.print(said)
        if said in ("paid", "failed", "unknown") or time.monotonic() > deadline:
            return asked
        time.sleep(_LOOK_EVERY_S)
        asked = _intent(settings, tenant_slug, asked.id)


def _print_done(settings: Settings, tenant_slug: str | None, job: Job, payment_id: int, *, as_json: bool) -> None:
    await_job(settings, job.id)
    print_record(_payment(settings, tenant_slug, payment_id), as_json=as_json)


def _payment(settings: Settings, tenant_slug: str | None, payment_id: int) -> PaymentOut:
    with at_tenant(settings, tenant_slug) as desk:
        return PaymentOut.of(payment.by_id(desk.session, payment_id))


def _intent(settings: Settings, tenant_slug: str | None, intent_id: int) -> IntentOut:
    with at_tenant(settings, tenant_slug) as desk:
        return IntentOut.of(payment_intent.by_id(desk.session, intent_id))
