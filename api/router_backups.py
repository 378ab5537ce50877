"""/api/v1/routers/ID/backup and /backups: the router's configuration, version by version."""

from collections.abc import Sequence

from api.answers import Text
from api.auth import READERS, WRITERS
from api.endpoint import Call, Reply, endpoint, with_query
from api.jobs import accepted
from api.schemas.job import JobAccepted
from api.schemas.router_backup import BackupDiffOut, BackupDiffQuery, BackupOut, BackupsOut, DiffLineOut
from db import router as routers
from db import router_backup
from db.router_state import RouterState
from tasks import router_backups


@endpoint(WRITERS, {202: JobAccepted})
def start(call: Call) -> Reply:
    """Backs the router's configuration up now; each day that is done anyway."""
    return accepted(router_backups.request(call.session, call.id))


@endpoint(READERS, {200: BackupsOut})
def index(call: Call) -> Reply:
    """Lists the versions of the router's configuration."""
    routers.by_id(call.session, call.id)
    state = call.session.get_one(RouterState, call.id)
    return Reply(backups_out(state, router_backup.versions(call.session, call.id)))


@endpoint(WRITERS, {200: Text("text/plain")})
def read(call: Call) -> Reply:
    """Shows a version: lines that RouterOS takes, without passwords and keys."""
    return Reply(router_backup.read(call.session, call.id, _number(call), call.keyring))


@with_query(WRITERS, BackupDiffQuery, {200: BackupDiffOut})
def diff(call: Call, query: BackupDiffQuery) -> Reply:
    """Shows what changed from the version before, or from another one."""
    compared = router_backup.read_comparison(call.session, call.id, _number(call), query.against, call.keyring)
    return Reply(compared_out(compared))


def backups_out(state: RouterState, found: Sequence[router_backup.RouterBackup]) -> BackupsOut:
    return BackupsOut.model_construct(
        items=[BackupOut.of(each) for each in found], due_at=state.backup_due_at, error=state.backup_error
    )


def compared_out(compared: router_backup.Compared) -> BackupDiffOut:
    lines = [DiffLineOut.model_construct(sign=each.sign, line=each.line) for each in compared.lines]
    return BackupDiffOut.model_construct(old=compared.old, new=compared.new, lines=lines)


def _number(call: Call) -> int:
    return int(call.path["number"])
