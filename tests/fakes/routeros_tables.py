"""What a router holds: the items of its menus, checked as RouterOS checks them. This is the fake's own truth."""

from collections.abc import Callable, Iterator, Mapping

from tests.fakes.routeros_menu import Menu
from tests.fakes.routeros_menus import MENUS
from tests.fakes.routeros_values import Property, Trap, Version

Item = dict[str, str]


class Tables:
    def __init__(self, version: Version) -> None:
        self.version = version
        self._items: dict[str, list[Item]] = {}
        self._last_id: dict[str, int] = {}
        self.changed: Callable[[str], None] = lambda _path: None
        """Called with the path of a menu after a change by a command."""

    def menu(self, path: str) -> Menu | None:
        """None where this router has none such."""
        menu = MENUS.get(path)
        if menu is None or menu.since > self.version or (menu.single and not self._items.get(path)):
            return None
        return None if menu.package in self.disabled_packages() else menu

    def disabled_packages(self) -> set[str]:
        packages = self._items.get("/system/package", [])
        return {item["name"] for item in packages if item.get("disabled") == "true"}

    def allows(self, feature: str | None) -> bool:
        """Whether device-mode does."""
        modes = self._items.get("/system/device-mode", [])
        return feature is None or all(mode.get(feature) != "false" for mode in modes)

    def items(self, path: str) -> list[Item]:
        """Live: change one, and the router has changed."""
        menu = MENUS[path]
        items = self._items.setdefault(menu.part_of or path, [])
        return [item for item in items if item["type"] == menu.type] if menu.part_of else items

    def find(self, path: str, **values: str) -> list[Item]:
        """Those with all of `values`; `_` stands for `-` in names."""
        wanted = {name.replace("_", "-"): value for name, value in values.items()}
        return [item for item in self.items(path) if all(item.get(name) == value for name, value in wanted.items())]

    def one(self, path: str, **values: str) -> Item:
        (item,) = self.find(path, **values)
        return item

    def put(self, path: str, **values: str) -> Item:
        """An item as if it had always been there, unchecked; `_` stands for `-` in names."""
        given = {name.replace("_", "-"): value for name, value in values.items()}
        return self._insert(path, {**self._defaults(MENUS[path]), **given}, None)

    def add(self, path: str, values: Mapping[str, str]) -> Item:
        """Raises Trap."""
        menu = MENUS[path]
        given = dict(values)
        before = given.pop("place-before", None)
        model = given.pop("copy-from", None)
        base = dict(self.by_number(path, model)) if model is not None else {}
        base.pop(".id", None)
        item = {**self._defaults(menu), **base, **self._checked(path, menu, given)}
        missing = [name for name, known in menu.properties.items() if known.required and name not in item]
        if missing:
            raise Trap(f"missing value(s) of argument(s) {' '.join(missing)}", category=0)
        if menu.prefix and not item.get("name"):
            item["name"] = self._unused_name(path, menu.prefix)
        self._refuse_duplicate(path, menu, item)
        return self._insert(path, item, self.by_number(path, before) if before is not None else None)

    def change(self, path: str, item: Item, values: Mapping[str, str]) -> None:
        """Raises Trap, and then has changed nothing."""
        menu = MENUS[path]
        if item.get("dynamic") == "true":
            raise Trap("failure: can not change dynamic item", category=4)
        changed = {**item, **self._checked(path, menu, values)}
        self._refuse_duplicate(path, menu, changed)
        if item.get("name") != changed.get("name"):
            self._rename(path, item.get("name", ""), changed["name"])
        item.update(changed)

    def unset(self, path: str, item: Item, name: str) -> None:
        if name not in MENUS[path].properties:
            raise Trap("input does not match any value of value-name", category=1)
        item.pop(name, None)

    def remove(self, path: str, item: Item) -> None:
        """What refers to it shows its id from now on, as in RouterOS."""
        if item.get("default") == "true":
            raise Trap("failure: can not remove default item", category=4)
        self._rename(path, item.get("name", ""), item[".id"])
        self._items[MENUS[path].part_of or path].remove(item)

    def move(self, path: str, item: Item, destination: str | None) -> None:
        """Before another; to the end without one."""
        items = self._items[path]
        items.remove(item)
        at = items.index(self.by_number(path, destination)) if destination is not None else len(items)
        items.insert(at, item)

    def by_number(self, path: str, number: str) -> Item:
        """By id or name. Raises Trap."""
        for item in self.items(path):
            if number in (item.get(".id"), item.get("name")) and number:
                return item
        raise Trap("no such item (4)" if self.version < (7,) else "no such item", category=0)

    def _defaults(self, menu: Menu) -> Item:
        known = {name: one for name, one in menu.properties.items() if one.known_in(self.version)}
        item = {name: one.default for name, one in known.items() if one.default is not None}
        return {**item, "type": menu.type} if menu.type else item

    def _insert(self, path: str, item: Item, before: Item | None) -> Item:
        store = MENUS[path].part_of or path
        items = self._items.setdefault(store, [])
        if not MENUS[path].single:
            self._last_id[store] = self._last_id.get(store, 0) + 1
            item = {".id": f"*{self._last_id[store]:X}", **item}
        items.insert(items.index(before) if before is not None else len(items), item)
        return item

    def _checked(self, path: str, menu: Menu, values: Mapping[str, str]) -> Item:
        checked = {}
        for name, value in values.items():
            known = menu.properties.get(name)
            if known is None or known.read_only or not known.known_in(self.version):
                raise Trap("unknown parameter" if self.version < (7,) else f"unknown parameter {name}", category=0)
            checked[name] = self._referred(name, value, known) if known.refers_to else known.read(name, value)
        return checked

    def _referred(self, name: str, value: str, known: Property) -> str:
        assert known.refers_to
        if value in known.also:
            return value
        for item in self.items(known.refers_to):
            if value and value in (item.get("name"), item[".id"]):
                return item["name"]
        raise Trap(f"input does not match any value of {name}", category=1)

    def _refuse_duplicate(self, path: str, menu: Menu, item: Item) -> None:
        store = menu.part_of or path
        for other in self._items.get(store, []) if menu.unique else []:
            if other.get(".id") != item.get(".id") and all(other.get(name) == item.get(name) for name in menu.unique):
                raise Trap(menu.duplicate, category=4)

    def _unused_name(self, path: str, prefix: str) -> str:
        names = {item.get("name") for item in self.items(path)}
        return next(name for number in range(1, 1_000_000) if (name := f"{prefix}{number}") not in names)

    def _rename(self, path: str, old: str, new: str) -> None:
        for item, name in self._references(path):
            if old and item.get(name) == old:
                item[name] = new

    def _references(self, path: str) -> Iterator[tuple[Item, str]]:
        store = MENUS[path].part_of or path
        for other, menu in MENUS.items():
            for name, known in menu.properties.items():
                if known.refers_to and (MENUS[known.refers_to].part_of or known.refers_to) == store:
                    for item in self.items(other):
                        yield item, name
