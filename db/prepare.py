"""Makes a database ready: roles with their passwords, the database itself, its schema and its partitions.

Safe to run again at any time and by several at once; when everything is current it only looks.
"""

from datetime import UTC, datetime

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from db import partitions
from settings import CHECKOUT, DATABASE_ROLES, Settings

# Any number, the same in every process: one preparation at a time.
_ADVISORY_LOCK = 0x6B696261


class PrepareError(Exception):
    """The database can not be made ready; the text says what to do."""


def prepare(settings: Settings) -> None:
    """Roles, database, migrations, partitions for the coming months.

    Raises PrepareError, SettingsError (a password is missing) or psycopg.OperationalError (no connection).
    """
    _create_roles_and_database(settings)
    engine = create_engine(make_url(settings.database_dsn("owner")).set(drivername="postgresql+psycopg"))
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
            upgrade(connection)
            partitions.create_coming(connection, datetime.now(UTC))
    finally:
        engine.dispose()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Migrates to `revision` inside the connection's transaction."""
    command.upgrade(_alembic(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    command.downgrade(_alembic(connection), revision)


def newest_revision() -> str:
    """The revision this code was written for."""
    head = ScriptDirectory.from_config(_alembic(None)).get_current_head()
    assert head is not None
    return head


def _alembic(connection: Connection | None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(CHECKOUT / "db" / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return config


def _create_roles_and_database(settings: Settings) -> None:
    name = settings.database_name
    try:
        # The database may not exist yet, and an administrator may be kept out of `postgres`.
        try:
            admin = psycopg.connect(settings.database_admin_dsn(name), autocommit=True, connect_timeout=10)
        except psycopg.OperationalError as error:
            if "does not exist" not in str(error):
                raise
            admin = psycopg.connect(settings.database_admin_dsn(), autocommit=True, connect_timeout=10)
        with admin:
            admin.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
            for role in DATABASE_ROLES:
                _create_role(admin, settings, role)
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER kibali_owner").format(sql.Identifier(name)))
            admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
            connectors = sql.SQL(", ").join(sql.Identifier(f"kibali_{role}") for role in DATABASE_ROLES)
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), connectors))
        with psycopg.connect(settings.database_admin_dsn(name), autocommit=True, connect_timeout=10) as inside:
            inside.execute("ALTER SCHEMA public OWNER TO kibali_owner")
    except psycopg.errors.InsufficientPrivilege as error:
        raise PrepareError(
            f"the user of KIBALI_DATABASE_URL may not prepare the database ({error.diag.message_primary}). "
            "Give the URL of a user that may create roles and databases."
        ) from None


def _create_role(admin: psycopg.Connection, settings: Settings, role: str) -> None:
    name = f"kibali_{role}"
    password = getattr(settings, f"database_password_{role}").reveal()
    if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone():
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    # Encrypted here, so that the statement, which a server may log, holds no password.
    encrypted = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    admin.execute(
        sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {}").format(
            sql.Identifier(name), sql.Literal(encrypted)
        )
    )
