"""Whether the ports of the settings are free, and who holds those that are not."""

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Literal

from cli.failure import Failure
from cli.instance.processes import PROC, open_files, pids, program_of
from settings import PREFIX, Settings

Protocol = Literal["TCP", "UDP"]
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Port:
    protocol: Protocol
    address: str
    number: int
    setting: str
    address_setting: str = ""
    """The setting that chooses the address; empty if that is fixed."""


def ports(settings: Settings) -> list[Port]:
    """Every port that this instance listens on."""
    http = Port("TCP", settings.http_bind, settings.http_port, "http_port", "http_bind")
    auth = Port("UDP", settings.radius_bind, settings.radius_auth_port, "radius_auth_port", "radius_bind")
    acct = Port("UDP", settings.radius_bind, settings.radius_acct_port, "radius_acct_port", "radius_bind")
    status = Port("UDP", _LOOPBACK, settings.radius_status_port, "radius_status_port")
    stores = []
    if settings.owns_postgres:
        stores.append(Port("TCP", _LOOPBACK, settings.postgres_port, "postgres_port"))
    if settings.owns_redis:
        stores.append(Port("TCP", _LOOPBACK, settings.redis_port, "redis_port"))
    return [http, *stores, auth, acct, status]


def check_ports(settings: Settings) -> None:
    """Raises Failure for the first port that can not be listened on; the text names the setting that changes it."""
    seen: dict[tuple[Protocol, int], Port] = {}
    for port in ports(settings):
        twin = seen.setdefault((port.protocol, port.number), port)
        if twin is not port:
            raise Failure(
                f"{_variable(twin.setting)} and {_variable(port.setting)} are both {port.number}. Change one of them."
            )
    for port in ports(settings):
        _check(port)


def _check(port: Port) -> None:
    family = socket.AF_INET if ipaddress.ip_address(port.address).version == 4 else socket.AF_INET6
    kind = socket.SOCK_STREAM if port.protocol == "TCP" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as probe:
        if port.protocol == "TCP":  # connections that lately ended do not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.address, port.number))
            if port.protocol == "TCP":
                probe.listen(1)
        except OSError as error:
            raise Failure(_explain(port, error)) from None


def _explain(port: Port, error: OSError) -> str:
    variable = _variable(port.setting)
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        return f"{port.protocol} port {port.number} is in use by {holder}. End that, or set {variable} to a free port."
    if error.errno == errno.EADDRNOTAVAIL and port.address_setting:
        address = _variable(port.address_setting)
        return f"{port.address} is not an address of this machine. Set {address} to one that is."
    if error.errno == errno.EACCES:
        return f"{port.protocol} port {port.number} is reserved for root. Set {variable} to a port from 1024 on."
    return f"cannot listen on {port.protocol} port {port.number} of {port.address}: {error.strerror} ({variable})."


def _holder(port: Port) -> str:
    """The program and its process id, as far as /proc tells us."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    for pid in pids():
        if sockets.intersection(open_files(pid)):
            return f"{program_of(pid) or 'a program'} (process {pid})"
    return "another user's program"


def _inodes(port: Port) -> list[str]:
    """Inodes of the sockets that listen on the port, whatever their address."""
    listening = "0A" if port.protocol == "TCP" else "07"  # TCP_LISTEN; TCP_CLOSE, which an unconnected UDP socket shows
    inodes = []
    for table in (port.protocol.lower(), port.protocol.lower() + "6"):
        try:
            lines = (PROC / "net" / table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if int(fields[1].rpartition(":")[2], 16) == port.number and fields[3] == listening:
                inodes.append(fields[9])
    return inodes


def _variable(setting: str) -> str:
    return PREFIX + setting.upper()
