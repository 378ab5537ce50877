"""The API over real HTTP: served from a thread of the test's own process, on a free port, for a tenant of its own.

Whatever a test asks, the answer must be one that /openapi.json describes.
"""

import logging
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import structlog
import uvicorn
from psycopg import sql
from starlette.applications import Starlette

from api.app import create_app
from api.http_protocol import HTTP_OPTIONS
from api.websocket_protocol import UVICORN_OPTIONS
from db import admin, tenant
from db.engine import make_engine, session_factory
from settings import Settings
from tests.integration import described

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Operator:
    """A tenant with a token for each role."""

    tenant_id: int
    tokens: dict[str, str]


@dataclass(frozen=True, slots=True)
class Client:
    """Requests as one operator. Methods return the answer whatever its status; `made` insists on 201."""

    http: httpx.Client
    operator: Operator
    settings: Settings

    def request(self, method: str, path: str, *, role: str = "owner", **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.operator.tokens[role]}", **options.pop("headers", {})}
        return self.http.request(method, f"/api/v1{path}", headers=headers, **options)

    def get(self, path: str, **params: Any) -> Any:
        response = self.request("GET", path, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        return self.request("POST", path, json=body)

    def patch(self, path: str, body: Any) -> httpx.Response:
        return self.request("PATCH", path, json=body)

    def delete(self, path: str) -> httpx.Response:
        return self.request("DELETE", path)

    def made(self, path: str, **body: Any) -> Any:
        response = self.post(path, body)
        assert response.status_code == 201, response.text
        return response.json()

    def plan(self, **changes: Any) -> Any:
        """A plan of 30 days for any service."""
        values = {
            "name": f"Plan {next(_numbers)}",
            "price_kes": "500.00",
            "upload_kbps": 2000,
            "download_kbps": 8000,
            "validity_unit": "days",
            "validity_count": 30,
        }
        return self.made("/plans", **{**values, **changes})

    def subscriber(self, **changes: Any) -> Any:
        return self.made("/subscribers", **{"name": f"Subscriber {next(_numbers)}", **changes})

    def subscription(self, **changes: Any) -> Any:
        """A hotspot subscription of a new subscriber to a new plan, unless others are given."""
        values = dict(changes)
        values.setdefault("service", "hotspot")
        if "plan_id" not in values:
            values["plan_id"] = self.plan()["id"]
        if "subscriber_id" not in values:
            values["subscriber_id"] = self.subscriber()["id"]
        return self.made("/subscriptions", **values)

    def router(self, **changes: Any) -> Any:
        number = next(_numbers)
        values = {"name": f"Router {number}", "nas_address": f"10.9.{number // 250}.{number % 250 + 1}"}
        return self.made("/routers", **{**values, **changes})


def make_operator(settings: Settings, slug: str, timezone: str = "Africa/Nairobi") -> Operator:
    """A tenant, and an admin with a token for each role; that of the role platform belongs to no tenant."""
    engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            made = tenant.create(session, slug=slug, name=slug, language="en", timezone=timezone)
            tokens = {
                role: token_of(session, tenant_id=made.id, email=f"{role}@{slug}.example", role=role)
                for role in admin.ROLES
                if role != "platform"
            }
            tokens["platform"] = token_of(session, tenant_id=None, email=f"root@{slug}.example", role="platform")
            return Operator(made.id, tokens)
    finally:
        engine.dispose()


def token_of(session: Any, *, tenant_id: int | None, email: str, role: str, expires_at: datetime | None = None) -> str:
    # The hash of no password: argon2 takes its time, and nobody logs in with one here.
    made = admin.Admin(tenant_id=tenant_id, email=email, role=role, password_hash="!")
    session.add(made)
    session.flush()
    return admin.create_token(session, made, "test", expires_at)


def platform_token(settings: Settings, email: str = "root@platform.example") -> str:
    """Of an admin of the platform's own."""
    engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            return token_of(session, tenant_id=None, email=email, role="platform")
    finally:
        engine.dispose()


@contextmanager
def served(app: Starlette) -> Iterator[httpx.Client]:
    """The application behind uvicorn."""
    # With its protocol named: asyncio turns Nagle's delays off for no other sockets.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        **UVICORN_OPTIONS,
        **HTTP_OPTIONS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the API did not start"
        assert time.monotonic() < deadline, "the API did not start in time"
        time.sleep(0.01)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
            timeout=30,
            trust_env=False,
            event_hooks={"response": [described.check]},
        ) as http:
            yield http
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        structlog.configure(**before)


@contextmanager
def api_of(settings: Settings, slug: str = "acme", timezone: str = "Africa/Nairobi") -> Iterator[Client]:
    """The API on `settings`, and a new tenant to use it."""
    operator = make_operator(settings, slug, timezone)
    with served(create_app(settings)) as http:
        yield Client(http, operator, settings)


@contextmanager
def shared_settings(
    environ: Mapping[str, str], postgres: Settings, redis: Settings, template: str, directory: Path
) -> Iterator[Settings]:
    """Settings with a database of their own, as the fixture `settings` has, for all tests of a module together."""
    name = f"shared_{next(_numbers)}"
    where = f"host={quote(str(postgres.run_dir), safe='')}&port={postgres.postgres_port}"
    with psycopg.connect(postgres.database_admin_dsn(), autocommit=True) as superuser:
        identifiers = sql.Identifier(name), sql.Identifier(template)
        superuser.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER kibali_owner").format(*identifiers))
        try:
            urls = {
                "KIBALI_DATABASE_URL": f"postgresql://postgres@/{name}?{where}",
                "KIBALI_REDIS_URL": redis.redis_dsn(),
            }
            yield Settings.load({**environ, **urls}, checkout=directory)
        finally:
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifiers[0]))
