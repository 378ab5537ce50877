"""A FreeRADIUS of the tests: our real configuration and module on free ports, with a database of its own to fill."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from cli.nas import Nas
from db import plan, router, subscriber, subscription_life, tenant
from db.engine import make_engine, session_factory
from db.subscription import Subscription
from db.subscription_life import NewSubscription
from isp.encryption import Keyring
from settings import Settings
from tests.servers import base_environ, running_part

SECRET = "a-secret-of-this-test"
PASSWORD = "correct-horse"
ROUTER_ADDRESS = "127.0.0.1"

T = TypeVar("T")

_PLAN: dict[str, Any] = {
    "service": "any",
    "price_kes": 500,
    "upload_kbps": 2000,
    "download_kbps": 8000,
    "validity_unit": "days",
    "validity_count": 30,
}


@dataclass
class Radius:
    """One server, one tenant with a router at 127.0.0.1, and short ways to fill and to read the tables."""

    settings: Settings
    environ: Mapping[str, str] = field(repr=False)
    tenant_id: int
    router_id: int
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)
    _connection: psycopg.Connection[dict[str, Any]] | None = field(default=None, repr=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """As the owner of the tables; commits at the end."""
        engine = make_engine(self.settings, "owner", pool_size=1)
        try:
            with session_factory(engine).begin() as session:
                yield session
        finally:
            engine.dispose()

    @property
    def keyring(self) -> Keyring:
        return Keyring.parse(self.settings.encryption_keys.reveal())

    def nas(self, secret: str = SECRET, **options: Any) -> Nas:
        ports = self.settings.radius_auth_port, self.settings.radius_acct_port
        return Nas("127.0.0.1", *ports, secret, **options)

    def subscribe(
        self,
        plan_terms: Mapping[str, Any] | None = None,
        *,
        columns: Mapping[str, Any] | None = None,
        tenant_id: int | None = None,
        **new: Any,
    ) -> Subscription:
        """A subscription with PASSWORD on a plan of its own; `columns` are set on its row afterwards."""
        number = next(self._numbers)
        tenant_id = tenant_id or self.tenant_id
        with self.session() as session:
            its_plan = plan.create(session, tenant_id, {"name": f"plan {number}", **_PLAN, **(plan_terms or {})})
            holder = subscriber.create(session, tenant_id, {"name": f"subscriber {number}"})
            values = {"service": "hotspot", "username": f"user{number}", "password": PASSWORD, **new}
            created = subscription_life.create(
                session,
                tenant_id,
                NewSubscription(subscriber_id=holder.id, plan_id=its_plan.id, **values),
                self.keyring,
                datetime.now(UTC),
            )
            for name, value in (columns or {}).items():
                setattr(created.subscription, name, value)
            return created.subscription

    def add_router(self, name: str, nas_address: str, tenant_id: int | None = None) -> int:
        with self.session() as session:
            return router.create(
                session,
                tenant_id or self.tenant_id,
                {"name": name, "nas_address": nas_address},
                radius_secret=SECRET,
                keyring=self.keyring,
            ).id

    def add_tenant(self, slug: str, language: str = "en") -> int:
        with self.session() as session:
            made = tenant.create(session, slug=slug, name=slug, language=language, timezone="Africa/Nairobi")
            return made.id

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        """Of any table, as the owner."""
        return self._execute(query, parameters).fetchall()

    def execute(self, query: str, *parameters: object) -> None:
        self._execute(query, parameters)

    def _execute(self, query: str, parameters: tuple[object, ...]) -> psycopg.Cursor[dict[str, Any]]:
        """On a connection that is kept, and made anew if PostgreSQL was restarted."""
        try:
            if self._connection is None or self._connection.closed:
                dsn = self.settings.database_dsn("owner")
                self._connection = psycopg.connect(dsn, row_factory=dict_row, autocommit=True)
            return self._connection.execute(query.encode(), parameters)
        except psycopg.OperationalError:
            if self._connection is None or not self._connection.broken:
                raise
            self._connection.close()
            self._connection = None
            return self._execute(query, parameters)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


@contextmanager
def running_radius(environ: Mapping[str, str], settings: Settings) -> Iterator[Radius]:
    """FreeRADIUS on the database of `settings`, which must be prepared and empty."""
    radius = Radius(settings, environ, tenant_id=0, router_id=0)
    radius.tenant_id = radius.add_tenant("test")
    radius.router_id = radius.add_router("router", ROUTER_ADDRESS)
    try:
        with running_part("freeradius", environ, settings):
            yield radius
    finally:
        radius.close()


def radius_environ(var: Path, secrets: Mapping[str, str], database_url: str, redis_url: str) -> dict[str, str]:
    """KIBALI_ variables of a FreeRADIUS that answers rejects at once."""
    return {
        **base_environ(var),
        **secrets,
        "KIBALI_DATABASE_URL": database_url,
        "KIBALI_REDIS_URL": redis_url,
        "KIBALI_RADIUS_REJECT_DELAY_S": "0",
    }


def soon(look: Callable[[], T]) -> T:
    """What it finds within five seconds: logs are written in the background. The last of it if that is nothing."""
    deadline = time.monotonic() + 5
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
