"""The private PostgreSQL: found among the distribution's packages, made once, configured anew at each start."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from cli.failure import Failure, one_line
from cli.instance.files import private_directory, sync_directory, write_atomically
from cli.instance.memory import memory_mb, shared_buffers_mb
from cli.instance.processes import runs_in
from settings import Settings

OLDEST_MAJOR = 15
# Debian and Ubuntu keep each major version beside the others here; none of its programs is on PATH.
PACKAGES = Path("/usr/lib/postgresql")


def data_directory(settings: Settings) -> Path:
    return settings.var / "postgres"


def prepare(settings: Settings, *, durable: bool = True) -> None:
    """Makes the data directory if there is none and writes its configuration. Safe to repeat after a crash anywhere.

    `durable=False` is for tests: a power cut may lose or break the data. Raises Failure.
    """
    if os.geteuid() == 0:
        raise Failure("PostgreSQL refuses to run as root. Use ./kibali up, which runs everything as user kibali.")
    data = data_directory(settings)
    private_directory(settings.run_dir)
    if not (data / "PG_VERSION").exists():
        _initdb(settings, durable=durable)
    _forget_dead_postmaster(data, settings)
    write_atomically(data / "kibali_ident.conf", _ident())
    write_atomically(data / "kibali_hba.conf", _HBA)
    write_atomically(data / "kibali.conf", _configuration(settings, durable=durable))


def command(settings: Settings) -> list[str]:
    return [str(binaries(settings) / "postgres"), "-D", str(data_directory(settings))]


def environment(settings: Settings) -> dict[str, str]:
    return {"LC_ALL": "C.UTF-8"}


def binaries(settings: Settings) -> Path:
    """Directory of the programs of the version that made the data, else of the newest installed. Raises Failure."""
    installed = {int(path.name): path / "bin" for path in PACKAGES.glob("[0-9]*") if path.name.isdigit()}
    installed = {major: path for major, path in installed.items() if (path / "initdb").exists()}
    try:
        major = int((data_directory(settings) / "PG_VERSION").read_text("ascii"))
    except FileNotFoundError:
        major = max(installed, default=0)
        if major < OLDEST_MAJOR:
            raise Failure(
                f"PostgreSQL {OLDEST_MAJOR} or newer is not installed (looked in {PACKAGES}). Run: ./kibali install"
            ) from None
    if major not in installed:
        raise Failure(
            f"the data in {data_directory(settings)} was made by PostgreSQL {major}, which is not installed. "
            f"Run: apt-get install postgresql-{major}"
        )
    return installed[major]


def _initdb(settings: Settings, *, durable: bool) -> None:
    """Makes the data directory beside its place and moves it there when it is complete."""
    data = data_directory(settings)
    if data.exists() and any(data.iterdir()):
        raise Failure(f"{data} is not a PostgreSQL data directory and not empty. Move it away.")
    programs = binaries(settings)
    new = data.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    locale = ["--locale=C.UTF-8"]
    if int(programs.parent.name) >= 17:  # the built-in provider does not change with the C library
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    arguments = [str(programs / "initdb"), "-D", str(new), "-U", "postgres", "-E", "UTF8", *locale, "--data-checksums"]
    arguments += ["--auth-local=peer", "--auth-host=scram-sha-256", *([] if durable else ["--no-sync"])]
    made = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        raise Failure(f"initdb failed: {one_line(made.stderr)[-300:]}")
    with (new / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write("\n# Written anew at each start. What you put below this line wins.\ninclude 'kibali.conf'\n")
    for name in ("kibali.conf", "kibali_hba.conf", "kibali_ident.conf"):
        (new / name).touch(mode=0o600)
    if data.exists():
        data.rmdir()
    new.rename(data)
    sync_directory(data.parent)


def _forget_dead_postmaster(data: Path, settings: Settings) -> None:
    """Removes lock files whose process is not a PostgreSQL of this directory.

    After a reboot their process id may be anyone's, and PostgreSQL would refuse to start.
    """
    socket_lock = settings.run_dir / f".s.PGSQL.{settings.postgres_port}.lock"
    for lock in (data / "postmaster.pid", socket_lock):
        try:
            pid = int(lock.read_text("ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            pid = 0
        if not pid or not runs_in(pid, "postgres", data):
            lock.unlink(missing_ok=True)


def _ident() -> str:
    """Who may be `postgres` through the socket: whoever runs this instance, and root, who could anyway."""
    names = dict.fromkeys(("root", pwd.getpwuid(os.geteuid()).pw_name))
    return "".join(f'kibali "{name}" postgres\n' for name in names)


_HBA = """\
# type  database  user      address       method
local   all       postgres                peer map=kibali
local   all       all                     scram-sha-256
host    all       all       127.0.0.1/32  scram-sha-256
host    all       all       ::1/128       scram-sha-256
"""


def _configuration(settings: Settings, *, durable: bool) -> str:
    values: dict[str, str | int] = {
        "listen_addresses": "127.0.0.1",
        "port": settings.postgres_port,
        "unix_socket_directories": str(settings.run_dir),
        "hba_file": str(data_directory(settings) / "kibali_hba.conf"),
        "ident_file": str(data_directory(settings) / "kibali_ident.conf"),
        "password_encryption": "scram-sha-256",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "synchronous_commit": "on",
        "max_connections": 100,
        "shared_buffers": f"{shared_buffers_mb(memory_mb())}MB" if durable else "64MB",
        "max_wal_size": "2GB",
        "wal_compression": "lz4",  # "on" is pglz: of a Stop after a checkpoint, 15 µs of processor more
        "random_page_cost": "1.1",
        "jit": "off",  # to compile a statement takes longer than any of ours takes
        "track_io_timing": "on",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "log_lock_waits": "on",
        "log_min_duration_statement": "2s",
        "log_parameter_max_length": 0,  # parameters may be secrets or subscribers' data
        "log_parameter_max_length_on_error": 0,
    }
    if (binaries(settings).parent / "lib" / "pg_stat_statements.so").exists():
        values["shared_preload_libraries"] = "pg_stat_statements"
    return "".join(f"{name} = {_quoted(value)}\n" for name, value in values.items())


def _quoted(value: str | int) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
