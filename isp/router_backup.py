"""A router's configuration as text, one item a line, each line by itself what RouterOS's terminal takes; and what
differs between two of them. Without passwords and keys: they are not asked for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

from isp.router_backup_menus import FOUND_BY, MENUS, SINGLE
from isp.router_language import quoted

Row = Mapping[str, str]

EVERY = timedelta(days=1)
# What is said of an item, and not to be set.
SAID = ("dynamic", "builtin", "default")
_TEXTS = frozenset({"name", "comment", "source", "on-event", "note", "content", "username", "list"})
"""`true` is a word here, not yes."""
_PLAIN = re.compile(r"[A-Za-z0-9_.:/*@+-]+", re.ASCII)
# Of a list RouterOS wants to see the commas, as in `service=ppp,hotspot`; a name with one is quoted.
_PLAIN_LIST = re.compile(r"[A-Za-z0-9_.:/*@+!,-]+", re.ASCII)
# Above so many pairs of lines it is only said which lines came and went, not which of them moved.
_MOST_PAIRS = 4_000_000
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class DiffLine:
    sign: Literal["-", "+"]
    line: str


def render(of: str, menus: Mapping[str, Sequence[Row]]) -> str:
    """The backup; `of` is its first line, what router it is of. No date is in it: what is the same stays the same."""
    lines = [f"# {' '.join(of.split())}"]
    for menu, properties in MENUS.items():
        for row in menus.get(menu, ()):
            if "true" not in (row.get("dynamic"), row.get("builtin")):
                lines += _line(menu, properties, row)
    return "\n".join(lines) + "\n"


def diff(old: str, new: str) -> list[DiffLine]:
    """What went and what came, menu by menu, in the order of the menus."""
    before, after = _by_menu(old), _by_menu(new)
    found: list[DiffLine] = []
    for menu in dict.fromkeys((*before, *after)):
        found += _changes(before.get(menu, []), after.get(menu, []))
    return found


def next_due(router_id: int, now: datetime) -> datetime:
    """A day later, some hour sooner or later, so that routers do not stay together."""
    return now + EVERY * (0.96 + 0.08 * (router_id * _GOLDEN % 1.0))


def _line(menu: str, properties: Sequence[str], row: Row) -> Iterator[str]:
    values = {name: row[name] for name in properties if row.get(name)}
    if not values:
        return
    if menu in SINGLE:
        yield f"{menu} set {_values(values)}"
    elif menu in FOUND_BY or row.get("default") == "true":
        yield f"{menu} set [find {_found_by(menu, row)}] {_values(values)}"
    else:
        yield f"{menu} add {_values(values)}"


def _found_by(menu: str, row: Row) -> str:
    """What is there from the beginning is only changed."""
    for name in (FOUND_BY.get(menu, "name"), "name"):
        if row.get(name):
            return f"{name}={_value(name, row[name])}"
    return "default=yes"


def _values(values: Row) -> str:
    return " ".join(f"{name}={_value(name, value)}" for name, value in values.items())


def _value(name: str, value: str) -> str:
    if name not in _TEXTS and value in ("true", "false"):
        return "yes" if value == "true" else "no"
    plain = _PLAIN if name in _TEXTS else _PLAIN_LIST
    return value if plain.fullmatch(value) else quoted(value.replace("\0", ""))


def _by_menu(text: str) -> dict[str, list[str]]:
    """Lines that follow each other and are of one menu, by that."""
    menus: dict[str, list[str]] = {}
    for menu, lines in groupby(text.splitlines(), key=_menu_of):
        menus.setdefault(menu, []).extend(lines)
    return menus


def _menu_of(line: str) -> str:
    return re.split(r" (?:add|set) ", line, maxsplit=1)[0] if line.startswith("/") else "#"


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[DiffLine]:
    begin = _alike(old, new)
    end = _alike(old[begin:][::-1], new[begin:][::-1])
    old, new = old[begin : len(old) - end], new[begin : len(new) - end]
    if len(old) * len(new) > _MOST_PAIRS:
        was, is_now = set(old), set(new)
        yield from (DiffLine("-", line) for line in old if line not in is_now)
        yield from (DiffLine("+", line) for line in new if line not in was)
        return
    for tag, old_from, old_to, new_from, new_to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            yield from (DiffLine("-", line) for line in old[old_from:old_to])
            yield from (DiffLine("+", line) for line in new[new_from:new_to])


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many lines are the same from the beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
