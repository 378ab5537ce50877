"""How a subscription stands now: its state, what is left of its limits, and what a login would come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.account import account_of
from db.plan import Plan
from db.subscription import Subscription
from db.subscription_list import macs_of, router_ids_of
from isp.entitlement import Accept, Account, Attempt, Reject, decide, limits_left
from isp.quota import Left
from isp.subscription import State, state


@dataclass(frozen=True, slots=True)
class Standing:
    subscription: Subscription
    plan: Plan
    account: Account
    macs: list[str]
    state: State
    left: Left
    attempt: Attempt
    """The login that `verdict` is about: of the device, and at the router, that were seen last."""
    verdict: Accept | Reject
    """If the password is right."""


def standings(
    session: Session,
    subscriptions: Sequence[Subscription],
    timezone: ZoneInfo,
    now: datetime,
    *,
    calling_station_id: str | None,
    router_id: int | None,
) -> list[Standing]:
    """In the order given. `calling_station_id` and `router_id` are those of a login to be judged, as far as known."""
    ids = [subscription.id for subscription in subscriptions]
    macs, router_ids = macs_of(session, ids), router_ids_of(session, ids)
    wanted = Plan.id.in_([subscription.plan_id for subscription in subscriptions])
    plans = {plan.id: plan for plan in session.scalars(select(Plan).where(wanted))}
    found = []
    for subscription in subscriptions:
        plan, its_routers = plans[subscription.plan_id], router_ids.get(subscription.id, [])
        account = account_of(session, subscription, plan, its_routers, timezone, now)
        attempt = Attempt(
            service=None,
            calling_station_id=calling_station_id or account.bound_mac,
            router_id=router_id if router_id is not None else next(iter(its_routers), 0),
        )
        found.append(
            Standing(
                subscription=subscription,
                plan=plan,
                account=account,
                macs=macs.get(subscription.id, []),
                state=state(account.status, account.expires_at, account.plan.grace, now),
                left=limits_left(account, now),
                attempt=attempt,
                verdict=decide(account, attempt, now),
            )
        )
    return found
