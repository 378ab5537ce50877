"""Whether a part does its work: asked of the part itself, the way its clients ask."""

import http.client
import ipaddress
import json
import time
from collections.abc import Callable
from typing import Any

from cli.failure import one_line
from cli.instance.processes import descends_from, is_alive
from settings import Settings

# What a probe waits at most, so that `status` answers whatever hangs.
TIMEOUT_S = 2
STATE_IS_FRESH_S = 10
_REDIS_OPTIONS: dict[str, Any] = {
    "socket_timeout": TIMEOUT_S,
    "socket_connect_timeout": TIMEOUT_S,
    "decode_responses": True,
}


class NotReady(Exception):
    """The part does not do its work (yet); the text says how it failed."""


# (settings, name of the part, its process id or 0) → what it said; raises NotReady.
Probe = Callable[[Settings, str, int], str]


def postgres(settings: Settings, name: str, pid: int) -> str:
    """It answers a query: to its superuser if it is ours, else to the API's role."""
    import psycopg

    dsn = settings.database_admin_dsn() if settings.owns_postgres else settings.database_dsn("api")
    options = f"-c statement_timeout={TIMEOUT_S}s"
    try:
        with psycopg.connect(dsn, connect_timeout=TIMEOUT_S, options=options) as connection:
            row = connection.execute("SHOW server_version").fetchone()
    except psycopg.Error as error:
        raise NotReady(one_line(str(error))) from None
    return f"version {row[0].split()[0]}" if row else ""


def redis(settings: Settings, name: str, pid: int) -> str:
    """It answers PING with our password."""
    from redis import Redis, RedisError

    try:
        with Redis.from_url(settings.redis_dsn(), **_REDIS_OPTIONS) as client:
            client.ping()
            version = client.info("server")["redis_version"]
    except RedisError as error:
        raise NotReady(one_line(str(error))) from None
    return f"version {version}"


def heartbeat(settings: Settings, name: str, pid: int) -> str:
    """The key `kibali:alive:<name>:<node>`, which the process keeps from expiring, holds the id of one of its own."""
    from redis import Redis, RedisError

    from tasks.heartbeat import key_of

    try:
        with Redis.from_url(settings.redis_dsn(), **_REDIS_OPTIONS) as client:
            value = client.get(key_of(name, settings.node_name))
    except RedisError as error:
        raise NotReady(one_line(str(error))) from None
    if value is None:
        raise NotReady("no heartbeat yet")
    beating = int(json.loads(value)["pid"])
    if not is_alive(beating) or (pid and not descends_from(beating, pid)):
        raise NotReady("no heartbeat since it was started")
    return "heartbeat"


def freeradius(settings: Settings, name: str, pid: int) -> str:
    """It answers Status-Server on loopback."""
    import pyrad.client
    import pyrad.packet
    from pyrad.dictionary import Dictionary

    client = pyrad.client.Client(
        server="127.0.0.1",
        authport=settings.radius_status_port,
        secret=settings.radius_status_secret.reveal().encode(),
        dict=Dictionary(),
    )
    client.timeout, client.retries = 0.25, TIMEOUT_S * 4  # asked again, it answers as soon as it can
    try:
        reply = client.SendPacket(client.CreateAuthPacket(code=pyrad.packet.StatusServer, message_authenticator=True))
    except pyrad.client.Timeout:
        raise NotReady("no answer to Status-Server") from None
    except OSError as error:
        raise NotReady(f"Status-Server: {error.strerror}") from None
    finally:
        client._CloseSocket()
    if reply.code != pyrad.packet.AccessAccept:
        raise NotReady(f"answered Status-Server with code {reply.code}")
    return "; ".join(["answers Status-Server", *_of_module(settings)])


def _of_module(settings: Settings) -> list[str]:
    """What our module inside FreeRADIUS says of itself. Raises NotReady where routers go unanswered."""
    path = settings.run_dir / "freeradius" / "state.json"
    try:
        is_fresh = time.time() - path.stat().st_mtime < STATE_IS_FRESH_S
        state = json.loads(path.read_text("ascii")) if is_fresh else {}
    except (OSError, ValueError):
        return []
    if state.get("spool_problem"):
        spool = settings.var / "spool"
        raise NotReady(f"PostgreSQL is away and {spool} can not be written ({state['spool_problem']}): make room")
    said = []
    if state.get("postgres_is_here") is False:
        said.append("PostgreSQL is away: known subscribers are let in, accounting waits on disk")
    if state.get("records_on_disk"):
        said.append(f"{state['records_on_disk']} accounting records wait on disk")
    if state.get("unknown_senders"):
        said.append(f"{state['unknown_senders']} packets from unknown senders dropped")
    return said


def api(settings: Settings, name: str, pid: int) -> str:
    """GET /readyz is 200."""
    connection = http.client.HTTPConnection(reachable_at(settings.http_bind), settings.http_port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise NotReady(f"GET /readyz: {one_line(str(error)) or type(error).__name__}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise NotReady(f"GET /readyz: {response.status} {one_line(body)}")
    return "GET /readyz: 200"


def reachable_at(bind: str) -> str:
    """Where a program on this machine reaches what listens on `bind`: loopback for a wildcard."""
    address = ipaddress.ip_address(bind)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return bind
