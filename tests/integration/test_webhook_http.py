"""How a webhook is sent: what a receiver may do to it, and where it must not go."""

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from settings import Networks
from tasks import webhook_http
from tasks.webhook_http import WebhookError
from tests.integration.test_public_http import make_certificate
from tests.integration.webhook_receiver import receiver

LOOPBACK = Networks([ipaddress.ip_network("127.0.0.0/8")])
OK = b"HTTP/1.1 200 OK\r\n"

Says = tuple[bytes, bytes, float]
"""What a server says first, what it repeats for ever then, and the pause before each repetition."""


@asynccontextmanager
async def server(says: Says, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Its port. It reads nothing, and says what it is told to until the connection is closed."""
    first, then, pause_s = says

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(first)
            while True:
                await asyncio.sleep(pause_s)
                writer.write(then)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    serving = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield serving.sockets[0].getsockname()[1]
    finally:
        serving.close()
        await asyncio.sleep(0.05)  # a connection that was just accepted is served, and closed with the others


def answer_of(says: Says, *, within_s: float = 0.5, scheme: str = "http") -> webhook_http.Answer:
    async def ask() -> webhook_http.Answer:
        async with server(says) as port:
            url = f"{scheme}://127.0.0.1:{port}/"
            return await webhook_http.post(url, b"{}", {}, LOOPBACK, within_s=within_s)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("says", "error"),
    [
        pytest.param((b"", b"", 0.05), r"no answer within 0\.5 s", id="silence"),
        pytest.param((b"", b"H", 0.05), r"no answer within 0\.5 s", id="no status line, byte by byte"),
        pytest.param((OK, b"x", 0.05), r"no answer within 0\.5 s", id="a header, byte by byte"),
        pytest.param((OK, b"X-More: yes\r\n", 0.02), r"no answer within 0\.5 s", id="headers without end"),
        pytest.param((OK, b"X-More: yes\r\n" * 1000, 0), "RemoteProtocolError", id="headers without end, fast"),
        pytest.param(
            (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000, 0), r"no answer within 0\.5 s", id="wait, for ever"
        ),
        pytest.param((b"SSH-2.0-OpenSSH\r\n\r\n", b"", 0.05), "RemoteProtocolError", id="another protocol"),
        pytest.param((b"HTTP/1.1 999999 Hm\r\n\r\n", b"", 0.05), "RemoteProtocolError", id="no status that there is"),
    ],
)
def test_a_receiver_that_does_not_answer_is_left_in_time(says: Says, error: str) -> None:
    began = time.monotonic()
    with pytest.raises(WebhookError, match=error):
        answer_of(says)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("says", "excerpt"),
    [
        pytest.param((OK + b"\r\n", b"x" * 100_000, 0), "x" * 500, id="without end, fast"),
        pytest.param((OK + b"\r\nfine", b"", 0.05), "fine", id="without end, and silent"),
        pytest.param((OK + b"Content-Length: 100\r\n\r\nfine", b"", 0.05), "fine", id="less than it promised"),
        pytest.param((OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nfine\r\nzz\r\n", b"", 0.05), "fine", id="broken"),
    ],
)
def test_an_answer_counts_by_its_status_whatever_comes_behind(says: Says, excerpt: str) -> None:
    began = time.monotonic()
    answer = answer_of(says, within_s=5)
    assert (answer.status, answer.excerpt) == (200, excerpt)
    assert time.monotonic() - began < 4


def test_a_body_byte_by_byte_is_taken_and_left() -> None:
    began = time.monotonic()
    assert answer_of((OK + b"\r\n", b"x", 0.05), within_s=5).status == 200
    assert time.monotonic() - began < 4


def test_a_redirect_leads_nowhere() -> None:
    with receiver() as there:
        there.answer = lambda received: 302
        assert asyncio.run(webhook_http.post(there.url, b"{}", {}, LOOPBACK)).status == 302
        assert len(there.requests) == 1


def test_where_nobody_listens() -> None:
    with pytest.raises(WebhookError, match="ConnectError"):
        asyncio.run(webhook_http.post("http://127.0.0.1:1/", b"{}", {}, LOOPBACK))


def test_certificates_must_be_of_the_name_and_by_somebody_who_is_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path, "books.example")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    names_lead_to(monkeypatch, lambda host: ["127.0.0.1"])

    async def answers() -> tuple[Any, ...]:
        async with server((OK + b"Content-Length: 2\r\n\r\nok", b"", 0.05), theirs) as port:
            return await asyncio.gather(
                webhook_http.post(f"https://books.example:{port}/", b"{}", {}, LOOPBACK, tls=trusting),
                webhook_http.post(f"https://other.example:{port}/", b"{}", {}, LOOPBACK, tls=trusting),
                webhook_http.post(f"https://books.example:{port}/", b"{}", {}, LOOPBACK),
                return_exceptions=True,
            )

    good, other_name, nobody_trusts = asyncio.run(answers())
    assert (good.status, good.excerpt) == (200, "ok")
    assert str(other_name) == (
        "its certificate is not good: Hostname mismatch, certificate is not valid for 'other.example'."
    )
    assert str(nobody_trusts) == "its certificate is not good: self-signed certificate"


def test_a_handshake_that_comes_to_nothing_is_left_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(WebhookError, match=r"no connection within 1 s"):
        answer_of((b"", b"", 0.05), scheme="https", within_s=2)
    with pytest.raises(WebhookError, match=r"ConnectError: .*SSL"):
        answer_of((OK + b"\r\n", b"", 0.05), scheme="https", within_s=5)
    assert time.monotonic() - began < 5


# Names


def names_lead_to(monkeypatch: pytest.MonkeyPatch, addresses_of: Callable[[str], list[str]]) -> None:
    def getaddrinfo(host: str, port: int, *_more: Any, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses_of(host)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_name_servers_that_are_silent_hold_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their owner can have the resolver wait for a minute or more: neither the job waits for that nor another name."""
    asked: list[str] = []
    are_over = threading.Event()

    def addresses_of(host: str) -> list[str]:
        asked.append(host)
        if host.startswith("silent"):
            are_over.wait(15)
        return ["127.0.0.1"]

    names_lead_to(monkeypatch, addresses_of)

    async def answers(port: int) -> list[Any]:
        urls = [f"http://silent{number}.example:{port}/" for number in range(40)]
        silent = [asyncio.create_task(webhook_http.post(url, b"{}", {}, LOOPBACK, within_s=2)) for url in urls]
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        good = await webhook_http.post(f"http://good.example:{port}/", b"{}", {}, LOOPBACK, within_s=2)
        return [good.status, *await asyncio.gather(*silent, return_exceptions=True)]

    began = time.monotonic()
    try:
        with receiver() as there:
            good, *silent = asyncio.run(answers(there.port))
        assert time.monotonic() - began < 10
    finally:
        are_over.set()
    assert good == 204
    assert {str(each) for each in silent} == {"there was no answer within 2 s"}
    assert len(there.requests) == 1


# The last three are names to us, and addresses to the resolver.
@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "255.255.255.255", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("127.1", "2130706433", "0x7f.1"),
    ],
)
def test_what_is_not_on_the_public_internet_is_not_reached(address: str) -> None:
    shown = f"[{address}]" if ":" in address else address
    with pytest.raises(WebhookError, match="not on the public internet"):
        asyncio.run(webhook_http.post(f"https://{shown}/", b"{}", {}, Networks()))


def test_a_name_that_answers_with_an_internal_address_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a name that has a public and an internal address, none is taken: which it would be is its owner's choice."""
    answers: list[list[str]] = [["8.8.8.8", "127.0.0.1"], ["127.0.0.1"]]
    names_lead_to(monkeypatch, lambda host: answers.pop(0))
    with receiver() as there:
        for _ in range(2):
            with pytest.raises(WebhookError, match="not on the public internet"):
                asyncio.run(webhook_http.post(f"https://rebind.example:{there.port}/", b"{}", {}, Networks()))
    assert there.requests == []
    assert answers == []


def test_an_address_where_nobody_is_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as there:  # at 127.0.0.1 alone
        names_lead_to(monkeypatch, lambda host: ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
        assert asyncio.run(webhook_http.post(there.url, b"{}", {}, LOOPBACK, within_s=5)).status == 204
    assert len(there.requests) == 1


def test_plain_http_is_for_networks_of_our_own() -> None:
    with pytest.raises(WebhookError, match="only https"):
        asyncio.run(webhook_http.post("http://8.8.8.8/", b"{}", {}, LOOPBACK))


def test_plain_http_is_not_for_a_name_that_is_partly_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as there:
        names_lead_to(monkeypatch, lambda host: ["127.0.0.1", "8.8.8.8"])
        with pytest.raises(WebhookError, match="only https"):
            asyncio.run(webhook_http.post(there.url, b"{}", {}, LOOPBACK))
    assert there.requests == []
