"""Lets a device in that waits at a hotspot's portal, once it is paid for: by the API of the router that it waits at.

Where that can not be done the device gets in by itself, with its next attempt: the portal logs it in, or the router by
its MAC address. What became of it is an event: subscriber.provisioned, or provisioning.failed with what to do.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from db import event, subscription_life
from db.auth_log import AuthLog
from db.radius_session import RadiusSession
from db.router import Router
from db.subscription import Subscription
from isp.encryption import EncryptionError, Keyring
from isp.subscription import Status
from tasks import routeros
from tasks.queues import PROVISIONING
from tasks.registry import task
from tasks.router_access import target_of
from tasks.routeros_dialogue import Conversation, sentence
from tasks.routeros_errors import NoAccess, RouterError
from tasks.routeros_target import Patience
from tasks.running_job import RunningJob

# So long ago a device may have knocked, and still wait.
KNOCKED_WITHIN = timedelta(hours=3)
ROUTERS_ASKED = 3
PATIENCE = Patience(connect_s=3.0, login_s=3.0, talk_s=5.0)
# The router asks for the login, and its Start comes.
STARTS_WITHIN_S = 8.0


class NotYet(Exception):
    """The device is not online; the message says what stood in the way of each try."""


@task(queue=PROVISIONING)
def let_in(session: Session, job: RunningJob, subscription_id: int, mac: str, router_id: int | None = None) -> None:
    """`router_id`: where it waits, if that is known; else it is looked for where the device was seen last."""
    subscription = session.get(Subscription, subscription_id)
    if subscription is None or subscription.status != Status.ACTIVE or subscription.service != "hotspot":
        return
    if _is_online(session, subscription_id, mac):
        _tell(session, subscription, mac, None, "it was online by then")
        return
    keyring = Keyring.parse(job.settings.encryption_keys.reveal())
    password = subscription_life.password(subscription, keyring)
    problems = []
    for router in _routers(session, subscription.tenant_id, mac, router_id):
        try:
            target = target_of(router, keyring)
        except (NoAccess, EncryptionError) as error:
            problems.append(str(error))
            continue
        job.commit_step(session)  # nothing is held while a router thinks
        try:
            with routeros.connect(target, PATIENCE) as connection:
                waits = connection.run(log_in(mac, subscription.username, password))
        except RouterError as error:
            problems.append(str(error))
            continue
        if not waits:
            problems.append(f"{router.name} shows no such device")
        elif _starts(session, subscription_id, mac):
            _tell(session, subscription, mac, router.id, "let in by its router")
            return
        else:
            problems.append(f"{router.name} let it in and told of no session")
    if _is_online(session, subscription_id, mac):
        _tell(session, subscription, mac, None, "it logged in by itself")
        return
    why = "; ".join(problems) or "no router is known where it waits"
    if not job.is_last_attempt:
        raise NotYet(why)
    data = {
        "subscription_id": subscription_id,
        "mac": mac,
        "problem": why,
        "advice": "The device gets in with its next login, at the portal or by its MAC address.",
    }
    event.record(session, "provisioning.failed", data, subscription.tenant_id, subscription_id=subscription_id)


def log_in(mac: str, username: str, password: str) -> Conversation[bool]:
    """Has a waiting device logged in; False if it does not wait here."""
    where = {"mac-address": mac.upper()}
    proplist = ("address", "to-address", "authorized")
    hosts = (yield sentence("/ip/hotspot/host/print", where=where, proplist=proplist)).rows
    waiting = [host for host in hosts if host.get("authorized") != "true"]
    for host in waiting[:1]:
        values = {"user": username, "password": password, "mac-address": mac.upper(), "ip": host["address"]}
        yield sentence("/ip/hotspot/active/login", values)
    return bool(waiting)


def _routers(session: Session, tenant_id: int, mac: str, router_id: int | None) -> Sequence[Router]:
    """Where it waits, the likeliest first."""
    seen = session.scalars(
        select(AuthLog.router_id)
        .where(AuthLog.tenant_id == tenant_id, AuthLog.calling_station_id == mac)
        .where(AuthLog.logged_at > datetime.now(UTC) - KNOCKED_WITHIN)
        .order_by(AuthLog.logged_at.desc())
        .limit(50)
    )
    ids = list(dict.fromkeys([*([router_id] if router_id is not None else []), *seen]))[:ROUTERS_ASKED]
    found = {
        router.id: router
        for router in session.scalars(select(Router).where(Router.id.in_(ids), Router.removed_at.is_(None)))
        if router.tenant_id == tenant_id
    }
    return [found[each] for each in ids if each in found]


def _starts(session: Session, subscription_id: int, mac: str) -> bool:
    until = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < until:
        if _is_online(session, subscription_id, mac):
            return True
        session.rollback()  # and another snapshot next time
        time.sleep(0.2)
    return False


def _is_online(session: Session, subscription_id: int, mac: str) -> bool:
    of_it = (RadiusSession.subscription_id == subscription_id) & (RadiusSession.calling_station_id == mac)
    return bool(session.scalar(select(exists().where(of_it, RadiusSession.stopped_at.is_(None)))))


def _tell(session: Session, subscription: Subscription, mac: str, router_id: int | None, how: str) -> None:
    data: dict[str, Any] = {
        "subscriber_id": subscription.subscriber_id,
        "subscription_id": subscription.id,
        "username": subscription.username,
        "mac": mac,
        "how": how,
    }
    event.record(
        session,
        "subscriber.provisioned",
        data,
        subscription.tenant_id,
        subscription_id=subscription.id,
        router_id=router_id,
    )
