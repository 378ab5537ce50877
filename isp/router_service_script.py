"""A service configuration as a script: what a deployment does, to be read, or pasted where the API can not be reached.

Like a deployment it may be run again; it does not take away what an earlier configuration made.
"""

from collections.abc import Iterable, Mapping, Sequence

from isp.router_language import Keyword, block, ensure, unless_there, values
from isp.router_menus import MENUS
from isp.router_wanted import Wanted

_FREE_TEXT = (
    "name",
    "comment",
    "secret",
    "contents",
    "dns-name",
    "html-directory",
    "dst-host",
    "service-name",
    "interface",
    "out-interface",
    "profile",
    "default-profile",
    "address-pool",
    "remote-address",
    "list",
    "src-address-list",
    "dst-address-list",
)


def service_script(wanted: Sequence[Wanted], by_hand: Iterable[str], *, secrets: bool = False) -> str:
    """Without `secrets`, what nobody is to see is left out: the router keeps what it has."""
    return block(
        "Kibali: lets this router serve customers. Running it again changes nothing.",
        list(_statements(_in_script_order(wanted), secrets=secrets)),
        notes=by_hand,
    )


def _in_script_order(wanted: Sequence[Wanted]) -> list[Wanted]:
    """Each of those that are to be first is put before all others, so the last of them is written first."""
    first = [each for each in wanted if each.first]
    rest = [each for each in wanted if not each.first]
    return [*rest[:-1], *first[::-1], rest[-1]]


def _statements(wanted: Iterable[Wanted], *, secrets: bool) -> Iterable[str]:
    seen = set()
    for each in wanted:
        hidden = () if secrets else MENUS[each.menu].secret
        rest = _written({name: value for name, value in each.values.items() if name not in hidden})
        key = each.menu, tuple(each.found_by.items())
        if MENUS[each.menu].single:
            yield f"{each.menu} set {values(rest)}"
        elif key in seen or (each.menu == "/radius" and "address" not in each.values):
            # Made above, or by the bootstrap script, which told the address.
            yield f"{each.menu} set [find {values(each.found_by)}] {values(rest)}"
        elif each.first:
            yield unless_there(each.menu, each.found_by, _add_first(each, rest), rest)
        else:
            made = {**each.found_by, **rest, **_written(each.only_new)}
            yield ensure(each.menu, each.found_by, rest, add=f"{each.menu} add {values(made)}")
        seen.add(key)


def _add_first(each: Wanted, rest: Mapping[str, str]) -> str:
    add = f"{each.menu} add {values({**each.found_by, **rest})}"
    others = f"[{each.menu} find dynamic=no]"
    return f":if ([:len {others}] = 0) do={{ {add} }} else={{ {add} place-before=[:pick {others} 0] }}"


def _written(pairs: Mapping[str, str]) -> dict[str, str]:
    """What RouterOS's language knows itself goes without quotes."""
    return {name: value if name in _FREE_TEXT else _keyword(value) for name, value in pairs.items()}


def _keyword(value: str) -> str:
    try:
        return Keyword(value)
    except ValueError:
        return value
