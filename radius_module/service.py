"""The module's work, apart from FreeRADIUS: a login into a decision, a record into the tables.

hooks.py translates between this and the server; tests call it directly.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import psycopg

from isp.encryption import EncryptionError, Keyring
from isp.entitlement import Account
from isp.reasons import Reason
from radius_module.accounting import Record, record
from radius_module.auth_log import AuthLog, Entry
from radius_module.combining import Combiner, Overloaded
from radius_module.connection import BoundedConnection, DatabaseAway, Link
from radius_module.decision import Decision, decision_on
from radius_module.failures import Failures
from radius_module.last_known import LastKnown
from radius_module.logins import ROWS_VERSION, Found, LoginQuery, Row, find, plan_of, read, stable
from radius_module.password import is_right
from radius_module.plans import Plans
from radius_module.recent import RecentLogins
from radius_module.request import AccessRequest, AccountingRequest
from radius_module.routers import Routers
from radius_module.spool import Spool
from radius_module.state import StateFile
from settings import Settings

# A packet waits at most so long for its turn and then for PostgreSQL: together no thread of FreeRADIUS waits longer
# than a second, whatever happens.
QUEUE_DEADLINE_S = 0.5
STATEMENT_DEADLINE_S = 0.5
BACKGROUND_STATEMENT_DEADLINE_S = 5.0
MAX_BATCH = 64


Outcome = bool | psycopg.Error
"""Of a record: whether it was stored, or why it never can be."""


class Unanswerable(Exception):
    """Nothing is known of this login and PostgreSQL is away: no answer, so that another server can be asked."""


class Unstorable(Exception):
    """PostgreSQL is there and refuses this record for what it says; trying again would not help."""


class Service:
    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        """Connects to nothing yet. Raises SettingsError or EncryptionError if it could never work."""
        dsn = settings.database_dsn("radius")
        keyring = Keyring.parse(settings.encryption_keys.reveal())

        def link(name: str, statement_timeout_s: float, *, is_durable: bool = True) -> Link:
            return Link(dsn, name, statement_timeout_s=statement_timeout_s, log=log, is_durable=is_durable)

        self._log = log
        self._keyring = keyring
        self._logins_link = link("logins", STATEMENT_DEADLINE_S)
        self._accounting_link = link("accounting", STATEMENT_DEADLINE_S)
        # What a crash takes of these the next report of each session, which counts from its start, makes good.
        self._interims_link = link("interims", STATEMENT_DEADLINE_S, is_durable=False)
        self._background_link = link("background", BACKGROUND_STATEMENT_DEADLINE_S)
        routers_link = link("routers", STATEMENT_DEADLINE_S)
        self._links = (
            self._logins_link,
            self._accounting_link,
            self._interims_link,
            self._background_link,
            routers_link,
        )
        self._logins: Combiner[AccessRequest, Decision | Exception] = Combiner(self._decide_all, max_batch=MAX_BATCH)
        self._accounting: Combiner[Record, Outcome] = Combiner(self._record, max_batch=MAX_BATCH)
        self._interims: Combiner[Record, Outcome] = Combiner(self._record_interims, max_batch=MAX_BATCH)
        self._failures = Failures()
        self._recent = RecentLogins()
        self._last_known = LastKnown(settings.var / "spool" / "last_known.sqlite", log)
        self._plans = Plans(self._last_known)
        self.routers = Routers(routers_link, self._last_known, keyring, log)
        self.auth_log = AuthLog(self._background_link, log)
        self.spool = Spool(settings.var / "spool" / "accounting", self._store_spooled, log)
        self._state_file = StateFile(settings.run_dir / "freeradius" / "state.json", self.state)

    def start(self) -> None:
        self._last_known.start()
        for link in self._links:
            link.start()
        self.routers.start()
        self.auth_log.start()
        self.spool.start()
        self._state_file.start()

    def close(self) -> None:
        self._state_file.close()
        self.spool.close()
        self.auth_log.close()
        self.routers.close()
        self._last_known.close()
        for link in self._links:
            link.close()

    def state(self) -> dict[str, Any]:
        """For `./kibali status` and /metrics."""
        return {
            "postgres_is_here": all(link.is_up for link in self._links),
            "records_on_disk": self.spool.waiting,
            "spool_problem": self.spool.problem,
            "unknown_senders": self.routers.unknown_senders,
            "answers": dict(self.auth_log.answers),
            "batches": {
                "logins": self._logins.tally.state(),
                "accounting": self._accounting.tally.state(),
                "interims": self._interims.tally.state(),
            },
        }

    # Logins

    def login(self, request: AccessRequest) -> Decision:
        """The decision. Raises Unanswerable."""
        if self._failures.is_blocked(*_who(request), monotonic()):
            language = self.routers.language_of(request.router_id)
            return Decision(request, Reason.TOO_MANY_FAILURES, language, None, {})
        try:
            decision = self._logins.call(request, QUEUE_DEADLINE_S)
        except (DatabaseAway, Overloaded):
            return self._decide_from_last_known(request)
        if isinstance(decision, Exception):
            raise decision
        return decision

    def _decide_all(self, requests: list[AccessRequest]) -> list[Decision | Exception]:
        """All of it in the thread that leads, since each change of thread takes longer than a decision."""
        rows = self._find_each([_query(request) for request in requests])
        now = datetime.now(UTC)
        return [self._decided(request, row, now) for request, row in zip(requests, rows, strict=True)]

    def _decided(self, request: AccessRequest, row: Row | psycopg.Error | None, now: datetime) -> Decision | Exception:
        try:
            if isinstance(row, psycopg.Error):
                what = f"a login of router {request.router_id} can not be looked up: {type(row).__name__}"
                self._log(f"({request.packet}) {what}")
                raise Unanswerable("PostgreSQL refuses the look-up")
            if row is None:
                raise Unanswerable("the router is not ours any more")
            name = _last_known_name(request, row[0])
            version = plan_of(row)
            if version is None:
                self._last_known.forget(name)
            else:
                self._last_known.remember(name, row, stable(row), now)
            found = read(row, None if version is None else self._plans.terms(version))
            return self._settle(self._decide(request, found, now, {}), now)
        except Exception as error:  # noqa: BLE001 (its own caller raises it; the others of its batch go on)
            return error

    def _decide_from_last_known(self, request: AccessRequest) -> Decision:
        now = datetime.now(UTC)
        tenant_id = self.routers.tenant_of(request.router_id)
        recalled = self._last_known.recall(_last_known_name(request, tenant_id), now)
        if recalled is None:
            raise Unanswerable("PostgreSQL is away and nothing is known of this login")
        row, seen_at = recalled
        version = plan_of(row)
        plan = self._plans.recall(version, now) if version else None
        if plan is None:
            raise Unanswerable("PostgreSQL is away and nothing is known of this login's plan")
        detail = {"last_known_at": seen_at.isoformat(timespec="seconds")}
        return self._settle(self._decide(request, read(row, plan), now, detail), now)

    def _settle(self, decision: Decision, now: datetime) -> Decision:
        """Judges the password if that can be done here, and lets in who may."""
        if decision.password is not None:
            right = is_right(decision.request, decision.password)
            if right is None:
                return decision
            if not right:
                decision.refused_as = Reason.WRONG_PASSWORD
                return decision
            decision.password = None
        if decision.is_accept and self.admit(decision, now):
            decision.is_settled = True
            self.answered(decision.request, decision, decision.reason.value, now)
        elif decision.is_accept:
            decision.refused_as = Reason.TOO_MANY_DEVICES
        return decision

    def admit(self, decision: Decision, now: datetime) -> bool:
        """Takes its place for a login whose password was right; False if others took the last one meanwhile."""
        if not decision.is_accept or decision.room_left is None or decision.subscription_id is None:
            return True
        mac = decision.request.calling_station_id
        return self._recent.admit(decision.subscription_id, mac, decision.counted, decision.room_left, now)

    def answered(self, request: AccessRequest, decision: Decision | None, reason: str, now: datetime) -> None:
        """The answer is certain: remembers what matters for the next login, and logs it.

        `decision` is None for a request that was refused before it was looked at.
        """
        is_accept = decision is not None and decision.is_accept and reason == decision.reason.value
        if decision is not None and is_accept:
            self._failures.succeeded(*_who(request))
        elif reason in (Reason.WRONG_PASSWORD.value, Reason.UNKNOWN_USER.value):
            self._failures.failed(*_who(request), monotonic())
        self.auth_log.add(
            Entry(
                logged_at=now,
                router_id=request.router_id,
                subscription_id=decision.subscription_id if decision else None,
                user_name=request.user_name,
                calling_station_id=request.calling_station_id,
                service=request.service or "",
                result="accept" if is_accept else "reject",
                reason=reason,
                detail={**(decision.detail if decision else {}), "packet": request.packet},
            )
        )

    def _find_each(self, queries: list[LoginQuery]) -> Sequence[Row | psycopg.Error | None]:
        try:
            return self._logins_link.use(lambda connection: self._find(connection, queries))
        except psycopg.Error as error:
            if len(queries) == 1:
                return [error]
            # One of them is to blame; the others must not suffer.
            return [row for query in queries for row in self._find_each([query])]

    def _find(self, connection: BoundedConnection, queries: list[LoginQuery]) -> list[Row | None]:
        """The rows; their plans are known then."""
        rows = find(connection, queries)
        versions = {version for row in rows if row is not None and (version := plan_of(row)) is not None}
        if missing := self._plans.missing(versions):
            self._plans.load(connection, missing, datetime.now(UTC))
        return rows

    def _decide(self, request: AccessRequest, found: Found, now: datetime, detail: dict[str, Any]) -> Decision:
        account = found.account
        if account is None:
            reason = Reason.UNKNOWN_DEVICE if request.is_mac_login else Reason.UNKNOWN_USER
            return Decision(request, reason, found.language, None, detail)
        password = None if found.by_device else self._password(request, account.subscription_id, found.password_sealed)
        detail["plan_id"] = found.plan_id
        self._add_recent_logins(account, now)
        return decision_on(request, account, password, found.language, detail, now)

    def _add_recent_logins(self, account: Account, now: datetime) -> None:
        sessions = account.open_sessions
        recent = self._recent.beside(account.subscription_id, sessions, account.plan.interim_interval_s, now)
        if recent:
            account.open_sessions = (*sessions, *recent)

    def _password(self, request: AccessRequest, subscription_id: int, sealed: bytes) -> str:
        try:
            return self._keyring.open(sealed, f"subscription.password:{subscription_id}")
        except EncryptionError as error:
            self._log(f"({request.packet}) a login can not be decided: {error}")
            raise Unanswerable("the password can not be read") from None

    # Accounting

    def account(self, item: Record) -> None:
        """Returns once the record is committed or, while PostgreSQL is away, on the disk.

        Raises SpoolFull or Overloaded (it is not kept: no answer), Unstorable (it never can be stored).
        """
        if isinstance(item, AccountingRequest) and item.status_type == "Stop":
            self._give_up_place(item)
        try:
            is_interim = isinstance(item, AccountingRequest) and item.status_type == "Interim-Update"
            stored = (self._interims if is_interim else self._accounting).call(item, QUEUE_DEADLINE_S)
        except (DatabaseAway, Overloaded):
            self.spool.add(item)
            return
        if isinstance(stored, psycopg.Error):
            raise Unstorable(stored.diag.message_primary or type(stored).__name__)
        if not stored:
            raise Unstorable(f"router {item.router_id} is gone, or the session's id was taken by another")

    def _give_up_place(self, stop: AccountingRequest) -> None:
        """Until the Stop is stored, its session counts by the table. Our own clock: a router's may be wrong."""
        if stop.subscription_id is not None and stop.calling_station_id is not None:
            began_at = datetime.now(UTC) - timedelta(seconds=stop.session_time_s)
            self._recent.ended(stop.subscription_id, stop.calling_station_id, began_at)

    def _record(self, items: list[Record]) -> list[Outcome]:
        return self._record_on(self._accounting_link, items)

    def _record_interims(self, items: list[Record]) -> list[Outcome]:
        return self._record_on(self._interims_link, items)

    def _record_on(self, link: Link, items: Sequence[Record]) -> list[Outcome]:
        try:
            return [*link.use(lambda connection: record(connection, items))]
        except psycopg.Error as error:
            if len(items) == 1:
                return [error]
            # One of them is to blame; the others must not suffer.
            return [stored for item in items for stored in self._record_on(link, [item])]

    def _store_spooled(self, records: Sequence[Record]) -> bool:
        if not self._accounting_link.is_up:
            return False
        try:
            outcomes = self._record_on(self._background_link, records) if records else []
        except DatabaseAway:
            return False
        for item, stored in zip(records, outcomes, strict=True):
            if stored is not True:
                self._log(f"a spooled record of router {item.router_id} can not be stored: {stored or 'gone'}")
        return True


def _query(request: AccessRequest) -> LoginQuery:
    mac = request.calling_station_id if request.is_mac_login else None
    return LoginQuery(request.router_id, request.user_name, mac)


def _last_known_name(request: AccessRequest, tenant_id: int | None) -> str:
    mac = request.calling_station_id if request.is_mac_login else ""
    return f"login\0{ROWS_VERSION}\0{tenant_id}\0{request.user_name.lower()}\0{mac}"


def _who(request: AccessRequest) -> tuple[tuple[int, str] | None, tuple[int, str]]:
    """The device and the name of a login, at its router."""
    mac = request.calling_station_id
    return (request.router_id, mac) if mac else None, (request.router_id, request.user_name.lower())
