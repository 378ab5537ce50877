"""The specification of logins: for each row what a subscription is, how it logs in, and exactly what it gets.

tests/unit runs the rows against the rules, tests/e2e through FreeRADIUS with real packets. A row is about a hotspot
subscription, paid up for another day, that logs in from its phone; it says where it differs. Its tenant lives where it
is noon: what a row says of hours and days holds whenever it is run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from isp.quota import Used
from isp.reasons import Reason

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
GIB = 1 << 30

Columns = Mapping[str, Any]
Device = Literal["phone", "laptop", "tablet"]

PLAN: Columns = {
    "service": "any",
    "upload_kbps": 2000,
    "download_kbps": 8000,
    "validity_unit": "days",
    "validity_count": 30,
    "validity_from": "purchase",
    "grace_hours": 0,
    "devices": 1,
    "on_device_limit": "reject",
    "limit_period": "validity",
    "limit_reset_day": 1,
    "after_limit": "stop",
    "interim_interval_s": 300,
}

PLAIN: Columns = {"Mikrotik-Rate-Limit": "2000k/8000k", "Session-Timeout": 86400, "Acct-Interim-Interval": 300}
PPP: Columns = {"Service-Type": "Framed-User", "Framed-Protocol": "PPP"}


@dataclass(frozen=True, slots=True)
class Answer:
    """Of an accept: all attributes, for PPPoE beside those of PPP, Class left out. None rejects."""

    reason: Reason
    attributes: Columns | None


@dataclass(frozen=True, slots=True)
class Open:
    """A session that is not known to have ended, of a device or of one without an address."""

    device: Device | None
    silent_s: int = 0
    interim_interval_s: int = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    answer: Answer

    plan: Columns | Callable[[date], Columns] = field(default_factory=dict)
    """Where it differs from PLAN; a function of the local day where that matters."""
    service: Literal["hotspot", "pppoe"] = "hotspot"
    status: str = "active"
    expires_in: timedelta | None = DAY
    activated: bool = True
    framed_ip_address: str | None = None
    delegated_ipv6_prefix: str | None = None
    bound_to: Device | None = None
    knows: Device | None = None
    """May log in by its address alone."""
    routers: tuple[Literal["here", "elsewhere"], ...] = ()
    used: Used | None = None
    used_by_day: Mapping[int, Used] | None = None
    """By days from today, which is 0."""
    open_sessions: tuple[Open, ...] = ()
    language: Literal["en", "sw"] = "en"
    exists: bool = True
    """False: there is no such subscription, nor anybody of that name."""

    device: Device | None = "phone"
    by_address: bool = False
    """Logs in by the device's address in place of name and password."""
    at: Literal["hotspot", "pppoe", "its service", "not said"] = "its service"
    wrong_password: bool = False
    hides: Reason | None = None
    """What only the right password would be told."""

    def plan_on(self, today: date) -> dict[str, Any]:
        differs = self.plan(today) if callable(self.plan) else self.plan
        return {**PLAN, **differs}

    @property
    def is_found(self) -> bool:
        """Whether there is an account by that name or, where a router may ask for a device, of that device."""
        if not self.by_address:
            return self.exists
        return self.exists and self.knows == self.device and self.attempted_service != "pppoe"

    @property
    def attempted_service(self) -> Literal["hotspot", "pppoe"] | None:
        if self.at == "not said":
            return None
        return self.service if self.at == "its service" else self.at

    @property
    def attributes(self) -> dict[str, str] | None:
        if self.answer.attributes is None:
            return None
        ppp = PPP if self.service == "pppoe" else {}
        return {name: str(value) for name, value in {**ppp, **self.answer.attributes}.items()}


def accept(changes: Columns | None = None, reason: Reason = Reason.OK) -> Answer:
    """PLAIN but for `changes`; None takes an attribute away."""
    attributes = {**PLAIN, **(changes or {})}
    return Answer(reason, {name: value for name, value in attributes.items() if value is not None})


def reject(reason: Reason) -> Answer:
    return Answer(reason, None)


def where_it_is_noon(now: datetime) -> str:
    """A time zone in which it is between noon and one o'clock. POSIX counts them westward."""
    return f"Etc/GMT{now.astimezone(UTC).hour - 12:+d}"


def calling_station_id(number: int, device: Device | None) -> str | None:
    """Devices of one row are no other row's."""
    if device is None:
        return None
    return f"BC:24:{number >> 8:02X}:{number & 255:02X}:00:{('phone', 'laptop', 'tablet').index(device):02X}"


# ---- life cycle, service and walled garden ----

GARDEN: Columns = {"on_expiry": "walled_garden", "walled_garden_address_list": "unpaid"}
SLOW: Columns = {"Mikrotik-Rate-Limit": "256k/256k", "Session-Timeout": 300, "Mikrotik-Address-List": "unpaid"}
EXPIRED_GARDEN = accept(SLOW, Reason.EXPIRED_WALLED_GARDEN)
SUSPENDED_GARDEN = accept(SLOW, Reason.SUSPENDED_WALLED_GARDEN)

# what it is: status, expires in, hours of grace; without a garden (or on a hotspot), and with one on PPPoE
LIFE: dict[str, tuple[str, timedelta | None, int, Answer, Answer]] = {
    "pending": ("pending", None, 0, reject(Reason.PENDING), reject(Reason.PENDING)),
    # Two minutes more, in which it is moved into the garden.
    "active": ("active", DAY, 0, accept(), accept({"Session-Timeout": 86_400 + 120})),
    "active without an expiry": (
        "active",
        None,
        0,
        accept({"Session-Timeout": None}),
        accept({"Session-Timeout": None}),
    ),
    "expired": ("active", -HOUR, 0, reject(Reason.EXPIRED), EXPIRED_GARDEN),
    "in its grace": (
        "active",
        -HOUR,
        3,
        accept({"Session-Timeout": 7200}, Reason.GRACE),
        accept({"Session-Timeout": 7200 + 120}, Reason.GRACE),
    ),
    "out of its grace": ("active", -3 * HOUR, 2, reject(Reason.EXPIRED), EXPIRED_GARDEN),
    "suspended": ("suspended", DAY, 0, reject(Reason.SUSPENDED), SUSPENDED_GARDEN),
    "suspended and expired": ("suspended", -DAY, 2, reject(Reason.SUSPENDED), SUSPENDED_GARDEN),
    "cancelled": ("cancelled", DAY, 0, reject(Reason.CANCELLED), reject(Reason.CANCELLED)),
}


def life_cycle() -> dict[str, Row]:
    rows = {}
    for what, (status, expires_in, grace_hours, answer, in_garden) in LIFE.items():
        values: dict[str, Any] = {"status": status, "expires_in": expires_in}
        plan = {"grace_hours": grace_hours}
        with_garden = {**plan, **GARDEN}
        rows[f"{what}, hotspot"] = Row(plan=plan, answer=answer, **values)
        rows[f"{what}, hotspot with a garden"] = Row(plan=with_garden, answer=answer, **values)
        rows[f"{what}, PPPoE"] = Row(plan=plan, service="pppoe", answer=answer, **values)
        rows[f"{what}, PPPoE with a garden"] = Row(plan=with_garden, service="pppoe", answer=in_garden, **values)
    return rows


EVERYTHING: Columns = {
    **GARDEN,
    "burst_upload_kbps": 4000,
    "burst_download_kbps": 16000,
    "burst_threshold_upload_kbps": 1000,
    "burst_threshold_download_kbps": 4000,
    "burst_time_s": 10,
    "priority": 3,
    "min_upload_kbps": 256,
    "min_download_kbps": 512,
    "idle_timeout_s": 600,
    "interim_interval_s": 120,
    "data_limit_bytes": 9 * GIB,
    "upload_limit_bytes": 3 * GIB,
    "download_limit_bytes": 5 * GIB,
    "time_limit_s": 7200,
    "framed_pool": "customers",
    "framed_ipv6_pool": "customers6",
    "delegated_ipv6_pool": "prefixes",
    "address_list": "gold",
}
BURST = {name: value for name, value in EVERYTHING.items() if name.startswith("burst")}

VALIDITY: dict[str, Row] = {
    "a validity longer than 30 days is sent as 30 days": Row(
        expires_in=90 * DAY, answer=accept({"Session-Timeout": 30 * 86400})
    ),
    "grace adds to what is left": Row(plan={"grace_hours": 2}, answer=accept({"Session-Timeout": 93600})),
    "an unlimited plan": Row(
        plan={"validity_unit": "unlimited", "validity_count": None},
        expires_in=None,
        answer=accept({"Session-Timeout": None}),
    ),
    "counted in hours from the first login, which is this": Row(
        plan={"validity_from": "first_login", "validity_unit": "hours", "validity_count": 2},
        activated=False,
        expires_in=None,
        answer=accept({"Session-Timeout": 7200}),
    ),
    "counted in days from the first login, with grace": Row(
        plan={"validity_from": "first_login", "validity_count": 2, "grace_hours": 1},
        activated=False,
        expires_in=None,
        answer=accept({"Session-Timeout": 2 * 86400 + 3600}),
    ),
    "counted in months from the first login": Row(
        plan={"validity_from": "first_login", "validity_unit": "months", "validity_count": 2},
        activated=False,
        expires_in=None,
        answer=accept({"Session-Timeout": 30 * 86400}),
    ),
    "unlimited from the first login": Row(
        plan={"validity_from": "first_login", "validity_unit": "unlimited", "validity_count": None},
        activated=False,
        expires_in=None,
        answer=accept({"Session-Timeout": None}),
    ),
    "counted from a first login that was": Row(
        plan={"validity_from": "first_login", "validity_unit": "hours", "validity_count": 2},
        expires_in=HOUR,
        answer=accept({"Session-Timeout": 3600}),
    ),
}

# ---- limits ----

LIMITS: Columns = {
    "data_limit_bytes": 10_000,
    "upload_limit_bytes": 4_000,
    "download_limit_bytes": 8_000,
    "time_limit_s": 3600,
}
ALL_LEFT = {
    "Mikrotik-Total-Limit": 10_000,
    "Mikrotik-Recv-Limit": 4_000,
    "Mikrotik-Xmit-Limit": 8_000,
    "Session-Timeout": 3600,
}
THROTTLE: Columns = {"after_limit": "throttle", "fair_use_upload_kbps": 512, "fair_use_download_kbps": 1024}
THROTTLED = accept({"Mikrotik-Rate-Limit": "512k/1024k"}, Reason.FAIR_USE)

# what is used of LIMITS: upload, download, seconds; the answer of a plan that stops, and of one that throttles
USES: dict[str, tuple[Used, Answer, Answer]] = {
    "nothing is used": (Used(), accept(ALL_LEFT), accept()),
    "some is used": (
        Used(1_000, 2_000, 600),
        accept(
            {
                "Mikrotik-Total-Limit": 7_000,
                "Mikrotik-Recv-Limit": 3_000,
                "Mikrotik-Xmit-Limit": 6_000,
                "Session-Timeout": 3000,
            }
        ),
        accept(),
    ),
    "the last octets": (
        Used(2_000, 7_999),
        accept({**ALL_LEFT, "Mikrotik-Total-Limit": 1, "Mikrotik-Recv-Limit": 2_000, "Mikrotik-Xmit-Limit": 1}),
        accept(),
    ),
    "the total is used up": (Used(3_000, 7_000), reject(Reason.DATA_USED_UP), THROTTLED),
    "the upload is used up": (Used(4_000, 0), reject(Reason.DATA_USED_UP), THROTTLED),
    "the download is used up": (Used(0, 8_000), reject(Reason.DATA_USED_UP), THROTTLED),
    "the time is used up": (Used(0, 0, 3600), reject(Reason.TIME_USED_UP), THROTTLED),
    "all is used up": (Used(9_000, 9_000, 9999), reject(Reason.DATA_USED_UP), THROTTLED),
}


def limits() -> dict[str, Row]:
    rows = {}
    for what, (used, stops, throttles) in USES.items():
        rows[f"{what}, the plan stops"] = Row(plan=LIMITS, used=used, answer=stops)
        rows[f"{what}, the plan throttles"] = Row(plan={**LIMITS, **THROTTLE}, used=used, answer=throttles)
    return rows


GIGAWORDS: dict[str, Row] = {
    "4 GiB and an octet left": Row(
        plan={"data_limit_bytes": 9 * GIB + 1},
        used=Used(GIB, 4 * GIB),
        answer=accept({"Mikrotik-Total-Limit": 1, "Mikrotik-Total-Limit-Gigawords": 1}),
    ),
    "4 GiB left: a low word of 0 would be no limit": Row(
        plan={"data_limit_bytes": 9 * GIB},
        used=Used(GIB, 4 * GIB),
        answer=accept({"Mikrotik-Total-Limit": 2**32 - 1}),
    ),
    "upload and download beyond 4 GiB": Row(
        plan={"upload_limit_bytes": 5 * GIB, "download_limit_bytes": 50 * GIB},
        answer=accept(
            {
                "Mikrotik-Recv-Limit": GIB,
                "Mikrotik-Recv-Limit-Gigawords": 1,
                "Mikrotik-Xmit-Limit": 2 * GIB,
                "Mikrotik-Xmit-Limit-Gigawords": 12,
            }
        ),
    ),
    "beyond 4 GiB used up": Row(
        plan={"data_limit_bytes": 50 * GIB}, used=Used(20 * GIB, 30 * GIB), answer=reject(Reason.DATA_USED_UP)
    ),
}


def weekday(offset: int) -> Callable[[date], Columns]:
    return lambda today: {**PER_WEEK, "limit_reset_day": (today + offset * DAY).isoweekday()}


def day_of_month(offset: int) -> Callable[[date], Columns]:
    return lambda today: {**PER_MONTH, "limit_reset_day": (today + offset * DAY).day}


PER_DAY: Columns = {"data_limit_bytes": 1_000, "time_limit_s": 3600, "limit_period": "day"}
PER_WEEK: Columns = {**PER_DAY, "limit_period": "week"}
PER_MONTH: Columns = {**PER_DAY, "limit_period": "month"}
FULL = Used(500, 500)
MUCH_BEFORE = dict.fromkeys((-1, -2, -7, -31, -60), FULL)


def left(octets: int, time_s: int = 3600) -> Answer:
    return accept({"Mikrotik-Total-Limit": octets, "Session-Timeout": time_s})


PERIODS: dict[str, Row] = {
    "per day: yesterday does not count": Row(plan=PER_DAY, used_by_day=MUCH_BEFORE, answer=left(1_000)),
    "per day: today counts": Row(plan=PER_DAY, used_by_day={0: Used(10, 20, 60)}, answer=left(970, 3540)),
    "per day: used up": Row(plan=PER_DAY, used_by_day={0: FULL}, answer=reject(Reason.DATA_USED_UP)),
    "per day: the time is used up": Row(
        plan=PER_DAY, used_by_day={0: Used(0, 0, 3600)}, answer=reject(Reason.TIME_USED_UP)
    ),
    "per day: used up and throttled": Row(plan={**PER_DAY, **THROTTLE}, used_by_day={0: FULL}, answer=THROTTLED),
    "per day: what the validity used has no say": Row(plan=PER_DAY, used=Used(9_999, 9_999, 9999), answer=left(1_000)),
    "per validity: what today used has no say": Row(
        plan={"data_limit_bytes": 1_000},
        used=Used(1, 2),
        used_by_day={0: FULL},
        answer=accept({"Mikrotik-Total-Limit": 997}),
    ),
    "per week that began today: yesterday does not count": Row(
        plan=weekday(0), used_by_day={**MUCH_BEFORE, 0: Used(1, 1)}, answer=left(998)
    ),
    "per week that begins tomorrow: six days ago counts": Row(
        plan=weekday(1), used_by_day={0: Used(1, 1), -6: Used(2, 2, 1), -7: FULL}, answer=left(994, 3599)
    ),
    "per week: used up over days": Row(
        plan=weekday(1), used_by_day={-6: Used(400), -1: Used(0, 400), 0: Used(200)}, answer=reject(Reason.DATA_USED_UP)
    ),
    "per month that began today: yesterday does not count": Row(
        plan=day_of_month(0), used_by_day={**MUCH_BEFORE, 0: Used(1, 1)}, answer=left(998)
    ),
    "per month that begins tomorrow: four weeks less a day ago counts": Row(
        plan=day_of_month(1), used_by_day={0: Used(1, 1), -27: Used(2, 2, 1), -31: FULL}, answer=left(994, 3599)
    ),
    "per month: used up over weeks, throttled": Row(
        plan=lambda today: {**day_of_month(1)(today), **THROTTLE},
        used_by_day={-27: Used(400), -14: Used(0, 400), 0: Used(200)},
        answer=THROTTLED,
    ),
}

# ---- speed ----


def boost(start: int, until: int) -> Columns:
    return {
        "boost_from": time(start),
        "boost_until": time(until),
        "boost_upload_kbps": 5000,
        "boost_download_kbps": 20000,
    }


BOOSTED = accept({"Mikrotik-Rate-Limit": "5000k/20000k"})

SPEED: dict[str, Row] = {
    "a boost that has not begun": Row(plan=boost(14, 18), answer=accept()),
    "a boost that holds": Row(plan=boost(10, 14), answer=BOOSTED),
    "a boost that is over": Row(plan=boost(8, 11), answer=accept()),
    "a boost over midnight, by day": Row(plan=boost(22, 6), answer=accept()),
    "a boost over midnight that holds since yesterday": Row(plan=boost(20, 14), answer=BOOSTED),
    "a boost over midnight that holds until tomorrow": Row(plan=boost(10, 6), answer=BOOSTED),
    "a boost until midnight": Row(plan=boost(10, 0), answer=BOOSTED),
    "a boost from midnight": Row(plan=boost(0, 14), answer=BOOSTED),
    "a boost has no burst": Row(plan={**BURST, "priority": 2, **boost(10, 14)}, answer=BOOSTED),
    "fair use beats the boost": Row(
        plan={**LIMITS, **THROTTLE, **boost(10, 14)}, used=Used(9_000, 9_000), answer=THROTTLED
    ),
    "fair use is told before grace": Row(
        plan={**LIMITS, **THROTTLE, "grace_hours": 3},
        expires_in=-HOUR,
        used=Used(9_000, 9_000),
        answer=accept({"Mikrotik-Rate-Limit": "512k/1024k", "Session-Timeout": 7200}, Reason.FAIR_USE),
    ),
    "a burst": Row(plan=BURST, answer=accept({"Mikrotik-Rate-Limit": "2000k/8000k 4000k/16000k 1000k/4000k 10/10"})),
    "a priority": Row(
        plan={"priority": 2}, answer=accept({"Mikrotik-Rate-Limit": "2000k/8000k 2000k/8000k 2000k/8000k 1/1 2"})
    ),
    "a minimum": Row(
        plan={"min_upload_kbps": 256, "min_download_kbps": 512},
        answer=accept({"Mikrotik-Rate-Limit": "2000k/8000k 2000k/8000k 2000k/8000k 1/1 8 256k/512k"}),
    ),
}

# ---- devices at once ----

ON_PHONE, ON_LAPTOP, ON_TABLET, ON_UNKNOWN = Open("phone"), Open("laptop"), Open("tablet"), Open(None)
SILENT, NEARLY_SILENT = Open("laptop", silent_s=1000), Open("laptop", silent_s=800)
TOO_MANY = reject(Reason.TOO_MANY_DEVICES)
DROP_OLDEST = {"on_device_limit": "drop_oldest"}

DEVICES: dict[str, Row] = {
    "another device is online": Row(open_sessions=(ON_LAPTOP,), answer=TOO_MANY),
    "the second of two devices": Row(plan={"devices": 2}, open_sessions=(ON_LAPTOP,), answer=accept()),
    "the third of two devices": Row(plan={"devices": 2}, open_sessions=(ON_LAPTOP, ON_TABLET), answer=TOO_MANY),
    "the device itself is online: it lost its cable": Row(open_sessions=(ON_PHONE,), answer=accept()),
    "the device itself twice": Row(open_sessions=(ON_PHONE, ON_PHONE), answer=accept()),
    "the device itself and another": Row(open_sessions=(ON_PHONE, ON_LAPTOP), answer=TOO_MANY),
    "another device that was silent for three intervals": Row(open_sessions=(SILENT,), answer=accept()),
    "another device that was silent for less": Row(open_sessions=(NEARLY_SILENT,), answer=TOO_MANY),
    "silent by its own interval": Row(open_sessions=(Open("laptop", 200, interim_interval_s=60),), answer=accept()),
    "many ghosts": Row(
        open_sessions=(SILENT, Open("tablet", 5000), Open(None, 9000), Open("phone", 99999)), answer=accept()
    ),
    "a ghost and another device": Row(open_sessions=(SILENT, ON_TABLET), answer=TOO_MANY),
    "a session without an address is another device": Row(open_sessions=(ON_UNKNOWN,), answer=TOO_MANY),
    "a login without an address is another device": Row(device=None, open_sessions=(ON_PHONE,), answer=TOO_MANY),
    "a login without an address finds room": Row(device=None, answer=accept()),
    "the plan drops the oldest": Row(plan=DROP_OLDEST, open_sessions=(ON_LAPTOP,), answer=accept()),
    "the plan drops the oldest of three": Row(
        plan={**DROP_OLDEST, "devices": 2}, open_sessions=(ON_LAPTOP, ON_TABLET, ON_UNKNOWN), answer=accept()
    ),
}

# ---- addresses and the rest ----

POOLS = {"framed_pool": "customers", "framed_ipv6_pool": "customers6", "delegated_ipv6_pool": "prefixes"}
FROM_POOLS = {
    "Framed-Pool": "customers",
    "Framed-IPv6-Pool": "customers6",
    "Mikrotik-Delegated-IPv6-Pool": "prefixes",
}

ADDRESSES: dict[str, Row] = {
    "addresses from pools": Row(plan=POOLS, service="pppoe", answer=accept(FROM_POOLS)),
    "an address of its own takes the place of the pool": Row(
        plan=POOLS,
        service="pppoe",
        framed_ip_address="10.9.8.7",
        answer=accept({**FROM_POOLS, "Framed-Pool": None, "Framed-IP-Address": "10.9.8.7"}),
    ),
    "a prefix of its own takes the place of the pool": Row(
        plan=POOLS,
        service="pppoe",
        delegated_ipv6_prefix="2001:db8:5::/56",
        answer=accept({**FROM_POOLS, "Mikrotik-Delegated-IPv6-Pool": None, "Delegated-IPv6-Prefix": "2001:db8:5::/56"}),
    ),
    "an address list": Row(plan={"address_list": "gold"}, answer=accept({"Mikrotik-Address-List": "gold"})),
    "an idle timeout and an interval": Row(
        plan={"idle_timeout_s": 600, "interim_interval_s": 120},
        answer=accept({"Idle-Timeout": 600, "Acct-Interim-Interval": 120}),
    ),
    "everything at once": Row(
        plan=EVERYTHING,
        service="pppoe",
        used=Used(GIB, GIB, 600),
        answer=accept(
            {
                **FROM_POOLS,
                "Mikrotik-Rate-Limit": "2000k/8000k 4000k/16000k 1000k/4000k 10/10 3 256k/512k",
                "Session-Timeout": 6600,
                "Idle-Timeout": 600,
                "Acct-Interim-Interval": 120,
                "Mikrotik-Total-Limit": 3 * GIB,
                "Mikrotik-Total-Limit-Gigawords": 1,
                "Mikrotik-Recv-Limit": 2 * GIB,
                "Mikrotik-Xmit-Limit": 2**32 - 1,
                "Mikrotik-Address-List": "gold",
            }
        ),
    ),
    "everything at once is not for the garden": Row(
        plan=EVERYTHING,
        service="pppoe",
        expires_in=-DAY,
        framed_ip_address="10.9.8.8",
        delegated_ipv6_prefix="2001:db8:6::/56",
        open_sessions=(ON_LAPTOP, ON_TABLET),
        used=Used(9 * GIB, 9 * GIB),
        answer=accept(
            {**SLOW, "Framed-IP-Address": "10.9.8.8", "Acct-Interim-Interval": 120}, Reason.EXPIRED_WALLED_GARDEN
        ),
    ),
    "the garden takes addresses from the pool": Row(
        plan={**POOLS, **GARDEN},
        service="pppoe",
        status="suspended",
        answer=accept({**SLOW, "Framed-Pool": "customers"}, Reason.SUSPENDED_WALLED_GARDEN),
    ),
}

# ---- where, how and with what ----

ATTEMPTS: dict[str, Row] = {
    "a hotspot subscription by PPPoE": Row(at="pppoe", answer=reject(Reason.WRONG_SERVICE)),
    "a PPPoE subscription on a hotspot": Row(service="pppoe", at="hotspot", answer=reject(Reason.WRONG_SERVICE)),
    "a hotspot subscription, the packet does not say": Row(at="not said", answer=accept()),
    "a PPPoE subscription, the packet does not say": Row(service="pppoe", at="not said", answer=accept()),
    "the wrong service is told before the expiry": Row(
        at="pppoe", expires_in=-DAY, answer=reject(Reason.WRONG_SERVICE)
    ),
    "bound to this device": Row(bound_to="phone", answer=accept()),
    "bound to another device": Row(bound_to="laptop", answer=reject(Reason.WRONG_DEVICE)),
    "bound, and the device has no address": Row(device=None, bound_to="phone", answer=reject(Reason.WRONG_DEVICE)),
    "valid at this router alone": Row(routers=("here",), answer=accept()),
    "valid at two routers, this among them": Row(routers=("elsewhere", "here"), answer=accept()),
    "valid at another router alone": Row(routers=("elsewhere",), answer=reject(Reason.WRONG_ROUTER)),
    "the wrong router is told before the wrong service": Row(
        routers=("elsewhere",), at="pppoe", answer=reject(Reason.WRONG_ROUTER)
    ),
    "a known device by its address": Row(knows="phone", by_address=True, answer=accept()),
    "a known device by its address, expired": Row(
        knows="phone", by_address=True, expires_in=-DAY, answer=reject(Reason.EXPIRED)
    ),
    "a known device by its address while another is online": Row(
        knows="phone", by_address=True, open_sessions=(ON_LAPTOP,), answer=TOO_MANY
    ),
    "a known device by its address at the wrong router": Row(
        knows="phone", by_address=True, routers=("elsewhere",), answer=reject(Reason.WRONG_ROUTER)
    ),
    "a device nobody knows": Row(exists=False, by_address=True, answer=reject(Reason.UNKNOWN_DEVICE)),
    "another device than the one that is known": Row(
        knows="laptop", by_address=True, answer=reject(Reason.UNKNOWN_DEVICE)
    ),
    "a name nobody has": Row(exists=False, answer=reject(Reason.UNKNOWN_USER)),
    "the address of a device is no name for PPPoE": Row(
        knows="phone", by_address=True, at="pppoe", answer=reject(Reason.UNKNOWN_USER)
    ),
}


def wrong_password(row: Row) -> Row:
    """Told so and nothing else, whatever the state."""
    return replace(row, wrong_password=True, hides=row.answer.reason, answer=reject(Reason.WRONG_PASSWORD))


RIGHT_PASSWORDS: dict[str, Row] = {
    **life_cycle(),
    **VALIDITY,
    **limits(),
    **GIGAWORDS,
    **PERIODS,
    **SPEED,
    **DEVICES,
    **ADDRESSES,
    **ATTEMPTS,
}

WRONG_PASSWORDS: dict[str, Row] = {
    f"{what}, wrong password": wrong_password(RIGHT_PASSWORDS[what])
    for what in (
        "active, hotspot",
        "active, PPPoE",
        "pending, hotspot",
        "expired, hotspot",
        "expired, PPPoE with a garden",
        "suspended, hotspot",
        "cancelled, hotspot",
        "the total is used up, the plan stops",
        "the time is used up, the plan throttles",
        "another device is online",
        "a hotspot subscription by PPPoE",
        "bound to another device",
        "valid at another router alone",
    )
}

IN_SWAHILI: dict[str, Row] = {
    f"{what}, in Swahili": replace({**RIGHT_PASSWORDS, **WRONG_PASSWORDS}[what], language="sw")
    for what in (
        "pending, hotspot",
        "expired, hotspot",
        "suspended, hotspot",
        "cancelled, hotspot",
        "the total is used up, the plan stops",
        "the time is used up, the plan stops",
        "another device is online",
        "a hotspot subscription by PPPoE",
        "valid at another router alone",
        "bound to another device",
        "a device nobody knows",
        "a name nobody has",
        "expired, hotspot, wrong password",
    )
}

ROWS: dict[str, Row] = {**RIGHT_PASSWORDS, **WRONG_PASSWORDS, **IN_SWAHILI}
NUMBER_OF = {what: number for number, what in enumerate(ROWS, start=1)}
