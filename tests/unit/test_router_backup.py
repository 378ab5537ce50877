"""Backups of configurations: what is asked for, what is written down, what differs; and that no secret is in it."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest

from isp.router_backup import diff, next_due, render
from isp.router_backup_menus import FOUND_BY, MENUS, NESTED, PASSING, SECRETS, SINGLE
from tasks.router_backup import question, read_configuration
from tasks.routeros_facts import read_facts
from tests.fakes.routeros_ask import ask
from tests.fakes.routeros_factory import CHR, HAP, Model
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_menus import MENUS as FAKES
from tests.routeros_sentences import findings_of

# RouterOS 6 or the package wireless alone have these; the tree is of a CHR with RouterOS 7.21.
NOT_IN_THE_TREE = (
    "/interface wireless",
    "/interface wireless security-profiles",
    "/interface wireless access-list",
    "/routing ospf network",
)
ONLY_IN_6 = {"/system ntp client": {"primary-ntp", "secondary-ntp"}}
ABOUT_THE_COMMAND = {"numbers", "copy-from", "place-before"}


def tree() -> dict[str, Any]:
    data = resources.files("routeros_lsp") / "data" / "routeros-7.21.4.json.gz"
    found: dict[str, Any] = json.loads(gzip.decompress(data.read_bytes()))["root"]
    return found


TREE = tree()


def node(menu: str) -> dict[str, Any]:
    found = TREE
    for word in menu[1:].split():
        found = found["c"][word]
    children: dict[str, Any] = found["c"]
    return children


def settable(menu: str) -> set[str]:
    commands = node(menu)
    return {name for command in ("add", "set") for name in commands.get(command, {}).get("a", {})} - ABOUT_THE_COMMAND


@pytest.mark.parametrize("menu", [menu for menu in MENUS if menu not in NOT_IN_THE_TREE])
def test_all_that_may_be_set_is_backed_up_but_secrets_and_what_changes_by_itself(menu: str) -> None:
    listed, there = set(MENUS[menu]), settable(menu)
    assert "print" in node(menu)
    assert listed - there == ONLY_IN_6.get(menu, set())
    left_out = {name for name in there - listed if not name.startswith(NESTED)}
    assert left_out - SECRETS - {"remote-key"} == PASSING.get(menu, set())
    assert (menu in SINGLE) == ("add" not in node(menu) and "numbers" not in node(menu)["set"]["a"])
    assert (menu in FOUND_BY) == ("add" not in node(menu) and menu not in SINGLE)


def test_no_secret_is_asked_for() -> None:
    secret = {name for menu in FAKES.values() for name, known in menu.properties.items() if known.secret}
    assert secret <= SECRETS
    words = ("pass", "secret", "private", "preshared")
    for menu, names in MENUS.items():
        assert not SECRETS & set(names), menu
        suspicious = {name for name in names if any(word in name for word in words)}
        assert suspicious <= {
            "aaa.password-format", "multi-passphrase-group", "security.multi-passphrase-group", "passthrough",
            "passthrough-interface", "passthrough-mac", "passthrough-subnet-size", "passive",
            "password-authentication", "output.remove-private-as",
        }, menu  # fmt: skip


def backup_of(machine: Machine) -> str:
    return ask(machine, read_configuration(ask(machine, read_facts("router"))))


@pytest.mark.parametrize(("version", "model"), [("6.49", HAP), ("7.12", HAP), ("7.21", CHR), ("7.21", HAP)])
def test_each_line_is_one_that_routeros_takes(version: str, model: Model) -> None:
    machine = Machine(version, model=model, configured=model is HAP)
    for comment in ('say "$x" [1] {2}\n?', "Café ☕", "true"):
        machine.tables.add("/ip/pool", {"name": f"pool {comment}", "ranges": "10.0.0.2-10.0.0.9"})
    text = backup_of(machine)
    lines = text.splitlines()
    assert lines[0].startswith(f"# RouterOS {version}")
    assert any(line.startswith("/system identity set name=") for line in lines)
    assert sum(line.startswith("/ip pool add ") for line in lines) >= 3
    # To make an admin RouterOS wants the password too, which is for the operator to choose.
    assert not [line for line in lines[1:] if findings_of(line + "\n") and not line.startswith("/user add ")]
    assert backup_of(machine) == text


def test_no_secret_of_the_router_is_in_it() -> None:
    machine = Machine("7.21", model=CHR, configured=False)
    machine.tables.put("/ppp/secret", name="ann", password="hush-ppp", comment="Ann")
    machine.tables.put("/ip/hotspot/user", name="ben", password="hush-hotspot")
    machine.tables.put("/radius", address="10.0.0.1", secret="hush-radius", service="ppp")
    machine.tables.put("/user", name="carol", group="full", password="hush-user")
    text = backup_of(machine)
    assert {"ann", "ben", "10.0.0.1", "carol"} <= set(text.replace("=", " ").split())
    assert "hush" not in text


def test_what_the_router_makes_by_itself_is_left_out() -> None:
    menus = {
        "/interface list": [{".id": "*1", "name": "all", "builtin": "true"}, {".id": "*2", "name": "LAN"}],
        "/ip address": [{".id": "*1", "address": "10.0.0.1/24", "interface": "a", "dynamic": "true"}],
    }
    assert render("x", menus) == "# x\n/interface list add name=LAN\n"


def test_lists_are_written_as_lists_and_names_as_names() -> None:
    menus = {
        "/user group": [{".id": "*1", "name": "a,b", "policy": "!ftp,read,api"}],
        "/radius": [{".id": "*1", "service": "ppp,hotspot", "address": "10.0.0.1", "comment": "yes, ours"}],
    }
    lines = render("x", menus).splitlines()[1:]
    assert lines == [
        '/user group add name="a,b" policy=!ftp,read,api',
        '/radius add address=10.0.0.1 comment="yes, ours" service=ppp,hotspot',
    ]
    assert not [line for line in lines if findings_of(line + "\n")]


def test_what_is_there_from_the_beginning_is_set_and_not_added() -> None:
    menus = {
        "/ip service": [{".id": "*1", "name": "api-ssl", "port": "8729", "disabled": "false"}],
        "/interface ethernet": [{".id": "*1", "default-name": "ether1", "name": "wan", "mtu": "1500"}],
        "/ip ipsec policy": [{".id": "*1", "template": "true", "default": "true"}],
        "/ppp profile": [{".id": "*0", "name": "default", "only-one": "default", "default": "true"}],
        "/ip dns": [{"servers": "1.1.1.1", "allow-remote-requests": "true"}],
    }
    lines = render("x", menus).splitlines()[1:]
    assert not [line for line in lines if findings_of(line + "\n")]
    assert lines == [
        "/interface ethernet set [find default-name=ether1] name=wan mtu=1500",
        "/ip dns set allow-remote-requests=yes servers=1.1.1.1",
        "/ip ipsec policy set [find default=yes] template=yes",
        "/ip service set [find name=api-ssl] disabled=no port=8729",
        "/ppp profile set [find name=default] name=default only-one=default",
    ]


def test_many_accounts_are_asked_for_without_those_that_come_and_go() -> None:
    assert question("/queue simple")[-2:] == ("?dynamic=true", "?#!")
    assert not [word for word in question("/ip dns") if word.startswith("?")]


OLD = "# RouterOS 7.16\n/ip pool add name=a\n/ip pool add name=b\n/ip pool add name=c\n/radius add address=1.1.1.1\n"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(OLD, [], id="nothing"),
        pytest.param(OLD.replace("7.16", "7.17"), ["-# RouterOS 7.16", "+# RouterOS 7.17"], id="version"),
        pytest.param(OLD + "/snmp set enabled=yes\n", ["+/snmp set enabled=yes"], id="a menu more"),
        pytest.param(OLD.replace("/ip pool add name=b\n", ""), ["-/ip pool add name=b"], id="one item less"),
        pytest.param(
            OLD.replace("name=b", "name=z"), ["-/ip pool add name=b", "+/ip pool add name=z"], id="an item changed"
        ),
        pytest.param(
            "# RouterOS 7.16\n/ip pool add name=b\n/ip pool add name=c\n/ip pool add name=a\n"
            "/radius add address=1.1.1.1\n",
            ["-/ip pool add name=a", "+/ip pool add name=a"],
            id="an item moved",
        ),
        pytest.param("", [f"-{line}" for line in OLD.splitlines()], id="all gone"),
    ],
)
def test_a_diff_says_what_went_and_what_came(new: str, expected: list[str]) -> None:
    assert [f"{each.sign}{each.line}" for each in diff(OLD, new)] == expected
    back = {"-": "+", "+": "-"}
    assert sorted(f"{back[each.sign]}{each.line}" for each in diff(new, OLD)) == sorted(expected)


def test_two_large_configurations_that_have_little_in_common_are_compared_soon() -> None:
    old = "".join(f"/ppp secret add name=c{number}\n" for number in range(20_000))
    new = "".join(f"/ppp secret add name=c{number}\n" for number in range(19_999, 0, -2))
    began = datetime.now(UTC)
    changes = diff(old, new)
    assert datetime.now(UTC) - began < timedelta(seconds=5)
    assert len(changes) == 10_000
    assert {each.sign for each in changes} == {"-"}


def test_routers_come_again_after_about_a_day_and_not_all_at_once() -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    after = [next_due(router_id, now) - now for router_id in range(1, 501)]
    assert timedelta(hours=23) < min(after) < max(after) < timedelta(hours=25)
    assert len({delta.total_seconds() // 60 for delta in after}) > 90
