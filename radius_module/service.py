"""The module's work, apart from FreeRADIUS: a login into a decision, a record into the tables.

hooks.py translates between this and the server; tests call it directly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import psycopg

from isp.encryption import EncryptionError, Keyring
from isp.entitlement import Accept, Account, Attempt, decide
from isp.reasons import Reason, sentence
from isp.reply import attributes
from isp.session_identity import new_class
from radius_module.accounting import Record, record
from radius_module.auth_log import AuthLog, Entry
from radius_module.combining import Combiner, Overloaded
from radius_module.connection import DatabaseAway, Link
from radius_module.failures import Failures
from radius_module.last_known import LastKnown
from radius_module.logins import ROWS_VERSION, Found, LoginQuery, Row, find, read, stable
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


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a login if its password is right."""

    request: AccessRequest
    reason: Reason
    subscription_id: int | None
    detail: dict[str, Any]
    """The values it rests on, for the log."""
    reply: tuple[tuple[str, str], ...] = ()
    password: str | None = None
    """What the password must be; None where none is asked (a known device) or nothing would help."""
    is_accept: bool = False
    message: str = ""
    """The customer's sentence of a reject."""
    wrong_password_message: str = ""
    room_left: int | None = None
    """How many more devices may log in beside this one; None if that is no matter."""
    known_devices: frozenset[str | None] = frozenset()
    """Those that were counted already."""
    too_many_devices_message: str = ""


class Unanswerable(Exception):
    """Nothing is known of this login and PostgreSQL is away: no answer, so that another server can be asked."""


class Unstorable(Exception):
    """PostgreSQL is there and refuses this record for what it says; trying again would not help."""


class Service:
    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        """Connects to nothing yet. Raises SettingsError or EncryptionError if it could never work."""
        dsn = settings.database_dsn("radius")
        keyring = Keyring.parse(settings.encryption_keys.reveal())

        def link(name: str, statement_timeout_s: float) -> Link:
            return Link(dsn, name, statement_timeout_s=statement_timeout_s, log=log)

        self._log = log
        self._keyring = keyring
        self._logins_link = link("logins", STATEMENT_DEADLINE_S)
        self._accounting_link = link("accounting", STATEMENT_DEADLINE_S)
        self._interims_link = link("interims", STATEMENT_DEADLINE_S)
        self._background_link = link("background", BACKGROUND_STATEMENT_DEADLINE_S)
        routers_link = link("routers", STATEMENT_DEADLINE_S)
        self._links = (
            self._logins_link,
            self._accounting_link,
            self._interims_link,
            self._background_link,
            routers_link,
        )
        self._logins: Combiner[LoginQuery, Row | None] = Combiner(self._find, max_batch=MAX_BATCH)
        self._accounting: Combiner[Record, Outcome] = Combiner(self._record, max_batch=MAX_BATCH)
        self._interims: Combiner[Record, Outcome] = Combiner(self._record_interims, max_batch=MAX_BATCH)
        self._failures = Failures()
        self._recent = RecentLogins()
        self._last_known = LastKnown(settings.var / "spool" / "last_known.sqlite", log)
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
        """For `./kibali status`."""
        return {
            "postgres_is_here": all(link.is_up for link in self._links),
            "records_on_disk": self.spool.waiting,
            "spool_problem": self.spool.problem,
            "unknown_senders": self.routers.unknown_senders,
        }

    # Logins

    def login(self, request: AccessRequest) -> Decision:
        """The decision. Raises Unanswerable."""
        if self._failures.is_blocked(*_who(request), monotonic()):
            reason = Reason.TOO_MANY_FAILURES
            return Decision(
                request, reason, None, {}, message=sentence(reason, self.routers.language_of(request.router_id))
            )
        now = datetime.now(UTC)
        name = self._last_known_name(request)
        mac = request.calling_station_id if request.is_mac_login else None
        try:
            row = self._logins.call(LoginQuery(request.router_id, request.user_name, mac), QUEUE_DEADLINE_S)
        except (DatabaseAway, Overloaded):
            return self._decide_from_last_known(request, name, now)
        except psycopg.Error as error:
            self._log(f"a login of router {request.router_id} can not be looked up: {type(error).__name__}")
            raise Unanswerable("PostgreSQL refuses the look-up") from None
        if row is None:
            raise Unanswerable("the router is not ours any more")
        found = read(row)
        if found.account is None:
            self._last_known.forget(name)
        else:
            self._last_known.remember(name, row, stable(row), now)
        return self._decide(request, found, now, {})

    def _last_known_name(self, request: AccessRequest) -> str:
        tenant_id = self.routers.tenant_of(request.router_id)
        mac = request.calling_station_id if request.is_mac_login else ""
        return f"login\0{ROWS_VERSION}\0{tenant_id}\0{request.user_name.lower()}\0{mac}"

    def _decide_from_last_known(self, request: AccessRequest, name: str, now: datetime) -> Decision:
        recalled = self._last_known.recall(name, now)
        if recalled is None:
            raise Unanswerable("PostgreSQL is away and nothing is known of this login")
        row, seen_at = recalled
        return self._decide(request, read(row), now, {"last_known_at": seen_at.isoformat(timespec="seconds")})

    def admit(self, decision: Decision) -> bool:
        """Takes its place for a login whose password was right; False if others took the last one meanwhile."""
        if not decision.is_accept or decision.room_left is None or decision.subscription_id is None:
            return True
        mac = decision.request.calling_station_id
        now = datetime.now(UTC)
        return self._recent.admit(decision.subscription_id, mac, decision.known_devices, decision.room_left, now)

    def answered(self, request: AccessRequest, decision: Decision | None, reason: str) -> None:
        """The answer has gone out: remembers what matters for the next login, and logs it.

        `decision` is None for a request that was refused before it was looked at.
        """
        is_accept = decision is not None and decision.is_accept and reason == decision.reason.value
        now = datetime.now(UTC)
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
                detail=decision.detail if decision else {},
            )
        )

    def _find(self, queries: list[LoginQuery]) -> list[Row | None]:
        try:
            return self._logins_link.use(lambda connection: find(connection, queries))
        except psycopg.Error:
            if len(queries) == 1:
                raise
            return [row for query in queries for row in self._find([query])]

    def _decide(self, request: AccessRequest, found: Found, now: datetime, detail: dict[str, Any]) -> Decision:
        account = found.account
        if account is None:
            reason = Reason.UNKNOWN_DEVICE if request.is_mac_login else Reason.UNKNOWN_USER
            return Decision(request, reason, None, detail, message=sentence(reason, found.language))
        account = self._with_recent_logins(account, now)
        verdict = decide(account, Attempt(request.service, request.calling_station_id, request.router_id), now)
        detail |= {"plan_id": found.plan_id, "open_sessions": len(account.open_sessions)}
        if account.expires_at:
            detail["expires_at"] = account.expires_at.isoformat(timespec="seconds")
        password = None if found.by_device else self._password(account.subscription_id, found.password_sealed)
        reply: tuple[tuple[str, str], ...] = ()
        message = ""
        room_left = None
        if isinstance(verdict, Accept):
            room_left = verdict.room_left
            detail["rate_limit"] = verdict.rate_limit
            if verdict.session_timeout_s is not None:
                detail["session_timeout_s"] = verdict.session_timeout_s
            radius_class = "0x" + new_class(account.subscription_id).encode().hex()
            reply = (*attributes(verdict, account.service), ("Class", radius_class))
        else:
            message = sentence(verdict.reason, found.language)
        return Decision(
            request,
            verdict.reason,
            account.subscription_id,
            detail,
            reply=reply,
            password=password,
            is_accept=bool(reply),
            message=message,
            room_left=room_left,
            known_devices=_living_devices(account, now),
            too_many_devices_message=sentence(Reason.TOO_MANY_DEVICES, found.language),
            wrong_password_message=sentence(Reason.WRONG_PASSWORD, found.language),
        )

    def _with_recent_logins(self, account: Account, now: datetime) -> Account:
        sessions = account.open_sessions
        recent = self._recent.beside(account.subscription_id, sessions, account.plan.interim_interval_s, now)
        return replace(account, open_sessions=(*sessions, *recent)) if recent else account

    def _password(self, subscription_id: int, sealed: bytes) -> str:
        try:
            return self._keyring.open(sealed, f"subscription.password:{subscription_id}")
        except EncryptionError as error:
            self._log(f"a login can not be decided: {error}")
            raise Unanswerable("the password can not be read") from None

    # Accounting

    def account(self, item: Record) -> None:
        """Returns once the record is committed or, while PostgreSQL is away, on the disk.

        Raises SpoolFull or Overloaded (it is not kept: no answer), Unstorable (it never can be stored).
        """
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

    def _record(self, items: list[Record]) -> list[Outcome]:
        return self._record_on(self._accounting_link, items)

    def _record_interims(self, items: list[Record]) -> list[Outcome]:
        return self._record_on(self._interims_link, items, is_durable=False)

    def _record_on(self, link: Link, items: Sequence[Record], *, is_durable: bool = True) -> list[Outcome]:
        try:
            return [*link.use(lambda connection: record(connection, items, is_durable=is_durable))]
        except psycopg.Error as error:
            if len(items) == 1:
                return [error]
            # One of them is to blame; the others must not suffer.
            return [stored for item in items for stored in self._record_on(link, [item], is_durable=is_durable)]

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


def _living_devices(account: Account, now: datetime) -> frozenset[str | None]:
    return frozenset([session.calling_station_id for session in account.open_sessions if not session.is_ghost(now)])


def _who(request: AccessRequest) -> tuple[tuple[int, str] | None, tuple[int, str]]:
    """The device and the name of a login, at its router."""
    mac = request.calling_station_id
    return (request.router_id, mac) if mac else None, (request.router_id, request.user_name.lower())
