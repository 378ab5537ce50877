"""Connections: one engine per process and role, and sessions that see one tenant or, where the role may, all."""

import select
import time
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

import db.models  # noqa: F401 (a process must know every table that a foreign key names)
from db.actor import Actor
from db.bearer import AsBearer
from db.round_trip import begin
from settings import DatabaseRole, Settings

CONNECT_TIMEOUT_S = 5
_ASK_AFTER_S = 10
"""A connection that was idle for longer is asked whether it lives; before, its socket tells that it was closed."""
_CONFIGURED = "kibali.settings"
"""In a session's `info`: what is set in each of its transactions."""
_OPENING = "kibali.opening"
"""There too: whom each of them asks about as it begins."""


def make_engine(
    settings: Settings, role: DatabaseRole, *, pool_size: int = 5, statement_timeout_s: int | None = None
) -> Engine:
    """An engine that connects as `kibali_<role>`; connections that died while idle are replaced unseen.

    A statement that takes longer than `statement_timeout_s` is an OperationalError; None is the server's own limit.
    """
    url = make_url(settings.database_dsn(role)).set(drivername="postgresql+psycopg")
    connect_args: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": f"kibali-{role}"}
    if statement_timeout_s is not None:
        connect_args["options"] = f"-c statement_timeout={statement_timeout_s}s"
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,  # an error's text and traceback go to a log; parameters may be secrets
        connect_args=connect_args,
    )
    event.listen(engine, "checkin", _note_the_time)
    event.listen(engine, "checkout", _replace_if_dead)
    return engine


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after their commit."""
    return sessionmaker(engine, expire_on_commit=False)


def use_tenant(session: Session, tenant_id: int | None, actor: Actor | None = None) -> Session:
    """Confines every transaction of `session` to one tenant: row-level security shows the role kibali_api no other.

    None is the platform itself: what belongs to no tenant, and the tenants. `actor` is who the audit log names.
    """
    session.info[_CONFIGURED] = {
        "kibali.tenant_id": "" if tenant_id is None else str(tenant_id),
        "kibali.platform": "on" if tenant_id is None else "",
        "kibali.actor": actor or "",
    }
    return session


def use_bearer(session: Session, opening: AsBearer, tenant_id: int, actor: Actor) -> Session:
    """As use_tenant; each transaction begins by asking whether the bearer still is who they were, and may raise Changed
    by that.
    """
    session.info[_OPENING] = opening
    return use_tenant(session, tenant_id, actor)


def act_as(session: Session, actor: Actor) -> Session:
    """Has the audit log name `actor` for what `session` changes. For a role that sees every tenant."""
    session.info[_CONFIGURED] = {"kibali.actor": actor}
    return session


@event.listens_for(Session, "after_begin")
def _configure(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if not transaction.nested and (values := session.info.get(_CONFIGURED)):
        said = {name: value if isinstance(value, str) else value.setting() for name, value in values.items()}
        opening: AsBearer | None = session.info.get(_OPENING)
        answer = begin(connection, said, opening.source() if opening else b"")
        if opening:
            opening.check(answer)


def _note_the_time(_connection: psycopg.Connection | None, record: ConnectionPoolEntry) -> None:
    record.info["idle_since"] = time.monotonic()


def _replace_if_dead(
    connection: psycopg.Connection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
) -> None:
    """Raises DisconnectionError, upon which the pool makes a new connection.

    What PostgreSQL says unasked is that it ends, or nothing that matters. Asking each time would be a round trip more
    for every request.
    """
    idle_since = record.info.get("idle_since")
    if idle_since is None:
        return  # it is new
    if not _has_something_to_read(connection) and time.monotonic() - idle_since < _ASK_AFTER_S:
        return
    try:
        connection.execute("SELECT")
        connection.rollback()
    except psycopg.Error:
        raise exc.DisconnectionError from None


def _has_something_to_read(connection: psycopg.Connection) -> bool:
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
