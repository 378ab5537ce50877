"""From a change to the sentence that makes it, and to the change that undoes it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from isp.router_diff import Change, same
from isp.router_menus import ALL_MENUS, Row, api_path
from isp.router_wanted import SERVICE
from tasks.routeros_dialogue import Sentence, sentence


class Gone(Exception):
    """The item that was to be changed is not there any more."""


def sentence_of(change: Change, rows: Sequence[Row]) -> Sentence:
    """`rows` are the menu's, as they are just before. Raises Gone."""
    path = api_path(change.menu)
    if change.action == "add":
        return sentence(f"{path}/add", {**change.after, **_place(change, rows)})
    if ALL_MENUS[change.menu].single:
        return sentence(f"{path}/set", change.after)
    row = row_of(change, rows)
    if row is None:
        raise Gone
    values = change.after if change.action == "set" else {}
    return sentence(f"{path}/{change.action}", {".id": row[".id"], **values})


def row_of(change: Change, rows: Sequence[Row]) -> Row | None:
    """The item it is about, if the router has it."""
    if ALL_MENUS[change.menu].single:
        return rows[0] if rows else None
    return next((row for row in rows if _has(row, change.found_by)), None)


def is_done(change: Change, rows: Sequence[Row]) -> bool:
    """Whether the router has what the change was to bring."""
    row = row_of(change, rows)
    if row is None or change.action == "remove":
        return (row is None) == (change.action == "remove")
    return all(same(name, value, row.get(name, value)) for name, value in change.after.items())


def inverse(change: Change, rows: Sequence[Row]) -> Change | None:
    """What undoes it, on a router that has `rows` now; None if there is nothing (left) to undo.

    What somebody else has changed since stays as they have it.
    """
    row = row_of(change, rows)
    if change.action == "add":
        return None if row is None else Change(change.menu, "remove", change.found_by, {}, {}, row.get(".id"))
    if change.action == "remove":
        whole = {**change.found_by, **change.before}
        return Change(change.menu, "add", change.found_by, {}, whole, first=change.first) if row is None else None
    if row is None:
        return None
    back = {
        name: value
        for name, value in change.before.items()
        if same(name, change.after[name], row.get(name, change.after[name]))
        and not same(name, value, row.get(name, ""))
    }
    return replace(change, before={}, after=back, item_id=row.get(".id")) if back else None


def _place(change: Change, rows: Sequence[Row]) -> Mapping[str, str]:
    """Before the first that is not ours: ours stay in the order in which they are made."""
    if not change.first:
        return {}
    others = (row for row in rows if row.get("dynamic") != "true" and not _is_ours(row))
    return {"place-before": other[".id"]} if (other := next(others, None)) else {}


def _is_ours(row: Row) -> bool:
    return row.get("comment", "").startswith(SERVICE)


def _has(row: Row, found_by: Mapping[str, str]) -> bool:
    return all(row.get(name) == value for name, value in found_by.items())
