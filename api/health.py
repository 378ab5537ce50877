"""/healthz: the process lives. /readyz: it can do its work."""

from collections.abc import Callable

import redis
from sqlalchemy import exc, text
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.endpoint import open_to_all
from api.schemas.health import Alive, Readiness
from api.services import Services, services_of


@open_to_all({200: Alive})
async def healthz(_request: Request) -> JSONResponse:
    """Says that the process lives."""
    return JSONResponse({"alive": True})


@open_to_all({200: Readiness, 503: Readiness})
async def readyz(request: Request) -> JSONResponse:
    """Says whether it can do its work: each part with `ok` and, if not, `why`; 503 unless all are."""
    services = services_of(request)
    checks = {}
    for name, check in _CHECKS.items():
        why = await run_in_threadpool(check, services)
        checks[name] = {"ok": True} if why is None else {"ok": False, "why": why}
    ready = all(check["ok"] for check in checks.values())
    return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)


def _database(services: Services) -> str | None:
    try:
        with services.engine.connect() as connection:
            revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except (exc.DBAPIError, exc.TimeoutError) as error:
        return f"PostgreSQL does not answer ({type(getattr(error, 'orig', error)).__name__})."
    if revision != services.schema_revision:
        return f"The schema is at {revision}, not {services.schema_revision}. Run `./kibali db prepare`."
    return None


def _redis(services: Services) -> str | None:
    try:
        services.redis.ping()
    except redis.RedisError as error:
        return f"Redis does not answer ({type(error).__name__})."
    return None


_CHECKS: dict[str, Callable[[Services], str | None]] = {"database": _database, "redis": _redis}
