"""The tables of both peers with rlm_sql: one database of the stock schema, to which the tuning is done and undone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from itertools import chain
from pathlib import Path

import psycopg

from bench.population import (
    DATA_LIMIT_BYTES,
    DEVICES,
    INTERIM_INTERVAL_S,
    NAS_ADDRESS,
    NAS_IDENTIFIER,
    OPEN_AT_STEP,
    PASSWORD,
    PLANS,
    VALIDITY_DAYS,
    Session,
    Subscriber,
)
from bench.rows import EXPECTED, copy_rows, expected_row
from bench.work import Size
from settings import Settings

DATABASE = ROLE = "radius"
ROLE_PASSWORD = "bench"  # noqa: S105
PEERS = Path(__file__).parent / "peers"

_WRONG = """
SELECT count(*) FROM expected e
  FULL JOIN (SELECT * FROM radacct WHERE radacctid > %s) r ON r.acctsessionid = e.acct_session_id
 WHERE (e.input_octets, e.output_octets) IS DISTINCT FROM (r.acctinputoctets, r.acctoutputoctets)
"""
_EXTRA = """
INSERT INTO radacct (acctsessionid, acctuniqueid, username, nasipaddress, acctstarttime, acctstoptime, acctinputoctets,
                     acctoutputoctets, callingstationid)
VALUES (%(id)s, %(who)s || %(id)s, %(who)s, '10.0.0.1', now(), CASE WHEN %(is_open)s THEN NULL ELSE now() END,
        %(octets)s, 0, %(id)s)
"""


@dataclass
class SqlTables:
    settings: Settings
    size: Size
    _open: list[Session] = field(default_factory=list)

    def fill(self) -> None:
        """The database, its role, and every subscriber as either peer looks it up. Nothing if it is there."""
        with psycopg.connect(self.settings.database_admin_dsn(), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                return
            admin.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE_PASSWORD}'")
            admin.execute(f"CREATE DATABASE {DATABASE}")
        with self.connection() as connection:
            connection.execute((PEERS / "sql_stock" / "schema.sql").read_bytes())
            self._copy_subscribers(connection)
            connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}")
            connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {ROLE}")
            connection.execute("CREATE TABLE bench (tuned boolean, history_until bigint)")
            connection.execute("INSERT INTO bench VALUES (false, 0)")
            connection.execute("VACUUM ANALYZE")

    def is_tuned(self) -> bool:
        with self.connection() as connection:
            return connection.execute("SELECT tuned FROM bench").fetchone() == (True,)

    def tune(self, tuned: bool) -> None:
        """Makes the schema the tuned one or the stock one, if it is not that already."""
        with self.connection() as connection:
            if self.is_tuned() == tuned:
                return
            connection.execute((PEERS / "sql_tuned" / ("schema.sql" if tuned else "undo.sql")).read_bytes())
            connection.execute("UPDATE bench SET tuned = %s", (tuned,))
            connection.execute("VACUUM ANALYZE radacct")

    def reset(self, open_sessions: int, began_at: int) -> None:
        """After the history come these sessions only, the first by number, all open, last reported at `began_at`."""
        self._open = [Session(number, Subscriber(number % self.size.subscribers)) for number in range(open_sessions)]
        with self.connection() as connection:
            connection.execute("TRUNCATE radpostauth")
            if self._history_until(connection):
                connection.execute("DELETE FROM radacct WHERE radacctid > (SELECT history_until FROM bench)")
            else:
                connection.execute("TRUNCATE radacct")
            connection.execute("VACUUM radacct")
            self._copy_sessions(connection, datetime.fromtimestamp(began_at, UTC))
            connection.execute("ANALYZE radacct")

    def check(self, reported: Mapping[int, tuple[int, int]]) -> str:
        """Empty if every session holds what it last reported, else what is wrong."""
        after = {**{session.number: session.octets(OPEN_AT_STEP) for session in self._open}, **reported}
        with self.connection() as connection:
            connection.execute(EXPECTED)
            copy_rows(connection, "expected", (expected_row(number, octets) for number, octets in after.items()))
            (wrong,) = connection.execute(_WRONG, (self._history_until(connection),)).fetchone() or (0,)
        return f"{wrong} of {len(after)} sessions do not hold the octets that were sent" if wrong else ""

    def logged_logins(self) -> int:
        with self.connection() as connection:
            (rows,) = connection.execute("SELECT count(*) FROM radpostauth").fetchone() or (0,)
        return int(rows)

    def take_all_devices(self, subscriber: Subscriber) -> None:
        with self.connection() as connection:
            for number in range(DEVICES):
                values = {"who": subscriber.user_name, "id": f"other{number}", "octets": 0, "is_open": True}
                connection.execute(_EXTRA, values)

    def use_up_quota(self, subscriber: Subscriber) -> None:
        with self.connection() as connection:
            values = {"who": subscriber.user_name, "id": "spent", "octets": DATA_LIMIT_BYTES, "is_open": False}
            connection.execute(_EXTRA, values)

    def forgive(self, subscriber: Subscriber) -> None:
        with self.connection() as connection:
            connection.execute(
                "DELETE FROM radacct WHERE username = %s AND radacctid > (SELECT history_until FROM bench)",
                (subscriber.user_name,),
            )

    def connections(self) -> int:
        """Of FreeRADIUS to PostgreSQL, now."""
        with self.connection() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
            (number,) = connection.execute(query, (ROLE,)).fetchone() or (0,)
        return int(number)

    def connection(self) -> psycopg.Connection:
        """As superuser, each statement by itself."""
        return psycopg.connect(self.settings.database_admin_dsn(DATABASE), autocommit=True)

    def _history_until(self, connection: psycopg.Connection) -> int:
        (until,) = connection.execute("SELECT history_until FROM bench").fetchone() or (0,)
        return int(until)

    def _copy_subscribers(self, connection: psycopg.Connection) -> None:
        """What the stock peer asks for, and in a table of its own what the tuned one does."""
        everybody = [Subscriber(number) for number in range(self.size.subscribers)]
        expires = (datetime.now(UTC) + timedelta(days=VALIDITY_DAYS)).strftime("%d %b %Y %H:%M:%S")
        both = {"Cleartext-Password": PASSWORD, "Expiration": expires}
        policy = {**both, "Simultaneous-Use": str(DEVICES), "Bench-Max-Monthly-Octets": str(DATA_LIMIT_BYTES)}
        copy_rows(connection, "radcheck", chain.from_iterable(_items("username", w.user_name, both) for w in everybody))
        groups = ({"username": who.user_name, "groupname": f"plan{who.plan}", "priority": 1} for who in everybody)
        copy_rows(connection, "radusergroup", groups)
        replies = (_items("groupname", f"plan{each.plan}", _reply(each)) for each in map(Subscriber, range(len(PLANS))))
        copy_rows(connection, "radgroupreply", chain.from_iterable(replies))
        connection.execute("CREATE TABLE tuned_check (LIKE radcheck INCLUDING ALL)")
        tuned = (_items("username", w.user_name, {**policy, "Bench-Rate-Limit": w.rate_limit}) for w in everybody)
        copy_rows(connection, "tuned_check", chain.from_iterable(tuned))

    def _copy_sessions(self, connection: psycopg.Connection, began_at: datetime) -> None:
        copy_rows(connection, "radacct", (_session_row(session, began_at) for session in self._open))


def _items(key: str, name: str, attributes: Mapping[str, str]) -> Iterator[dict[str, object]]:
    for attribute, value in attributes.items():
        yield {key: name, "attribute": attribute, "op": ":=", "value": value}


def _reply(subscriber: Subscriber) -> dict[str, str]:
    """Of the plan that this subscriber has."""
    return {
        "Mikrotik-Rate-Limit": subscriber.rate_limit,
        "Acct-Interim-Interval": str(INTERIM_INTERVAL_S),
        "Mikrotik-Total-Limit": str(DATA_LIMIT_BYTES & 0xFFFF_FFFF),
        "Mikrotik-Total-Limit-Gigawords": str(DATA_LIMIT_BYTES >> 32),
        "Class": "0x" + b"k1.1.0000000000000000".hex(),
    }


def _session_row(session: Session, began_at: datetime) -> dict[str, object]:
    who, time_s = session.subscriber, session.session_time_s(OPEN_AT_STEP)
    input_octets, output_octets = session.octets(OPEN_AT_STEP)
    is_pppoe = who.service == "pppoe"
    port_id = "ether2" if is_pppoe else "bridge"
    return {
        "acctsessionid": session.acct_session_id,
        "acctuniqueid": _unique_id(session, port_id),
        "username": who.user_name,
        "nasipaddress": NAS_ADDRESS,
        "nasportid": port_id,
        "nasporttype": "Ethernet",
        "acctstarttime": began_at - timedelta(seconds=time_s),
        "acctupdatetime": began_at,
        "acctsessiontime": time_s,
        "acctauthentic": "RADIUS",
        "acctinputoctets": input_octets,
        "acctoutputoctets": output_octets,
        "calledstationid": "pppoe1" if is_pppoe else "hotspot1",
        "callingstationid": who.mac,
        "servicetype": "Framed-User" if is_pppoe else "Login-User",
        "framedprotocol": "PPP" if is_pppoe else "",
        "framedipaddress": who.framed_ip_address,
    }


def _unique_id(session: Session, port_id: str) -> str:
    """Acct-Unique-Session-Id, as peers/common/acct_unique.conf computes it."""
    user_name, port = session.subscriber.user_name, session.nas_port
    text = f"{user_name},{session.acct_session_id},{NAS_ADDRESS},{NAS_IDENTIFIER},{port_id},{port}"
    return md5(text.encode()).hexdigest()  # noqa: S324
