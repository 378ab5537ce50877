"""Whether a peer decides as Kibali does: the same speed for the same plan, and the same logins refused."""

from typing import Protocol

from bench.population import INTERIM_INTERVAL_S, PASSWORD, ROUTER_SECRET, Subscriber
from cli.nas import Answer, Nas, NoAnswer
from settings import Settings


class PolicyTables(Protocol):
    def take_all_devices(self, subscriber: Subscriber) -> None:
        """As many sessions of other devices are open as the plan allows devices."""
        ...

    def use_up_quota(self, subscriber: Subscriber) -> None:
        """The month's octets are used."""
        ...

    def forgive(self, subscriber: Subscriber) -> None:
        """Takes both back."""
        ...


def first_difference(settings: Settings, tables: PolicyTables, subscribers: int) -> str:
    """How the running server departs from the policy; empty if it does not. Takes the last subscribers for it."""
    chosen = [Subscriber(number) for number in range(subscribers - 1, subscribers - 5, -1)]
    welcome, busy, spent, forgetful = chosen
    tables.take_all_devices(busy)
    tables.use_up_quota(spent)
    try:
        for subscriber, password, expected in (
            (welcome, PASSWORD, "Access-Accept"),
            (busy, PASSWORD, "Access-Reject"),
            (spent, PASSWORD, "Access-Reject"),
            (forgetful, "wrong", "Access-Reject"),
        ):
            answer = _login(settings, subscriber, password)
            if answer.code != expected:
                return f"{subscriber.user_name} got {answer.code} in place of {expected}"
            if expected == "Access-Accept" and (difference := _entitlement_difference(subscriber, answer)):
                return difference
    except NoAnswer as error:
        return str(error)
    finally:
        for subscriber in (busy, spent):
            tables.forgive(subscriber)
    return ""


def _login(settings: Settings, subscriber: Subscriber, password: str) -> Answer:
    nas = Nas("127.0.0.1", settings.radius_auth_port, settings.radius_acct_port, ROUTER_SECRET)
    service = "pppoe" if subscriber.service == "pppoe" else "hotspot"
    method = "mschapv2" if service == "pppoe" else "pap"
    return nas.login(subscriber.user_name, password, method, service=service, mac=subscriber.mac)  # type: ignore[arg-type]


def _entitlement_difference(subscriber: Subscriber, answer: Answer) -> str:
    expected = {"Mikrotik-Rate-Limit": subscriber.rate_limit, "Acct-Interim-Interval": INTERIM_INTERVAL_S}
    for name, value in expected.items():
        if answer.attributes.get(name) != value:
            return f"{subscriber.user_name} got {name} = {answer.attributes.get(name)} in place of {value}"
    for name in ("Session-Timeout", "Mikrotik-Total-Limit", "Mikrotik-Total-Limit-Gigawords"):
        if name not in answer.attributes:
            return f"{subscriber.user_name} got no {name}"
    return ""
