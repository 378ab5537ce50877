"""The terms of plans, kept by version: thousands of logins share one, and its columns are most of what a login needs.

A version is the row's xmin, which every change of the row changes; it is read with each login, so a changed plan counts
from the next one. All are read again now and then, long before xmin could come round.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from zlib import crc32

from isp.entitlement import Boost, PlanTerms
from isp.quota import Limits, Period
from isp.rate_limit import Burst, Rate
from isp.subscription import Validity, ValidityFrom, ValidityUnit
from radius_module.connection import BoundedConnection
from radius_module.last_known import KEPT, LastKnown

KEPT_S = 3600.0

_SELECT = """
SELECT p.id, p.xmin::text::int8,
       p.service, p.upload_kbps, p.download_kbps,
       p.burst_upload_kbps, p.burst_download_kbps, p.burst_threshold_upload_kbps, p.burst_threshold_download_kbps,
       p.burst_time_s, p.priority, p.min_upload_kbps, p.min_download_kbps,
       p.validity_unit, p.validity_count, p.validity_from, p.grace_hours, p.devices, p.on_device_limit,
       p.time_limit_s, p.data_limit_bytes, p.upload_limit_bytes, p.download_limit_bytes,
       p.limit_period, p.limit_reset_day, p.after_limit, p.fair_use_upload_kbps, p.fair_use_download_kbps,
       p.boost_from, p.boost_until, p.boost_upload_kbps, p.boost_download_kbps,
       p.idle_timeout_s, p.interim_interval_s, p.framed_pool, p.framed_ipv6_pool, p.delegated_ipv6_pool,
       p.address_list, p.walled_garden_address_list
  FROM plan p WHERE p.id = ANY(%(id)b::int8[])
"""

# Columns that were kept in another order are not to be read as these.
_COLUMNS_VERSION = crc32(_SELECT.encode())

Version = tuple[int, int]
"""A plan's id and the version of its row."""


class Plans:
    def __init__(self, last_known: LastKnown) -> None:
        self._last_known = last_known
        self._terms: dict[Version, PlanTerms] = {}
        self._began_at = monotonic()

    def missing(self, versions: Iterable[Version]) -> list[Version]:
        """Those that `load` has to fetch before `terms` knows them."""
        if monotonic() - self._began_at > KEPT_S:
            self._terms = {}
            self._began_at = monotonic()
        return [version for version in set(versions) if version not in self._terms]

    def load(self, connection: BoundedConnection, versions: Sequence[Version], now: datetime) -> None:
        """Fetches plans. One that changed since its version was seen is taken as it is now."""
        seen = dict(versions)
        for plan_id, _version, *columns in connection.execute(_SELECT, {"id": list(seen)}, binary=True):
            version = (plan_id, seen[plan_id])
            self._terms[version] = read(columns)
            self._last_known.remember(_name(version), columns, tuple(columns), now)

    def terms(self, version: Version) -> PlanTerms:
        """Raises KeyError for one that was not loaded."""
        return self._terms[version]

    def recall(self, version: Version, now: datetime) -> PlanTerms | None:
        """The terms while PostgreSQL is away; None if they were never seen here."""
        known = self._terms.get(version)
        if known is None:
            recalled = self._last_known.recall(_name(version), now, KEPT)
            known = read(recalled[0]) if recalled else None
        return known


def read(columns: Sequence[Any]) -> PlanTerms:
    """What a row says; `_SELECT` and this name its columns in the same order, from the service on."""
    take: Callable[[], Any] = iter(columns).__next__
    service, upload_kbps, download_kbps = take(), take(), take()
    burst = _burst(take(), take(), take(), take(), take())
    priority, minimum = take(), _rate(take(), take())
    validity = Validity(ValidityUnit(take()), take() or 0)
    validity_from, grace = ValidityFrom(take()), timedelta(hours=take())
    devices, drop_oldest = take(), take() == "drop_oldest"
    time_s, total, upload, download = take(), take(), take(), take()
    period, reset_day, after_limit = Period(take()), take(), take()
    fair_use = _rate(take(), take())
    boost_from, boost_until, boost_rate = take(), take(), _rate(take(), take())
    return PlanTerms(
        service=service,
        rate=Rate(upload_kbps, download_kbps),
        burst=burst,
        priority=priority,
        minimum=minimum,
        validity=validity,
        validity_from=validity_from,
        grace=grace,
        devices=devices,
        drop_oldest=drop_oldest,
        limits=Limits(time_s=time_s, total_octets=total, input_octets=upload, output_octets=download),
        limit_period=period,
        limit_reset_day=reset_day,
        fair_use=fair_use if after_limit == "throttle" else None,
        boost=Boost(boost_from, boost_until, boost_rate) if boost_rate else None,
        idle_timeout_s=take(),
        interim_interval_s=take(),
        framed_pool=take(),
        framed_ipv6_pool=take(),
        delegated_ipv6_pool=take(),
        address_list=take(),
        walled_garden_address_list=take(),
    )


def _rate(upload_kbps: int | None, download_kbps: int | None) -> Rate | None:
    return None if upload_kbps is None or download_kbps is None else Rate(upload_kbps, download_kbps)


def _burst(
    up: int | None, down: int | None, up_at: int | None, down_at: int | None, time_s: int | None
) -> Burst | None:
    rate, threshold = _rate(up, down), _rate(up_at, down_at)
    return Burst(rate, threshold, time_s) if rate and threshold and time_s else None


def _name(version: Version) -> str:
    plan_id, row_version = version
    return f"plan\0{_COLUMNS_VERSION}\0{plan_id}\0{row_version}"
