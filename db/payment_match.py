"""Whose money it is that came without being asked for: what a customer typed as account, against what there is."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.payment_intent import PaymentIntent
from db.subscriber import Subscriber
from db.subscription import Subscription
from isp.msisdn import parse_msisdn
from isp.payment import normal_account_reference


@dataclass(frozen=True, slots=True)
class Match:
    """At most one of them; none is nobody we know."""

    intent_id: int | None = None
    subscription_id: int | None = None
    subscriber_id: int | None = None

    def __bool__(self) -> bool:
        return any((self.intent_id, self.subscription_id, self.subscriber_id))


NOBODY = Match()


def of_bill_ref(session: Session, tenant_id: int, bill_ref: str) -> Match:
    """By an intent's account reference; else a subscription's username; else a subscriber's phone, however written."""
    if reference := normal_account_reference(bill_ref):
        mine = (PaymentIntent.tenant_id == tenant_id) & (PaymentIntent.account_reference == reference)
        if intent_id := session.scalar(select(PaymentIntent.id).where(mine)):
            return Match(intent_id=intent_id)
    typed, msisdn = " ".join(bill_ref.split()), parse_msisdn(bill_ref)
    for username in filter(None, (typed, msisdn)):
        mine = (Subscription.tenant_id == tenant_id) & (func.lower(Subscription.username) == username.lower())
        statement = select(Subscription.id).where(mine, Subscription.status != "cancelled")
        if subscription_id := session.scalar(statement):
            return Match(subscription_id=subscription_id)
    return NOBODY if msisdn is None else of_phone(session, tenant_id, msisdn)


def of_phone(session: Session, tenant_id: int, msisdn: str) -> Match:
    mine = (Subscriber.tenant_id == tenant_id) & (Subscriber.msisdn == msisdn) & Subscriber.archived_at.is_(None)
    return Match(subscriber_id=session.scalar(select(Subscriber.id).where(mine)))
