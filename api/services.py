"""What handlers work with, built once as the application starts and handed down with each request."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypedDict

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.applications import Starlette
from starlette.requests import Request

from api.event_hub import Hub
from api.http_metrics import HttpMetrics
from api.password_checks import PasswordChecks
from api.request_limit import RequestLimit
from api.unknown_tokens import UnknownTokens
from api.webhook_bounds import WebhookBounds
from db import prepare
from db.bearer import Bearers
from db.engine import make_engine, session_factory
from db.router_bootstrap import Site
from isp.encryption import Keyring
from settings import Networks, Settings
from tasks.nudge import Nudger, nudge_after_commit
from tasks.redis_pool import make_redis_pool

POOL_SIZE = 10
REDIS_TIMEOUT_S = 0.5
STATEMENT_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class Services:
    engine: Engine
    sessions: sessionmaker[Session]
    redis: redis.Redis
    keyring: Keyring
    schema_revision: str
    """What the database must be at."""
    public_url: str
    voucher_url: str
    site: Site
    limit: RequestLimit
    bearers: Bearers
    webhook_sources: Networks
    unknown_tokens: UnknownTokens
    webhook_bounds: WebhookBounds
    hub: Hub
    password_checks: PasswordChecks
    http_metrics: HttpMetrics
    settings: Settings
    clock: Callable[[], datetime]


class State(TypedDict):
    """What Starlette carries from the lifespan to each request."""

    services: Services


def build(settings: Settings, keyring: Keyring, http_metrics: HttpMetrics) -> Services:
    """Connects to nothing yet."""
    engine = make_engine(settings, "api", pool_size=POOL_SIZE, statement_timeout_s=STATEMENT_TIMEOUT_S)
    sessions = session_factory(engine)
    nudge_after_commit(sessions, Nudger(make_redis_pool(settings, answer_timeout_s=REDIS_TIMEOUT_S)))
    client = redis.Redis.from_url(
        settings.redis_dsn(),
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),  # a request waits REDIS_TIMEOUT_S at most
    )
    return Services(
        engine=engine,
        sessions=sessions,
        redis=client,
        keyring=keyring,
        schema_revision=prepare.newest_revision(),
        public_url=settings.public_url,
        voucher_url=settings.voucher_url,
        site=Site.of(settings),
        limit=RequestLimit(client, settings.api_requests_per_minute),
        bearers=Bearers(),
        webhook_sources=settings.webhook_sources,
        unknown_tokens=UnknownTokens(),
        webhook_bounds=WebhookBounds(),
        hub=Hub(settings.database_dsn("api")),
        password_checks=PasswordChecks(),
        http_metrics=http_metrics,
        settings=settings,
        clock=lambda: datetime.now(UTC),
    )


def lifespan(
    settings: Settings, keyring: Keyring, http_metrics: HttpMetrics
) -> Callable[[Starlette], AbstractAsyncContextManager[State]]:
    """Builds the services as the application starts and lets go of their connections as it ends."""

    @asynccontextmanager
    async def alive(_app: Starlette) -> AsyncIterator[State]:
        services = build(settings, keyring, http_metrics)
        try:
            yield {"services": services}
        finally:
            await services.hub.close()
            services.engine.dispose()
            services.redis.close()

    return alive


def services_of(request: Request) -> Services:
    services: Services = request.state.services
    return services
