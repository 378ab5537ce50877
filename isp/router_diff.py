"""What has to change on a router so that it has what is wanted, and nothing of ours that is not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from isp.address_ranges import parse_ranges
from isp.router_contents import RouterContents
from isp.router_menus import ALL_MENUS, MENUS, Row
from isp.router_pages import DIRECTORY
from isp.router_wanted import NAMES, SERVICE, Wanted

Action = Literal["add", "set", "remove"]

UNSEEN = ("secret", "contents")
"""What a router may not print, or we did not store: if it is not there, nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One sentence to a router, with what undoes it."""

    menu: str
    action: Action
    found_by: Mapping[str, str]
    before: Mapping[str, str]
    """Of `set`: what the changed properties were; of `remove`: the whole item. Else empty."""
    after: Mapping[str, str]
    """What is written; of `remove`: empty."""
    item_id: str | None = None
    """None for what is added, and for a single menu."""
    first: bool = False

    @property
    def name(self) -> str:
        return " ".join((self.menu, *self.found_by.values()))

    def shown(self, values: Mapping[str, str]) -> dict[str, str]:
        """`values` without what nobody is to see, and long ones short."""
        secret = ALL_MENUS[self.menu].secret
        return {
            name: "…" if name in secret else value if len(value) <= 100 else f"({len(value)} characters)"
            for name, value in values.items()
        }


def stale(wanted: Iterable[Wanted], contents: RouterContents) -> list[Change]:
    """Removals of what earlier deployments made and nobody wants any more: what refers to others first."""
    kept = {(each.menu, tuple(each.found_by.items())) for each in wanted}
    changes = []
    for menu in reversed(list(MENUS)):
        spec = MENUS[menu]
        for row in contents.rows(menu):
            found_by = _is_ours(menu, row)
            if found_by and (menu, tuple(found_by.items())) not in kept:
                item = {name: row[name] for name in spec.writes if name in row and name not in found_by}
                changes.append(Change(menu, "remove", found_by, item, {}, row[".id"]))
    return changes


def change_for(each: Wanted, rows: Sequence[Row]) -> Change | None:
    """None if the router, that has `rows` in this menu, has it as it must be."""
    row = find(each, rows)
    if row is None:
        return Change(each.menu, "add", each.found_by, {}, each.whole, first=each.first)
    wrong = {
        name: value
        for name, value in each.values.items()
        if not same(name, value, row.get(name, "")) and (name in row or name not in UNSEEN)
    }
    if not wrong:
        return None
    before = {name: row.get(name, "") for name in wrong}
    return Change(each.menu, "set", each.found_by, before, wrong, row.get(".id"))


def changes(wanted: Sequence[Wanted], contents: RouterContents) -> list[Change]:
    """All that has to be done, in order, as far as one can see before any of it is done."""
    due = stale(wanted, contents)
    removed = {(change.menu, change.item_id) for change in due}
    rows = {
        menu: [row for row in there if (menu, row.get(".id")) not in removed] for menu, there in contents.menus.items()
    }
    for each in wanted:
        there = rows.setdefault(each.menu, [])
        if change := change_for(each, there):
            due.append(change)
            apply(change, there)
    return due


def apply(change: Change, rows: list[Row], item_id: str | None = None) -> None:
    """The same to our copy of the menu; `item_id` is what an added item got."""
    if change.action == "add":
        rows.append({".id": item_id or "", **change.after})
        return
    at = next(index for index, row in enumerate(rows) if row.get(".id") == change.item_id)
    if change.action == "set":
        rows[at] = {**rows[at], **change.after}
    else:
        del rows[at]


def find(each: Wanted, rows: Sequence[Row]) -> Row | None:
    if MENUS[each.menu].single:
        return rows[0] if rows else None
    return next((row for row in rows if all(row.get(name) == value for name, value in each.found_by.items())), None)


def same(name: str, wanted: str, found: str) -> bool:
    """Whether what RouterOS prints is what was to be written."""
    if _plain(wanted) == _plain(found):
        return True
    if name in _SETS:
        return set(wanted.split(",")) == set(found.split(","))
    if name == "ranges":
        try:
            return parse_ranges(wanted) == parse_ranges(found)
        except ValueError:
            return False
    return False


_SETS = ("login-by", "authentication", "service")


def _plain(value: str) -> str:
    """Of what is off RouterOS prints `false`, `none`, or nothing at all."""
    return {"yes": "true", "no": "", "false": "", "none": "", "0.0.0.0": ""}.get(value, value)  # noqa: S104


def _is_ours(menu: str, row: Row) -> Mapping[str, str] | None:
    """By what it is found, if an earlier deployment made it."""
    spec = MENUS[menu]
    if menu == "/file":
        return {"name": row["name"]} if row.get("name", "").removeprefix("flash/").startswith(f"{DIRECTORY}/") else None
    if row.get("comment", "").startswith(SERVICE) and "comment" in spec.writes:
        return {"comment": row["comment"]}
    if row.get("name", "").startswith(NAMES) and "name" in spec.writes:
        return {"name": row["name"]}
    return None
