"""The requests of the fake NAS, as RouterOS fills them in."""

import os
from hashlib import md5
from typing import Any

import pyrad.packet

from cli.nas import mschapv2_response
from tests.fakes.nas_session import OnlineSession
from tests.fakes.nas_wire import dictionary


def access_request(session: OnlineSession, secret: str, nas_ip_address: str) -> Any:
    packet = pyrad.packet.AuthPacket(secret=secret.encode(), dict=dictionary, message_authenticator=True)
    subscriber = session.subscriber
    _fill(packet, session.identity(), nas_ip_address)
    if subscriber.method in ("pap", "mac"):
        packet["User-Password"] = packet.PwCrypt(subscriber.password)
    elif subscriber.method == "chap":
        challenge, identifier = os.urandom(16), os.urandom(1)
        packet["CHAP-Challenge"] = challenge
        packet["CHAP-Password"] = identifier + md5(identifier + subscriber.password.encode() + challenge).digest()
    else:
        challenge, response = mschapv2_response(subscriber.user_name, subscriber.password)
        packet["MS-CHAP-Challenge"], packet["MS-CHAP2-Response"] = challenge, response
    return packet


def accounting_request(session: OnlineSession, status: str, secret: str, nas_ip_address: str) -> Any:
    """`Start`, `Interim-Update` or `Stop`."""
    packet = pyrad.packet.AcctPacket(secret=secret.encode(), dict=dictionary)
    _fill(packet, session.report(status), nas_ip_address)
    return packet


def _fill(packet: Any, values: dict[str, Any], nas_ip_address: str) -> None:
    for name, value in values.items():
        packet[name] = value
    packet["NAS-Identifier"], packet["NAS-IP-Address"] = "MikroTik", nas_ip_address
