"""The private Redis: on loopback, with a password, every change in its append-only file."""

import shutil
import subprocess
from pathlib import Path

from cli.failure import Failure
from cli.instance.files import private_directory, write_atomically
from settings import Settings

OLDEST_MAJOR = 7


def data_directory(settings: Settings) -> Path:
    return settings.var / "redis"


def configuration_file(settings: Settings) -> Path:
    return settings.run_dir / "redis.conf"


def prepare(settings: Settings, *, durable: bool = True) -> None:
    """Writes the configuration (0600: it holds the password, which the command line must not show)."""
    private_directory(settings.run_dir)
    private_directory(data_directory(settings))
    write_atomically(configuration_file(settings), _configuration(settings, durable=durable))


def command(settings: Settings) -> list[str]:
    """Raises Failure if no Redis ≥ 7 (or Valkey) is installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if not program:
        raise Failure("Redis is not installed. Run: ./kibali install")
    return [program, str(configuration_file(settings))]


def environment(settings: Settings) -> dict[str, str]:
    return {}


def check_version(settings: Settings) -> None:
    """Raises Failure if the installed Redis is too old."""
    program = command(settings)[0]
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = next((word.removeprefix("v=") for word in shown.split() if word.startswith("v=")), "0")
    if int(version.split(".")[0]) < OLDEST_MAJOR:
        raise Failure(f"{program} is version {version}; Kibali needs {OLDEST_MAJOR} or newer. Run: ./kibali install")


def _configuration(settings: Settings, *, durable: bool) -> str:
    values = {
        "bind": "127.0.0.1",
        "port": str(settings.redis_port),
        "requirepass": _quoted(settings.redis_password.reveal()),
        "dir": _quoted(str(data_directory(settings))),
        "daemonize": "no",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "save": '""',  # the append-only file is the only copy on disk
        "maxmemory-policy": "noeviction",  # a queue must refuse, not forget
        "set-proc-title": "no",  # the title would overwrite the environment, by which `down` knows its processes
    }
    return "".join(f"{name} {value}\n" for name, value in values.items())


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
