"""What follows when a subscription was changed by money: the one place that tells routers and people."""

from sqlalchemy.orm import Session

from db import event
from db.subscription import Subscription
from tasks.enqueue import put
from tasks.let_in import let_in


def subscription_changed(
    session: Session, subscription_id: int, why: str, *, mac: str | None = None, router_id: int | None = None
) -> None:
    """In the transaction of the change: nothing follows what was undone. Sessions that are open follow by themselves.

    `why`: payment, auto_renew, wallet or reversal. `mac` is the device that paid, which may wait at a hotspot's portal;
    `router_id` says where, if that is known.
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
    if mac is not None and subscription.service == "hotspot":
        args = {"subscription_id": subscription_id, "mac": mac.upper(), "router_id": router_id}
        key = f"let-in:{subscription.tenant_id}:{mac.upper()}"
        put(session, let_in, args, unique_key=key, tenant_id=subscription.tenant_id)
