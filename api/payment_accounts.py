"""/api/v1/payment-accounts"""

from api.auth import READERS, WRITERS
from api.endpoint import NO_CONTENT, Call, Reply, endpoint, with_body
from api.problem import Problem
from api.schemas.base import given, values_of
from api.schemas.payment import (
    C2bUrls,
    PaymentAccountChange,
    PaymentAccountCreate,
    PaymentAccountOut,
    PaymentAccountTerms,
)
from db import payment_account
from db.payment_account import NewPaymentAccount


@endpoint(READERS)
def index(call: Call) -> Reply:
    """Those in use; the first is the one that is used when nobody says which."""
    accounts = payment_account.all_accounts(call.session)
    items = [PaymentAccountOut.of(account).model_dump(mode="json") for account in accounts]
    return Reply({"items": items, "next": None})


@with_body(WRITERS, PaymentAccountCreate)
def create(call: Call, body: PaymentAccountCreate) -> Reply:
    new = NewPaymentAccount(**values_of(body))
    account = payment_account.create(call.session, call.tenant_id, new, call.keyring)
    return Reply(PaymentAccountOut.of(account), 201, {"Location": f"/api/v1/payment-accounts/{account.id}"})


@endpoint(READERS)
def read(call: Call) -> Reply:
    return Reply(PaymentAccountOut.of(payment_account.by_id(call.session, call.id)))


@with_body(WRITERS, PaymentAccountChange)
def change(call: Call, body: PaymentAccountTerms) -> Reply:
    return Reply(PaymentAccountOut.of(payment_account.change(call.session, call.id, given(body), call.keyring)))


@endpoint(WRITERS)
def disable(call: Call) -> Reply:
    """Nobody is asked to pay there any more; what still arrives is credited."""
    payment_account.disable(call.session, call.id, call.now)
    return NO_CONTENT


@endpoint(WRITERS)
def c2b_urls(call: Call) -> Reply:
    """The URLs to be registered with M-Pesa."""
    if not call.public_url:
        raise Problem(409, "no_public_url", "Set KIBALI_PUBLIC_URL first: M-Pesa must know where to send payments.")
    account = payment_account.by_id(call.session, call.id)
    return Reply(C2bUrls.at(call.public_url, payment_account.c2b_token(account, call.keyring)))
