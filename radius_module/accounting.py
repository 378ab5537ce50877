"""Accounting records into sessions and usage: all that wait together, in one transaction.

Every statement may be given the same packet any number of times, late, or out of order. What a packet adds is the gain
of its session's counters over the highest seen, computed by the update that stores them (`gained_*`).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from isp.session_identity import ARCHIVE_LOCK
from isp.subscription import Validity, ValidityUnit
from radius_module.arrays import Packed, bools, int8s, texts, timestamps, uuids
from radius_module.connection import BoundedConnection, Statement
from radius_module.request import AccountingRequest, RouterRestart

# A Start is of a new session, and not looked for in the history, unless it is so late that its session may be there.
_MAYBE_ARCHIVED_AFTER = timedelta(minutes=30)

_HOLD_OFF_ARCHIVE = f"SELECT pg_advisory_xact_lock_shared({ARCHIVE_LOCK})"

# A late packet of a session that is in the history already: back into the hot table with it.
_RESTORE = Statement("""
WITH missing AS (
    SELECT key FROM unnest(%(session_key)b::uuid[]) AS q (key)
     WHERE NOT EXISTS (SELECT FROM session s WHERE s.session_key = q.key)
), restored AS (
    DELETE FROM session_history h USING missing
     WHERE h.session_key = missing.key
       AND h.stopped_at = (SELECT max(n.stopped_at) FROM session_history n WHERE n.session_key = missing.key)
    RETURNING h.*
)
INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,
                     radius_class, calling_station_id, called_station_id, nas_ip_address, nas_port, nas_port_id,
                     framed_ip_address, framed_ipv6_prefix, delegated_ipv6_prefix, interim_interval_s, started_at,
                     last_seen_at, stopped_at, stop_received, terminate_cause, session_time_s, input_octets,
                     output_octets)
SELECT session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id, radius_class,
       calling_station_id, called_station_id, nas_ip_address, nas_port, nas_port_id, framed_ip_address,
       framed_ipv6_prefix, delegated_ipv6_prefix, interim_interval_s, started_at, last_seen_at, stopped_at,
       stop_received, terminate_cause, session_time_s, input_octets, output_octets
  FROM restored ORDER BY session_key
ON CONFLICT (session_key) DO NOTHING
""")

# Without a Class of ours a router's repeated Acct-Session-Id gives a repeated key. A session that began well after the
# last packet of the one that holds the key is another one: the old one leaves for the history. What comes of the old
# one even later is not stored (_STORE leaves it out), lest it be taken for the new one's.
_ROTATE = Statement("""
WITH newcomer AS (
    SELECT key, began_at FROM unnest(%(session_key)b::uuid[], %(began_at)b::timestamptz[]) AS q (key, began_at)
), ended AS (
    DELETE FROM session s USING newcomer
     WHERE s.session_key = newcomer.key AND newcomer.began_at > s.last_seen_at + interval '1 minute'
    RETURNING s.*
)
INSERT INTO session_history (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,
                             radius_class, calling_station_id, called_station_id, nas_ip_address, nas_port, nas_port_id,
                             framed_ip_address, framed_ipv6_prefix, delegated_ipv6_prefix, interim_interval_s,
                             started_at, last_seen_at, stopped_at, stop_received, terminate_cause, session_time_s,
                             input_octets, output_octets)
SELECT session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id, radius_class,
       calling_station_id, called_station_id, nas_ip_address, nas_port, nas_port_id, framed_ip_address,
       framed_ipv6_prefix, delegated_ipv6_prefix, interim_interval_s, started_at, last_seen_at,
       coalesce(stopped_at, last_seen_at), true, coalesce(terminate_cause, 'Superseded'), session_time_s, input_octets,
       output_octets
  FROM ended
ON CONFLICT DO NOTHING
""")

# What the sessions gained counts for their subscriptions, by day and in all. What comes late, for a day before the
# period, makes its note worthless (db/usage_period.py). A row that is new is noted as of its first day, before which
# nothing was used.
_COUNT = """
gain AS MATERIALIZED (
    SELECT stored.subscription_id, stored.tenant_id, (packet.event_at AT TIME ZONE t.timezone)::date AS day,
           gained_session_time_s AS time_s, gained_input_octets AS input, gained_output_octets AS output
      FROM stored JOIN packet USING (session_key) JOIN tenant t ON t.id = stored.tenant_id
     WHERE stored.subscription_id IS NOT NULL
       AND (gained_session_time_s > 0 OR gained_input_octets > 0 OR gained_output_octets > 0)
), by_day AS (
    INSERT INTO usage_day AS u (subscription_id, day, tenant_id, session_time_s, input_octets, output_octets)
    SELECT subscription_id, day, min(tenant_id), sum(time_s), sum(input), sum(output)
      FROM gain GROUP BY subscription_id, day ORDER BY subscription_id, day
    ON CONFLICT (subscription_id, day) DO UPDATE SET
        session_time_s = u.session_time_s + excluded.session_time_s,
        input_octets = u.input_octets + excluded.input_octets,
        output_octets = u.output_octets + excluded.output_octets
), in_all AS (
    INSERT INTO usage AS u (subscription_id, tenant_id, session_time_s, input_octets, output_octets, period_began)
    SELECT subscription_id, min(tenant_id), sum(time_s), sum(input), sum(output), min(day)
      FROM gain GROUP BY subscription_id ORDER BY subscription_id
    ON CONFLICT (subscription_id) DO UPDATE SET
        session_time_s = u.session_time_s + excluded.session_time_s,
        input_octets = u.input_octets + excluded.input_octets,
        output_octets = u.output_octets + excluded.output_octets,
        period_began = CASE WHEN excluded.period_began < u.period_began THEN NULL ELSE u.period_began END
)
"""

# Nearly every Interim-Update and Stop is of a session that is there: this stores it with half of the columns and none
# of the questions. What it does not return (a session that is not there, or is nobody's) is for _STORE. Only for
# packets with a Class of ours, which no other session can have. The arrays are sorted by key, so that rows are locked
# in one order.
_REPORT = Statement(f"""
WITH packet AS MATERIALIZED (
    SELECT * FROM unnest(%(session_key)b::uuid[], %(event_at)b::timestamptz[], %(session_time_s)b::int8[],
                         %(octets_in)b::int8[], %(octets_out)b::int8[], %(framed_ip_address)b::text[],
                         %(framed_ipv6_prefix)b::text[], %(delegated_ipv6_prefix)b::text[], %(is_stop)b::bool[],
                         %(terminate_cause)b::text[])
           AS q (session_key, event_at, session_time_s, octets_in, octets_out, framed_ip_address, framed_ipv6_prefix,
                 delegated_ipv6_prefix, is_stop, terminate_cause)
), counted AS (
    SELECT q.*, CASE WHEN r.swap_octets THEN q.octets_out ELSE q.octets_in END AS input_octets,
           CASE WHEN r.swap_octets THEN q.octets_in ELSE q.octets_out END AS output_octets
      FROM packet q JOIN session s ON s.session_key = q.session_key JOIN router r ON r.id = s.router_id
), stored AS (
    UPDATE session s SET
        gained_session_time_s = greatest(q.session_time_s - s.session_time_s, 0),
        gained_input_octets = greatest(q.input_octets - s.input_octets, 0),
        gained_output_octets = greatest(q.output_octets - s.output_octets, 0),
        session_time_s = greatest(q.session_time_s, s.session_time_s),
        input_octets = greatest(q.input_octets, s.input_octets),
        output_octets = greatest(q.output_octets, s.output_octets),
        started_at = least(q.event_at - make_interval(secs => q.session_time_s), s.started_at),
        last_seen_at = greatest(q.event_at, s.last_seen_at),
        framed_ip_address = coalesce(q.framed_ip_address::inet, s.framed_ip_address),
        framed_ipv6_prefix = coalesce(q.framed_ipv6_prefix::cidr, s.framed_ipv6_prefix),
        delegated_ipv6_prefix = coalesce(q.delegated_ipv6_prefix::cidr, s.delegated_ipv6_prefix),
        stop_received = s.stop_received OR q.is_stop,
        stopped_at = CASE WHEN s.stop_received THEN s.stopped_at
                          WHEN q.is_stop THEN q.event_at
                          WHEN q.event_at > s.last_seen_at THEN NULL
                          ELSE s.stopped_at END,
        terminate_cause = CASE WHEN s.stop_received THEN s.terminate_cause
                               WHEN q.is_stop THEN q.terminate_cause
                               WHEN q.event_at > s.last_seen_at THEN NULL
                               ELSE s.terminate_cause END
      FROM counted q
     WHERE s.session_key = q.session_key AND s.subscription_id IS NOT NULL
    RETURNING s.session_key, s.tenant_id, s.subscription_id,
              s.gained_session_time_s, s.gained_input_octets, s.gained_output_octets
), {_COUNT}
SELECT session_key FROM stored
""")  # noqa: S608 (of constants)

# Sorted, so that two servers lock rows in one order. A Stop ends a session for good; what only we took for dead (a
# reboot, a new session on its port, silence) lives again with its next packet.
_STORE = Statement(f"""
WITH packet AS MATERIALIZED (
    SELECT q.*, r.tenant_id, who.id AS subscription, coalesce(plan.interim_interval_s, 300) AS interval_s,
           CASE WHEN r.swap_octets THEN q.octets_out ELSE q.octets_in END AS input_octets,
           CASE WHEN r.swap_octets THEN q.octets_in ELSE q.octets_out END AS output_octets
      FROM unnest(%(session_key)b::uuid[], %(router_id)b::int8[], %(subscription_id)b::int8[], %(user_name)b::text[],
                  %(acct_session_id)b::text[], %(radius_class)b::text[], %(service)b::text[],
                  %(calling_station_id)b::text[], %(called_station_id)b::text[], %(nas_ip_address)b::text[],
                  %(nas_port)b::int8[], %(nas_port_id)b::text[], %(framed_ip_address)b::text[],
                  %(framed_ipv6_prefix)b::text[], %(delegated_ipv6_prefix)b::text[], %(event_at)b::timestamptz[],
                  %(session_time_s)b::int8[], %(octets_in)b::int8[], %(octets_out)b::int8[],
                  %(is_stop)b::bool[], %(terminate_cause)b::text[])
           AS q (session_key, router_id, subscription_id, user_name, acct_session_id, radius_class, service,
                 calling_station_id, called_station_id, nas_ip_address, nas_port, nas_port_id, framed_ip_address,
                 framed_ipv6_prefix, delegated_ipv6_prefix, event_at, session_time_s, octets_in, octets_out,
                 is_stop, terminate_cause)
      JOIN router r ON r.id = q.router_id
      LEFT JOIN LATERAL (
          SELECT s.id, s.plan_id FROM subscription s WHERE s.id = q.subscription_id AND s.tenant_id = r.tenant_id
          UNION ALL
          (SELECT s.id, s.plan_id FROM subscription s
            WHERE q.subscription_id IS NULL AND s.tenant_id = r.tenant_id AND lower(s.username) = lower(q.user_name)
              AND s.status <> 'cancelled')
          UNION ALL
          (SELECT s.id, s.plan_id
             FROM device d JOIN subscription s ON s.tenant_id = d.tenant_id AND s.id = d.subscription_id
            WHERE q.subscription_id IS NULL AND d.tenant_id = r.tenant_id AND d.mac = q.calling_station_id::macaddr)
          LIMIT 1
      ) who ON true
      LEFT JOIN plan ON plan.id = who.plan_id
     WHERE q.subscription_id IS NOT NULL
        OR NOT EXISTS (SELECT FROM session s
                        WHERE s.session_key = q.session_key
                          AND s.started_at > q.event_at - make_interval(secs => q.session_time_s) + interval '1 minute'
                          AND EXISTS (SELECT FROM session_history h WHERE h.session_key = q.session_key))
), stored AS (
    INSERT INTO session AS s (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,
                              radius_class, calling_station_id, called_station_id, nas_ip_address, nas_port,
                              nas_port_id, framed_ip_address, framed_ipv6_prefix, delegated_ipv6_prefix,
                              interim_interval_s, started_at, last_seen_at, stopped_at, stop_received, terminate_cause,
                              session_time_s, input_octets, output_octets,
                              gained_session_time_s, gained_input_octets, gained_output_octets)
    SELECT session_key, tenant_id, router_id, subscription, service, user_name, acct_session_id,
           radius_class, calling_station_id::macaddr, called_station_id, nas_ip_address::inet, nas_port, nas_port_id,
           framed_ip_address::inet, framed_ipv6_prefix::cidr, delegated_ipv6_prefix::cidr, interval_s,
           event_at - make_interval(secs => session_time_s), event_at, CASE WHEN is_stop THEN event_at END, is_stop,
           terminate_cause, session_time_s, input_octets, output_octets, session_time_s, input_octets, output_octets
      FROM packet ORDER BY session_key
    ON CONFLICT (session_key) DO UPDATE SET
        gained_session_time_s = greatest(excluded.session_time_s - s.session_time_s, 0),
        gained_input_octets = greatest(excluded.input_octets - s.input_octets, 0),
        gained_output_octets = greatest(excluded.output_octets - s.output_octets, 0),
        session_time_s = greatest(excluded.session_time_s, s.session_time_s),
        input_octets = greatest(excluded.input_octets, s.input_octets),
        output_octets = greatest(excluded.output_octets, s.output_octets),
        started_at = least(excluded.started_at, s.started_at),
        last_seen_at = greatest(excluded.last_seen_at, s.last_seen_at),
        subscription_id = coalesce(s.subscription_id, excluded.subscription_id),
        framed_ip_address = coalesce(excluded.framed_ip_address, s.framed_ip_address),
        framed_ipv6_prefix = coalesce(excluded.framed_ipv6_prefix, s.framed_ipv6_prefix),
        delegated_ipv6_prefix = coalesce(excluded.delegated_ipv6_prefix, s.delegated_ipv6_prefix),
        stop_received = s.stop_received OR excluded.stop_received,
        stopped_at = CASE WHEN s.stop_received THEN s.stopped_at
                          WHEN excluded.stop_received THEN excluded.stopped_at
                          WHEN excluded.last_seen_at > s.last_seen_at THEN NULL
                          ELSE s.stopped_at END,
        terminate_cause = CASE WHEN s.stop_received THEN s.terminate_cause
                               WHEN excluded.stop_received THEN excluded.terminate_cause
                               WHEN excluded.last_seen_at > s.last_seen_at THEN NULL
                               ELSE s.terminate_cause END
    RETURNING s.session_key, s.tenant_id, s.subscription_id,
              s.gained_session_time_s, s.gained_input_octets, s.gained_output_octets
), {_COUNT}
SELECT session_key FROM stored
""")  # noqa: S608 (of constants)

# A new session shows that an older one of its port, or of the same device under the same subscription, is over. Returns
# the first logins: the clock of a plan that counts from them starts; the account takes its device.
_FOLLOW_UP = Statement("""
WITH over AS (
    SELECT old.session_key
      FROM session new JOIN session old
        ON old.session_key <> new.session_key AND old.stopped_at IS NULL AND old.last_seen_at <= new.started_at
       AND old.router_id = new.router_id AND old.nas_port = new.nas_port
     WHERE new.session_key = ANY(%(session_key)b::uuid[])
    UNION
    SELECT old.session_key
      FROM session new JOIN session old
        ON old.session_key <> new.session_key AND old.stopped_at IS NULL AND old.last_seen_at <= new.started_at
       AND old.subscription_id = new.subscription_id AND old.calling_station_id = new.calling_station_id
     WHERE new.session_key = ANY(%(session_key)b::uuid[])
), held AS (
    SELECT s.session_key FROM session s JOIN over USING (session_key) ORDER BY s.session_key FOR UPDATE OF s
), superseded AS (
    UPDATE session s SET stopped_at = s.last_seen_at, terminate_cause = 'Superseded'
      FROM held WHERE s.session_key = held.session_key AND s.stopped_at IS NULL
)
SELECT s.id, s.activated_at IS NULL, o.started_at, upper(o.calling_station_id::text),
       s.bind_mac AND s.bound_mac IS NULL, p.validity_unit, p.validity_count, t.timezone
  FROM session o
  JOIN subscription s ON s.id = o.subscription_id
  JOIN plan p ON p.id = s.plan_id
  JOIN tenant t ON t.id = s.tenant_id
 WHERE o.session_key = ANY(%(session_key)b::uuid[])
   AND (s.activated_at IS NULL AND s.status = 'active' OR s.bind_mac AND s.bound_mac IS NULL)
 ORDER BY s.id, o.started_at
""")

_ROUTER_RESTART = """
WITH held AS (
    SELECT session_key FROM session
     WHERE router_id = %(router_id)s AND stopped_at IS NULL AND last_seen_at <= %(event_at)s
     ORDER BY session_key FOR UPDATE
)
UPDATE session s SET stopped_at = s.last_seen_at, terminate_cause = 'NAS-Reboot'
  FROM held WHERE s.session_key = held.session_key
"""

_ACTIVATE = """
UPDATE subscription SET activated_at = %(started_at)s, expires_at = %(expires_at)s, updated_at = now()
 WHERE id = %(id)s AND activated_at IS NULL
"""
_BIND = (
    "UPDATE subscription SET bound_mac = %(mac)s::macaddr, updated_at = now() WHERE id = %(id)s AND bound_mac IS NULL"
)

# The columns that an attribute of a packet becomes, and how they are packed.
_REPORTED: dict[str, Callable[[Sequence[Any]], Packed]] = {
    "session_key": uuids,
    "event_at": timestamps,
    "session_time_s": int8s,
    "framed_ip_address": texts,
    "framed_ipv6_prefix": texts,
    "delegated_ipv6_prefix": texts,
    "terminate_cause": texts,
}
_WHOLE = _REPORTED | {
    "router_id": int8s,
    "subscription_id": int8s,
    "user_name": texts,
    "acct_session_id": texts,
    "radius_class": texts,
    "service": texts,
    "calling_station_id": texts,
    "called_station_id": texts,
    "nas_ip_address": texts,
    "nas_port": int8s,
    "nas_port_id": texts,
}

Record = AccountingRequest | RouterRestart


def record(connection: BoundedConnection, records: Sequence[Record]) -> list[bool]:
    """Stores the records and commits. For each, in order, whether it was stored: False if its router does not exist, or
    if it is of a session without Class whose id another has taken since.

    Raises psycopg.Error, the records from some on not stored, if one holds a value that PostgreSQL refuses.
    """
    stored: set[UUID] = set()
    for step in _steps(records):
        if isinstance(step, RouterRestart):
            connection.execute(_ROUTER_RESTART, {"router_id": step.router_id, "event_at": step.event_at})
        else:
            stored |= _store(connection, step)
    return [isinstance(record, RouterRestart) or record.session_key in stored for record in records]


def _steps(records: Sequence[Record]) -> list[list[AccountingRequest] | RouterRestart]:
    """In order, as few statements as can be: a statement holds a session once, and a restart stands between."""
    steps: list[list[AccountingRequest] | RouterRestart] = []
    rounds: list[dict[UUID, AccountingRequest]] = []
    for item in records:
        if isinstance(item, RouterRestart):
            steps += [list(held.values()) for held in rounds]
            steps.append(item)
            rounds = []
            continue
        held = next((held for held in rounds if item.session_key not in held), None)
        if held is None:
            held = {}
            rounds.append(held)
        held[item.session_key] = item
    return steps + [list(held.values()) for held in rounds]


def _store(connection: BoundedConnection, packets: Sequence[AccountingRequest]) -> set[UUID]:
    reports = [packet for packet in packets if _is_report(packet)]
    stored = _report(connection, reports) if reports else set()
    others = [packet for packet in packets if packet.session_key not in stored]
    return stored | _store_others(connection, others) if others else stored


def _is_report(packet: AccountingRequest) -> bool:
    return packet.status_type != "Start" and packet.subscription_id is not None


def _report(connection: BoundedConnection, packets: Sequence[AccountingRequest]) -> set[UUID]:
    """One statement, which is a transaction of its own."""
    packets = sorted(packets, key=lambda packet: packet.session_key.int)
    return {row[0] for row in connection.ask(_REPORT, _columns(packets, _REPORTED))}


def _store_others(connection: BoundedConnection, packets: Sequence[AccountingRequest]) -> set[UUID]:
    """One commit for all of them, a second for those that start."""
    old = datetime.now(UTC) - _MAYBE_ARCHIVED_AFTER
    known = [packet.session_key for packet in packets if packet.status_type != "Start" or packet.event_at < old]
    started = [packet.session_key for packet in packets if packet.status_type == "Start"]
    classless = [packet for packet in packets if packet.subscription_id is None]
    columns = _columns(packets, _WHOLE)
    if known or classless:
        with connection.transaction():
            if known:
                connection.execute(_HOLD_OFF_ARCHIVE)
                connection.ask(_RESTORE, {"session_key": uuids(known)})
            if classless:
                connection.ask(_ROTATE, _beginnings(classless))
            stored = connection.ask(_STORE, columns)
    else:
        stored = connection.ask(_STORE, columns)
    if started:
        _follow_up(connection, started)
    return {row[0] for row in stored}


def _follow_up(connection: BoundedConnection, started: Sequence[UUID]) -> None:
    """What a Start means beyond its session. In transactions of their own: they touch other sessions and subscriptions,
    and two batches that did so while they hold what they stored could wait for each other.
    """
    for row in connection.ask(_FOLLOW_UP, {"session_key": uuids(started)}):
        _first_login(connection, *row)


def _first_login(
    connection: BoundedConnection,
    subscription_id: int,
    activates: bool,
    started_at: datetime,
    mac: str | None,
    binds: bool,
    validity_unit: str,
    validity_count: int | None,
    timezone: str,
) -> None:
    if activates:
        expires_at = Validity(ValidityUnit(validity_unit), validity_count or 0).after(started_at, ZoneInfo(timezone))
        connection.execute(_ACTIVATE, {"id": subscription_id, "started_at": started_at, "expires_at": expires_at})
    if binds and mac:
        connection.execute(_BIND, {"id": subscription_id, "mac": mac})


def _beginnings(packets: Sequence[AccountingRequest]) -> dict[str, Packed]:
    return {
        "session_key": uuids([packet.session_key for packet in packets]),
        "began_at": timestamps([packet.event_at - timedelta(seconds=packet.session_time_s) for packet in packets]),
    }


def _columns(
    packets: Sequence[AccountingRequest], attributes: Mapping[str, Callable[[Sequence[Any]], Packed]]
) -> dict[str, Packed]:
    columns = {name: packed([getattr(packet, name) for packet in packets]) for name, packed in attributes.items()}
    columns["octets_in"] = int8s([packet.input_octets for packet in packets])
    columns["octets_out"] = int8s([packet.output_octets for packet in packets])
    columns["is_stop"] = bools([packet.status_type == "Stop" for packet in packets])
    return columns
