"""Reading what a router has: a conversation with one question for each menu that a deployment knows."""

from collections.abc import Iterable

from isp.router_contents import RouterContents
from isp.router_menus import MENUS, MenuSpec, api_path
from isp.router_pages import DIRECTORY, pages
from tasks.routeros_dialogue import Conversation, Row, Sentence, sentence
from tasks.routeros_errors import MissingMenu
from tasks.routeros_facts import RouterFacts

_LOCAL_ACCOUNTS = {
    "ppp": ("/ppp/secret/print", {"disabled": "false"}),
    "hotspot": ("/ip/hotspot/user/print", {"disabled": "false", "dynamic": "false"}),
}
_DEFAULT_TRIAL = "default-trial"
"""An account that every hotspot has, and nobody logs in with."""


def read_contents(facts: RouterFacts) -> Conversation[RouterContents]:
    """Secrets among it. Raises what a connection raises."""
    menus: dict[str, list[Row]] = {}
    for menu, spec in MENUS.items():
        rows = yield from read_menu(menu, spec)
        if rows is not None:
            menus[menu] = rows
    flash = (yield sentence("/file/print", where={"name": "flash"}, proplist=("name",))).rows
    accounts = {}
    for kind, (command, where) in _LOCAL_ACCOUNTS.items():
        accounts[kind] = yield from _count(command, where)
    return RouterContents(
        version=facts.version,
        menus=menus,
        device_mode=facts.device_mode,
        disabled_packages=facts.disabled_packages,
        flash=bool(flash),
        local_accounts=accounts,
    )


def read_menu(menu: str, spec: MenuSpec) -> Conversation[list[Row] | None]:
    """Its items in their order; None where the router has no such menu."""
    try:
        if menu == "/file":
            return (yield _files(spec)).rows
        return (yield sentence(f"{api_path(menu)}/print", where=spec.only, proplist=spec.proplist)).rows
    except MissingMenu:
        return None


def _files(spec: MenuSpec) -> Sentence:
    """The pages of a hotspot alone: a router may hold hundreds of files."""
    names = [f"{flash}{DIRECTORY}/{page}" for flash in ("", "flash/") for page in pages("")]
    return (*sentence("/file/print", proplist=spec.proplist), *_any_of("name", names))


def _any_of(name: str, values: Iterable[str]) -> list[str]:
    first, *others = [f"?{name}={value}" for value in values]
    return [first, *(word for other in others for word in (other, "?#|"))]


def _count(command: str, where: dict[str, str]) -> Conversation[int]:
    try:
        rows = (yield sentence(command, where=where, proplist=("name",))).rows
    except MissingMenu:
        return 0
    return sum(row.get("name") != _DEFAULT_TRIAL for row in rows)
