"""/healthz: the process lives. /readyz: it can do its work."""

from collections.abc import Callable

import redis
from sqlalchemy import exc, text
from starlette.requests import Request
from starlette.responses import JSONResponse

from api.endpoint import open_to_all
from api.metrics import radius_state
from api.schemas.health import Alive, Readiness
from api.services import Services, services_of
from api.threads import in_thread
from tasks.heartbeat import all_alive
from tasks.queues import QUEUES


@open_to_all({200: Alive})
async def healthz(_request: Request) -> JSONResponse:
    """Says that the process lives."""
    return JSONResponse({"alive": True})


@open_to_all({200: Readiness, 503: Readiness})
async def readyz(request: Request) -> JSONResponse:
    """Says whether the API can do its work: 503 unless all `checks` are `ok`.

    `parts` says how the others do, which may run elsewhere: FreeRADIUS, the sweep, the workers of each queue.
    """
    services = services_of(request)
    checks = {}
    for name, check in _CHECKS.items():
        why = await in_thread(check, services)
        checks[name] = {"ok": True} if why is None else {"ok": False, "why": why}
    ready = all(check["ok"] for check in checks.values())
    parts = await in_thread(_parts, services)
    return JSONResponse({"ready": ready, "checks": checks, "parts": parts}, 200 if ready else 503)


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


def _parts(services: Services) -> dict[str, dict[str, object]]:
    try:
        alive = all_alive(services.redis)
    except redis.RedisError:
        found = dict.fromkeys(("sweep", *_WORKERS), "Not known: Redis does not answer.")
    else:
        names = {each.part for each in alive}
        found = {name: "" if name in names else "No heartbeat on any machine." for name in ("sweep", *_WORKERS)}
    has_radius = radius_state(services.settings.run_dir / "freeradius" / "state.json") is not None
    found["freeradius"] = "" if has_radius else "Its module says nothing on this machine."
    found["events"] = "" if services.hub.is_well else "Events are not heard of: PostgreSQL does not answer."
    return {name: {"ok": False, "why": why} if why else {"ok": True} for name, why in found.items()}


_WORKERS = tuple(f"worker-{queue.name}" for queue in QUEUES)
_CHECKS: dict[str, Callable[[Services], str | None]] = {"database": _database, "redis": _redis}
