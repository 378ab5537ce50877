"""Sends a webhook to an address that somebody else chose: bounded in time and size, and never into our own network.

The name is resolved here, every address it has is judged, and the connection goes to one that was judged: a name that
answers otherwise a moment later leads nowhere else. Redirects are not followed.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import httpx

from settings import Networks

WITHIN_S = 10.0
_EXCERPT_BYTES = 500
# IPv6 that carries IPv4: what counts is the address inside.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookError(Exception):
    """It did not get there, or nobody answered; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    excerpt: str
    """How the answer begins."""


def post(
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

    async def send() -> Answer:
        async with asyncio.timeout(within_s):
            return await _post(url, body, headers, allowed, tls)

    try:
        return asyncio.run(send())
    except TimeoutError:
        raise WebhookError(f"there was no answer within {within_s:g} s") from None
    except httpx.HTTPError as error:
        raise WebhookError(_words(error)) from None


def is_public(address: Address) -> bool:
    """Whether it is somebody's on the public internet."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


async def _post(
    url: str, body: bytes, headers: Mapping[str, str], allowed: Networks, tls: ssl.SSLContext | None
) -> Answer:
    parts = urlsplit(url)
    host = parts.hostname or ""
    address = await _resolve(host, parts.port or (443 if parts.scheme == "https" else 80), allowed)
    if parts.scheme != "https" and not _is_in(address, allowed):
        raise WebhookError("only https goes over the public internet: change the URL")
    shown = f"[{address}]" if address.version == 6 else str(address)
    pinned = urlunsplit(parts._replace(netloc=f"{shown}:{parts.port}" if parts.port else shown))
    sent = {
        "Host": parts.netloc.rpartition("@")[2],
        "Content-Type": "application/json",
        "User-Agent": "Kibali",
        **headers,
    }
    async with (
        httpx.AsyncClient(
            verify=tls or True, trust_env=False, follow_redirects=False, timeout=WITHIN_S, http2=False
        ) as client,
        client.stream("POST", pinned, content=body, headers=sent, extensions={"sni_hostname": host}) as response,
    ):
        excerpt = b""
        async for chunk in response.aiter_raw(_EXCERPT_BYTES):
            excerpt += chunk
            if len(excerpt) >= _EXCERPT_BYTES:
                break  # however much more there is
        text = excerpt[:_EXCERPT_BYTES].decode("utf-8", "replace")
        return Answer(response.status_code, "".join(each for each in text if each.isprintable()))


async def _resolve(host: str, port: int, allowed: Networks) -> Address:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise WebhookError(f"the name {host} is not known") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    for address in addresses:
        if not is_public(address) and not _is_in(address, allowed):
            raise WebhookError(
                f"{host} is at {address}, which is not on the public internet; KIBALI_WEBHOOK_NETWORKS allows networks"
            )
    if not addresses:
        raise WebhookError(f"the name {host} has no address")
    return addresses[0]


def _is_in(address: Address, networks: Networks) -> bool:
    address = _inside(address) or address
    return any(address in network for network in networks)


def _inside(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or (address.teredo[1] if address.teredo else None)


def _words(error: httpx.HTTPError) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}"[:300] if said else type(error).__name__
