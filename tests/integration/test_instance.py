"""The pieces `up` is made of, against real servers, sockets and processes."""

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from redis import AuthenticationError, Redis

from cli.failure import Failure
from cli.instance import lock, postgres, processes
from cli.instance.checks import check_paths, check_var
from cli.instance.ports import check_ports
from cli.instance.secrets_file import make_missing_secrets, secret_values
from settings import CHECKOUT, Settings
from tests.servers import UNPRIVILEGED, base_environ, running_part

Load = Callable[..., Settings]


@pytest.fixture
def load(var: Path) -> Load:
    """Settings of an instance in `var` on free ports, `changed` replacing some: load(http_port="1")."""
    environ = base_environ(var)

    def load(**changed: str) -> Settings:
        return Settings.load({**environ, **{f"KIBALI_{k.upper()}": v for k, v in changed.items()}}, checkout=var)

    return load


# Secrets


def test_secrets_are_made_once_and_only_for_their_owner(load: Load) -> None:
    assert make_missing_secrets(load())
    first = secret_values(load())
    assert all(first.values())
    assert not make_missing_secrets(load())
    assert secret_values(load()) == first
    assert stat.S_IMODE(load().secrets_file.stat().st_mode) == 0o600


def test_a_secret_that_a_newer_version_needs_is_added_to_the_others(load: Load) -> None:
    make_missing_secrets(load())
    kept, dropped = secret_values(load()), "KIBALI_RADIUS_STATUS_SECRET"
    lines = load().secrets_file.read_text().splitlines()
    load().secrets_file.write_text("\n".join(line for line in lines if not line.startswith(dropped)))
    assert make_missing_secrets(load())
    now = secret_values(load())
    assert now.pop(dropped) != kept.pop(dropped)
    assert now == kept


def test_a_secret_from_elsewhere_is_not_written_down(load: Load) -> None:
    make_missing_secrets(load(redis_password="from-the-environment"))
    assert "KIBALI_REDIS_PASSWORD" not in load().secrets_file.read_text()


def test_no_new_encryption_key_is_made_for_an_old_database(load: Load) -> None:
    make_missing_secrets(load())
    postgres.data_directory(load()).mkdir()
    load().secrets_file.unlink()
    with pytest.raises(Failure, match=r"secrets\.env back from a copy"):
        make_missing_secrets(load())
    assert not load().secrets_file.exists()


# Ports


@pytest.fixture
def occupied(free_port: Callable[[], int]) -> Iterator[Callable[[socket.SocketKind], int]]:
    """Call it for a port that this process listens on."""
    sockets = []

    def occupy(kind: socket.SocketKind) -> int:
        taken = socket.socket(socket.AF_INET, kind)
        sockets.append(taken)
        taken.bind(("127.0.0.1", free_port()))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        return int(taken.getsockname()[1])

    yield occupy
    for taken in sockets:
        taken.close()


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("http_port", socket.SOCK_STREAM),
        ("postgres_port", socket.SOCK_STREAM),
        ("redis_port", socket.SOCK_STREAM),
        ("radius_auth_port", socket.SOCK_DGRAM),
        ("radius_acct_port", socket.SOCK_DGRAM),
        ("radius_status_port", socket.SOCK_DGRAM),
    ],
)
def test_a_port_in_use_is_told_with_its_setting_and_its_holder(
    setting: str, kind: socket.SocketKind, load: Load, occupied: Callable[[socket.SocketKind], int]
) -> None:
    port = occupied(kind)
    with pytest.raises(Failure) as refusal:
        check_ports(load(**{setting: str(port)}))
    for told in (f"port {port} ", f"KIBALI_{setting.upper()}", f"(process {os.getpid()})"):
        assert told in refusal.value.message


def test_ports_that_are_free_or_whose_connections_lately_ended_are_accepted(load: Load) -> None:
    settings = load()
    with socket.create_server(("127.0.0.1", settings.http_port)) as server:
        client = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    check_ports(settings)


def test_one_port_for_two_purposes_is_refused_naming_both(load: Load) -> None:
    settings = load()
    with pytest.raises(Failure, match="KIBALI_RADIUS_AUTH_PORT and KIBALI_RADIUS_ACCT_PORT are both"):
        check_ports(load(radius_acct_port=str(settings.radius_auth_port)))


def test_tcp_and_udp_may_share_a_number(load: Load) -> None:
    check_ports(load(radius_auth_port=str(load().http_port)))


def test_an_address_of_another_machine_is_refused(load: Load) -> None:
    with pytest.raises(Failure, match=r"192\.0\.2\.1 is not an address of this machine\. Set KIBALI_RADIUS_BIND"):
        check_ports(load(radius_bind="192.0.2.1"))


def test_a_store_that_a_url_names_needs_no_port(load: Load, occupied: Callable[[socket.SocketKind], int]) -> None:
    port = str(occupied(socket.SOCK_STREAM))
    check_ports(load(redis_port=port, redis_url="redis://127.0.0.1:1/0"))


# Locks and processes

_HOLD = """
import pathlib, sys
from cli.instance import lock
held = lock.take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_names_its_holder_and_ends_with_it(var: Path) -> None:
    path = var / "lock"
    assert lock.holder(path) == 0
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert lock.holder(path) == other.pid
        assert lock.take(path) is None
        other.kill()
    assert lock.holder(path) == 0
    with lock.take(path) or pytest.fail("the lock of a dead process is free"):
        pass


def test_a_process_is_told_from_another_that_got_its_id(var: Path) -> None:
    with subprocess.Popen(["sleep", "60"], cwd=var) as sleeper:
        try:
            _wait_until(lambda: processes.program_of(sleeper.pid) == "sleep")
            assert processes.runs_in(sleeper.pid, "sleep", var)
            assert not processes.runs_in(sleeper.pid, "postgres", var)
            assert not processes.runs_in(sleeper.pid, "sleep", var.parent)
            assert processes.descends_from(sleeper.pid, os.getpid())
            assert not processes.descends_from(os.getpid(), sleeper.pid)
        finally:
            sleeper.kill()
    assert not processes.is_alive(sleeper.pid)


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen(["true"]) as ended:
        _wait_until(lambda: not processes.is_alive(ended.pid))
        assert Path(f"/proc/{ended.pid}").exists()


# PostgreSQL and Redis


def test_postgres_lets_in_its_owner_by_socket_and_roles_by_password_only(postgres_server: Settings) -> None:
    port, password = postgres_server.postgres_port, postgres_server.database_password_api.reveal()
    dsn = f"host=127.0.0.1 port={port} dbname=postgres connect_timeout=5"
    with psycopg.connect(postgres_server.database_admin_dsn()) as admin:
        row = admin.execute(
            "SELECT current_setting('data_checksums'), current_setting('server_encoding'), "
            "current_setting('listen_addresses'), current_setting('timezone')"
        ).fetchone()
    assert row == ("on", "UTF8", "127.0.0.1", "UTC")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"{dsn} user=postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"{dsn} user=kibali_api password=wrong")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host={postgres_server.run_dir} port={port} dbname=postgres user=kibali_api password=wrong")
    assert len(password) >= 20


def test_each_test_has_the_tables_and_nothing_in_them(settings: Settings) -> None:
    with psycopg.connect(settings.database_dsn("owner")) as connection:
        assert connection.execute("SELECT count(*) FROM tenant").fetchone() == (0,)
        connection.execute("CREATE TABLE left_behind ()")


def test_what_one_test_leaves_the_next_does_not_see(settings: Settings) -> None:
    with psycopg.connect(settings.database_dsn("owner")) as connection:
        assert connection.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)
    with Redis.from_url(settings.redis_dsn()) as client:
        assert client.dbsize() == 0


def test_redis_wants_its_password_and_never_forgets_a_key(redis_server: Settings) -> None:
    with Redis.from_url(redis_server.redis_dsn()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    with Redis(port=redis_server.redis_port) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()


def test_no_password_is_on_a_command_line(postgres_server: Settings, redis_server: Settings) -> None:
    shown = b" ".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes.pids() if processes.is_alive(pid))
    for name, value in secret_values(redis_server).items():
        assert value.encode() not in shown, name


@pytest.fixture
def own_environ(var: Path, secrets: Mapping[str, str]) -> dict[str, str]:
    """KIBALI_ variables for servers of this test alone."""
    if UNPRIVILEGED:
        os.chown(var, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    return {**base_environ(var), **secrets}


def test_postgres_starts_after_a_crash_while_its_directory_was_made(own_environ: dict[str, str], var: Path) -> None:
    unfinished = var / "postgres.new" / "base"
    unfinished.mkdir(parents=True)
    if UNPRIVILEGED:
        os.chown(unfinished.parent, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
        os.chown(unfinished, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
    with running_part("postgres", own_environ, Settings.load(own_environ, checkout=var)):
        assert not (var / "postgres.new").exists()


def test_postgres_starts_though_its_old_process_id_is_someone_elses_now(
    own_environ: dict[str, str], var: Path, free_port: Callable[[], int]
) -> None:
    with running_part("postgres", own_environ, Settings.load(own_environ, checkout=var)):
        pass
    with subprocess.Popen(["sleep", "60"], user=UNPRIVILEGED.pw_uid if UNPRIVILEGED else None) as stranger:
        try:
            # What a reboot leaves: the lock files, and another process with the number in them.
            moved = {**own_environ, "KIBALI_POSTGRES_PORT": str(free_port())}
            settings = Settings.load(moved, checkout=var)
            socket_lock = settings.run_dir / f".s.PGSQL.{settings.postgres_port}.lock"
            for file in (var / "postgres" / "postmaster.pid", socket_lock):
                file.write_text(
                    f"{stranger.pid}\n{var / 'postgres'}\n1\n{settings.postgres_port}\n{settings.run_dir}\n"
                )
                if UNPRIVILEGED:
                    os.chown(file, UNPRIVILEGED.pw_uid, UNPRIVILEGED.pw_gid)
            with running_part("postgres", moved, settings):
                assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_directory_that_can_not_be_written_is_told(load: Load) -> None:
    with pytest.raises(Failure, match=r"cannot write to /proc/kibali: .*\. .* set KIBALI_VAR"):
        check_var(load(var="/proc/kibali"))


@pytest.mark.parametrize("name", ["data #2", "data ;old", "100%", "two\nlines"])
def test_a_path_that_the_supervisor_would_misread_is_told(name: str, load: Load, var: Path) -> None:
    with pytest.raises(Failure, match="Use another"):
        check_paths(load(var=str(var / name)))


def test_a_nearly_full_disk_is_told(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**8))
    with pytest.raises(Failure, match="only 100 MB are free"):
        check_var(load())


def _wait_until(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
