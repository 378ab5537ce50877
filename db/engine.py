"""Connections: one engine per process and role, and sessions that see one tenant or, where the role may, all."""

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

import db.models  # noqa: F401 (a process must know every table that a foreign key names)
from db.actor import Actor
from settings import DatabaseRole, Settings

CONNECT_TIMEOUT_S = 5


def make_engine(settings: Settings, role: DatabaseRole, *, pool_size: int = 5) -> Engine:
    """An engine that connects as `kibali_<role>`; connections that died while idle are replaced unseen."""
    url = make_url(settings.database_dsn(role)).set(drivername="postgresql+psycopg")
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text and traceback go to a log; parameters may be secrets
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": f"kibali-{role}"},
    )


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Sessions whose objects stay readable after their commit."""
    return sessionmaker(engine, expire_on_commit=False)


def use_tenant(session: Session, tenant_id: int | None, actor: Actor | None = None) -> Session:
    """Confines every transaction of `session` to one tenant: row-level security shows the role kibali_api no other.

    None is the platform itself: what belongs to no tenant, and the tenants. `actor` is who the audit log names.
    """
    statement = text(
        "SELECT set_config('kibali.tenant_id', :tenant_id, true), set_config('kibali.platform', :platform, true),"
        " set_config('kibali.actor', :actor, true)"
    )
    values = {
        "tenant_id": "" if tenant_id is None else str(tenant_id),
        "platform": "on" if tenant_id is None else "",
        "actor": actor.setting() if actor else "",
    }

    @event.listens_for(session, "after_begin")
    def confine(_session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
        connection.execute(statement, values)

    return session


def act_as(session: Session, actor: Actor) -> Session:
    """Has the audit log name `actor` for what `session` changes. For a role that sees every tenant."""

    @event.listens_for(session, "after_begin")
    def name(_session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
        connection.execute(text("SELECT set_config('kibali.actor', :actor, true)"), {"actor": actor.setting()})

    return session
