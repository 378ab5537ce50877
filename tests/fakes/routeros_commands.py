"""The commands of a menu, as the API takes them: who may, what is answered, RouterOS's words when it is refused."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from tests.fakes.routeros_menu import Menu
from tests.fakes.routeros_menus import MENUS
from tests.fakes.routeros_protocol import attributes
from tests.fakes.routeros_query import matches
from tests.fakes.routeros_tables import Item, Tables
from tests.fakes.routeros_values import Trap

# Set by hand in print and of no effect on what it says.
_IGNORED = frozenset({"detail", "stats", "stats-detail", "terse", "without-paging", "brief", "value-list"})
_NAMES_AN_ITEM = (".id", "numbers", "number")


@dataclass(slots=True)
class Result:
    rows: list[Item] = field(default_factory=list)
    ret: str | None = None


@dataclass(slots=True)
class Menus:
    """Of one router."""

    tables: Tables
    read: Callable[[str, Item], Item]
    """(path, item) → with what the router knows at this moment."""
    own: Callable[[str, str, dict[str, str]], Result | None]
    """(path, command, arguments) → what a command of a single menu did; None if it is none of those."""

    def execute(self, words: Sequence[str], policies: Collection[str]) -> Result:
        """Raises Trap."""
        path, _, command = words[0].rpartition("/")
        menu = self.tables.menu(path)
        if menu is None:
            raise no_such_command(words[0], self.tables)
        command = "print" if command == "getall" else command
        reads = command in ("print", "get", "monitor")
        if command not in {"print", "get"} | menu.commands | menu.own_commands:
            raise Trap("no such command", category=0)
        if command == "add" and self.tables.version < menu.add_since:
            raise Trap("no such command", category=0)
        if not ({"read"} if reads else {"write", menu.policy}) <= set(policies):
            raise Trap("not enough permissions (9)", category=4)
        arguments = attributes(words[1:])
        if command in menu.own_commands:
            result = self.own(path, command, arguments)
            assert result is not None, f"the fake router has no {path}/{command}"
            return result
        if command == "print":
            queries = [word for word in words[1:] if word.startswith("?")]
            return self._print(path, menu, arguments, queries, "sensitive" in policies)
        result = self._do(path, menu, command, arguments)
        if not reads:
            self.tables.changed(path)
        return result

    def _print(
        self, path: str, menu: Menu, arguments: dict[str, str], queries: Sequence[str], sensitive: bool
    ) -> Result:
        proplist = [name for name in arguments.pop(".proplist", "").split(",") if name]
        only = arguments.pop(".id", None)
        count = arguments.pop("count-only", None) is not None
        if unknown := set(arguments) - _IGNORED:
            raise Trap("unknown parameter" if self.tables.version < (7,) else f"unknown parameter {min(unknown)}")
        items = [self._printed(path, menu, item, sensitive) for item in self.tables.items(path)]
        items = [item for item in items if matches(item, queries) and only in (None, item.get(".id"), item.get("name"))]
        if count:
            return Result(ret=str(len(items)))
        if proplist:
            items = [{name: item[name] for name in proplist if name in item} for item in items]
        return Result([item for item in items if item])

    def _printed(self, path: str, menu: Menu, item: Item, sensitive: bool) -> Item:
        printed = {}
        for name, value in self.read(path, item).items():
            known = menu.properties.get(name)
            if known is None and not name.startswith("."):
                continue  # of the menu that this one is a part of
            if known and known.secret:
                if path == "/user":
                    continue
                value = value if sensitive or not value else "*****"
            printed[name] = value
        return printed

    def _do(self, path: str, menu: Menu, command: str, arguments: dict[str, str]) -> Result:
        tables = self.tables
        if command == "add":
            if menu.feature_refuses and not tables.allows(menu.feature):
                raise Trap("failure: not allowed by device-mode", category=4)
            return Result(ret=tables.add(path, arguments)[".id"])
        if menu.single:
            item = tables.items(path)[0]
            if command == "get":
                return Result(ret=self.read(path, item).get(arguments.get("value-name", ""), ""))
            tables.change(path, item, arguments)
            return Result()
        numbers = next((arguments.pop(name) for name in _NAMES_AN_ITEM if name in arguments), None)
        if numbers is None:
            raise Trap("missing value(s) of argument(s) numbers", category=0)
        items = [tables.by_number(path, number) for number in numbers.split(",")]
        if command == "get":
            return Result(ret=self.read(path, items[0]).get(arguments.get("value-name", ""), ""))
        for item in items:
            self._change(path, item, command, arguments)
        return Result()

    def _change(self, path: str, item: Item, command: str, arguments: dict[str, str]) -> None:
        match command:
            case "set":
                self.tables.change(path, item, arguments)
            case "comment":
                self.tables.change(path, item, {"comment": arguments.get("comment", "")})
            case "enable" | "disable" if path == "/system/package":
                item["scheduled"] = f"scheduled for {command}"
            case "enable" | "disable":
                self.tables.change(path, item, {"disabled": "yes" if command == "disable" else "no"})
            case "unset":
                self.tables.unset(path, item, arguments.get("value-name", ""))
            case "remove":
                self.tables.remove(path, item)
            case "move":
                self.tables.move(path, item, arguments.get("destination"))


def no_such_command(command: str, tables: Tables) -> Trap:
    """RouterOS 7 names the first word that it does not know."""
    if tables.version < (7,):
        return Trap("no such command prefix", category=0)
    known, unknown = "", ""
    for word in command.strip("/").split("/")[:-1]:
        if not is_prefix(f"{known}/{word}", tables):
            unknown = word
            break
        known += f"/{word}"
    return Trap(f"no such command or directory ({unknown})", "no such command prefix", category=0)


def is_prefix(path: str, tables: Tables) -> bool:
    return any(f"{known}/".startswith(f"{path}/") for known in MENUS if tables.menu(known))
