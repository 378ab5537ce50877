"""A year of closed sessions, the same for Kibali and for rlm_sql, made by PostgreSQL itself.

Filled without indexes and vacuumed, so that no background work of PostgreSQL falls into a run; then indexed.
"""

from datetime import UTC, date, datetime, timedelta

import psycopg

_MONTHS = 12
_SETTINGS = (
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '1GB'",
    "SET max_parallel_maintenance_workers = 2",
)

# Of every subscriber as many; what they used in a month is far from its limit.
_SUBSCRIBER = "(g::bigint * 7919 %% {subscribers})"
_INPUT_OCTETS, _OUTPUT_OCTETS, _SESSION_TIME_S = 20_000_000, 200_000_000, 3600

_KIBALI = """
INSERT INTO {partition} (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,
                         radius_class, calling_station_id, called_station_id, nas_ip_address, nas_port, nas_port_id,
                         framed_ip_address, interim_interval_s, started_at, last_seen_at, stopped_at, stop_received,
                         terminate_cause, session_time_s, input_octets, output_octets)
SELECT md5(g::text)::uuid, r.tenant_id, r.id, who + 1, 'pppoe', 'subscriber' || lpad(who::text, 6, '0'), to_hex(g),
       'k1.' || who + 1 || '.' || lpad(to_hex(g), 16, '0'), '02:00:00:00:00:01', 'pppoe1', '10.0.0.1', g, 'ether2',
       '10.64.0.1', 300, at - interval '1 hour', at, at, true, 'User-Request', {time_s}, {input}, {output}
  FROM router r,
       generate_series(%(first)s::int8, %(last)s::int8) g,
       LATERAL (SELECT {subscriber} AS who,
                       %(since)s::timestamptz
                       + (%(until)s::timestamptz - %(since)s) * ((g - %(first)s)::float8 / %(count)s) AS at) x
"""

_KIBALI_USAGE = """
INSERT INTO usage_day (subscription_id, day, tenant_id, session_time_s, input_octets, output_octets)
SELECT subscription_id, (stopped_at AT TIME ZONE 'Africa/Nairobi')::date, min(tenant_id), sum(session_time_s),
       sum(input_octets), sum(output_octets)
  FROM session_history WHERE stopped_at > now() - interval '33 days' GROUP BY 1, 2
"""

_KIBALI_TOTALS = """
UPDATE usage u
   SET session_time_s = used.session_time_s, input_octets = used.input_octets, output_octets = used.output_octets,
       period_began = NULL
  FROM (SELECT s.id, coalesce(sum(d.session_time_s), 0) AS session_time_s,
               coalesce(sum(d.input_octets), 0) AS input_octets, coalesce(sum(d.output_octets), 0) AS output_octets
          FROM subscription s LEFT JOIN usage_day d ON d.subscription_id = s.id GROUP BY s.id) used
 WHERE u.subscription_id = used.id
"""

_SQL = """
INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, nasportid, nasporttype, acctstarttime,
                     acctupdatetime, acctstoptime, acctsessiontime, acctauthentic, acctinputoctets, acctoutputoctets,
                     calledstationid, callingstationid, acctterminatecause, servicetype, framedprotocol,
                     framedipaddress)
SELECT to_hex(g), md5(g::text), 'subscriber' || lpad(who::text, 6, '0'), '10.0.0.1', 'ether2', 'Ethernet',
       at - interval '1 hour', at, at, {time_s}, 'RADIUS', {input}, {output}, 'pppoe1', '02:00:00:00:00:01',
       'User-Request', 'Framed-User', 'PPP', '10.64.0.1'
  FROM generate_series(1, %(count)s::int8) g,
       LATERAL (SELECT {subscriber} AS who,
                       %(since)s::timestamptz
                       + (%(until)s::timestamptz - %(since)s) * (g::float8 / %(count)s) AS at) x
"""


def fill_kibali(connection: psycopg.Connection, sessions: int, subscribers: int) -> None:
    """In place of what history there is: `sessions`, spread over a year, and what they used by day."""
    _prepare(connection)
    months = _months(datetime.now(UTC))
    for number, (since, until) in enumerate(months):
        first, last = sessions * number // len(months) + 1, sessions * (number + 1) // len(months)
        partition = f"session_history_{since:%Y_%m}"
        connection.execute(f"DROP TABLE IF EXISTS {partition}")
        connection.execute(f"CREATE TABLE {partition} (LIKE session_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
        values = {"first": first, "last": last, "since": since, "until": until, "count": max(1, last - first + 1)}
        connection.execute(_formatted(_KIBALI, subscribers, partition).encode(), values)
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {partition}")
        connection.execute(f"ALTER TABLE {partition} ENABLE ROW LEVEL SECURITY")
        # The next month's beginning, also for the running month.
        end = (since.replace(day=1) + timedelta(days=32)).replace(day=1)
        # Makes the indexes of the parent on it.
        connection.execute(
            f"ALTER TABLE session_history ATTACH PARTITION {partition}"
            f" FOR VALUES FROM ('{since:%Y-%m-%d}') TO ('{end:%Y-%m-%d}')"
        )
    connection.execute("TRUNCATE usage_day")
    connection.execute(_KIBALI_USAGE)
    connection.execute(_KIBALI_TOTALS)
    connection.execute("VACUUM (FREEZE, ANALYZE) usage_day, usage")
    connection.execute("CHECKPOINT")


def fill_sql(connection: psycopg.Connection, sessions: int, subscribers: int) -> None:
    """In place of all of radacct: `sessions`, spread over a year. The schema stays as it is, stock or tuned."""
    _prepare(connection)
    now = datetime.now(UTC)
    indexes = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'radacct' AND indexname NOT LIKE '%_key'"
        " AND indexname NOT LIKE '%_pkey'"
    ).fetchall()
    connection.execute("TRUNCATE radacct RESTART IDENTITY")
    connection.execute("ALTER TABLE radacct DROP CONSTRAINT radacct_pkey, DROP CONSTRAINT radacct_acctuniqueid_key")
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    values = {"count": sessions, "since": now - timedelta(days=365), "until": now - timedelta(hours=2)}
    connection.execute(_formatted(_SQL, subscribers, "").encode(), values)
    connection.execute("VACUUM (FREEZE) radacct")
    connection.execute("ALTER TABLE radacct ADD PRIMARY KEY (radacctid), ADD UNIQUE (acctuniqueid)")
    for _, definition in indexes:
        connection.execute(definition)
    connection.execute("ANALYZE radacct")
    connection.execute("UPDATE bench SET history_until = %s", (sessions,))
    connection.execute("CHECKPOINT")


def _prepare(connection: psycopg.Connection) -> None:
    for setting in _SETTINGS:
        connection.execute(setting)


def _formatted(query: str, subscribers: int, partition: str) -> str:
    return query.format(
        partition=partition,
        subscriber=_SUBSCRIBER.format(subscribers=subscribers),
        time_s=_SESSION_TIME_S,
        input=_INPUT_OCTETS,
        output=_OUTPUT_OCTETS,
    )


def _months(now: datetime) -> list[tuple[datetime, datetime]]:
    """Beginning and end of each of the last twelve months, the running one ending two hours ago or at its beginning."""
    months = []
    first = date(now.year, now.month, 1)
    until = now - timedelta(hours=2)
    for _ in range(_MONTHS):
        since = datetime(first.year, first.month, 1, tzinfo=UTC)
        months.append((since, max(since, until)))
        until = since - timedelta(seconds=1)
        first = (first - timedelta(days=1)).replace(day=1)
    return months[::-1]
