"""Reading a router's whole configuration: a conversation with one question for each menu of isp.router_backup_menus.

`/export` says nothing over the API, and a file that it writes can not be read back beyond 4 KB (RouterOS 6) or 60 KB
(7); besides, it would wear the router's flash each day. `read` and `api` suffice for what is done here.
"""

from isp.router_backup import SAID, Row, render
from isp.router_backup_menus import FOUND_BY, MENUS, SINGLE
from isp.router_menus import api_path
from tasks.routeros_dialogue import Conversation, Sentence, sentence
from tasks.routeros_errors import MissingMenu, NotPermitted
from tasks.routeros_facts import RouterFacts

WITHIN_S = 20.0
"""For one menu: one may hold thousands of accounts, or of leases."""


def read_configuration(facts: RouterFacts) -> Conversation[str]:
    """As text. Raises what a connection raises."""
    menus: dict[str, list[Row]] = {}
    for menu in MENUS:
        try:
            menus[menu] = [*(yield question(menu)).rows]
        except (MissingMenu, NotPermitted):
            continue  # of another version, or a package that it has not
    of = (f"RouterOS {facts.version}", facts.board, facts.model, facts.serial_number)
    return render(", ".join(filter(None, of)), menus)


def question(menu: str) -> Sentence:
    """Without the items that the router makes by itself: there may be one for each customer."""
    if menu in SINGLE:
        return sentence(f"{api_path(menu)}/print", proplist=MENUS[menu])
    found_by = FOUND_BY.get(menu)
    proplist = dict.fromkeys((".id", *((found_by,) if found_by else ()), *MENUS[menu], *SAID))
    words = sentence(f"{api_path(menu)}/print", proplist=proplist)
    return (*words, "?dynamic=true", "?#!")
