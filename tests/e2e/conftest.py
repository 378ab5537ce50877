"""A real FreeRADIUS with our configuration and module, shared by the tests of one file."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from settings import Settings
from tests.databases import fresh_database
from tests.radius import Radius, radius_environ, running_radius
from tests.servers import UNPRIVILEGED


@pytest.fixture(scope="module")
def radius(
    postgres_server: Settings,
    template_database: str,
    redis_server: Settings,
    secrets: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    private_directory: Path,
) -> Iterator[Radius]:
    var = private_directory / tmp_path_factory.mktemp("radius").name
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    with fresh_database(postgres_server, template_database) as url:
        environ = radius_environ(var, secrets, url, redis_server.redis_dsn())
        with running_radius(environ, Settings.load(environ, checkout=private_directory)) as running:
            yield running
