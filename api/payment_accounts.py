"""/api/v1/payment-accounts: where customers' money goes. Only an owner says so, or sees what would let others in."""

from api import jobs
from api.auth import OWNERS, READERS
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body
from api.problem import Problem
from api.schemas.base import Listed, given, values_of
from api.schemas.job import JobAccepted
from api.schemas.payment_account import (
    C2bUrlsOut,
    PaymentAccountChange,
    PaymentAccountCreate,
    PaymentAccountOut,
    PaymentAccountTerms,
)
from api.services import services_of
from db import audit, payment_account
from db.payment_account import NewPaymentAccount
from isp.webhook_urls import c2b_urls as urls_of
from tasks import payment_orders


@endpoint(READERS, {200: Listed[PaymentAccountOut]})
def index(call: Call) -> Reply:
    """Lists payment accounts in use; the first is the one that is used when nobody says which."""
    accounts = payment_account.all_accounts(call.session)
    items = [PaymentAccountOut.of(account) for account in accounts]
    return Reply(Listed.model_construct(items=items, next=None))


@with_body(OWNERS, PaymentAccountCreate, {201: PaymentAccountOut})
def create(call: Call, body: PaymentAccountCreate) -> Reply:
    """Makes a payment account."""
    payment_account.check_base_url(body.base_url, services_of(call.request).settings.gateway_networks)
    new = NewPaymentAccount(**values_of(body))
    account = payment_account.create(call.session, call.tenant_id, new, call.keyring)
    return Reply(PaymentAccountOut.of(account), 201, {"Location": f"/api/v1/payment-accounts/{account.id}"})


@endpoint(READERS, {200: PaymentAccountOut})
def read(call: Call) -> Reply:
    """Shows a payment account, without its secrets."""
    return Reply(PaymentAccountOut.of(payment_account.by_id(call.session, call.id)))


@with_body(OWNERS, PaymentAccountChange, {200: PaymentAccountOut})
def change(call: Call, body: PaymentAccountTerms) -> Reply:
    """Changes a payment account: what is given, and of its credentials those that are given."""
    payment_account.check_base_url(body.base_url, services_of(call.request).settings.gateway_networks)
    return Reply(PaymentAccountOut.of(payment_account.change(call.session, call.id, given(body), call.keyring)))


@endpoint(OWNERS, {204: None})
def disable(call: Call) -> Reply:
    """Disables a payment account. Nobody is asked to pay there any more; what still arrives is credited."""
    payment_account.disable(call.session, call.id, call.now)
    return NO_CONTENT


@endpoint(OWNERS, {200: C2bUrlsOut})
def c2b_urls(call: Call) -> Reply:
    """Shows the URLs to be registered with M-Pesa."""
    account = payment_account.by_id(call.session, call.id)
    audit.note(call.session, "payment_account", account.id)
    urls = urls_of(public_url(call), payment_account.c2b_token(account, call.keyring))
    return Reply(C2bUrlsOut.of(urls))


@endpoint(OWNERS, {202: JobAccepted})
def register_c2b(call: Call) -> Reply:
    """Has M-Pesa send there what customers pay by hand. The job tells whether it will."""
    public_url(call)
    return jobs.accepted(payment_orders.register_c2b(call.session, call.tenant_id, call.id))


@endpoint(OWNERS, {202: JobAccepted})
def test(call: Call) -> Reply:
    """Tries the credentials out. The job tells whether M-Pesa takes them."""
    return jobs.accepted(payment_orders.try_account(call.session, call.tenant_id, call.id))


def public_url(call: Call) -> str:
    """Raises Problem 409 if there is none."""
    if not call.public_url:
        raise Problem(409, "no_public_url", "Set KIBALI_PUBLIC_URL first: M-Pesa must know where to send payments.")
    return call.public_url
