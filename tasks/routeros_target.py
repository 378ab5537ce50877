"""Which router, how to get in, how long to wait; and what a failure to connect means."""

import errno
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from librouteros.exceptions import ProtocolError

from settings import Secret
from tasks.routeros_errors import (
    ConnectionLost,
    NotAdmitted,
    PortClosed,
    RouterError,
    Silent,
    TlsRefused,
    Unreachable,
)
from tasks.routeros_traps import without_secrets

API_PORT, API_SSL_PORT = 8728, 8729
Plain = Literal["never", "fallback", "only"]


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    """An address; a name is looked up, which may take longer than `Patience.connect_s`."""
    username: str
    password: Secret
    certificate_sha256: str | None = None
    """The one known; None: any is taken, and told by the connection."""
    plain: Plain = "never"
    """Whether to do without TLS. With `fallback` only a router whose certificate is not known yet, and only if nobody
    speaks TLS there: otherwise whoever blocks one port could listen on the other."""
    api_ssl_port: int = API_SSL_PORT
    api_port: int = API_PORT

    def attempts(self) -> tuple[tuple[int, bool], ...]:
        """(port, with TLS), to be tried in this order."""
        encrypted, plain = (self.api_ssl_port, True), (self.api_port, False)
        if self.plain == "only":
            return (plain,)
        if self.plain == "fallback" and self.certificate_sha256 is None:
            return (encrypted, plain)
        return (encrypted,)


# What says that nobody speaks TLS there. A router that hangs is not asked twice.
NO_TLS_THERE = (PortClosed, TlsRefused, NotAdmitted)


@dataclass(frozen=True, slots=True)
class Patience:
    connect_s: float = 5.0
    """For TCP, and again for TLS."""
    login_s: float = 5.0
    talk_s: float = 10.0
    """From a sentence to the end of its answer, however slowly that drips."""


USUAL = Patience()


def not_connected(host: str, port: int, error: OSError, within_s: float) -> RouterError:
    """`error` came while a TCP connection was made."""
    if isinstance(error, ConnectionRefusedError):
        service = {API_PORT: "api", API_SSL_PORT: "api-ssl"}.get(port, "api-ssl")
        return PortClosed(
            f"{host} refuses connections to port {port}. Enable it on the router: /ip service enable {service}, "
            "or paste the bootstrap script again."
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(f"{host} is no name that we can look up. Check the router's address.")
    if isinstance(error, TimeoutError):
        return Unreachable(
            f"{host} does not answer on port {port} within {within_s:g} s. Check that it is on, that the address is "
            "right, and that its firewall lets us in."
        )
    reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return Unreachable(f"{host} cannot be reached ({reason}). Check its address and the route or tunnel to it.")


def no_tls(host: str, port: int, error: OSError, within_s: float) -> RouterError:
    """`error` came during the TLS handshake."""
    if isinstance(error, TimeoutError):
        return silent(host, "the TLS handshake", within_s)
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        reason = (error.reason or type(error).__name__).lower().replace("_", " ")
        return TlsRefused(
            f"{host} speaks no TLS that we accept on port {port} ({reason}). Give its service api-ssl a certificate: "
            "paste the bootstrap script again."
        )
    return not_admitted(host)


def not_admitted(host: str) -> NotAdmitted:
    return NotAdmitted(
        f"{host} closes our connections at once. Let our address in on the router: see address= in /ip service print, "
        "or paste the bootstrap script again."
    )


def closed(host: str) -> ConnectionLost:
    return ConnectionLost(f"the connection to {host} was closed. Connect again.")


def silent(host: str, command: str, within_s: float) -> Silent:
    return Silent(f"{host} did not answer {command} within {within_s:g} s. Look at its load and at the line to it.")


def ended(host: str, sentence: Sequence[str], words: str) -> ConnectionLost:
    said = without_secrets(words, sentence)[:100]
    return ConnectionLost(f"{host} ended the connection at {sentence[0]}: {said}. Try again.")


def lost(host: str, command: str, error: Exception) -> ConnectionLost:
    """`error` came while an answer was read."""
    if isinstance(error, ValueError | ProtocolError):
        return ConnectionLost(f"{host} answered {command}, but not as RouterOS's API does. Check address and port.")
    return ConnectionLost(f"{host} ended the connection at {command}. It may be restarting: try again.")
