"""Checks sentences of the API against RouterOS 7.21's command tree (routeros-lsp, strict)."""

from collections.abc import Sequence

from routeros_lsp.analyze import analyze

from isp.router_language import values
from tests.fakes.routeros_menus import MENUS

# The command tree was read from a CHR, which is no RouterBOARD.
NOT_OF_A_CHR = ("/system/routerboard",)
_ABOUT_THE_ANSWER = ("=.proplist=", "=count-only=", ".tag=")


def findings_of(script: str) -> list[str]:
    return [f"{found.rule}: {found.message}" for found in analyze(script).findings]


def findings_in(words: Sequence[str]) -> list[str]:
    """What RouterOS 7.21 has not: menu, command, and each property that is set, asked about or to be told.

    What is to be told may be read-only, which the command tree leaves out: there the fake router's menus count, and a
    test of theirs holds them against the same tree.
    """
    path, _, command = words[0].rpartition("/")
    if path in NOT_OF_A_CHR:
        return []
    menu = "/" + path[1:].replace("/", " ")
    told = [name for word in words if word.startswith("=.proplist=") for name in word[11:].split(",")]
    asked = [word[1:].partition("=")[0] for word in words[1:] if word.startswith("?") and not word.startswith("?#")]
    unknown = [name for name in (*told, *asked) if not name.startswith(".") and name not in MENUS[path].properties]
    given = [word[1:].partition("=") for word in words[1:] if word[0] == "=" and not word.startswith(_ABOUT_THE_ANSWER)]
    written = {name: value for name, _, value in given if name not in (".id", "numbers")}
    numbers = "".join(f" {value}" for name, _, value in given if name in (".id", "numbers"))
    return [f"unknown: {name}" for name in unknown] + findings_of(f"{menu} {command}{numbers} {values(written)}\n")
