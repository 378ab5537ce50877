"""Databases of one test: copies of the prepared one."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import quote

import psycopg
from psycopg import sql

from settings import Settings

_numbers = count(1)


@contextmanager
def fresh_database(postgres_server: Settings, template_database: str) -> Iterator[str]:
    """KIBALI_DATABASE_URL of a copy of the prepared database, dropped afterwards with all its connections."""
    name = f"test_{next(_numbers)}"
    owned = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER kibali_owner").format(
        sql.Identifier(name), sql.Identifier(template_database)
    )
    with psycopg.connect(postgres_server.database_admin_dsn(), autocommit=True) as admin:
        admin.execute(owned)
    socket_directory = quote(str(postgres_server.run_dir), safe="")
    try:
        yield f"postgresql://postgres@/{name}?host={socket_directory}&port={postgres_server.postgres_port}"
    finally:
        with psycopg.connect(postgres_server.database_admin_dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
