"""Sends a webhook to an address that somebody else chose: bounded in time and size, and never into our own network.

The name is resolved here, every address it has is judged, and connections go to those that were judged: a name that
answers otherwise a moment later leads nowhere else. Redirects are not followed.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from isp.public_address import is_public, is_within
from settings import Networks

WITHIN_S = 10.0
# How the answer begins is for people to read, and no answer waits for it.
_EXCERPT_BYTES = 500
_EXCERPT_WITHIN_S = 1.0
LONGEST_S = WITHIN_S + _EXCERPT_WITHIN_S


class WebhookError(Exception):
    """It did not get there, or nobody answered; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    excerpt: str
    """How the answer begins."""


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed: Networks,
    *,
    within_s: float = WITHIN_S,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """What the receiver said. `allowed`: networks that are not the public internet and may be reached all the same.

    Its status has `within_s`, and counts whatever becomes of the rest of its answer. Raises WebhookError.
    """
    try:
        # httpcore leaves the connection open where a handshake is cancelled; where it takes too long, it does not.
        timeout = httpx.Timeout(within_s, connect=within_s / 2)
        async with httpx.AsyncClient(verify=tls or _tls(), trust_env=False, timeout=timeout) as client:
            async with asyncio.timeout(within_s):
                response = await _ask(client, await _requests(client, url, body, headers, allowed))
            try:
                return Answer(response.status_code, await _excerpt(response))
            finally:
                await response.aclose()
    except httpx.ConnectTimeout:
        raise WebhookError(f"there was no connection within {within_s / 2:g} s") from None
    except (TimeoutError, httpx.TimeoutException):
        raise WebhookError(f"there was no answer within {within_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise WebhookError(_words(error)) from None


async def _requests(
    client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str], allowed: Networks
) -> list[httpx.Request]:
    """The same to each address that the name has."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    addresses = await _resolve(host, parts.port or (443 if parts.scheme == "https" else 80), allowed)
    if parts.scheme != "https" and not all(is_within(each, allowed) for each in addresses):
        raise WebhookError("only https goes over the public internet: change the URL")
    sent = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": "Kibali",
        **headers,
    }
    made = []
    for address in addresses:
        shown = f"[{address}]" if ":" in address else address
        pinned = urlunsplit(parts._replace(netloc=f"{shown}:{parts.port}" if parts.port else shown))
        named = {"sni_hostname": host}
        made.append(client.build_request("POST", pinned, content=body, headers=sent, extensions=named))
    return made


async def _ask(client: httpx.AsyncClient, requests: list[httpx.Request]) -> httpx.Response:
    """Where nobody can be connected to, the next address is asked. Raises as httpx's own."""
    *others, last = requests
    for each in others:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await client.send(each, stream=True, follow_redirects=False)
    return await client.send(last, stream=True, follow_redirects=False)


async def _excerpt(response: httpx.Response) -> str:
    excerpt = b""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(_EXCERPT_WITHIN_S):
            async for chunk in response.aiter_raw():
                excerpt += chunk
                if len(excerpt) >= _EXCERPT_BYTES:
                    break  # however much more there is
    text = excerpt[:_EXCERPT_BYTES].decode("utf-8", "replace")
    return "".join(each for each in text if each.isprintable())


async def _resolve(host: str, port: int, allowed: Networks) -> list[str]:
    try:
        found = await _look_up(host, port)
    except (OSError, UnicodeError):
        raise WebhookError(f"the name {host} is not known") from None
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    for address in addresses:
        if not is_public(address) and not is_within(address, allowed):
            raise WebhookError(
                f"{host} is at {address}, which is not on the public internet; KIBALI_WEBHOOK_NETWORKS allows networks"
            )
    if not addresses:
        raise WebhookError(f"the name {host} has no address")
    return addresses


async def _look_up(host: str, port: int) -> list[Any]:
    """getaddrinfo, in a thread that nobody has to wait for: where name servers are silent it takes a minute or more.

    The loop's own threads are few, and asyncio.run waits for each of them in the end.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Any]] = loop.create_future()

    def tell(settle: Callable[[Any], None], what: Any) -> None:
        with suppress(RuntimeError):  # nobody waits any more: the loop is closed
            loop.call_soon_threadsafe(lambda: None if found.done() else settle(what))

    def look_up() -> None:
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            tell(found.set_exception, error)
        else:
            tell(found.set_result, addresses)

    threading.Thread(target=look_up, name=f"look up {host}", daemon=True).start()
    return await found


@cache
def _tls() -> ssl.SSLContext:
    """To read all certificates of authorities takes longer than to send."""
    return httpx.create_ssl_context()


def _words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not good: {cause.verify_message}"[:300]
        cause = cause.__cause__ or cause.__context__
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:300] if said else type(error).__name__
