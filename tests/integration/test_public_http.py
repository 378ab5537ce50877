"""The way out for addresses that a tenant names: names that lead inside, that change their mind, and certificates."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from settings import Networks
from tasks.daraja_http import NotSent, exchange, make_http
from tasks.public_http import PublicOnly

NOBODY = Networks()
LOOPBACK = Networks([ip_network("127.0.0.0/8"), ip_network("::1/128")])


class Here(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"inside")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def server(certificate: Path | None = None) -> Iterator[Any]:
    listening: Any = HTTPServer(("127.0.0.1", 0), Here)
    listening.hosts = []
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield listening
    listening.shutdown()
    listening.server_close()
    thread.join(10)


def make_certificate(directory: Path, name: str) -> Path:
    """Of a name, and its key, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = directory / "certificate.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def asked(url: str, allowed: Networks, tls: ssl.SSLContext | None = None) -> bytes:
    with make_http(transport=PublicOnly(allowed, tls)) as http:
        return exchange(http, "POST", url, headers={}, json={}, within_s=5).body


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Makes every look-up give the next of the answers, the last for ever; what is looked up."""
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if host.replace(".", "").isdigit():
            return real(host, port, *args, **kwargs)
        looked_up.append(host)
        addresses = answers[min(len(looked_up), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return looked_up


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "169.254.169.254", "127.1", "2130706433"]
)
def test_nothing_is_sent_to_this_machine_or_network(scheme: str, host: str) -> None:
    with server() as here:
        with pytest.raises(NotSent, match=r"not on the public internet|must be reached by https"):
            asked(f"{scheme}://{host}:{here.server_port}/x", NOBODY)
        assert here.hosts == []


def test_public_addresses_are_reached_by_https_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["8.8.8.8"])
    with pytest.raises(NotSent, match=r"gateway\.example must be reached by https"):
        asked("http://gateway.example/x", NOBODY)


def test_one_address_inside_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(NotSent, match=r"gateway\.example is 10\.0\.0\.1"):
        asked("https://gateway.example/x", NOBODY)


def test_a_name_that_leads_inside_the_second_time_is_not_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server of the tenant's own answers with a public address first and with ours a moment later."""
    connected: list[str] = []

    def connect(self: Any, request: Any) -> Any:
        connected.append(request.url.host)
        raise httpx.ConnectError("as far as the test goes")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", connect)
    looked_up = names(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(NotSent):
        asked("https://rebind.example/x", NOBODY)
    assert connected == ["8.8.8.8"]
    assert looked_up == ["rebind.example"]


def test_what_is_allowed_is_reached_by_http_too(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.1"])
    with server() as here:
        assert asked(f"http://gateway.example:{here.server_port}/x", LOOPBACK) == b"inside"
        assert here.hosts == [f"gateway.example:{here.server_port}"]


def test_the_next_address_is_tried_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    with server() as here:
        assert asked(f"http://gateway.example:{here.server_port}/x", LOOPBACK) == b"inside"


def test_the_certificate_is_that_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "gateway.example")
    trusting = ssl.create_default_context(cafile=str(certificate))
    names(monkeypatch, ["127.0.0.1"])
    with server(certificate) as here:
        assert asked(f"https://gateway.example:{here.server_port}/x", LOOPBACK, trusting) == b"inside"
        with pytest.raises(NotSent):
            asked(f"https://other.example:{here.server_port}/x", LOOPBACK, trusting)


def test_a_name_that_is_none_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(NotSent, match="no connection to nowhere"):
        asked("https://nowhere.example/x", NOBODY)
