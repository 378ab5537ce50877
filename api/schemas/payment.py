"""Payments, and the customers who are asked for them. Amounts in KES, as text."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from api.schemas.base import Input, Listed, ListQuery, Output, Query
from api.schemas.fields import Id, Kes, Line, Mac, Moment, Msisdn, StoredKes, StoredMac

ReceiptNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), Line]
Memo = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Line]


class Initiate(Input):
    """Asks `phone` to pay for a plan: of `subscription_id`, or of the phone's owner, who is made if there is none.

    Left out: `amount_kes` is the plan's price, `payment_account_id` the first account.
    """

    plan_id: Id
    phone: Msisdn
    subscription_id: Id | None = None
    subscriber_id: Id | None = None
    payment_account_id: Id | None = None
    mac: Mac | None = None
    router_id: Id | None = None
    amount_kes: Kes | None = None


class IntentOut(Output):
    """That a customer is asked to pay. `state`: initiated, prompting, prompted, then paid, failed or unknown.

    `failure_reason` is for the customer, `note` for the operator; `fulfilled_at` is when the plan was given.
    """

    id: int
    state: str
    payment_account_id: int
    plan_id: int
    subscriber_id: int | None
    subscription_id: int | None
    msisdn: str
    mac: StoredMac | None
    router_id: int | None
    amount_kes: StoredKes
    account_reference: str
    failure_code: str | None
    failure_reason: str | None
    note: str | None
    created_at: Moment
    prompted_at: Moment | None
    settled_at: Moment | None
    fulfilled_at: Moment | None


class IntentQuery(ListQuery):
    sort: Literal["id", "-id", "created_at", "-created_at"] = "-id"
    state: Literal["initiated", "prompting", "prompted", "paid", "failed", "unknown"] | None = None
    phone: Msisdn | None = None


class PaymentOut(Output):
    """Money received, or a voucher. `state` received becomes applied or suspense; later reversed, refunded, merged."""

    id: int
    state: str
    provider: str
    receipt: str | None
    amount_kes: StoredKes
    msisdn: str | None
    msisdn_text: str | None
    bill_ref: str | None
    payer_name: str | None
    payment_account_id: int | None
    intent_id: int | None
    subscriber_id: int | None
    subscription_id: int | None
    plan_id: int | None
    admin_id: int | None
    suspense_reason: str | None
    memo: str | None
    paid_at: Moment
    received_at: Moment
    applied_at: Moment | None
    reversed_at: Moment | None


class PaymentQuery(ListQuery):
    sort: Literal["id", "-id", "received_at", "-received_at", "amount_kes", "-amount_kes"] = "-id"
    state: Literal["received", "suspense", "applied", "reversed", "refunded", "merged"] | None = None
    provider: Literal["daraja", "cash", "voucher"] | None = None
    subscriber_id: Id | None = None
    receipt: ReceiptNumber | None = None


class Cash(Input):
    """Cash that was taken. `receipt` is its number in the receipt book: the same number twice is the same money.

    Without `subscription_id` and `plan_id` it renews what the subscriber has, if that is one subscription.
    """

    receipt: ReceiptNumber
    amount_kes: Kes
    subscriber_id: Id
    subscription_id: Id | None = None
    plan_id: Id | None = None
    memo: Memo | None = None


class Assign(Input):
    """To whom money in suspense belongs."""

    subscription_id: Id


class Why(Input):
    """For the books."""

    memo: Memo


class ReportQuery(Query):
    day: date = Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))


class ReportOut(Output):
    """A local day of the tenant. `difference_kes` is 0, or something is wrong with the books."""

    day: date
    received_kes: StoredKes
    adjusted_kes: StoredKes
    reversed_kes: StoredKes
    wallet_kes: StoredKes
    sales_kes: StoredKes
    credited_kes: StoredKes
    suspense_kes: StoredKes
    refunded_kes: StoredKes
    difference_kes: StoredKes


class WalletQuery(ListQuery):
    sort: Literal["id", "-id"] = "-id"


class WalletLineOut(Output):
    """What was put into a wallet, or, below 0, taken out of it."""

    id: int
    kind: str
    amount_kes: StoredKes
    payment_id: int | None
    subscription_id: int | None
    memo: str | None
    created_at: Moment


class WalletOut(Listed[WalletLineOut]):
    """The balance beside a page of lines. Below 0: after a reversal of what was spent."""

    subscriber_id: int
    balance_kes: StoredKes
