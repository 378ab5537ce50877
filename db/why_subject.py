"""Whom `why` is asked about: what was typed, read as a username, a phone number and a MAC address."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from db.auth_log import AuthLog
from db.radius_session import RadiusSession
from db.subscriber import Subscriber
from db.subscription import Device, Subscription
from db.subscription_list import macs_of
from isp.mac import parse_mac
from isp.msisdn import parse_msisdn

MAX_SUBSCRIPTIONS = 20
_LOGINS_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Subject:
    """All that rows are found by. Empty parts find nothing."""

    who: str
    msisdn: str | None = None
    mac: str | None = None
    """The device that was asked about."""
    names: tuple[str, ...] = ()
    """User names in any case."""
    subscriptions: tuple[Subscription, ...] = ()
    """Those not cancelled first, then the newest first."""
    macs: tuple[str, ...] = ()
    """Devices of the subscriptions: what they tried without being recognised, say by a name misspelt, is told too."""
    subscribers: tuple[str, ...] = ()
    """Names of those who have the phone number."""
    router_ids: tuple[int, ...] = ()
    """Where it was seen last."""
    only_device: bool = False
    """Leave out what other devices of the subscriptions do."""

    @property
    def subscription_ids(self) -> list[int]:
        return [subscription.id for subscription in self.subscriptions]

    @property
    def current(self) -> tuple[Subscription, ...]:
        """The subscriptions that count: those not cancelled; without any, the newest that was."""
        return tuple(each for each in self.subscriptions if each.status != "cancelled") or self.subscriptions[:1]

    @property
    def itself(self) -> "Subject":
        """The device alone if it was one that was asked about; else all of it."""
        return replace(self, only_device=self.mac is not None)


def find(session: Session, who: str) -> Subject:
    msisdn, mac = parse_msisdn(who.strip()), _device(who.strip())
    names = (who, *([msisdn] if msisdn and msisdn != who else []))
    statement = select(Subscription).where(or_(*_belongs(names, msisdn, mac)))
    newest_first = (Subscription.status == "cancelled", Subscription.id.desc())
    subscriptions = session.scalars(statement.order_by(*newest_first).limit(MAX_SUBSCRIPTIONS)).all()
    return Subject(
        who=who,
        msisdn=msisdn,
        mac=mac,
        names=names,
        subscriptions=tuple(subscriptions),
        macs=_devices(session, subscriptions),
        subscribers=_subscribers(session, msisdn) if msisdn else (),
    )


def _devices(session: Session, subscriptions: Sequence[Subscription]) -> tuple[str, ...]:
    """Their known devices, those they are bound to, and those that logged in lately."""
    ids = [subscription.id for subscription in subscriptions]
    macs = {subscription.bound_mac.upper() for subscription in subscriptions if subscription.bound_mac}
    for subscription_id in ids:
        logins = select(AuthLog.calling_station_id).where(AuthLog.subscription_id == subscription_id)
        newest = session.scalars(logins.order_by(AuthLog.logged_at.desc()).limit(_LOGINS_LOOKED_AT))
        macs.update(mac.upper() for mac in newest if mac)
    return tuple(sorted(macs.union(*macs_of(session, ids).values())))


def _subscribers(session: Session, msisdn: str) -> tuple[str, ...]:
    living = select(Subscriber.name).where(Subscriber.msisdn == msisdn, Subscriber.archived_at.is_(None))
    return tuple(session.scalars(living))


def _device(text: str) -> str | None:
    """Not an address of a group: 254712345678 could be one, and is a phone number."""
    mac = parse_mac(text)
    return mac if mac and not int(mac[:2], 16) & 1 else None


def _belongs(names: tuple[str, ...], msisdn: str | None, mac: str | None) -> list[ColumnElement[bool]]:
    """What makes a subscription one of the subject's."""
    ways: list[ColumnElement[bool]] = [Subscription.username_lower.in_([func.lower(name) for name in names])]
    if msisdn is not None:
        holders = select(Subscriber.id).where(Subscriber.msisdn == msisdn)
        ways.append(Subscription.subscriber_id.in_(holders))
    if mac is not None:
        owner = select(Device.subscription_id).where(Device.mac == mac)
        logins = select(AuthLog.subscription_id).where(AuthLog.calling_station_id == mac)
        logins = logins.where(AuthLog.subscription_id.is_not(None))
        online = select(RadiusSession.subscription_id).where(RadiusSession.calling_station_id == mac)
        online = online.where(RadiusSession.subscription_id.is_not(None))
        newest = logins.order_by(AuthLog.logged_at.desc()).limit(_LOGINS_LOOKED_AT)
        ways += [Subscription.id.in_(owner), Subscription.id.in_(newest), Subscription.id.in_(online)]
    return ways
