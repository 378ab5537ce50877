"""One HTTP exchange with Daraja, bounded in time and in size, that tells whether anything was sent.

Each has a connection of its own: one kept alive may be closed by the other side while a push is written into it, and
nobody could say whether that was read.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tasks.public_http import NotAllowed

CONNECT_TIMEOUT_S = 5.0
MOST_BYTES = 64 * 1024


class NotSent(Exception):
    """No connection: the request did not leave this machine."""


class NoAnswer(Exception):
    """The request was sent, at least in part; its answer did not come, or not whole."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def make_http(
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """Build it once and hand it down: reading the certificates takes time. It opens nothing yet; threads may share it.

    It goes to no proxy of the environment and follows no redirect: where money is asked for is set by us alone. `tls`
    says whom it trusts, if not the public authorities; a `transport` decides that itself.
    """
    return httpx.Client(
        verify=True if tls is None else tls,
        timeout=httpx.Timeout(connect_timeout_s),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        trust_env=False,
        follow_redirects=False,
        transport=transport,
    )


def exchange(
    http: httpx.Client,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    json: object = None,
    content: bytes | None = None,
    within_s: float,
) -> Answer:
    """The answer, whatever its status. Raises NotSent or NoAnswer, whose texts hold nothing of what was sent.

    `within_s` is for everything after the connection is made, however slowly the other side drips.
    """
    try:
        request = http.build_request(
            method,
            url,
            headers={"Accept-Encoding": "identity", "Connection": "close", **headers},
            json=json,
            content=content,
            timeout=httpx.Timeout(within_s, connect=http.timeout.connect),
        )
        with _time_limit(within_s) as trace:
            request.extensions["trace"] = trace
            response = http.send(request, stream=True)
            with closing(response):
                return Answer(response.status_code, _bounded(response))
    except NotAllowed as error:
        raise NotSent(str(error)) from None
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise NotSent(f"no connection to {_host(url)} ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise NoAnswer(f"no answer from {_host(url)} ({type(error).__name__})") from None


def _bounded(response: httpx.Response) -> bytes:
    body = b""
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > MOST_BYTES:
            raise NoAnswer(f"an answer of more than {MOST_BYTES // 1024} KiB from {response.url.host}")
    return body


@contextmanager
def _time_limit(limit_s: float) -> Iterator[Callable[[str, Mapping[str, Any]], None]]:
    """Ends the connection when the time is up. httpx's own limits start anew with every byte.

    Yields what httpx's `trace` extension calls; it tells us the socket.
    """
    timers: list[threading.Timer] = []

    def end(stream: Any) -> None:
        with suppress(OSError):
            # Not the method of a TLS socket, which would also drop the state that another thread is reading with.
            socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def trace(event: str, info: Mapping[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            for earlier in timers:
                earlier.cancel()
            timer = threading.Timer(limit_s, end, (info["return_value"],))
            timer.daemon = True
            timer.start()
            timers.append(timer)

    try:
        yield trace
    finally:
        for timer in timers:
            timer.cancel()


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host or "nowhere"
    except httpx.InvalidURL:
        return "nowhere"
