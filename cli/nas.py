"""A simulated NAS: logs subscribers in and accounts for them as RouterOS does, with real packets over UDP.

Contents and order of a hotspot's Access-Request follow a capture of RouterOS 7.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5, sha1
from typing import Any, Literal

import pyrad.client
import pyrad.packet
from Crypto.Cipher import DES
from Crypto.Hash import MD4
from pyrad.dictionary import Dictionary

from settings import CHECKOUT

DICTIONARY = CHECKOUT / "freeradius" / "pyrad.dictionary"

Method = Literal["pap", "chap", "mschapv2", "mac"]
Attributes = Mapping[str, Any]

CODES = {2: "Access-Accept", 3: "Access-Reject", 5: "Accounting-Response"}


class NoAnswer(Exception):
    """The server did not answer, or not with the right authenticator."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified reply. Values as pyrad decodes them: text, int, bytes; the first of each attribute."""

    code: str
    attributes: dict[str, Any]
    sent: dict[str, Any]
    """What the request held."""


class Nas:
    """One router. `timeout_s` and `tries` are RouterOS's own; `source` is the address it sends from."""

    def __init__(
        self,
        server: str,
        auth_port: int,
        acct_port: int,
        secret: str,
        *,
        timeout_s: float = 3.0,
        tries: int = 3,
        source: str = "0.0.0.0",  # noqa: S104 (whichever address the way there has)
    ) -> None:
        self._client = pyrad.client.Client(
            server=server,
            authport=auth_port,
            acctport=acct_port,
            secret=secret.encode(),
            dict=Dictionary(str(DICTIONARY)),
        )
        self._client.timeout = timeout_s
        self._client.retries = tries
        self._source = source

    def login(
        self,
        user_name: str,
        password: str,
        method: Method = "pap",
        attributes: Attributes | None = None,
        *,
        service: Literal["hotspot", "pppoe"] | None = "hotspot",
        mac: str = "BC:24:11:EB:56:4D",
    ) -> Answer:
        """An Access-Request. Raises NoAnswer."""
        packet = self._client.CreateAuthPacket(code=pyrad.packet.AccessRequest, message_authenticator=True)
        values: dict[str, Any] = {"NAS-Port-Type": "Ethernet", "Calling-Station-Id": mac, "User-Name": user_name}
        if service == "hotspot":
            values |= {"Called-Station-Id": "hotspot1", "NAS-Port-Id": "bridge", "Service-Type": "Login-User"}
        elif service == "pppoe":
            values |= {"Called-Station-Id": "pppoe1", "NAS-Port-Id": "ether2", "Service-Type": "Framed-User"}
            values["Framed-Protocol"] = "PPP"
        values |= {"NAS-Identifier": "MikroTik", "NAS-IP-Address": "127.0.0.1", **(attributes or {})}
        for name, value in values.items():
            packet[name] = value
        _add_password(packet, user_name, password, method)
        return self._exchange(packet)

    def account(self, status: str, acct_session_id: str, attributes: Attributes | None = None) -> Answer:
        """An Accounting-Request: `Start`, `Interim-Update`, `Stop`, `Accounting-On`, … Raises NoAnswer."""
        packet = self._client.CreateAcctPacket(code=pyrad.packet.AccountingRequest)
        packet["Acct-Status-Type"] = status
        packet["Acct-Session-Id"] = acct_session_id
        for name, value in (attributes or {}).items():
            packet[name] = value
        return self._exchange(packet)

    def _exchange(self, packet: Any) -> Answer:
        sent = _decoded(packet)
        self._client.bind((self._source, 0))
        try:
            reply = self._client.SendPacket(packet)
        except pyrad.client.Timeout:
            raise NoAnswer(f"no answer from {self._client.server}") from None
        except OSError as error:
            raise NoAnswer(f"{self._client.server}: {error.strerror or error}") from None
        finally:
            self._client._CloseSocket()
        return Answer(CODES.get(reply.code, str(reply.code)), _decoded(reply), sent)


def octets(name: str, count: int) -> dict[str, int]:
    """A 64-bit counter as two attributes: `octets("Input", 5 << 32)`."""
    gigawords, low = divmod(count, 1 << 32)
    return {f"Acct-{name}-Octets": low, f"Acct-{name}-Gigawords": gigawords}


def _decoded(packet: Any) -> dict[str, Any]:
    return {name: packet[name][0] for name in packet.keys() if isinstance(name, str)}  # noqa: SIM118


def _add_password(packet: Any, user_name: str, password: str, method: Method) -> None:
    if method in ("pap", "mac"):
        packet["User-Password"] = packet.PwCrypt(password)
    elif method == "chap":
        challenge, identifier = os.urandom(16), os.urandom(1)
        packet["CHAP-Challenge"] = challenge
        packet["CHAP-Password"] = identifier + md5(identifier + password.encode() + challenge).digest()  # noqa: S324
    else:
        challenge, response = mschapv2_response(user_name, password)
        packet["MS-CHAP-Challenge"] = challenge
        packet["MS-CHAP2-Response"] = response


def mschapv2_response(user_name: str, password: str) -> tuple[bytes, bytes]:
    """MS-CHAP-Challenge and MS-CHAP2-Response of RFC 2548, by the calculation of RFC 2759."""
    challenge, peer_challenge = secrets.token_bytes(16), secrets.token_bytes(16)
    digest = sha1(peer_challenge + challenge + user_name.encode()).digest()[:8]  # noqa: S324
    nt_hash = MD4.new(password.encode("utf-16-le")).digest().ljust(21, b"\0")  # noqa: S303
    nt_response = b"".join(
        DES.new(_des_key(nt_hash[at : at + 7]), DES.MODE_ECB).encrypt(digest)  # noqa: S304
        for at in (0, 7, 14)
    )
    return challenge, b"\0\0" + peer_challenge + bytes(8) + nt_response


def _des_key(seven: bytes) -> bytes:
    """56 bits spread over eight bytes, the parity bits left 0."""
    bits = int.from_bytes(seven)
    return bytes(((bits >> shift) & 0x7F) << 1 for shift in range(49, -1, -7))
