"""Who is logging in: one query for all logins that wait together, and its rows as Accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

from isp.entitlement import Account, OpenSession, PlanTerms
from isp.period_sql import PERIOD_START
from isp.quota import Used
from isp.subscription import Status
from radius_module.arrays import int8s, texts
from radius_module.connection import BoundedConnection, Statement
from radius_module.plans import Version

# Of a name that was used before, the living subscription; without one, the cancelled one, to say that it is closed.
# A known device is looked for by its address if no subscription has that name.
# A period's days are summed up only where their sum is not noted with the totals (db/usage_period.py).
_SELECT = Statement(f"""
SELECT q.n, t.id, t.language, t.timezone,
       s.id, s.device_login, s.service, s.status, s.password_sealed, s.activated_at, s.expires_at,
       host(s.framed_ip_address), s.delegated_ipv6_prefix::text, upper(s.bound_mac::text), p.id, p.xmin::text::int8,
       ARRAY(SELECT bound.router_id FROM subscription_router bound WHERE bound.subscription_id = s.id ORDER BY 1),
       u.input_octets - u.validity_input_octets, u.output_octets - u.validity_output_octets,
       u.session_time_s - u.validity_session_time_s,
       period.used, open.sessions
  FROM unnest(%(router_id)b::int8[], %(user_name)b::text[], %(mac)b::text[]) WITH ORDINALITY
       AS q (router_id, user_name, mac, n)
  JOIN router r ON r.id = q.router_id AND r.removed_at IS NULL
  JOIN tenant t ON t.id = r.tenant_id
  LEFT JOIN LATERAL (
      SELECT found.* FROM (
          (SELECT false AS device_login, n.* FROM subscription n
            WHERE n.tenant_id = r.tenant_id AND lower(n.username) = lower(q.user_name)
            ORDER BY n.status = 'cancelled', n.id DESC LIMIT 1)
          UNION ALL
          (SELECT true, n.* FROM device d JOIN subscription n ON n.tenant_id = d.tenant_id AND n.id = d.subscription_id
            WHERE d.tenant_id = r.tenant_id AND d.mac = q.mac::macaddr)
      ) found LIMIT 1
  ) s ON true
  LEFT JOIN plan p ON p.id = s.plan_id
  LEFT JOIN usage u ON u.subscription_id = s.id
  LEFT JOIN LATERAL (
      SELECT CASE WHEN u.period_began = began.on_day
             THEN ARRAY[began.on_day - date '0001-01-01' + 1, u.input_octets - u.period_input_octets,
                        u.output_octets - u.period_output_octets, u.session_time_s - u.period_session_time_s]::int8[]
             ELSE (SELECT ARRAY[began.on_day - date '0001-01-01' + 1, sum(d.input_octets), sum(d.output_octets),
                                sum(d.session_time_s)]::int8[]
                     FROM usage_day d WHERE d.subscription_id = s.id AND d.day >= began.on_day
                   HAVING count(*) > 0)
             END AS used
        FROM (SELECT {PERIOD_START} AS on_day
                FROM (SELECT (now() AT TIME ZONE t.timezone)::date AS today OFFSET 0) clock OFFSET 0) began
  ) period ON true
  LEFT JOIN LATERAL (
      SELECT array_agg(ARRAY[o.session_key::text, upper(o.calling_station_id::text),
                             extract(epoch FROM o.started_at)::text, extract(epoch FROM o.last_seen_at)::text,
                             o.interim_interval_s::text]) AS sessions
        FROM session o WHERE o.subscription_id = s.id AND o.stopped_at IS NULL
  ) open ON true
""")  # noqa: S608 (of constants)

# Rows that were kept under other columns are not to be read as these.
ROWS_VERSION = crc32(_SELECT.text)

_PLAN_ID, _PLAN_VERSION = 13, 14
_VOLATILE_COLUMNS = 5
_STATUSES = {status.value: status for status in Status}

Row = Sequence[Any]


@dataclass(slots=True)
class LoginQuery:
    """`mac` is set for a router that asks for a device: then known devices are looked at too."""

    router_id: int
    user_name: str
    mac: str | None


@dataclass(slots=True)
class Found:
    """The tenant whose router asked and, unless nobody has that name or device, the account."""

    tenant_id: int
    language: str
    account: Account | None
    password_sealed: bytes
    by_device: bool
    """The account was found by the device, not by the name."""
    plan_id: int | None


def find(connection: BoundedConnection, queries: Sequence[LoginQuery]) -> list[Row | None]:
    """A row for each query, in order, for `read`; None where the router is not (any more) ours."""
    found: list[Row | None] = [None] * len(queries)
    rows = connection.ask(
        _SELECT,
        {
            "router_id": int8s([query.router_id for query in queries]),
            "user_name": texts([query.user_name for query in queries]),
            "mac": texts([query.mac for query in queries]),
        },
    )
    for row in rows:
        found[row[0] - 1] = row[1:]
    return found


def plan_of(row: Row) -> Version | None:
    """The plan that `read` wants with the row; None where nobody was found."""
    return None if row[_PLAN_ID] is None else (row[_PLAN_ID], row[_PLAN_VERSION])


def stable(row: Row) -> Row:
    """What of a row is terms and credentials, not usage and sessions: hashable."""
    *terms, router_ids = row[:-_VOLATILE_COLUMNS]
    return (*terms, tuple(router_ids))


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def read(row: Row, plan: PlanTerms | None) -> Found:
    """What a row says; `_SELECT` and this name its columns in the same order. `plan` is that of `plan_of(row)`."""
    (
        tenant_id,
        language,
        timezone,
        subscription_id,
        by_device,
        service,
        status,
        password_sealed,
        activated_at,
        expires_at,
        framed_ip_address,
        delegated_ipv6_prefix,
        bound_mac,
        plan_id,
        _plan_version,
        router_ids,
        input_octets,
        output_octets,
        session_time_s,
        period,
        sessions,
    ) = row
    if subscription_id is None or plan is None:
        return Found(tenant_id, language, None, b"", False, None)
    account = Account(
        subscription_id,
        service,
        _STATUSES[status],
        plan,
        _zone(timezone),
        activated_at,
        expires_at,
        framed_ip_address,
        delegated_ipv6_prefix,
        bound_mac,
        router_ids,
        Used(input_octets or 0, output_octets or 0, session_time_s or 0),
        [period] if period else [],
        [_open_session(columns) for columns in sessions] if sessions else [],
    )
    return Found(tenant_id, language, account, bytes(password_sealed), by_device, plan_id)


def _open_session(columns: Sequence[str | None]) -> OpenSession:
    key, mac, started_at, last_seen_at, interval_s = columns
    assert key is not None
    assert started_at is not None
    assert last_seen_at is not None
    assert interval_s is not None
    return OpenSession(
        session_key=key,
        calling_station_id=mac,
        started_at=datetime.fromtimestamp(float(started_at), UTC),
        last_seen_at=datetime.fromtimestamp(float(last_seen_at), UTC),
        interim_interval_s=int(interval_s),
    )
