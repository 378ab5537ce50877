"""Types of fields. Each takes what people write and yields the one form that is stored."""

import re
import unicodedata
from datetime import UTC, datetime, time
from decimal import Decimal
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network, NetmaskValueError, ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

from isp.mac import parse_mac
from isp.msisdn import parse_msisdn

MAX_ID = 2**63 - 1
MAX_KBPS = 100_000_000

# Anchored: in a JSON schema a pattern is searched for.
_AMOUNT = r"^[0-9]{1,10}(\.[0-9]{1,2})?$"
_STORED_AMOUNT = r"^-?[0-9]+\.[0-9]{2}$"
_TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"


def _one_line(text: str) -> str:
    # Cc: control characters. Cs: half a UTF-16 pair, which no encoding can store.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("It must not hold control characters.")
    return text


def _lines(text: str) -> str:
    _one_line(text.replace("\n", " ").replace("\t", " ").replace("\r", " "))
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("It must be a text.")
    return value.strip()


def _money(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("It must be an amount such as 500.00, as a text.")
    if not re.fullmatch(_AMOUNT, str(value), re.ASCII):
        raise ValueError(
            "It must be an amount such as 500.00: not below 0, at most two decimals and ten digits before."
        )
    return Decimal(str(value)).quantize(Decimal("0.01"))


def _time_of_day(value: Any) -> time:
    if isinstance(value, time):
        return value
    if not isinstance(value, str) or not re.fullmatch(_TIME_OF_DAY, value, re.ASCII):
        raise ValueError("It must be a time of day such as 18:00.")
    return time.fromisoformat(value)


def _mac(value: Any) -> str:
    mac = parse_mac(value) if isinstance(value, str) else None
    if mac is None:
        raise ValueError("It must be a MAC address such as AA:BB:CC:DD:EE:FF.")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise ValueError("It must be the address of one device, not of a group or of none.")
    return mac


def _msisdn(value: Any) -> str:
    msisdn = parse_msisdn(value) if isinstance(value, str) else None
    if msisdn is None:
        raise ValueError("It must be a phone number such as 0712345678, or with its country code: +254712345678.")
    return msisdn


def _framed_ip_address(value: Any) -> str:
    try:
        address = IPv4Address(_text(value))
    except AddressValueError:
        raise ValueError("It must be an IPv4 address such as 10.0.0.5.") from None
    if address.is_multicast or address.is_unspecified or address.is_reserved or address.is_loopback:
        raise ValueError("It must be an address that a device can have.")
    return str(address)


def _delegated_ipv6_prefix(value: Any) -> str:
    try:
        return str(IPv6Network(_text(value)))
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ValueError("It must be an IPv6 prefix such as 2001:db8:0:100::/56, without host bits.") from None


def _nas_address(value: Any) -> str:
    try:
        address = ip_address(_text(value))
    except ValueError:
        raise ValueError("It must be an IPv4 or IPv6 address.") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError("It must be an address without a zone (no %).")
        address = address.ipv4_mapped or address
    if address.is_multicast or address.is_unspecified or address == IPv4Address("255.255.255.255"):
        raise ValueError("It must be an address that a router can send from.")
    return str(address)


def _email(value: str) -> str:
    if not re.fullmatch(r"[^\s@]+@[^\s@]+", value):
        raise ValueError("It must be an email address.")
    return value


def _slug(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value, re.ASCII):
        raise ValueError("It must be 1 to 63 letters a–z, digits and dashes, and not begin with a dash.")
    return value


def _radius_secret(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value, re.ASCII):
        raise ValueError("It must hold only ASCII characters, and no spaces.")
    return value


def _router_username(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]*", value, re.ASCII):
        raise ValueError("It must hold only letters a–z, digits, dots, dashes and underscores.")
    return value


def _certificate_sha256(value: str) -> str:
    digits = value.replace(":", "").strip().lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits, re.ASCII):
        raise ValueError("It must be a SHA-256 fingerprint: 64 hexadecimal digits.")
    return digits


def _password(value: str) -> str:
    if len(value.encode()) > 128:  # RFC 2865: User-Password holds at most 128 octets
        raise ValueError("It must not be longer than 128 bytes.")
    return value


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _as_text(schema_format: str, example: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": schema_format, "examples": [example], **more})


Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Kbps = Annotated[int, Field(ge=1, le=MAX_KBPS)]
Bytes = Annotated[int, Field(ge=1, le=MAX_ID)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=1, le=2**31 - 1)]

Line = AfterValidator(_one_line)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Line]
LongName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Line]
Lines = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_lines)]
Email = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, max_length=254), Line, AfterValidator(_email)
]
Slug = Annotated[str, AfterValidator(_slug)]
Username = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), Line]
Password = Annotated[str, StringConstraints(min_length=1), Line, AfterValidator(_password)]
RadiusSecret = Annotated[str, StringConstraints(min_length=8, max_length=64), AfterValidator(_radius_secret)]
RouterUsername = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_router_username)]
CertificateSha256 = Annotated[str, AfterValidator(_certificate_sha256)]
ListName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63), Line]
"""Name of a pool or an address list on the router."""

Kes = Annotated[Decimal, BeforeValidator(_money), PlainSerializer(str), _as_text("decimal", "500.00", pattern=_AMOUNT)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), _as_text("time-of-day", "18:00", pattern=_TIME_OF_DAY)]
Mac = Annotated[str, BeforeValidator(_mac), _as_text("mac", "AA:BB:CC:DD:EE:FF")]
Msisdn = Annotated[str, BeforeValidator(_msisdn), _as_text("msisdn", "0712345678")]
FramedIpAddress = Annotated[str, BeforeValidator(_framed_ip_address), _as_text("ipv4", "10.0.0.5")]
DelegatedIpv6Prefix = Annotated[
    str, BeforeValidator(_delegated_ipv6_prefix), _as_text("ipv6-prefix", "2001:db8:0:100::/56")
]
NasAddress = Annotated[str, BeforeValidator(_nas_address), _as_text("ip", "192.0.2.10")]

# As PostgreSQL gives them back, which is in the time zone of its own, and with its own types for addresses.
Moment = Annotated[datetime, PlainSerializer(_utc), _as_text("date-time", "2026-11-20T08:00:00Z")]
StoredAddress = Annotated[str, PlainSerializer(str), _as_text("ip", "10.0.0.5")]
StoredMac = Annotated[str, PlainSerializer(lambda mac: str(mac).upper()), _as_text("mac", "AA:BB:CC:DD:EE:FF")]
StoredKes = Annotated[
    Decimal, PlainSerializer(lambda kes: f"{kes:.2f}"), _as_text("decimal", "500.00", pattern=_STORED_AMOUNT)
]
