"""What an operator wants a router to serve: hotspots and PPPoE, each on an interface. Stored and sent as JSON."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any, TypeVar
from urllib.parse import urlsplit

from isp.address_ranges import Range, of_network, parse_ranges, without

LOGIN_BY = ("http-chap", "http-pap", "cookie", "mac", "mac-cookie")
LOGIN_PAGE = ("http-chap", "http-pap", "cookie", "mac")
AUTHENTICATION = ("pap", "chap", "mschap1", "mschap2")
SERVICE_NAME = "kibali"

T = TypeVar("T")


class ServiceFault(ValueError):
    """Something of a configuration that can not be: `field` says where (`hotspots.0.network`), the text what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Subnet:
    """The addresses of a service's customers."""

    network: IPv4Network
    gateway: IPv4Address
    """The router's own."""
    pool: tuple[Range, ...]
    """Those that are handed out."""


@dataclass(frozen=True, slots=True)
class Hotspot:
    interface: str
    subnet: Subnet | None
    """None: the router's own address, pool and DHCP server on that interface stay as they are."""
    login_by: tuple[str, ...] = LOGIN_PAGE
    dns_name: str = ""
    portal_url: str = ""
    """Where customers log in and pay; empty: on the router's own page."""


@dataclass(frozen=True, slots=True)
class Pppoe:
    interface: str
    subnet: Subnet
    service_name: str = SERVICE_NAME
    authentication: tuple[str, ...] = AUTHENTICATION


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    hotspots: tuple[Hotspot, ...] = ()
    pppoe: tuple[Pppoe, ...] = ()
    dns_servers: tuple[IPv4Address, ...] = ()
    """For PPPoE customers, and whom the router asks for the others; none: as the router has it."""
    nat: bool = True
    """Whether customers' addresses are hidden behind the router's."""
    wan_interface: str | None = None
    """Only towards it; None: wherever they go."""
    walled_garden: tuple[str, ...] = ()
    """Hosts that may be reached before a login; `*.example.com` only by plain HTTP."""
    expired_address_list: str | None = None
    """Of PPPoE customers whose time is over: who is in it reaches the walled garden and DNS, nothing else."""
    interim_update_s: int = 300

    @property
    def services(self) -> "list[tuple[str, Hotspot | Pppoe]]":
        """Each with its place: `hotspots.0`."""
        return [
            *((f"hotspots.{number}", hotspot) for number, hotspot in enumerate(self.hotspots)),
            *((f"pppoe.{number}", pppoe) for number, pppoe in enumerate(self.pppoe)),
        ]

    @property
    def open_hosts(self) -> tuple[str, ...]:
        """The walled garden with the portals, each once."""
        portals = [urlsplit(hotspot.portal_url).hostname or "" for hotspot in self.hotspots if hotspot.portal_url]
        return tuple(dict.fromkeys([*portals, *self.walled_garden]))


def service_config(data: Mapping[str, Any]) -> ServiceConfig:
    """From JSON whose types are right. Raises ServiceFault."""
    config = ServiceConfig(
        hotspots=tuple(_each(data, "hotspots", _hotspot)),
        pppoe=tuple(_each(data, "pppoe", _pppoe)),
        dns_servers=tuple(_each(data, "dns_servers", _address)),
        nat=data.get("nat", True),
        wan_interface=data.get("wan_interface"),
        walled_garden=tuple(_each(data, "walled_garden", _host)),
        expired_address_list=data.get("expired_address_list"),
        interim_update_s=data.get("interim_update_s", 300),
    )
    if not config.hotspots and not config.pppoe:
        raise ServiceFault("hotspots", "Say on which interface customers are served: give a hotspot or PPPoE.")
    if not 60 <= config.interim_update_s <= 3600:
        raise ServiceFault("interim_update_s", "It must be from 60 to 3600.")
    if config.expired_address_list is not None and not config.pppoe:
        raise ServiceFault("expired_address_list", "It is for PPPoE, which this router is not to serve.")
    return config


def _each(data: Mapping[str, Any], name: str, read: Callable[[Any, str], T]) -> list[T]:
    return [read(value, f"{name}.{number}") for number, value in enumerate(data.get(name) or ())]


def _hotspot(data: Mapping[str, Any], at: str) -> Hotspot:
    if data.get("addressing", "kibali") == "router":
        for name in ("network", "gateway", "pool"):
            if data.get(name):
                raise ServiceFault(f"{at}.{name}", "With addressing router the router's own addresses stay: give none.")
        subnet = None
    else:
        subnet = _subnet(data, at)
    login_by = _some_of(data.get("login_by"), LOGIN_BY, LOGIN_PAGE, f"{at}.login_by")
    portal_url = _portal_url(data.get("portal_url") or "", f"{at}.portal_url")
    if not {"http-chap", "http-pap"} & set(login_by):
        raise ServiceFault(f"{at}.login_by", "A login page needs http-pap or http-chap.")
    dns_name = data.get("dns_name") or ""
    if dns_name and (not _HOST.fullmatch(dns_name) or "." not in dns_name):
        raise ServiceFault(f"{at}.dns_name", "It must be a name with a dot in it, such as login.example.com.")
    return Hotspot(_interface(data, at), subnet, login_by, dns_name, portal_url)


def _pppoe(data: Mapping[str, Any], at: str) -> Pppoe:
    return Pppoe(
        _interface(data, at),
        _subnet(data, at),
        data.get("service_name") or SERVICE_NAME,
        _some_of(data.get("authentication"), AUTHENTICATION, AUTHENTICATION, f"{at}.authentication"),
    )


def _interface(data: Mapping[str, Any], at: str) -> str:
    if not data.get("interface"):
        raise ServiceFault(f"{at}.interface", "Say on which interface.")
    return str(data["interface"])


def _subnet(data: Mapping[str, Any], at: str) -> Subnet:
    try:
        network = IPv4Network(data.get("network") or "")
    except ValueError:
        raise ServiceFault(f"{at}.network", "It must be a network such as 10.5.50.0/24, without host bits.") from None
    if not 8 <= network.prefixlen <= 30:
        raise ServiceFault(f"{at}.network", "It must be from a /8 to a /30.")
    if network.is_multicast or network.is_loopback or network.is_reserved or network.is_unspecified:
        raise ServiceFault(f"{at}.network", "It must be a network that customers can have, such as 10.5.50.0/24.")
    hosts = (of_network(network)[0] + 1, of_network(network)[1] - 1)
    gateway = IPv4Address(hosts[0])
    if data.get("gateway"):
        gateway = _address(data["gateway"], f"{at}.gateway")
        if not hosts[0] <= int(gateway) <= hosts[1]:
            raise ServiceFault(f"{at}.gateway", f"It must be an address of a host in {network}.")
    if not data.get("pool"):
        return Subnet(network, gateway, tuple(without([hosts], int(gateway))))
    try:
        pool = parse_ranges(data["pool"])
    except ValueError as error:
        raise ServiceFault(f"{at}.pool", f"{error}.") from None
    if any(first < hosts[0] or last > hosts[1] for first, last in pool):
        raise ServiceFault(f"{at}.pool", f"It must lie within the hosts of {network}.")
    if any(first <= int(gateway) <= last for first, last in pool):
        raise ServiceFault(f"{at}.pool", f"It must not hold {gateway}, which is the router's own.")
    return Subnet(network, gateway, tuple(pool))


def _address(text: Any, at: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise ServiceFault(at, "It must be an IPv4 address such as 10.5.50.1.") from None


_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*", re.ASCII | re.IGNORECASE)


def _host(text: Any, at: str) -> str:
    host = str(text).strip().lower()
    if not _HOST.fullmatch(host.removeprefix("*.")) or len(host) > 253:
        raise ServiceFault(at, "It must be a host such as pay.example.com, *.example.com, or an IPv4 address.")
    return host


def _portal_url(text: str, at: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if text and (
        not re.fullmatch(r"https?://[!-~]+", text, re.ASCII) or not _HOST.fullmatch(host) or set(text) & set("\"'<>$\\")
    ):
        raise ServiceFault(at, "It must be the address of the portal, such as https://wifi.example.com/portal.")
    return text


def _some_of(given: Sequence[str] | None, known: tuple[str, ...], default: tuple[str, ...], at: str) -> tuple[str, ...]:
    if given is None:
        return default
    if not given or not set(given) <= set(known):
        raise ServiceFault(at, f"It must be one or more of {', '.join(known)}.")
    return tuple(one for one in known if one in given)
