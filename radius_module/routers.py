"""The routers that may ask, by source address: a copy of their table, kept fresh in the background.

It answers FreeRADIUS's question about a sender without a query, so a flood of unknown senders costs the database
nothing, and known routers stay known while PostgreSQL is away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from threading import Event, Thread
from time import monotonic
from zlib import crc32

import psycopg

from isp.encryption import EncryptionError, Keyring
from radius_module.connection import BoundedConnection, DatabaseAway, Link
from radius_module.last_known import LastKnown, Row

REFRESH_S = 10.0
# A sender that is not in the copy makes it look again, but not more often than this.
EAGER_REFRESH_S = 1.0


_SELECT = """
SELECT r.id, r.tenant_id, t.language, host(r.nas_address), r.radius_secret_sealed, r.require_message_authenticator
  FROM router r JOIN tenant t ON t.id = r.tenant_id WHERE r.removed_at IS NULL ORDER BY r.id
"""
_LAST_KNOWN = f"routers\0{crc32(_SELECT.encode())}"


@dataclass(frozen=True, slots=True)
class Client:
    """A router as FreeRADIUS needs it."""

    router_id: int
    tenant_id: int
    language: str
    """Of its tenant's customers."""
    address: str
    secret: str
    require_message_authenticator: str
    """`auto`, `yes` or `no`."""


class Routers:
    def __init__(self, link: Link, last_known: LastKnown, keyring: Keyring, log: Callable[[str], None]) -> None:
        self._link = link
        self._last_known = last_known
        self._keyring = keyring
        self._log = log
        self._clients: dict[str, Client] = {}
        self._by_id: dict[int, Client] = {}
        self._sealed: dict[int, tuple[bytes, str]] = {}
        self._refreshed_at = -EAGER_REFRESH_S
        self._closing = Event()
        self.unknown_senders = 0

    def start(self) -> None:
        """The table; while PostgreSQL is away, as it was last known here."""
        if not self._refresh():
            recalled = self._last_known.recall(_LAST_KNOWN, datetime.now(UTC), timedelta.max)
            if recalled:
                self._take(recalled[0])
        Thread(target=self._keep_fresh, name="routers", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def client(self, address: str) -> Client | None:
        """The router with this source address; None for a stranger, who is counted."""
        canonical = _canonical(address)
        client = self._clients.get(canonical)
        if client is None and monotonic() - self._refreshed_at >= EAGER_REFRESH_S:
            self._refresh()
            client = self._clients.get(canonical)
        if client is None:
            self.unknown_senders += 1
        return client

    def tenant_of(self, router_id: int) -> int | None:
        client = self._by_id.get(router_id)
        return client.tenant_id if client else None

    def language_of(self, router_id: int) -> str:
        client = self._by_id.get(router_id)
        return client.language if client else "en"

    def _keep_fresh(self) -> None:
        while not self._closing.wait(REFRESH_S):
            self._refresh()

    def _refresh(self) -> bool:
        self._refreshed_at = monotonic()
        try:
            rows = self._link.use(_rows)
        except (DatabaseAway, psycopg.Error):
            return False
        self._take(rows)
        self._last_known.remember(_LAST_KNOWN, rows, tuple(rows), datetime.now(UTC))
        return True

    def _take(self, rows: Row) -> None:
        clients: dict[str, Client] = {}
        sealed: dict[int, tuple[bytes, str]] = {}
        for router_id, tenant_id, language, address, sealed_secret, require in rows:
            known, secret = self._sealed.get(router_id, (None, ""))
            if known != sealed_secret:
                try:
                    secret = self._keyring.open(sealed_secret, f"router.radius_secret:{router_id}")
                except EncryptionError as error:
                    self._log(f"router {router_id} is not served: {error}")
                    continue
            sealed[router_id] = (sealed_secret, secret)
            clients[_canonical(address)] = Client(router_id, tenant_id, language, address, secret, require)
        self._by_id = {client.router_id: client for client in clients.values()}
        self._clients, self._sealed = clients, sealed


def _rows(connection: BoundedConnection) -> list[tuple[int, int, str, str, bytes, str]]:
    return connection.execute(_SELECT, binary=True).fetchall()


def _canonical(address: str) -> str:
    try:
        return str(ip_address(address))
    except ValueError:
        return address
