"""What follows when a subscription was changed by money: the one place that tells routers and people."""

from sqlalchemy.orm import Session

from db import event
from db.subscription import Subscription


def subscription_changed(session: Session, subscription_id: int, why: str) -> None:
    """In the transaction of the change: nothing follows what was undone.

    `why`: payment, auto_renew, wallet or reversal.
    """
    subscription = session.get_one(Subscription, subscription_id)
    expires_at = subscription.expires_at
    data = {
        "subscription_id": subscription_id,
        "why": why,
        "status": subscription.status,
        "expires_at": expires_at.isoformat() if expires_at else None,
    }
    event.record(session, "subscription.changed", data, subscription.tenant_id, subscription_id=subscription_id)
