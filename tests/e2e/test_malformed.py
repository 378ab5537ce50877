"""Packets that no router should send: the server goes on answering, and nothing odd gets into the tables."""

import hmac
import os
import random
import socket
import struct
import subprocess
from collections.abc import Callable
from hashlib import md5

import pytest

from tests.fakes.fleet import ACCESS_REQUEST, ACCOUNTING_REQUEST, attribute, hidden_password
from tests.radius import PASSWORD, SECRET, Radius, soon

USER = attribute(1, "somebody")
ACCOUNT = attribute(40, 2) + attribute(44, "malformed") + USER


def access(attributes: bytes, *, length: int | None = None, request_authenticator: bytes | None = None) -> bytes:
    """An Access-Request with a right Message-Authenticator, so that what is odd gets past the door."""
    signed = attribute(80, bytes(16)) + attributes
    head = struct.pack("!BBH", ACCESS_REQUEST, 7, 20 + len(signed) if length is None else length)
    head += request_authenticator or os.urandom(16)
    authenticator = hmac.new(SECRET.encode(), head + signed, "md5").digest()
    return head + attribute(80, authenticator) + attributes


def access_with_password(user_name: str, password: bytes) -> bytes:
    """An Access-Request whose User-Password, of at most 16 octets, decrypts to just these."""
    request_authenticator = os.urandom(16)
    hidden = hidden_password(password, SECRET.encode(), request_authenticator)
    return access(attribute(1, user_name) + attribute(2, hidden), request_authenticator=request_authenticator)


def accounting(attributes: bytes, *, length: int | None = None) -> bytes:
    """An Accounting-Request with a right authenticator."""
    head = struct.pack("!BBH", ACCOUNTING_REQUEST, 7, 20 + len(attributes) if length is None else length)
    return head + md5(head + bytes(16) + attributes + SECRET.encode()).digest() + attributes


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "one octet": b"\x01",
    "a header cut short": access(USER)[:12],
    "a length of 0": access(USER, length=0),
    "a length beyond the packet": access(USER, length=4000),
    "a length within the header": access(USER, length=19),
    "an attribute of length 0": access(b"\x01\x00"),
    "an attribute of length 1": access(b"\x01\x01"),
    "an attribute that runs over the end": access(b"\x01\xffabc"),
    "an attribute cut short": access(USER + b"\x1f"),
    "an unknown code": b"\xc8" + access(USER)[1:],
    "a reply in place of a request": b"\x02" + access(USER)[1:],
    "a wrong Message-Authenticator": access(USER)[:-4] + b"xxxx",
    "4 KiB of Proxy-State": access(USER + attribute(33, bytes(253)) * 15 + attribute(33, bytes(200))),
    "250 attributes": access(USER + attribute(33, b"x") * 250),
    "no name": access(attribute(2, bytes(16))),
    "an empty name": access(b"\x01\x02" + attribute(2, bytes(16))),
    "a name of 253 octets": access(attribute(1, "n" * 253) + attribute(2, bytes(16))),
    "a name with NUL": access(attribute(1, b"some\0body") + attribute(2, bytes(16))),
    "a name that is not UTF-8": access(attribute(1, b"some\xff\xfebody") + attribute(2, bytes(16))),
    "a name of line breaks": access(attribute(1, b"a\r\nb") + attribute(2, bytes(16))),
    "a password of one octet": access(USER + attribute(2, b"x")),
    "a CHAP-Password of no length": access(USER + b"\x03\x02"),
    "a CHAP-Password cut short": access(USER + attribute(3, b"xy")),
    "an MS-CHAP response of noise": access(USER + attribute(26, struct.pack("!I", 311) + b"\x19\x06abcd")),
    "a vendor attribute of length 0": access(USER + attribute(26, struct.pack("!I", 14988) + b"\x08\x00")),
    "a vendor attribute that runs over": access(USER + attribute(26, struct.pack("!I", 14988) + b"\x08\xffab")),
    "an address of three octets": access(USER + attribute(8, b"\x0a\x00\x00") + attribute(2, bytes(16))),
    "noise in every text": access(
        USER + b"".join(attribute(number, b"\xff\xfe\xfd") for number in (30, 31, 32, 87)) + attribute(2, bytes(16))
    ),
    "accounting cut short": accounting(ACCOUNT)[:30],
    "accounting with a wrong authenticator": accounting(ACCOUNT)[:-1] + b"!",
    "accounting without a status": accounting(attribute(44, "malformed") + USER),
    "accounting of an unknown status": accounting(attribute(40, 99) + attribute(44, "malformed") + USER),
    "accounting without a session": accounting(attribute(40, 2) + USER),
    "accounting of an empty session": accounting(attribute(40, 2) + b"\x2c\x02" + USER),
    "accounting with an address of three octets": accounting(ACCOUNT + attribute(8, b"\x0a\x00\x00")),
    "accounting with a prefix of noise": accounting(ACCOUNT + attribute(97, b"\xff" * 18)),
    "accounting with Class of noise": accounting(ACCOUNT + attribute(25, os.urandom(253))),
    "accounting with a forged Class": accounting(ACCOUNT + attribute(25, b"k1.999999999.0000000000000000")),
}

# What can be understood is stored, as far as it can be.
ODD: dict[str, tuple[bytes, Callable[[dict[str, object]], bool]]] = {
    "huge counters": (
        accounting(
            attribute(40, 2)
            + attribute(44, "huge")
            + USER
            + b"".join(attribute(number, 0xFFFFFFFF) for number in (42, 43, 46, 52, 53, 41))
        ),
        lambda row: (row["input_octets"], row["output_octets"], row["session_time_s"]) == (0, 0, 0),
    ),
    "a date long ago": (
        accounting(attribute(40, 2) + attribute(44, "ancient") + USER + attribute(55, 5)),
        lambda row: str(row["stopped_at"]) > "2026",
    ),
    "a name that is not UTF-8": (
        accounting(attribute(40, 2) + attribute(44, "latin") + attribute(1, "Jos\xe9".encode("latin-1"))),
        lambda row: row["username"] == "0x4a6f73e9",
    ),
    "a name that is not UTF-8 with NUL in it": (
        accounting(attribute(40, 2) + attribute(44, "nul") + attribute(1, b"Jos\xe9\0\x8d")),
        lambda row: row["username"] == "0x4a6f73e9008d",
    ),
    "noise in texts that say little": (
        accounting(attribute(40, 2) + attribute(44, "noise") + USER + attribute(87, b"\xff") + attribute(30, b"\xfe")),
        lambda row: (row["username"], row["nas_port_id"]) == ("somebody", None),
    ),
}
_SESSIONS = {
    "huge counters": "huge",
    "a date long ago": "ancient",
    "a name that is not UTF-8": "latin",
    "a name that is not UTF-8 with NUL in it": "nul",
}


def send(radius: Radius, data: bytes, *, code: int | None = None) -> None:
    settings = radius.settings
    is_accounting = data[:1] == bytes((ACCOUNTING_REQUEST,)) if code is None else code == ACCOUNTING_REQUEST
    port = settings.radius_acct_port if is_accounting else settings.radius_auth_port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ("127.0.0.1", port))


@pytest.fixture(scope="module")
def username(radius: Radius) -> str:
    return radius.subscribe({"devices": 1000}).username


def still_answers(radius: Radius, username: str) -> None:
    assert radius.nas().login(username, PASSWORD).code == "Access-Accept"


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_packet_changes_nothing(radius: Radius, username: str, name: str) -> None:
    for _ in range(3):
        send(radius, MALFORMED[name])
    still_answers(radius, username)
    stored = radius.rows("SELECT * FROM session WHERE acct_session_id = 'malformed' AND subscription_id IS NOT NULL")
    assert stored == []


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_stored_as_far_as_it_makes_sense(radius: Radius, username: str, name: str) -> None:
    data, is_right = ODD[name]
    send(radius, data)
    still_answers(radius, username)
    # Nobody waits for the answer.
    query = "SELECT * FROM session WHERE acct_session_id = %s"
    rows = soon(lambda: radius.rows(query, _SESSIONS.get(name, "noise")))
    assert rows
    assert is_right(rows[0]), rows[0]


def test_noise_changes_nothing(radius: Radius, username: str) -> None:
    source = random.Random(11)
    for _ in range(2000):
        send(radius, source.randbytes(source.randrange(0, 300)), code=source.choice((1, ACCOUNTING_REQUEST)))
    for packet in (access(USER + attribute(2, bytes(16))), accounting(ACCOUNT)):
        for _ in range(1000):
            damaged = bytearray(packet)
            for _ in range(source.randrange(1, 6)):
                damaged[source.randrange(len(damaged))] = source.randrange(256)
            send(radius, bytes(damaged), code=packet[0])
    still_answers(radius, username)


@pytest.mark.parametrize(
    "lines",
    [
        'User-Name = "a", User-Password = "b", Message-Authenticator = 0x00, Framed-MTU = 5',
        'User-Name = "a", EAP-Message = 0x0200000501, Message-Authenticator = 0x00',
        'User-Name = "%{exec:id}", User-Password = "${HOME}", Message-Authenticator = 0x00',
        'User-Name = "\'; DROP TABLE session; --", User-Password = "b", Message-Authenticator = 0x00',
    ],
)
def test_radclient_with_odd_attributes_is_refused(radius: Radius, username: str, lines: str) -> None:
    port = radius.settings.radius_auth_port
    command = ["radclient", "-x", "-r", "1", "-t", "3", f"127.0.0.1:{port}", "auth", SECRET]
    sent = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    assert "Access-Reject" in sent.stdout
    still_answers(radius, username)


def test_a_name_of_sql_and_expansions_is_only_a_name(radius: Radius) -> None:
    for name in ("'; DROP TABLE session; --", "%{exec:/usr/bin/id}", "${RADDB}", "*", "a%b_c", "\\", "\u202eevil"):
        with pytest.raises(AssertionError):
            assert radius.nas().login(name, PASSWORD).code == "Access-Accept"
    assert radius.rows("SELECT count(*) AS count FROM tenant") == [{"count": 1}]


@pytest.mark.parametrize("user_name", ["a\r\nb", "a\0b", "n" * 100], ids=["a line break", "NUL", "too long"])
def test_a_name_that_no_account_can_have_is_refused_as_malformed(radius: Radius, user_name: str) -> None:
    query = "SELECT count(*) AS count FROM auth_log WHERE reason = 'malformed'"
    before = radius.rows(query)[0]["count"]
    reply = radius.nas().login(user_name, PASSWORD)
    assert reply.code == "Access-Reject"
    assert reply.attributes["Reply-Message"] == "The login could not be understood. Contact your provider."
    assert soon(lambda: radius.rows(query)[0]["count"] != before)


@pytest.mark.parametrize("password", [b"a\x8d", b"a\x8d\0\xff"], ids=["noise", "NUL in it"])
def test_a_password_that_decrypts_to_noise_is_refused_and_logged_as_malformed(radius: Radius, password: bytes) -> None:
    """Under a wrong secret every password does."""
    user_name = f"noise-{password.hex()}"
    send(radius, access_with_password(user_name, password))
    logged = soon(lambda: radius.rows("SELECT reason FROM auth_log WHERE username = %s", user_name))
    assert logged == [{"reason": "malformed"}]
