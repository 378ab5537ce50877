"""The module's work, apart from FreeRADIUS: a login into a decision, a record into the tables.

hooks.py translates between this and the server; tests call it directly.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from isp.encryption import EncryptionError, Keyring
from isp.entitlement import Accept, Attempt, decide
from isp.reasons import Reason, sentence
from isp.reply import attributes
from isp.session_identity import new_class
from radius_module.accounting import Record, record
from radius_module.auth_log import AuthLog
from radius_module.combining import Combiner, Overloaded
from radius_module.connection import DatabaseAway, Link
from radius_module.logins import Found, LoginQuery, find
from radius_module.request import AccessRequest
from radius_module.routers import Routers
from settings import Settings

# No thread of FreeRADIUS waits longer for a packet, whatever happens to PostgreSQL.
PACKET_DEADLINE_S = 1.0
STATEMENT_DEADLINE_S = 0.8
BACKGROUND_STATEMENT_DEADLINE_S = 5.0
MAX_BATCH = 64


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with a login if its password is right."""

    request: AccessRequest
    reason: Reason
    subscription_id: int | None
    detail: dict[str, Any]
    reply: tuple[tuple[str, str], ...] = ()
    password: str | None = None
    """What the password must be; None where none is asked (a known device) or nothing would help."""
    is_accept: bool = False
    message: str = ""
    """The customer's sentence of a reject."""
    wrong_password_message: str = ""


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
        self._background_link = link("background", BACKGROUND_STATEMENT_DEADLINE_S)
        self._links = (self._logins_link, self._accounting_link, self._background_link)
        self._logins: Combiner[LoginQuery, Found | None] = Combiner(self._find, max_batch=MAX_BATCH)
        self._accounting: Combiner[Record, bool | psycopg.Error] = Combiner(self._record, max_batch=MAX_BATCH)
        self.routers = Routers(self._background_link, keyring, log)
        self.auth_log = AuthLog(self._background_link, log)

    def start(self) -> None:
        for link in self._links:
            link.start()
        self.routers.start()
        self.auth_log.start()

    def close(self) -> None:
        self.auth_log.close()
        self.routers.close()
        for link in self._links:
            link.close()

    def login(self, request: AccessRequest) -> Decision | None:
        """The decision; None if the router is not ours any more.

        Raises DatabaseAway or Overloaded: then there is no answer to give.
        """
        query = LoginQuery(
            request.router_id, request.user_name, request.calling_station_id if request.is_mac_login else None
        )
        found = self._logins.call(query, PACKET_DEADLINE_S)
        if found is None:
            return None
        return self._decide(request, found, datetime.now(UTC))

    def account(self, item: Record) -> bool:
        """Stores a record and commits; False if its router never existed.

        Raises DatabaseAway or Overloaded: then it is to be kept elsewhere; Unstorable: it never can be stored.
        """
        stored = self._accounting.call(item, PACKET_DEADLINE_S)
        if isinstance(stored, psycopg.Error):
            raise Unstorable(stored.diag.message_primary or type(stored).__name__)
        return stored

    def _find(self, queries: list[LoginQuery]) -> list[Found | None]:
        return self._logins_link.use(lambda connection: find(connection, queries))

    def _record(self, items: list[Record]) -> list[bool | psycopg.Error]:
        try:
            return [*self._accounting_link.use(lambda connection: record(connection, items))]
        except psycopg.Error as error:
            if len(items) == 1:
                return [error]
            # One of them is to blame; the others must not suffer.
            return [stored for item in items for stored in self._record([item])]

    def _decide(self, request: AccessRequest, found: Found, now: datetime) -> Decision:
        account = found.account
        if account is None:
            reason = Reason.UNKNOWN_DEVICE if request.is_mac_login else Reason.UNKNOWN_USER
            return Decision(request, reason, None, {}, message=sentence(reason, found.language))
        verdict = decide(account, Attempt(request.service, request.calling_station_id, request.router_id), now)
        detail: dict[str, Any] = {"plan_id": found.plan_id, "open_sessions": len(account.open_sessions)}
        if account.expires_at:
            detail["expires_at"] = account.expires_at.isoformat(timespec="seconds")
        password = None if found.by_device else self._password(account.subscription_id, found.password_sealed)
        wrong_password = sentence(Reason.WRONG_PASSWORD, found.language)
        if isinstance(verdict, Accept):
            reply = (*attributes(verdict, account.service), ("Class", _octets(new_class(account.subscription_id))))
            detail["rate_limit"] = verdict.rate_limit
            if verdict.session_timeout_s is not None:
                detail["session_timeout_s"] = verdict.session_timeout_s
            return Decision(
                request,
                verdict.reason,
                account.subscription_id,
                detail,
                reply=reply,
                password=password,
                is_accept=True,
                wrong_password_message=wrong_password,
            )
        return Decision(
            request,
            verdict.reason,
            account.subscription_id,
            detail,
            password=password,
            message=sentence(verdict.reason, found.language),
            wrong_password_message=wrong_password,
        )

    def _password(self, subscription_id: int, sealed: bytes) -> str:
        try:
            return self._keyring.open(sealed, f"subscription.password:{subscription_id}")
        except EncryptionError as error:
            self._log(f"a login can not be decided: {error}")
            raise DatabaseAway("the password can not be read") from None


def _octets(text: str) -> str:
    """As FreeRADIUS reads octets."""
    return "0x" + text.encode().hex()


__all__ = ["DatabaseAway", "Decision", "Overloaded", "Service", "Unstorable"]
