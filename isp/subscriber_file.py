"""Files of subscribers and their subscriptions, as spreadsheets and other programs write them: CSV or JSON, to rows."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import AddressValueError, IPv4Address
from typing import Any, TypeVar

from isp.json_items import items_of
from isp.mac import parse_mac
from isp.msisdn import parse_msisdn

T = TypeVar("T")

COLUMNS = (
    "name",
    "msisdn",
    "email",
    "note",
    "plan",
    "service",
    "username",
    "password",
    "macs",
    "framed_ip_address",
    "expires_at",
)
MOST_ROWS = 500_000
"""Blank ones too: to read millions of them takes seconds."""
# What an export says beside them, and an import does not read.
_ONLY_SHOWN = ("subscriber_id", "subscription_id", "state")
EXPORTED = (*COLUMNS, *_ONLY_SHOWN)
_ALIASES = {"phone": "msisdn", "mobile": "msisdn", "e-mail": "email", "mac": "macs", "ip_address": "framed_ip_address"}
_MOST_CHARACTERS = {"name": 200, "email": 254, "note": 10_000, "username": 64, "plan": 100}
# What a spreadsheet takes for a formula, or would if it were not for the apostrophes before it.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


class BadFile(Exception):
    """The file as a whole can not be read; the text says what to do."""


class BadRow(Exception):
    """A row can not be taken. `field` names the column at fault; empty if it is the row as a whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says, checked. Without `plan` it is a subscriber and no subscription."""

    name: str
    msisdn: str | None
    email: str | None
    note: str | None
    plan: str | None
    service: str | None
    username: str | None
    password: str | None
    macs: tuple[str, ...]
    framed_ip_address: str | None
    expires_at: datetime | None


def text_of(content: bytes) -> str:
    """Of UTF-8, with its mark or without, or UTF-16. Raises BadFile."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in content[:4]:  # without its mark: each ASCII character has a zero beside it
        encoding = "utf-16-be" if content[:1] == b"\0" else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise BadFile("It is neither UTF-8 nor UTF-16. Save it as CSV UTF-8.") from None
    if "\0" in text:
        raise BadFile("It holds NUL characters. Save it as CSV UTF-8.")
    return text


def rows_of(text: str, file_format: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Each row that says something, with the number of the line (CSV) or the item (JSON) at which it begins.

    Raises BadFile, for what is wrong further on when that is come to.
    """
    return _rows_of_json(text) if file_format == "json" else _rows_of_csv(text)


def checked(values: Mapping[str, str]) -> Row:
    """Raises BadRow for the first thing that is wrong."""
    if "" in values:
        raise BadRow("", values[""])
    said = {name: value.strip() for name, value in values.items() if value.strip()}
    for name, value in said.items():
        if any(unicodedata.category(each) in ("Cc", "Cs") for each in value if name != "note" or each not in "\n\r\t"):
            raise BadRow(name, "It must not hold control characters.")
        if len(value) > _MOST_CHARACTERS.get(name, 10_000):
            raise BadRow(name, f"It must not be longer than {_MOST_CHARACTERS[name]} characters.")
    if "name" not in said:
        raise BadRow("name", "It is missing.")
    row = Row(
        name=said["name"],
        msisdn=_msisdn(said.get("msisdn")),
        email=_email(said.get("email")),
        note=said.get("note"),
        plan=said.get("plan"),
        service=_service(said.get("service")),
        username=said.get("username"),
        password=_password(values.get("password", "")),
        macs=_macs(said.get("macs", "")),
        framed_ip_address=_address(said.get("framed_ip_address")),
        expires_at=_moment(said.get("expires_at")),
    )
    for name in ("service", "username", "password", "macs", "framed_ip_address", "expires_at"):
        if row.plan is None and getattr(row, name):
            raise BadRow("plan", f"It is missing, and {name} is about a subscription.")
    if row.msisdn is None and row.username is None:
        raise BadRow("msisdn", "Give msisdn or username: by one of them a row is known when it comes again.")
    return row


def csv_lines(rows: Iterable[Mapping[str, Any]], *, with_header: bool) -> str:
    """CSV for spreadsheets: no cell of it is taken for a formula."""
    written = io.StringIO()
    writer = csv.writer(written)
    if with_header:
        writer.writerow(EXPORTED)
    for row in rows:
        writer.writerow([_harmless(row[name]) for name in EXPORTED])
    return written.getvalue()


def _harmless(value: Any) -> str:
    text = "" if value is None else " ".join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if _FORMULA.match(text) else text


def _as_written(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _rows_of_csv(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    header = text.partition("\n")[0]
    delimiter = max(",;\t|", key=lambda each: sum(_column(cell) is not None for cell in header.split(each)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = _header(next(reader, []))
        begins = reader.line_num + 1
        for cells in _no_more(reader):
            if any(cell.strip() for cell in cells):
                yield begins, _row(names, cells, begins)
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadFile(f"Line {reader.line_num} can not be read as CSV: {error}.") from None


def _header(cells: list[str]) -> list[str]:
    names = []
    for cell in cells:
        name = _column(cell)
        if name is None:
            raise BadFile(f"The first line names a column {cell.strip()!r}; there are: {', '.join(COLUMNS)}.")
        if name in names:
            raise BadFile(f"The first line names the column {name} twice.")
        names.append(name)
    if "name" not in names:
        raise BadFile(f"The first line must name the columns: {', '.join(COLUMNS)}. Only name has to be there.")
    return names


def _column(cell: str) -> str | None:
    name = cell.strip().strip('"').lower().replace(" ", "_")
    name = _ALIASES.get(name, name)
    return name if name in EXPORTED else None


def _row(names: list[str], cells: list[str], line: int) -> Mapping[str, str]:
    if len(cells) > len(names):
        return {"": f"It has {len(cells)} cells, and there are {len(names)} columns."}
    return {name: _as_written(cell) for name, cell in zip(names, cells, strict=False) if name in COLUMNS}


def _rows_of_json(text: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        for number, item in enumerate(_no_more(items_of(text)), start=1):
            yield number, _item(item)
    except ValueError as error:
        raise BadFile(f"It can not be read: {error}.") from None


def _no_more(rows: Iterable[T]) -> Iterator[T]:
    """The rows, as long as there are not too many. Raises BadFile."""
    for count, row in enumerate(rows, start=1):
        if count > MOST_ROWS:
            raise BadFile(f"It has more than {MOST_ROWS:,} rows. Send it in parts.")
        yield row


def _item(item: Mapping[str, Any]) -> Mapping[str, str]:
    row = {}
    for name, value in item.items():
        column = _column(name)
        if column is None:
            return {"": f"There is no field {name!r}."}
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = " ".join(value)
        elif value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
            return {"": f"{name} must be a text."}
        if column in COLUMNS:
            row[column] = "" if value is None else str(value)
    return row


def _msisdn(text: str | None) -> str | None:
    msisdn = parse_msisdn(text) if text else None
    if text and msisdn is None:
        raise BadRow("msisdn", "It must be a phone number such as 0712345678, or with its country code: +254712345678.")
    return msisdn


def _email(text: str | None) -> str | None:
    if text and (text.count("@") != 1 or text.startswith("@") or text.endswith("@") or any(c.isspace() for c in text)):
        raise BadRow("email", "It must be an email address.")
    return text.lower() if text else None


def _service(text: str | None) -> str | None:
    if text and text.lower() not in ("hotspot", "pppoe"):
        raise BadRow("service", "It must be hotspot or pppoe.")
    return text.lower() if text else None


def _password(text: str) -> str | None:
    if len(text.encode()) > 128:  # RFC 2865: User-Password holds at most 128 octets
        raise BadRow("password", "It must not be longer than 128 bytes.")
    return text or None


def _macs(text: str) -> tuple[str, ...]:
    macs = []
    for written in text.replace(",", " ").replace(";", " ").split():
        mac = parse_mac(written)
        if mac is None or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
            raise BadRow("macs", "They must be MAC addresses such as AA:BB:CC:DD:EE:FF, with spaces between them.")
        macs.append(mac)
    return tuple(dict.fromkeys(macs))


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        address = IPv4Address(text)
    except AddressValueError:
        raise BadRow("framed_ip_address", "It must be an IPv4 address such as 10.0.0.5.") from None
    if address.is_multicast or address.is_unspecified or address.is_reserved or address.is_loopback:
        raise BadRow("framed_ip_address", "It must be an address that a device can have.")
    return str(address)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not 2000 <= moment.year <= 2999:
        raise BadRow("expires_at", "It must be a time with its zone, such as 2026-12-31T23:59:59+03:00.")
    return moment
