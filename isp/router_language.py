"""RouterOS's scripting language: the one place where values are written into it."""

import re
from collections.abc import Iterable, Mapping


class Keyword(str):
    """What RouterOS's language knows itself, to be written without quotes: `yes`, `hotspot,ppp`, `3s`, a number."""

    def __new__(cls, value: object) -> "Keyword":
        if not _KEYWORD.fullmatch(str(value)):
            raise ValueError(f"not a keyword: {value!r}")
        return super().__new__(cls, value)


_KEYWORD = re.compile(r"[a-z0-9][a-z0-9.,/-]*", re.ASCII)
YES, NO = Keyword("yes"), Keyword("no")


def quoted(value: str) -> str:
    """A literal of RouterOS's language that is exactly `value`, in a file as in a terminal. Raises ValueError for NUL.

    In a terminal `?` asks for help and a tab completes, inside a literal too; so what may mean something is hex.
    """
    if "\0" in value:
        raise ValueError("RouterOS has no strings with NUL in them")
    return '"' + "".join(chr(octet) if octet in _HARMLESS else f"\\{octet:02X}" for octet in value.encode()) + '"'


def values(pairs: Mapping[str, str]) -> str:
    """`name=value …`, quoted unless the value is a Keyword."""
    return " ".join(f"{name}={value if isinstance(value, Keyword) else quoted(value)}" for name, value in pairs.items())


_HARMLESS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 -_.,:/@=+^~*!#%&'()<>|;")


def find(**found_by: str) -> str:
    return f"[find {values(found_by)}]"


def ensure(menu: str, found_by: Mapping[str, str], rest: Mapping[str, str], *, add: str | None = None) -> str:
    """Makes the item that is `found_by` these have `rest`; `add` is how it is made if not by both."""
    return unless_there(menu, found_by, add or f"{menu} add {values({**found_by, **rest})}", rest)


def unless_there(menu: str, found_by: Mapping[str, str], add: str, rest: Mapping[str, str]) -> str:
    """`add` if there is no item that is `found_by` these; else that one is given `rest`."""
    find = values(found_by)
    change = f"{menu} set [find {find}] {values(rest)}"
    return f":if ([:len [{menu} find {find}]] = 0) do={{ {add} }} else={{ {change} }}"


def block(title: str, statements: Iterable[str], *, notes: Iterable[str] = ()) -> str:
    """One block: RouterOS reads it whole before it does any of it."""
    return "\n".join([f"# {title}", *(f"# {note}" for note in notes), "{", *statements, "}", ""])
