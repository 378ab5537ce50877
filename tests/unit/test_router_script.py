"""The bootstrap script: what it does to a router, whatever it is given, and that it does it once.

routeros-lsp checks that RouterOS 7.21 has all it names; the fake router, into which it is pasted, what it leads to.
"""

import re
from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeros_lsp.analyze import analyze
from routeros_lsp.syntax import ast
from routeros_lsp.syntax.parser import parse

from isp.router_language import Keyword, quoted, values
from isp.router_script import Bootstrap, Major, bootstrap_script, removal_script
from tests.fakes.routeros_factory import CHR, HAP, Model
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_script import ScriptError, paste

BOOTSTRAP = Bootstrap(
    username="kibali",
    password="secret-of-the-user",
    server_addresses=(IPv4Address("198.51.100.7"),),
    radius_address=IPv4Address("198.51.100.8"),
    radius_secret="secret-of-radius",
    identity="Kahawa West 3",
)
HOSTILE = (
    "",
    " ",
    '"',
    '"; /system reset-configuration; "',
    "\\",
    '\\"',
    "$password",
    "$[/user add]",
    "[/user add]",
    "{",
    "}",
    "];}",
    "?",
    "\t",
    "a\nb",
    "a\r\n/system reboot",
    "# no comment",
    "yes",
    "12",
    "0x10",
    "*1",
    "1w",
    "10.0.0.1",
    "Café ☕",
    "Ñ\x7f\x1b[2J",
    "kibali: RADIUS",
    "'`~!@#$%^&*()_+-={}[]|:;<>,./",
)
# All that UTF-8 can write and RouterOS hold.
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VERSIONS: tuple[tuple[str, Major], ...] = (("6.42", 6), ("6.49", 6), ("7.12", 7), ("7.16", 7), ("7.21", 7))


def findings(script: str) -> list[str]:
    return [f"{found.rule}: {found.message}" for found in analyze(script).findings]


def major_of(machine: Machine) -> Major:
    return 6 if machine.version < (7,) else 7


def bootstrapped(version: str, bootstrap: Bootstrap = BOOTSTRAP, model: Model = HAP) -> Machine:
    machine = Machine(version, model=model, configured=model is HAP)
    paste(machine, bootstrap_script(bootstrap, major_of(machine)))
    return machine


def understood(literal: str) -> str:
    """What RouterOS takes it for, by somebody else's parser."""
    (statement,) = parse(f":put {literal}").script.statements
    (_, string) = statement.elements
    assert isinstance(string, ast.StringLit)
    assert all(isinstance(part, ast.TextPart | ast.EscapePart) for part in string.parts), "it holds code"
    return b"".join(
        part.text.encode("latin-1" if isinstance(part, ast.EscapePart) else "utf-8")
        for part in string.parts
        if isinstance(part, ast.TextPart | ast.EscapePart)
    ).decode()


class TestLanguage:
    @pytest.mark.parametrize("value", HOSTILE)
    def test_a_hostile_value_is_written_as_itself(self, value: str) -> None:
        assert understood(quoted(value)) == value
        assert findings(f"/system identity set name={quoted(value)}") == []

    @given(TEXTS)
    def test_so_is_any_other(self, value: str) -> None:
        assert understood(quoted(value)) == value

    @given(TEXTS)
    def test_a_terminal_sees_nothing_that_it_would_act_upon(self, value: str) -> None:
        assert re.fullmatch(r'"[ -~]*"', quoted(value))
        assert not set(quoted(value)[1:-1]) & set('"?$[]{}\t')

    def test_what_routeros_cannot_hold_is_refused(self) -> None:
        with pytest.raises(ValueError, match="NUL"):
            quoted("a\0b")

    @pytest.mark.parametrize("value", HOSTILE)
    def test_only_plain_words_go_without_quotes(self, value: str) -> None:
        if re.fullmatch(r"[a-z0-9][a-z0-9.,/-]*", value):
            assert values({"name": Keyword(value)}) == f"name={value}"
        else:
            with pytest.raises(ValueError, match="not a keyword"):
                Keyword(value)


class TestBootstrap:
    @pytest.mark.parametrize("major", [6, 7])
    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_routeros_has_all_that_it_names(self, major: Major, hostile: str) -> None:
        hostile_bootstrap = replace(
            BOOTSTRAP,
            username=hostile or "u",
            password=hostile,
            radius_secret=hostile,
            identity=hostile,
            radius_src_address=IPv4Address("10.255.0.2"),
        )
        assert findings(bootstrap_script(hostile_bootstrap, major)) == []
        assert findings(removal_script(hostile or "u", major)) == []

    @pytest.mark.parametrize("model", [HAP, CHR], ids=["hAP", "CHR"])
    @pytest.mark.parametrize(("version", "_major"), VERSIONS)
    def test_it_lets_us_in_and_prepares_radius(self, version: str, _major: Major, model: Model) -> None:
        machine = bootstrapped(version, model=model)
        tables = machine.tables
        assert tables.one("/system/identity")["name"] == "Kahawa West 3"
        login = machine.login("kibali", "198.51.100.7")
        assert login == ("secret-of-the-user", frozenset({"api", "read", "write", "test", "sensitive", "ftp"}))
        assert machine.login("kibali", "198.51.100.9") is None
        for name in ("api", "api-ssl"):
            assert machine.service(name)["address"] == "198.51.100.7/32"
            assert machine.service(name)["disabled"] == "false"
        assert machine.certificate() is not None
        radius = tables.one("/radius")
        assert radius["secret"] == "secret-of-radius"
        assert (radius["service"], radius["address"], radius["timeout"]) == ("ppp,hotspot", "198.51.100.8", "3s")
        assert (radius["disabled"], radius["src-address"]) == ("true", "0.0.0.0")
        assert tables.one("/radius/incoming")["accept"] == "true"
        assert tables.one("/radius/incoming")["port"] == "3799"

    @pytest.mark.parametrize("model", [HAP, CHR], ids=["hAP", "CHR"])
    def test_the_firewall_lets_us_in_before_it_drops_the_rest(self, model: Model) -> None:
        rules = bootstrapped("7.16", model=model).tables.items("/ip/firewall/filter")
        ours = [rule for rule in rules if rule.get("comment", "").startswith("kibali: ")]
        others = [rule for rule in rules if rule not in ours and rule["dynamic"] == "false"]
        assert {(rule["action"], rule["protocol"], rule["dst-port"]) for rule in ours} == {
            ("accept", "tcp", "8728,8729"),
            ("accept", "udp", "3799"),
        }
        assert {rule["src-address-list"] for rule in ours} == {"kibali"}
        assert all(rules.index(mine) < rules.index(other) for mine in ours for other in others)

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_hostile_values_arrive_as_they_are_and_do_nothing_else(self, hostile: str) -> None:
        machine = bootstrapped(
            "7.16",
            replace(BOOTSTRAP, password=hostile, radius_secret=hostile, identity=hostile, username=f"k{hostile}"),
        )
        login = machine.login(f"k{hostile}", "198.51.100.7")
        assert login is not None
        assert login[0] == hostile
        assert machine.tables.one("/radius")["secret"] == hostile
        assert machine.tables.one("/system/identity")["name"] == hostile
        assert {user["name"] for user in machine.tables.items("/user")} == {"admin", f"k{hostile}"}

    @pytest.mark.parametrize(("version", "major"), VERSIONS)
    def test_pasting_it_twice_changes_nothing(self, version: str, major: Major) -> None:
        machine = bootstrapped(version)
        before, fingerprint = machine.snapshot(), machine.certificate()
        printed = paste(machine, bootstrap_script(BOOTSTRAP, major))
        assert machine.snapshot() == before
        assert machine.certificate() is fingerprint
        assert fingerprint is not None
        assert printed == [f"Kibali: ready. Certificate {fingerprint.sha256}"]

    def test_pasting_it_again_leaves_what_a_deployment_did(self) -> None:
        machine = bootstrapped("7.16")
        machine.tables.one("/radius").update({"disabled": "false", "service": "hotspot"})
        paste(machine, bootstrap_script(BOOTSTRAP, 7))
        radius = machine.tables.one("/radius")
        assert (radius["disabled"], radius["service"]) == ("false", "hotspot")

    def test_pasting_it_again_repairs_what_somebody_changed(self) -> None:
        machine = bootstrapped("7.16")
        before = machine.snapshot()
        machine.tables.one("/user", name="kibali").update({"password": "x", "disabled": "true", "group": "read"})
        machine.tables.one("/radius").update({"secret": "x"})
        machine.service("api-ssl").update({"certificate": "none", "disabled": "true", "address": ""})
        paste(machine, bootstrap_script(BOOTSTRAP, 7))
        assert machine.snapshot() == before

    def test_a_server_that_moved_is_let_in_and_its_old_address_is_not(self) -> None:
        machine = bootstrapped("7.16")
        moved = replace(BOOTSTRAP, server_addresses=(IPv4Address("203.0.113.1"), IPv4Address("203.0.113.2")))
        machine.tables.put("/ip/firewall/address-list", list="kibali", address="192.0.2.1", comment="the admin's own")
        paste(machine, bootstrap_script(moved, 7))
        let_in = {item["address"] for item in machine.tables.items("/ip/firewall/address-list")}
        assert let_in == {"203.0.113.1", "203.0.113.2", "192.0.2.1"}
        assert machine.service("api")["address"] == "203.0.113.1/32,203.0.113.2/32"
        assert machine.login("kibali", "198.51.100.7") is None

    def test_through_a_tunnel_radius_comes_from_its_address(self) -> None:
        tunnelled = replace(BOOTSTRAP, radius_src_address=IPv4Address("10.255.0.2"), coa_port=1700, identity=None)
        tables = bootstrapped("6.49", tunnelled).tables
        assert tables.one("/radius")["src-address"] == "10.255.0.2"
        assert tables.one("/radius/incoming")["port"] == "1700"
        assert tables.one("/system/identity")["name"] == "MikroTik"

    @pytest.mark.parametrize(("version", "major"), [("6.49", 7), ("7.16", 6)])
    def test_the_script_for_another_version_says_so_and_does_nothing(self, version: str, major: Major) -> None:
        machine = Machine(version)
        before = machine.snapshot()
        for script in (bootstrap_script(BOOTSTRAP, major), removal_script("kibali", major)):
            with pytest.raises(ScriptError, match=f"is for RouterOS {major}"):
                paste(machine, script)
        assert machine.snapshot() == before

    @pytest.mark.parametrize(("version", "major"), VERSIONS)
    def test_removal_leaves_the_router_as_it_was(self, version: str, major: Major) -> None:
        machine = Machine(version)
        before = machine.snapshot()
        paste(machine, bootstrap_script(replace(BOOTSTRAP, identity=None), major))
        assert machine.snapshot() != before
        paste(machine, removal_script("kibali", major))
        before["/radius/incoming"][0]["accept"] = "true"
        assert machine.snapshot() == before

    def test_its_secrets_do_not_show(self) -> None:
        assert "secret-of" not in repr(BOOTSTRAP)
