"""A way out for addresses that a tenant names: to the public internet by https, and to networks that are allowed.

A name is looked up once and connected to by the address that was found good, so that it can not lead elsewhere a moment
later. The certificate is still that of the name.
"""

import socket
import ssl
from contextlib import suppress

import httpx

from isp.public_address import is_public, is_within
from settings import Networks


class NotAllowed(httpx.ConnectError):
    """Nothing was sent: the address leads where it must not. The text says what to do."""


class PublicOnly(httpx.BaseTransport):
    """`allowed` are networks that may be reached although they are not public, by http too."""

    def __init__(self, allowed: Networks, tls: ssl.SSLContext | None = None) -> None:
        self._allowed = allowed
        self._transport = httpx.HTTPTransport(
            verify=True if tls is None else tls,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises NotAllowed, and as httpx's own."""
        host = request.url.host
        addresses = self._addresses(host, request.url.port or 443, request.url.scheme)
        request.extensions = {**request.extensions, "sni_hostname": host}
        *others, last = addresses
        for address in others:
            request.url = request.url.copy_with(host=address)
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return self._transport.handle_request(request)
        request.url = request.url.copy_with(host=last)
        return self._transport.handle_request(request)

    def close(self) -> None:
        self._transport.close()

    def _addresses(self, host: str, port: int, scheme: str) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpx.ConnectError(f"there is no {host}") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        inside = [address for address in addresses if is_within(address, self._allowed)]
        if len(inside) == len(addresses):
            return addresses
        if scheme != "https":
            raise NotAllowed(f"{host} must be reached by https")
        for address in addresses:
            if address not in inside and not is_public(address):
                raise NotAllowed(
                    f"{host} is {address}, which is not on the public internet; whoever runs Kibali may allow it with"
                    " KIBALI_GATEWAY_NETWORKS"
                )
        return addresses
