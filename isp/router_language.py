"""RouterOS's scripting language: the one place where values are written into it."""

import re
from collections.abc import Mapping


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
