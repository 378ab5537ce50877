"""All models, so that `Base.metadata` is whole: for migrations, and for the test that compares it with the database."""

from db import (
    admin,
    auth_log,
    event,
    job,
    ledger,
    payment,
    payment_account,
    payment_intent,
    plan,
    radius_session,
    renewal,
    router,
    subscriber,
    subscription,
    tenant,
    voucher,
    webhook_inbox,
)
from db.base import Base

__all__ = [
    "Base",
    "admin",
    "auth_log",
    "event",
    "job",
    "ledger",
    "payment",
    "payment_account",
    "payment_intent",
    "plan",
    "radius_session",
    "renewal",
    "router",
    "subscriber",
    "subscription",
    "tenant",
    "voucher",
    "webhook_inbox",
]
