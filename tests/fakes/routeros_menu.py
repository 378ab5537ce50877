"""A menu of a RouterOS router: its properties and commands, and what differs between versions."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.fakes.routeros_values import Property, Version, flag, text

V7 = (7,)
COMMENT = text()
ITEM = {"comment": COMMENT, "disabled": flag()}


@dataclass(frozen=True, slots=True)
class Menu:
    properties: Mapping[str, Property]
    commands: frozenset[str]
    """Beside print, get and getall."""
    single: bool = False
    """It has one nameless item."""
    unique: tuple[str, ...] = ()
    """No two items agree in all of these."""
    duplicate: str = "failure: already have such entry"
    prefix: str | None = None
    """Name of an item that was given none: `pool` → pool1, pool2."""
    part_of: str | None = None
    """Its items are those of another menu, of the type below."""
    type: str | None = None
    ordered: bool = False
    package: str | None = None
    """On RouterOS 6, which one must be enabled."""
    since: Version = (0,)
    policy: str = "write"
    """What a change needs; to read, `read`."""
    feature: str | None = None
    """Of device-mode: without it an item stands there and does nothing."""
    feature_refuses: bool = False
    """Without it none can be added."""
    add_since: Version = (0,)
    own_commands: frozenset[str] = frozenset()


EDIT = frozenset({"set"})
LIST = frozenset({"add", "set", "remove", "enable", "disable", "comment"})
PLAIN_LIST = frozenset({"add", "set", "remove", "comment"})
UNSET = frozenset({"unset"})
SEEN = frozenset({"remove"})
