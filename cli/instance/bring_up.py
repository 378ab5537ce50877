"""From nothing to a running instance, step by step; each step can be repeated after a crash in any of them."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from cli.failure import Failure, one_line
from cli.first_run import SampleLogin, sample_login, seed
from cli.instance import lock, postgres, redis, supervisor
from cli.instance.files import private_directory, write_atomically
from cli.instance.guardian import lock_file
from cli.instance.leftovers import end_leftovers
from cli.instance.parts import our_parts
from cli.instance.ports import check_ports
from cli.instance.progress import Progress
from cli.instance.secrets_file import make_missing_secrets
from cli.instance.start import PartNotReady, last_line, start_parts
from cli.instance.supervisor import MARK, NotRunning, log_file, server_url
from db.prepare import PrepareError, prepare
from isp.encryption import EncryptionError
from settings import CHECKOUT, Settings

_GUARDIAN_WITHIN_S = 20


def guardian_pid(settings: Settings) -> int:
    """Process id of the guardian, 0 if this instance does not run."""
    return lock.holder(lock_file(settings))


def prepare_to_start(settings: Settings, progress: Progress) -> Settings:
    """Everything that can be done before anything runs. Returns the settings with their secrets. Raises Failure."""
    if make_missing_secrets(settings):
        settings = Settings.load()
    private_directory(settings.run_dir)
    end_leftovers(settings)
    check_ports(settings)
    if settings.owns_postgres and not postgres.data_directory(settings).exists():
        with progress.step("database directory", "making the database directory"):
            postgres.prepare(settings)
    if settings.owns_redis:
        redis.prepare(settings)
    write_atomically(_record_file(settings), json.dumps(_recorded(settings)))
    return settings


def start_guardian(settings: Settings, *, outlives_us: bool) -> subprocess.Popen[bytes]:
    """The guardian and its supervisord, which starts nothing yet. Raises Failure.

    Unless it `outlives_us`, it stops everything in order when this process ends in whatever way.
    """
    command = [sys.executable, "-m", "cli.instance.guardian"]
    if not outlives_us:
        command = ["setpriv", "--pdeathsig=TERM", "--", *command]
    with log_file(settings, "guardian").open("ab") as log:
        guardian = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**os.environ, **settings.environment(), MARK: server_url(settings)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we then stop the guardian
        )
    deadline = time.monotonic() + _GUARDIAN_WITHIN_S
    while True:
        try:
            supervisor.states(settings)
            return guardian
        except NotRunning:
            if guardian.poll() is not None or time.monotonic() > deadline:
                line = last_line(settings, "supervisor") or last_line(settings, "guardian")
                guardian.terminate()
                raise Failure(f"the supervisor does not start; see {settings.var / 'log'}. Last line: {line}") from None
            time.sleep(0.05)


def check_same_settings(settings: Settings) -> None:
    """Raises Failure if the running instance was started with other settings."""
    try:
        recorded = json.loads(_record_file(settings).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return
    changed = sorted(name for name, value in _recorded(settings).items() if recorded.get(name) != value)
    if changed:
        was = ", ".join(f"{name}={recorded.get(name, '')}" for name in changed)
        raise Failure(f"Kibali runs with other settings than now ({was}). Run ./kibali down first, then ./kibali up.")


def open_stores(settings: Settings, progress: Progress) -> SampleLogin | None:
    """PostgreSQL and Redis run, the database is prepared. Raises Failure.

    Returns how to log in as the sample subscriber, None if the operator has removed that. The passwords that are made
    on the first run are in nothing but this: show them, whatever fails later.
    """
    try:
        stores = [part for part in our_parts(settings) if part.group == "stores"]
        start_parts(settings, stores, on_ready=progress.ready, on_wait=progress.waiting)
        with progress.step("database", "preparing the database"):
            prepare(settings)
            return seed(settings) or sample_login(settings)
    except (PartNotReady, PrepareError, EncryptionError) as error:
        raise Failure(str(error)) from None
    except (psycopg.OperationalError, SQLAlchemyError) as error:
        raise Failure(f"the database can not be prepared: {one_line(str(error))}") from None


def start_rest(settings: Settings, progress: Progress) -> None:
    """Everything but the stores runs. Raises Failure."""
    rest = [part for part in our_parts(settings) if part.group != "stores"]
    try:
        start_parts(settings, rest, on_ready=progress.ready, on_wait=progress.waiting)
    except PartNotReady as error:
        raise Failure(str(error)) from None


def _recorded(settings: Settings) -> dict[str, str]:
    """What the instance is started with; of the URLs, which may hold passwords, only whether they are given."""
    urls = {"KIBALI_DATABASE_URL": settings.database_url, "KIBALI_REDIS_URL": settings.redis_url}
    return {**settings.environment(), **{name: "given" if url else "" for name, url in urls.items()}}


def _record_file(settings: Settings) -> Path:
    return settings.run_dir / "settings.json"
