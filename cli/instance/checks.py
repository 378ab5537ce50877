"""What has to be right before anything is started. Each check raises Failure with what to do."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cli.failure import Failure
from cli.instance import freeradius, postgres, redis
from settings import CHECKOUT, Settings

SMALLEST_FREE_BYTES = 500 * 10**6
# Older releases send replies without Message-Authenticator and do not survive a second instance of rlm_python3.
OLDEST_FREERADIUS = (3, 2, 5)
PYTHON_MODULES = (Path("/usr/lib/freeradius/rlm_python3.so"), Path("/usr/lib64/freeradius/rlm_python3.so"))


def check_all(settings: Settings) -> None:
    check_user(settings)
    check_paths(settings)
    check_var(settings)
    check_freeradius()
    if settings.owns_postgres:
        postgres.binaries(settings)
    if settings.owns_redis:
        redis.check_version(settings)


def check_user(settings: Settings) -> None:
    if settings.owns_postgres and os.geteuid() == 0:
        raise Failure("PostgreSQL refuses to run as root. Use ./kibali up, which runs everything as user kibali.")


def check_paths(settings: Settings) -> None:
    """supervisord's configuration takes ` ;` and ` #` for the beginning of a comment, and expands % twice."""
    for path in (settings.var, CHECKOUT, Path(sys.executable)):
        if re.search(r"\s[;#]|[%\n\r]", str(path)):
            raise Failure(f"the path {path} has a %, or a ; or # after a space. Use another (KIBALI_VAR for the data).")


def check_var(settings: Settings) -> None:
    """`var` can be written and has room."""
    try:
        settings.var.mkdir(mode=0o750, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.var):
            pass
        (settings.var / "log").mkdir(mode=0o750, exist_ok=True)
    except OSError as error:
        raise Failure(
            f"cannot write to {settings.var}: {error.strerror}. Make it writable for this user, or set KIBALI_VAR."
        ) from None
    free = shutil.disk_usage(settings.var).free
    if free < SMALLEST_FREE_BYTES:
        raise Failure(
            f"only {free // 10**6} MB are free on the disk of {settings.var}; "
            f"{SMALLEST_FREE_BYTES // 10**6} MB are needed. Make room, or set KIBALI_VAR."
        )


def check_freeradius() -> None:
    """It is installed, new enough, and has its Python module."""
    program = freeradius.binary()
    shown = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"FreeRADIUS Version (\d+)\.(\d+)\.(\d+)", shown)
    version = tuple(map(int, found.groups())) if found else (0,)
    if version < OLDEST_FREERADIUS:
        needed, have = (".".join(map(str, numbers)) for numbers in (OLDEST_FREERADIUS, version))
        raise Failure(f"FreeRADIUS {have} is too old; Kibali needs {needed} or newer. Run: ./kibali install")
    if not any(path.exists() for path in PYTHON_MODULES):
        raise Failure("FreeRADIUS has no rlm_python3 (package freeradius-python3). Run: ./kibali install")
