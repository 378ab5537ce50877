"""Kibali's tables: filled for a run, put back as they were before the next, and compared with what was sent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import orm

from bench.population import (
    DATA_LIMIT_BYTES,
    DEVICES,
    INTERIM_INTERVAL_S,
    NAS_ADDRESS,
    OPEN_AT_STEP,
    PASSWORD,
    PLANS,
    ROUTER_SECRET,
    VALIDITY_DAYS,
    Session,
    Subscriber,
)
from bench.rows import EXPECTED, copy_rows, expected_row
from bench.work import Size
from db import plan, router, tenant, usage_period
from db.engine import make_engine, session_factory
from db.prepare import prepare
from isp.encryption import Keyring
from isp.session_identity import session_key
from settings import DatabaseRole, Settings

_ROUTER_ADDRESS = "127.0.0.1"

_WRONG = """
SELECT count(*) FROM expected e FULL JOIN session s USING (acct_session_id)
 WHERE (e.input_octets, e.output_octets) IS DISTINCT FROM (s.input_octets, s.output_octets)
"""
_OTHER_DEVICE = """
INSERT INTO session (session_key, tenant_id, router_id, subscription_id, service, username, acct_session_id,
                     calling_station_id, interim_interval_s, started_at, last_seen_at)
SELECT gen_random_uuid(), s.tenant_id, r.id, s.id, s.service, s.username, %s, %s, 300, now(), now()
  FROM subscription s JOIN router r USING (tenant_id) WHERE s.id = %s
"""
_SPENT = """
WITH by_day AS (
    INSERT INTO usage_day AS u (subscription_id, day, tenant_id, input_octets)
    SELECT s.id, (now() AT TIME ZONE t.timezone)::date, s.tenant_id, %(octets)s
      FROM subscription s JOIN tenant t ON t.id = s.tenant_id WHERE s.id = %(subscription_id)s
    ON CONFLICT (subscription_id, day) DO UPDATE SET input_octets = u.input_octets + excluded.input_octets
)
UPDATE usage SET input_octets = input_octets + %(octets)s WHERE subscription_id = %(subscription_id)s
"""
_UNSPENT = """
WITH by_day AS (
    UPDATE usage_day SET input_octets = input_octets - %(octets)s
     WHERE subscription_id = %(subscription_id)s AND input_octets >= %(octets)s
)
UPDATE usage SET input_octets = input_octets - %(octets)s
 WHERE subscription_id = %(subscription_id)s AND input_octets >= %(octets)s
"""


@dataclass
class KibaliTables:
    settings: Settings
    size: Size
    _open: list[Session] = field(default_factory=list)
    _usage_before: dict[str, tuple[int, int]] = field(default_factory=dict)

    def fill(self) -> None:
        """The schema, a tenant, its router and plans, a subscription for each subscriber. Nothing if it is there."""
        prepare(self.settings)
        with self.connection() as connection:
            if connection.execute("SELECT 1 FROM tenant").fetchone():
                return
        tenant_id, plan_ids = self._make_tenant()
        with self.connection() as connection:
            self._copy_subscriptions(connection, tenant_id, plan_ids)
            connection.execute("INSERT INTO usage (subscription_id, tenant_id) SELECT id, tenant_id FROM subscription")
        with self.connection() as connection:
            connection.execute("VACUUM ANALYZE")

    def reset(self, open_sessions: int, began_at: int) -> None:
        """Only these sessions, the first by number, are open; they last reported at `began_at`."""
        self._open = [Session(number, Subscriber(number % self.size.subscribers)) for number in range(open_sessions)]
        with self.connection() as connection:
            connection.execute("TRUNCATE session, auth_log")
            self._copy_sessions(connection, datetime.fromtimestamp(began_at, UTC))
            self._note_periods()
            connection.execute("VACUUM ANALYZE session")
            self._usage_before = {table: self._total(connection, table) for table in ("usage", "usage_day")}

    def check(self, reported: Mapping[int, tuple[int, int]]) -> str:
        """Empty if every session holds what it last reported and the usage has grown by it, else what is wrong."""
        before = {session.number: session.octets(OPEN_AT_STEP) for session in self._open}
        # Of a session that began in the run, at least the Start was answered.
        after = {**before, **reported}
        gained = tuple(sum(octets[i] for octets in after.values()) for i in (0, 1))
        gained = tuple(gained[i] - sum(octets[i] for octets in before.values()) for i in (0, 1))
        with self.connection() as connection:
            connection.execute(EXPECTED)
            copy_rows(connection, "expected", (expected_row(number, octets) for number, octets in after.items()))
            (wrong,) = connection.execute(_WRONG).fetchone() or (0,)
            if wrong:
                return f"{wrong} of {len(after)} sessions do not hold the octets that were sent"
            for table, old in self._usage_before.items():
                new = self._total(connection, table)
                grown = (new[0] - old[0], new[1] - old[1])
                if grown != gained:
                    return f"{table} has grown by {grown} octets in place of {gained}"
        return ""

    def logged_logins(self) -> int:
        with self.connection() as connection:
            (rows,) = connection.execute("SELECT count(*) FROM auth_log").fetchone() or (0,)
        return int(rows)

    def take_all_devices(self, subscriber: Subscriber) -> None:
        with self.connection() as connection:
            for number in range(DEVICES):
                connection.execute(
                    _OTHER_DEVICE, (f"other{number}", f"02:FF:00:00:00:0{number}", subscriber.subscription_id)
                )

    def use_up_quota(self, subscriber: Subscriber) -> None:
        with self.connection() as connection:
            connection.execute(_SPENT, _all_of_its_data(subscriber))

    def forgive(self, subscriber: Subscriber) -> None:
        with self.connection() as connection:
            connection.execute("DELETE FROM session WHERE subscription_id = %s", (subscriber.subscription_id,))
            connection.execute(_UNSPENT, _all_of_its_data(subscriber))

    def connections(self) -> int:
        """Of FreeRADIUS to PostgreSQL, now."""
        with self.connection() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'kibali_radius'"
            (number,) = connection.execute(query).fetchone() or (0,)
        return int(number)

    def connection(self) -> psycopg.Connection:
        """As superuser, each statement by itself."""
        return psycopg.connect(self.settings.database_admin_dsn(self.settings.database_name), autocommit=True)

    @contextmanager
    def _session(self, role: DatabaseRole) -> Iterator[orm.Session]:
        """Commits at the end."""
        engine = make_engine(self.settings, role, pool_size=1)
        try:
            with session_factory(engine).begin() as session:
                yield session
        finally:
            engine.dispose()

    def _note_periods(self) -> None:
        """As a worker does each quarter of an hour."""
        with self._session("worker") as session:
            usage_period.note(session, after=0, limit=self.size.subscribers)

    def _make_tenant(self) -> tuple[int, list[int]]:
        with self._session("owner") as session:
            keyring = Keyring.parse(self.settings.encryption_keys.reveal())
            made = tenant.create(session, slug="bench", name="Bench", language="en", timezone="Africa/Nairobi")
            address = {"name": "router", "nas_address": _ROUTER_ADDRESS}
            router.create(session, made.id, address, radius_secret=ROUTER_SECRET, keyring=keyring)
            return made.id, [plan.create(session, made.id, terms).id for terms in map(_plan, range(len(PLANS)))]

    def _copy_subscriptions(self, connection: psycopg.Connection, tenant_id: int, plan_ids: list[int]) -> None:
        keyring = Keyring.parse(self.settings.encryption_keys.reveal())
        now = datetime.now(UTC)
        everybody = [Subscriber(number) for number in range(self.size.subscribers)]
        names = ({"id": who.subscription_id, "tenant_id": tenant_id, "name": who.user_name} for who in everybody)
        copy_rows(connection, "subscriber", names)
        subscriptions = (
            {
                "id": who.subscription_id,
                "tenant_id": tenant_id,
                "subscriber_id": who.subscription_id,
                "plan_id": plan_ids[who.plan],
                "service": who.service,
                "username": who.user_name,
                "password_sealed": keyring.seal(PASSWORD, f"subscription.password:{who.subscription_id}"),
                "activated_at": now,
                "expires_at": now + timedelta(days=VALIDITY_DAYS),
            }
            for who in everybody
        )
        copy_rows(connection, "subscription", subscriptions)

    def _copy_sessions(self, connection: psycopg.Connection, began_at: datetime) -> None:
        (tenant_id, router_id) = connection.execute("SELECT tenant_id, id FROM router").fetchone() or (0, 0)
        fixed = {"tenant_id": tenant_id, "router_id": router_id, "nas_ip_address": NAS_ADDRESS}
        copy_rows(connection, "session", (_session_row(session, fixed, began_at) for session in self._open))

    def _total(self, connection: psycopg.Connection, table: str) -> tuple[int, int]:
        query = f"SELECT coalesce(sum(input_octets), 0), coalesce(sum(output_octets), 0) FROM {table}"  # noqa: S608
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])


def _session_row(session: Session, fixed: Mapping[str, object], began_at: datetime) -> dict[str, object]:
    who, time_s = session.subscriber, session.session_time_s(OPEN_AT_STEP)
    input_octets, output_octets = session.octets(OPEN_AT_STEP)
    router_id = fixed["router_id"]
    assert isinstance(router_id, int)
    return {
        **fixed,
        "session_key": session_key(router_id, session.acct_session_id, session.radius_class, who.user_name, who.mac),
        "subscription_id": who.subscription_id,
        "service": who.service,
        "username": who.user_name,
        "acct_session_id": session.acct_session_id,
        "radius_class": session.radius_class,
        "calling_station_id": who.mac,
        "nas_port": session.nas_port,
        "framed_ip_address": who.framed_ip_address,
        "interim_interval_s": INTERIM_INTERVAL_S,
        "started_at": began_at - timedelta(seconds=time_s),
        "last_seen_at": began_at,
        "session_time_s": time_s,
        "input_octets": input_octets,
        "output_octets": output_octets,
    }


def _all_of_its_data(subscriber: Subscriber) -> dict[str, int]:
    return {"octets": DATA_LIMIT_BYTES, "subscription_id": subscriber.subscription_id}


def _plan(number: int) -> dict[str, object]:
    upload_kbps, download_kbps = PLANS[number]
    return {
        "name": f"Plan {number}",
        "service": "any",
        "price_kes": 1000,
        "upload_kbps": upload_kbps,
        "download_kbps": download_kbps,
        "validity_unit": "days",
        "validity_count": VALIDITY_DAYS,
        "devices": DEVICES,
        "data_limit_bytes": DATA_LIMIT_BYTES,
        "limit_period": "month",
        "interim_interval_s": INTERIM_INTERVAL_S,
    }
