"""supervisord: what it says of the parts, and how it is told to start one."""

import http.client
import socket
import xmlrpc.client
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.instance.parts import Part
from settings import Settings

_RPC_TIMEOUT_S = 5

# supervisor.xmlrpc.Faults: BAD_NAME; SHUTDOWN_STATE, SPAWN_ERROR (it tries again), ALREADY_STARTED.
_BAD_NAME = 10
_HARMLESS = (6, 50, 60)


class NotRunning(Exception):
    """No supervisord of this instance answers."""


@dataclass(frozen=True)
class PartState:
    """What supervisord says of one part."""

    state: str
    """running, starting, backoff (failed, will be tried again), fatal, stopping, stopped or exited."""
    pid: int
    """0 if there is no process."""
    since: datetime | None
    """When the process was started."""
    problem: str
    """Why the last start failed; empty if it did not."""


def socket_file(settings: Settings) -> Path:
    return settings.run_dir / "supervisor.sock"


# supervisord sets it in the environment of each process it starts. The guardian and supervisord get it from us, so that
# every process of the instance has it, and no other has the same.
MARK = "SUPERVISOR_SERVER_URL"


def server_url(settings: Settings) -> str:
    """The value of MARK."""
    return f"unix://{socket_file(settings)}"


def password_file(settings: Settings) -> Path:
    return settings.run_dir / "supervisor.password"


def log_file(settings: Settings, name: str) -> Path:
    return settings.var / "log" / f"{name}.log"


def states(settings: Settings) -> dict[str, PartState]:
    """Name → state of every part. Raises NotRunning."""
    answer: list[dict[str, Any]] = _call(settings, "getAllProcessInfo")
    return {info["name"]: _part_state(info) for info in answer}


def state(settings: Settings, part: Part) -> PartState | None:
    """The state of one part, None if supervisord does not know it. Raises NotRunning."""
    try:
        return _part_state(_call(settings, "getProcessInfo", _full_name(part)))
    except xmlrpc.client.Fault as fault:
        if fault.faultCode == _BAD_NAME:
            return None
        raise


def start(settings: Settings, part: Part) -> None:
    """Has the part started; nothing happens if it runs or is about to. Raises NotRunning."""
    try:
        _call(settings, "startProcess", _full_name(part), False)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode not in _HARMLESS:
            raise


def _full_name(part: Part) -> str:
    return f"{part.group}:{part.name}"


def _part_state(info: dict[str, Any]) -> PartState:
    since = datetime.fromtimestamp(info["start"], UTC) if info["pid"] else None
    return PartState(info["statename"].lower(), info["pid"], since, info["spawnerr"])


def _call(settings: Settings, method: str, *arguments: object) -> Any:
    try:
        password = password_file(settings).read_text("ascii")
    except FileNotFoundError:
        raise NotRunning from None
    transport = _UnixTransport(socket_file(settings))
    with xmlrpc.client.ServerProxy(f"http://kibali:{password}@localhost/RPC2", transport) as server:
        try:
            return getattr(server.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError):
            raise NotRunning from None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_RPC_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        _, self._extra_headers, _ = self.get_host_info(host)  # the password, as a header
        connection = _UnixConnection(self._path)
        self._connection = host, connection  # what close() closes
        return connection
