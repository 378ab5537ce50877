"""Real PostgreSQL, real Redis, a database per test.

`settings` is what most tests take: its `database_url` names a fresh copy of the prepared database, its Redis is empty.
Servers start when the first test asks for them, in a private directory and on free ports, and end with the run; so any
number of runs go side by side, and `tests/unit` starts nothing. `instance` is a whole Kibali, started by `./kibali up`.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis.configuration import set_hypothesis_home_dir
from redis import Redis

from cli.instance.secrets_file import make_missing_secrets, secret_values
from db.prepare import prepare
from settings import CHECKOUT, Settings
from tests.databases import fresh_database
from tests.instance import RunningInstance, running_instance
from tests.ports import free_port, release_ports
from tests.servers import UNPRIVILEGED, base_environ, process_environ, running_part

_numbers = count(1)

# hypothesis: no deadline per example on a busy machine; what it writes goes under var/.
set_hypothesis_home_dir(CHECKOUT / "var" / "cache" / "hypothesis")
hypothesis_settings.register_profile("kibali", deadline=None, database=None)
hypothesis_settings.load_profile("kibali")


def pytest_addoption(parser: pytest.Parser) -> None:
    chaos = parser.getgroup("chaos", "the test in which everything is killed while customers pay")
    chaos.addoption("--payments", type=int, default=200, help="How many customers pay.")
    chaos.addoption("--seed", type=int, help="What happens when; unless given, another each time.")
    parser.addoption("--soak-s", default="15", help="seconds that tests/e2e/test_following_soak.py lasts")
    parser.addoption("--storm-sessions", default="1000", help="how many expire in test_following_storm.py")
    parser.addoption("--soak-sessions", default="100", help="how many subscribers it has")


@pytest.fixture(scope="session", autouse=True)
def _promised_ports() -> Iterator[None]:
    yield
    release_ports()


@pytest.fixture(scope="session")
def private_directory() -> Iterator[Path]:
    """A directory of this run, short enough for Unix sockets; removed at the end, whatever happened."""
    directory = Path(tempfile.mkdtemp(prefix="kibali-test-"))
    if UNPRIVILEGED:
        os.chown(directory, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def secrets(private_directory: Path) -> dict[str, str]:
    """Passwords and keys of this run, as KIBALI_ variables."""
    environ = {"KIBALI_VAR": str(private_directory / "secrets")}
    make_missing_secrets(Settings.load(environ, checkout=private_directory))
    return secret_values(Settings.load(environ, checkout=private_directory))


@pytest.fixture(scope="session")
def server_environ(private_directory: Path, secrets: Mapping[str, str]) -> dict[str, str]:
    """KIBALI_ variables of the servers that the tests of this run share, secrets among them."""
    var = private_directory / "servers"
    var.mkdir(mode=0o750)
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    return {**base_environ(var), **secrets}


@pytest.fixture(scope="session")
def server_settings(server_environ: Mapping[str, str], private_directory: Path) -> Settings:
    return Settings.load(server_environ, checkout=private_directory)


@pytest.fixture(scope="session")
def postgres_server(server_environ: Mapping[str, str], server_settings: Settings) -> Iterator[Settings]:
    """A private PostgreSQL; the settings it was started with."""
    with running_part("postgres", server_environ, server_settings):
        yield server_settings


@pytest.fixture(scope="session")
def redis_server(server_environ: Mapping[str, str], server_settings: Settings) -> Iterator[Settings]:
    """A private Redis; the settings it was started with."""
    with running_part("redis", server_environ, server_settings):
        yield server_settings


@pytest.fixture(scope="session")
def template_database(postgres_server: Settings) -> str:
    """Name of the prepared database that each test gets a copy of. Nobody may be connected to it."""
    prepare(postgres_server)
    return postgres_server.database_name


@pytest.fixture
def database_url(postgres_server: Settings, template_database: str) -> Iterator[str]:
    """KIBALI_DATABASE_URL of a fresh copy of the prepared database."""
    with fresh_database(postgres_server, template_database) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: Settings) -> str:
    """KIBALI_REDIS_URL of an empty Redis."""
    with Redis.from_url(redis_server.redis_dsn()) as client:
        client.flushall()
    return redis_server.redis_dsn()


@pytest.fixture
def var(private_directory: Path) -> Iterator[Path]:
    """An empty directory for what one test writes. Its path is short: the paths of Unix sockets hold 107 bytes."""
    directory = private_directory / f"var{next(_numbers)}"
    directory.mkdir(mode=0o750)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def environ(secrets: Mapping[str, str], database_url: str, redis_url: str, var: Path) -> dict[str, str]:
    """The environment of a process that is to see what `settings` holds: every KIBALI_ variable, secrets among them."""
    urls = {"KIBALI_DATABASE_URL": database_url, "KIBALI_REDIS_URL": redis_url}
    return process_environ({**base_environ(var), **secrets, **urls})


@pytest.fixture
def settings(environ: Mapping[str, str], private_directory: Path) -> Settings:
    """Settings of one test: a database of its own, an empty Redis, a `var` and ports of its own."""
    return Settings.load(environ, checkout=private_directory)


@pytest.fixture(name="free_port", scope="session")
def free_port_fixture() -> Callable[[], int]:
    """Call it for a port number that nothing else on this machine takes during the run."""
    return free_port


@pytest.fixture(scope="session")
def instance() -> Iterator[RunningInstance]:
    """A whole Kibali with its own data, started by `up --detach`; shared, so leave it running and as you found it."""
    with running_instance() as running:
        yield running
