"""Payments, the customers who are asked for them, and the accounts they go to. Amounts in KES, as text."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import PlainSerializer, StringConstraints

from api.schemas.base import Input, ListQuery, Output, Query, partial
from api.schemas.fields import Id, Kes, Line, Mac, Moment, Msisdn, Name, StoredKes, StoredMac

Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{5,7}$")]
CredentialName = Literal["consumer_key", "consumer_secret", "passkey"]
Credential = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Line]
ReceiptNumber = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), Line]
BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+(/[^\s?#]*)?$", max_length=200)]
Memo = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), Line]


class PaymentAccountTerms(Input):
    """What may be changed later. Of `credentials` those that are given are replaced."""

    name: Name
    base_url: BaseUrl | None = None
    confirm_above_kes: Kes | None = None
    credentials: dict[CredentialName, Credential]


class PaymentAccountCreate(PaymentAccountTerms):
    """A paybill or till. A till has a `till_number`; `shortcode` is then its store or head office."""

    kind: Literal["paybill", "till"]
    shortcode: Number
    till_number: Number | None = None


PaymentAccountChange = partial(PaymentAccountTerms, "PaymentAccountChange")


class PaymentAccountOut(Output):
    """Without its secrets, which are written and never read."""

    id: int
    provider: str
    kind: str
    name: str
    shortcode: str
    till_number: str | None
    base_url: str | None
    confirm_above_kes: StoredKes | None
    created_at: Moment
    disabled_at: Moment | None


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
    """That a customer is asked to pay. `state`: initiated, prompting, prompted, then paid, failed or unknown."""

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
    """Cash that was taken. `receipt` is its number in the receipt book: the same number twice is the same money."""

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


class JobOut(Output):
    """A job that was made for this, and runs in a moment."""

    job_id: int


class ReportQuery(Query):
    day: date


Sum = Annotated[Decimal, PlainSerializer(str)]


class ReportOut(Output):
    """A local day of the tenant. `difference_kes` is 0, or something is wrong with the books."""

    day: date
    received_kes: Sum
    adjusted_kes: Sum
    reversed_kes: Sum
    wallet_kes: Sum
    sales_kes: Sum
    credited_kes: Sum
    suspense_kes: Sum
    refunded_kes: Sum
    difference_kes: Sum


class C2bUrls(Output):
    """Where M-Pesa is to send what customers pay by hand. Whoever knows these can claim to be M-Pesa: keep them."""

    confirmation_url: str
    validation_url: str

    @classmethod
    def at(cls, public_url: str, token: str) -> Self:
        base = f"{public_url.rstrip('/')}/webhooks/daraja/c2b/{token}"
        return cls.model_construct(confirmation_url=f"{base}/confirmation", validation_url=f"{base}/validation")
