"""RADIUS attributes as bytes, in the order and with the contents of a capture of RouterOS 7."""

import struct

from bench.population import NAS_ADDRESS, NAS_IDENTIFIER, Session, Subscriber

USER_NAME, USER_PASSWORD, NAS_IP_ADDRESS, NAS_PORT, SERVICE_TYPE, FRAMED_PROTOCOL = 1, 2, 4, 5, 6, 7
FRAMED_IP_ADDRESS, CLASS, VENDOR_SPECIFIC, SESSION_TIMEOUT, CALLED_STATION_ID, CALLING_STATION_ID = (
    8,
    25,
    26,
    27,
    30,
    31,
)
NAS_IDENTIFIER_TYPE, ACCT_STATUS_TYPE, ACCT_DELAY_TIME, ACCT_INPUT_OCTETS, ACCT_OUTPUT_OCTETS = 32, 40, 41, 42, 43
ACCT_SESSION_ID, ACCT_AUTHENTIC, ACCT_SESSION_TIME, ACCT_INPUT_PACKETS, ACCT_OUTPUT_PACKETS = 44, 45, 46, 47, 48
ACCT_TERMINATE_CAUSE, ACCT_INPUT_GIGAWORDS, ACCT_OUTPUT_GIGAWORDS, EVENT_TIMESTAMP = 49, 52, 53, 55
NAS_PORT_TYPE, MESSAGE_AUTHENTICATOR, ACCT_INTERIM_INTERVAL, NAS_PORT_ID = 61, 80, 85, 87

MICROSOFT, MIKROTIK, WISPR = 311, 14988, 14122
MS_CHAP_CHALLENGE, MS_CHAP2_RESPONSE = 11, 25
MIKROTIK_RATE_LIMIT, MIKROTIK_HOST_IP, MIKROTIK_TOTAL_LIMIT, MIKROTIK_TOTAL_LIMIT_GIGAWORDS = 8, 10, 17, 18
WISPR_LOGOFF_URL = 3

LOGIN_USER, FRAMED_USER, PPP, ETHERNET, RADIUS_AUTHENTIC = 1, 2, 1, 15, 1


def octets(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def text(kind: int, value: str) -> bytes:
    return octets(kind, value.encode())


def integer(kind: int, value: int) -> bytes:
    return struct.pack("!BBI", kind, 6, value)


def address(kind: int, value: str) -> bytes:
    return octets(kind, bytes(map(int, value.split("."))))


def vendor(vendor_id: int, attribute: bytes) -> bytes:
    return octets(VENDOR_SPECIFIC, struct.pack("!I", vendor_id) + attribute)


def login_head(subscriber: Subscriber, session_number: int) -> bytes:
    """Of an Access-Request, all that comes before the password."""
    session = Session(session_number, subscriber)
    head = integer(NAS_PORT_TYPE, ETHERNET) + text(CALLING_STATION_ID, subscriber.mac) + _where(subscriber)
    head += text(USER_NAME, subscriber.user_name) + integer(NAS_PORT, session.nas_port)
    head += text(ACCT_SESSION_ID, session.acct_session_id)
    if subscriber.service == "hotspot":
        head += address(FRAMED_IP_ADDRESS, subscriber.framed_ip_address)
        head += vendor(MIKROTIK, address(MIKROTIK_HOST_IP, subscriber.framed_ip_address))
    return head


def login_tail(subscriber: Subscriber) -> bytes:
    """All that comes after the password, but for Message-Authenticator."""
    if subscriber.service == "hotspot":
        tail = integer(SERVICE_TYPE, LOGIN_USER)
        tail += vendor(WISPR, text(WISPR_LOGOFF_URL, "http://10.64.0.1/logout"))
    else:
        tail = integer(SERVICE_TYPE, FRAMED_USER) + integer(FRAMED_PROTOCOL, PPP)
    return tail + _nas()


def accounting_head(session: Session) -> bytes:
    """What every record of a session repeats."""
    subscriber = session.subscriber
    head = integer(NAS_PORT_TYPE, ETHERNET) + text(CALLING_STATION_ID, subscriber.mac) + _where(subscriber)
    head += text(USER_NAME, subscriber.user_name) + integer(NAS_PORT, session.nas_port)
    head += text(ACCT_SESSION_ID, session.acct_session_id) + address(FRAMED_IP_ADDRESS, subscriber.framed_ip_address)
    if subscriber.service == "hotspot":
        head += vendor(MIKROTIK, address(MIKROTIK_HOST_IP, subscriber.framed_ip_address))
    else:
        head += integer(SERVICE_TYPE, FRAMED_USER) + integer(FRAMED_PROTOCOL, PPP)
    head += integer(ACCT_AUTHENTIC, RADIUS_AUTHENTIC) + text(CLASS, session.radius_class)
    return head + _nas() + integer(ACCT_DELAY_TIME, 0)


def _where(subscriber: Subscriber) -> bytes:
    if subscriber.service == "hotspot":
        return text(CALLED_STATION_ID, "hotspot1") + text(NAS_PORT_ID, "bridge")
    return text(CALLED_STATION_ID, "pppoe1") + text(NAS_PORT_ID, "ether2")


def _nas() -> bytes:
    return text(NAS_IDENTIFIER_TYPE, NAS_IDENTIFIER) + address(NAS_IP_ADDRESS, NAS_ADDRESS)
