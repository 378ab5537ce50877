"""What several files here take; some have an `api` of their own."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from db.prepare import prepare
from settings import Settings
from tests.following import Following, StartFollowing, following
from tests.integration.api_server import Client, api_of, shared_settings
from tests.servers import UNPRIVILEGED, Servers, base_environ, process_environ


@pytest.fixture(scope="module")
def settings_of_module(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Settings]:
    """As `settings`, for all tests of a file together."""
    with shared_settings(
        server_environ, postgres_server, redis_server, template_database, private_directory
    ) as settings:
        yield settings


@pytest.fixture(scope="module")
def api(settings_of_module: Settings) -> Iterator[Client]:
    """The API and a tenant, for all tests of a file together."""
    with api_of(settings_of_module) as client:
        yield client


@pytest.fixture
def no_failures_so_far(redis_server: Settings) -> None:
    """Nobody was counted: tokens, tickets, voucher codes, requests."""
    with Redis.from_url(redis_server.redis_dsn()) as client:
        client.flushall()


@pytest.fixture
def own_environ(secrets: Mapping[str, str], var: Path) -> dict[str, str]:
    """The environment of processes whose servers are of one test alone, to be stopped and started again."""
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    return process_environ({**base_environ(var), **secrets})


@pytest.fixture
def own_settings(own_environ: Mapping[str, str], private_directory: Path) -> Settings:
    return Settings.load(own_environ, checkout=private_directory)


@pytest.fixture
def servers(own_environ: Mapping[str, str], own_settings: Settings) -> Iterator[Servers]:
    """PostgreSQL, prepared, and Redis, of one test alone."""
    servers = Servers(own_environ, own_settings)
    with ExitStack() as stack:
        stack.callback(servers.stop_all)
        servers.start("postgres")
        servers.start("redis")
        prepare(own_settings)
        yield servers


@pytest.fixture(scope="module")
def start_following(
    postgres_server: Settings,
    template_database: str,
    redis_server: Settings,
    secrets: Mapping[str, str],
    private_directory: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> StartFollowing:
    """For a follower that all tests of a file share, with a database and a directory of its own."""

    def start(**options: Any) -> AbstractContextManager[Following]:
        var = private_directory / tmp_path_factory.mktemp("fo").name
        return following(
            postgres_server, template_database, redis_server.redis_dsn(), secrets, private_directory, var, **options
        )

    return start
