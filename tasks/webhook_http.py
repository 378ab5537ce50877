"""Sends a webhook to an address that somebody else chose: bounded in time and size, and never into our own network.

The name is resolved here, every address it has is judged, and the connection goes to one that was judged: a name that
answers otherwise a moment later leads nowhere else. Redirects are not followed.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit, urlunsplit

import httpx

from isp.public_address import is_public, is_within
from settings import Networks

WITHIN_S = 10.0
_EXCERPT_BYTES = 500


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

    Raises WebhookError.
    """
    try:
        async with asyncio.timeout(within_s):
            return await _post(url, body, headers, allowed, tls or _tls())
    except TimeoutError:
        raise WebhookError(f"there was no answer within {within_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise WebhookError(_words(error)) from None


async def _post(url: str, body: bytes, headers: Mapping[str, str], allowed: Networks, tls: ssl.SSLContext) -> Answer:
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _resolve(host, parts.port or (443 if parts.scheme == "https" else 80), allowed)
    if parts.scheme != "https" and not is_within(address, allowed):
        raise WebhookError("only https goes over the public internet: change the URL")
    shown = f"[{address}]" if ":" in address else address
    pinned = urlunsplit(parts._replace(netloc=f"{shown}:{parts.port}" if parts.port else shown))
    sent = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": "Kibali",
        **headers,
    }
    async with (
        httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=WITHIN_S, http2=False) as client,
        client.stream("POST", pinned, content=body, headers=sent, extensions={"sni_hostname": host}) as response,
    ):
        excerpt = b""
        async for chunk in response.aiter_raw(_EXCERPT_BYTES):
            excerpt += chunk
            if len(excerpt) >= _EXCERPT_BYTES:
                break  # however much more there is
        text = excerpt[:_EXCERPT_BYTES].decode("utf-8", "replace")
        return Answer(response.status_code, "".join(each for each in text if each.isprintable()))


async def _resolve(host: str, port: int, allowed: Networks) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise WebhookError(f"the name {host} is not known") from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if not is_public(address) and not is_within(address, allowed):
            raise WebhookError(
                f"{host} is at {address}, which is not on the public internet; KIBALI_WEBHOOK_NETWORKS allows networks"
            )
    if not addresses:
        raise WebhookError(f"the name {host} has no address")
    return addresses[0]


@cache
def _tls() -> ssl.SSLContext:
    """To read all certificates of authorities takes longer than to send."""
    return httpx.create_ssl_context()


def _words(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:300] if said else type(error).__name__
