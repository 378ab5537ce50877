"""What has to be right before a run. Each check raises Failure with what to do."""

import shutil
from pathlib import Path

from bench.plan import Plan
from cli.failure import Failure
from cli.instance.checks import check_freeradius
from settings import Settings

_SQL_MODULES = (
    Path("/usr/lib/freeradius/rlm_sql_postgresql.so"),
    Path("/usr/lib64/freeradius/rlm_sql_postgresql.so"),
)
# A closed session takes so much in Kibali's tables and in radacct, their indexes and the log that recovery reads.
_BYTES_PER_CLOSED_SESSION = 1200
_BYTES = 3 * 10**9


def check_machine(plan: Plan) -> None:
    check_freeradius()
    if any(peer.startswith("sql") for peer in plan.peers) and not any(path.exists() for path in _SQL_MODULES):
        raise Failure(
            "FreeRADIUS has no rlm_sql_postgresql (package freeradius-postgresql), which two peers are made of. "
            "Run: ./kibali install --test"
        )
    needed = _BYTES + _BYTES_PER_CLOSED_SESSION * max(plan.histories)
    directory = Settings.load().var
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise Failure(
            f"only {free / 1e9:.0f} GB are free on the disk of {directory}; {needed / 1e9:.0f} GB are needed. "
            "Make room, set KIBALI_VAR, or take less history (--history 0)."
        )
