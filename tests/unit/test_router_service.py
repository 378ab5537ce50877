"""What a router is to serve: which configurations can be, what they come to on a router, and as a script.

routeros-lsp checks that RouterOS 7.21 has all that is named; the fake router, into which scripts are pasted, what they
lead to.
"""

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isp.address_ranges import joined, parse_ranges, size, without, written
from isp.router_contents import RouterContents, interfaces, wan_interfaces
from isp.router_diff import Change, changes, same
from isp.router_menus import MENUS
from isp.router_pages import pages
from isp.router_script import Bootstrap, Major, bootstrap_script
from isp.router_service import ServiceConfig, ServiceFault, service_config
from isp.router_service_check import check, faults, findings
from isp.router_service_script import service_script
from isp.router_wanted import RADIUS, RadiusClient, by_hand, duration, wanted
from tasks.routeros_contents import read_contents
from tasks.routeros_dialogue import Sentence
from tasks.routeros_facts import read_facts
from tests.fakes.routeros_ask import ask
from tests.fakes.routeros_factory import CHR, HAP, Model
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_script import paste
from tests.routeros_sentences import findings_in, findings_of

SERVER = IPv4Address("198.51.100.7")
CLIENT = RadiusClient(address=SERVER, secret="secret-of-radius", server_addresses=(SERVER,))
HOTSPOT: dict[str, Any] = {"interface": "ether3", "network": "10.5.50.0/24"}
PPPOE: dict[str, Any] = {"interface": "ether2", "network": "10.64.0.0/22"}
FULL: dict[str, Any] = {
    "hotspots": [{**HOTSPOT, "portal_url": "https://wifi.example.com/portal", "dns_name": "login.example.com"}],
    "pppoe": [PPPOE],
    "dns_servers": ["192.0.2.53", "192.0.2.54"],
    "wan_interface": "ether1",
    "walled_garden": ["*.safaricom.co.ke", "pay.example.com", "203.0.113.9"],
    "expired_address_list": "expired",
}
VERSIONS = ("6.49", "7.12", "7.16", "7.21")
HOSTILE = ('a"; /system reset-configuration; "', "$x", "[/user add]", "é ☕", "with space", "?")


def router(version: str = "7.16", *, model: Model = CHR, **options: Any) -> Machine:
    """Prepared by the bootstrap script."""
    machine = Machine(version, model=model, configured=model is HAP, **options)
    major: Major = 6 if machine.version < (7,) else 7
    bootstrap = Bootstrap("kibali", "secret-of-the-user", (SERVER,), SERVER, "secret-of-radius")
    paste(machine, bootstrap_script(bootstrap, major))
    return machine


def contents_of(machine: Machine, said: list[Sentence] | None = None) -> RouterContents:
    return ask(machine, read_contents(ask(machine, read_facts("router"), said)), said)


def config(**data: Any) -> ServiceConfig:
    return service_config(data)


def put(machine: Machine, configuration: ServiceConfig, client: RadiusClient = CLIENT) -> list[Change]:
    """By the script; what a diff said before that."""
    contents = contents_of(machine)
    due = wanted(configuration, client, contents)
    before = changes(due, contents)
    paste(machine, service_script(due, by_hand(configuration, contents), secrets=True))
    return before


class TestRanges:
    @pytest.mark.parametrize(
        ("text", "ranges", "addresses"),
        [
            ("10.0.0.2-10.0.0.9", "10.0.0.2-10.0.0.9", 8),
            ("10.0.0.9", "10.0.0.9", 1),
            ("10.0.1.0/30,10.0.0.9", "10.0.0.9,10.0.1.0-10.0.1.3", 5),
            ("10.0.0.1,10.0.0.2,10.0.0.3", "10.0.0.1-10.0.0.3", 3),
            ("10.0.0.1-10.0.0.5, 10.0.0.4-10.0.0.8", "10.0.0.1-10.0.0.8", 8),
            ("10.1.0.1-10.1.255.254", "10.1.0.1-10.1.255.254", 65534),
        ],
    )
    def test_they_are_joined_and_counted(self, text: str, ranges: str, addresses: int) -> None:
        assert written(parse_ranges(text)) == ranges
        assert size(parse_ranges(text)) == addresses

    @pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.9-10.0.0.1", "10.0.0.1/24", "a-b", "10.0.0.1-", "::1"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"range|ends"):
            parse_ranges(text)

    @given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)).map(lambda one: (one[0], sum(one)))))
    def test_a_hole_takes_one_address_and_no_other(self, ranges: list[tuple[int, int]]) -> None:
        held = {address for first, last in ranges for address in range(first, last + 1)}
        left = {address for first, last in without(ranges, 7) for address in range(first, last + 1)}
        assert left == held - {7}
        assert size(joined(ranges)) == len(held)


class TestConfiguration:
    @pytest.mark.parametrize(
        ("data", "field", "words"),
        [
            ({}, "hotspots", "Say on which interface"),
            ({"hotspots": [{"network": "10.5.50.0/24"}]}, "hotspots.0.interface", "Say on which"),
            ({"hotspots": [{"interface": "ether3"}]}, "hotspots.0.network", "must be a network"),
            ({"hotspots": [{**HOTSPOT, "network": "10.5.50.1/24"}]}, "hotspots.0.network", "without host bits"),
            ({"hotspots": [{**HOTSPOT, "network": "10.5.50.0/31"}]}, "hotspots.0.network", "/8 to a /30"),
            ({"hotspots": [{**HOTSPOT, "network": "0.0.0.0/0"}]}, "hotspots.0.network", "/8 to a /30"),
            ({"hotspots": [{**HOTSPOT, "network": "127.0.0.0/24"}]}, "hotspots.0.network", "customers can have"),
            ({"hotspots": [{**HOTSPOT, "network": "224.0.0.0/24"}]}, "hotspots.0.network", "customers can have"),
            ({"hotspots": [{**HOTSPOT, "gateway": "10.5.51.1"}]}, "hotspots.0.gateway", "of a host in"),
            ({"hotspots": [{**HOTSPOT, "gateway": "10.5.50.255"}]}, "hotspots.0.gateway", "of a host in"),
            ({"hotspots": [{**HOTSPOT, "gateway": "x"}]}, "hotspots.0.gateway", "IPv4 address"),
            ({"hotspots": [{**HOTSPOT, "pool": "10.5.50.9-10.5.50.2"}]}, "hotspots.0.pool", "ends before"),
            ({"hotspots": [{**HOTSPOT, "pool": "10.5.50.9-10.5.51.2"}]}, "hotspots.0.pool", "within the hosts"),
            ({"hotspots": [{**HOTSPOT, "pool": "10.5.50.1-10.5.50.9"}]}, "hotspots.0.pool", "must not hold 10.5.50.1"),
            ({"hotspots": [{**HOTSPOT, "login_by": ["https"]}]}, "hotspots.0.login_by", "one or more of"),
            ({"hotspots": [{**HOTSPOT, "login_by": []}]}, "hotspots.0.login_by", "one or more of"),
            ({"hotspots": [{**HOTSPOT, "login_by": ["mac"]}]}, "hotspots.0.login_by", "needs http-pap"),
            ({"hotspots": [{**HOTSPOT, "dns_name": "login"}]}, "hotspots.0.dns_name", "dot in it"),
            ({"hotspots": [{**HOTSPOT, "portal_url": "wifi.example.com"}]}, "hotspots.0.portal_url", "address of the"),
            ({"hotspots": [{**HOTSPOT, "portal_url": "https://a.b/$(mac)"}]}, "hotspots.0.portal_url", "address of"),
            ({"hotspots": [{**HOTSPOT, "portal_url": "https://a.b/'><b>"}]}, "hotspots.0.portal_url", "address of"),
            (
                {"hotspots": [{"interface": "bridge", "addressing": "router", "pool": "10.0.0.2"}]},
                "hotspots.0.pool",
                "stay: give none",
            ),
            ({"pppoe": [PPPOE, {**PPPOE, "network": ""}]}, "pppoe.1.network", "must be a network"),
            ({"pppoe": [{**PPPOE, "authentication": ["eap"]}]}, "pppoe.0.authentication", "one or more of"),
            ({"pppoe": [PPPOE], "dns_servers": ["8.8.8.8", "dns"]}, "dns_servers.1", "IPv4 address"),
            ({"pppoe": [PPPOE], "walled_garden": ["https://x.example"]}, "walled_garden.0", "must be a host"),
            ({"pppoe": [PPPOE], "walled_garden": ["a.*.example"]}, "walled_garden.0", "must be a host"),
            ({"pppoe": [PPPOE], "interim_update_s": 59}, "interim_update_s", "60 to 3600"),
            ({"hotspots": [HOTSPOT], "expired_address_list": "x"}, "expired_address_list", "for PPPoE"),
        ],
    )
    def test_what_can_not_be_is_refused_with_its_field(self, data: dict[str, Any], field: str, words: str) -> None:
        with pytest.raises(ServiceFault, match=words) as fault:
            service_config(data)
        assert fault.value.field == field

    def test_left_out_the_gateway_is_the_first_host_and_the_pool_the_others(self) -> None:
        (hotspot,) = config(hotspots=[HOTSPOT]).hotspots
        assert hotspot.subnet is not None
        assert str(hotspot.subnet.gateway) == "10.5.50.1"
        assert written(hotspot.subnet.pool) == "10.5.50.2-10.5.50.254"
        (hotspot,) = config(hotspots=[{**HOTSPOT, "gateway": "10.5.50.100"}]).hotspots
        assert hotspot.subnet is not None
        assert written(hotspot.subnet.pool) == "10.5.50.1-10.5.50.99,10.5.50.101-10.5.50.254"

    def test_the_portal_is_in_the_walled_garden_by_itself(self) -> None:
        assert config(**FULL).open_hosts == (
            "wifi.example.com",
            "*.safaricom.co.ke",
            "pay.example.com",
            "203.0.113.9",
        )


class TestCheck:
    @pytest.mark.parametrize(
        ("data", "field", "words"),
        [
            ({"hotspots": [{**HOTSPOT, "interface": "ether33"}]}, "hotspots.0.interface", "no interface ether33"),
            ({"hotspots": [{**HOTSPOT, "interface": "ether3"}]}, "hotspots.0.interface", "port of bridge: take bridge"),
            ({"hotspots": [{**HOTSPOT, "interface": "bridge"}]}, "hotspots.0.interface", "DHCP server defconf"),
            ({"hotspots": [{**HOTSPOT, "interface": "tunnel"}]}, "hotspots.0.interface", "type wg"),
            ({"hotspots": [{**HOTSPOT, "interface": "vlan9"}]}, "hotspots.0.interface", "is disabled"),
            (
                {"hotspots": [{"interface": "vlan5", "addressing": "router"}]},
                "hotspots.0.addressing",
                "no address of its own",
            ),
            (
                {"hotspots": [{**HOTSPOT, "interface": "vlan5", "network": "192.168.88.0/25"}]},
                "hotspots.0.network",
                "overlaps 192.168.88.0/24 on bridge",
            ),
            (
                {"hotspots": [{**HOTSPOT, "interface": "vlan5", "network": "10.9.0.0/16"}]},
                "hotspots.0.network",
                "overlaps the router's pool theirs",
            ),
            (
                {"hotspots": [{**HOTSPOT, "interface": "vlan5"}], "pppoe": [{**PPPOE, "network": "10.5.0.0/16"}]},
                "pppoe.0.network",
                "overlaps 10.5.50.0/24, which is used above",
            ),
            ({"pppoe": [PPPOE, PPPOE]}, "pppoe.1.interface", "twice"),
            ({"pppoe": [{**PPPOE, "interface": "vlan6"}]}, "pppoe.0.interface", "the PPPoE server theirs"),
            ({"hotspots": [{**HOTSPOT, "interface": "vlan7"}]}, "hotspots.0.interface", "has the hotspot hs1"),
            (
                {"pppoe": [{**PPPOE, "interface": "vlan5"}], "wan_interface": "vlan5"},
                "pppoe.0.interface",
                "vlan5 is the way out",
            ),
            ({"pppoe": [{**PPPOE, "interface": "vlan5"}], "wan_interface": "x"}, "wan_interface", "no interface x"),
        ],
    )
    def test_what_this_router_can_not_do_is_refused_with_its_field(
        self, data: dict[str, Any], field: str, words: str
    ) -> None:
        machine = router(model=HAP)
        tables = machine.tables
        for number in (5, 6, 7, 9):
            tables.add("/interface/vlan", {"name": f"vlan{number}", "interface": "bridge", "vlan-id": str(number)})
        tables.one("/interface", name="vlan9")["disabled"] = "true"
        tables.add("/interface/wireguard", {"name": "tunnel"})
        tables.add("/ip/pool", {"name": "theirs", "ranges": "10.9.8.1-10.9.8.9"})
        tables.add("/interface/pppoe-server/server", {"interface": "vlan6", "service-name": "theirs"})
        tables.add("/ip/hotspot", {"interface": "vlan7", "name": "hs1"})
        found = list(faults(service_config(data), contents_of(machine)))
        assert (field, True) in [(fault.field, words in str(fault)) for fault in found], found

    def test_every_fault_of_a_configuration_is_found(self) -> None:
        data = {"hotspots": [{**HOTSPOT, "interface": "x"}], "pppoe": [{**PPPOE, "interface": "y"}]}
        fields = [fault.field for fault in faults(service_config(data), contents_of(router()))]
        assert fields == ["hotspots.0.interface", "pppoe.0.interface"]
        with pytest.raises(ServiceFault, match="no interface x"):
            check(service_config(data), contents_of(router()))

    def test_device_mode_is_said_with_its_remedy(self) -> None:
        contents = contents_of(router("7.21", device_mode="home"))
        (fault,) = faults(config(hotspots=[HOTSPOT]), contents)
        assert fault.field == "hotspots"
        assert "/system device-mode update hotspot=yes" in str(fault)
        assert list(faults(config(pppoe=[PPPOE]), contents)) == []
        assert [(found.kind, found.severity) for found in findings(contents)] == [("device_mode", "blocks")]

    def test_a_wildcard_needs_a_proxy(self) -> None:
        machine = router("7.21", device_mode="home")
        machine.tables.one("/system/device-mode")["hotspot"] = "true"
        configuration = config(hotspots=[HOTSPOT], walled_garden=["a.example", "*.b.example"])
        found = list(faults(configuration, contents_of(machine)))
        assert [fault.field for fault in found] == ["walled_garden.1"]

    def test_a_disabled_package_is_said(self) -> None:
        machine = router("6.49")
        for name in ("hotspot", "ppp"):
            machine.tables.one("/system/package", name=name)["disabled"] = "true"
        found = list(faults(config(hotspots=[HOTSPOT], pppoe=[PPPOE]), contents_of(machine)))
        assert [fault.field for fault in found] == ["hotspots", "pppoe"]
        assert "/system package enable ppp" in str(found[1])

    def test_what_is_in_the_way_is_found(self) -> None:
        machine = router(model=HAP)
        tables = machine.tables
        tables.add("/ppp/secret", {"name": "ann"})
        tables.add("/ppp/secret", {"name": "bob", "disabled": "yes"})
        tables.add("/ip/hotspot/user", {"name": "cy"})
        tables.add("/radius", {"address": "192.0.2.9", "service": "hotspot"})
        tables.add("/ip/firewall/filter", {"chain": "forward", "action": "fasttrack-connection"})
        tables.add("/ip/hotspot", {"interface": "bridge", "name": "hs1"})
        found = {finding.kind: finding for finding in findings(contents_of(machine))}
        assert set(found) == {"radius", "local_accounts", "fasttrack", "server"}
        assert "192.0.2.9" in found["radius"].message
        assert "hs1" in found["server"].message
        counts = [finding.message for finding in findings(contents_of(machine)) if finding.kind == "local_accounts"]
        assert [" 1 of its own" in message for message in counts] == [True, True]

    def test_what_is_ours_is_in_nobodys_way(self) -> None:
        machine = router()
        put(machine, config(**FULL))
        contents = contents_of(machine)
        assert findings(contents) == []
        assert list(faults(config(**FULL), contents)) == []


class TestState:
    @pytest.mark.parametrize("version", ["6.42", *VERSIONS])
    def test_interfaces_are_described(self, version: str) -> None:
        machine = router(version, model=HAP)
        machine.tables.add("/interface/vlan", {"name": "vlan5", "interface": "bridge", "vlan-id": "5"})
        found = {each.name: each for each in interfaces(contents_of(machine))}
        assert list(found) == ["ether1", "ether2", "ether3", "ether4", "ether5", "bridge", "vlan5"]
        bridge = found["bridge"]
        assert (bridge.type, bridge.running, bridge.bridge) == ("bridge", True, None)
        assert bridge.addresses == ("192.168.88.1/24",)
        assert bridge.services == ("dhcp-server defconf",)
        assert (found["ether2"].bridge, found["ether1"].bridge) == ("bridge", None)
        assert found["ether1"].lists == ("WAN",)
        assert found["vlan5"].type == "vlan"

    def test_the_way_out_is_guessed(self) -> None:
        assert wan_interfaces(contents_of(router(model=HAP))) == ["ether1"]
        machine = router()
        machine.tables.add("/ip/address", {"address": "203.0.113.2/30", "interface": "ether2"})
        machine.tables.add("/ip/route", {"dst-address": "0.0.0.0/0", "gateway": "203.0.113.1"})
        assert wan_interfaces(contents_of(machine)) == ["ether2"]

    @pytest.mark.parametrize("version", VERSIONS)
    def test_it_comes_back_from_storage_without_its_secrets(self, version: str) -> None:
        machine = router(version)
        put(machine, config(**FULL))
        contents = contents_of(machine)
        assert "secret-of-radius" in repr(contents.to_json())
        stored = contents.without_secrets()
        assert "secret-of-radius" not in repr(stored.to_json())
        assert "<html>" not in repr(stored.to_json())
        assert RouterContents.from_json(stored.to_json()) == stored
        assert changes(wanted(config(**FULL), CLIENT, stored), stored) == []

    @pytest.mark.parametrize("version", VERSIONS)
    def test_routeros_has_all_that_it_asks(self, version: str) -> None:
        said: list[Sentence] = []
        contents_of(router(version), said)
        assert len(said) > len(MENUS)
        for words in said:
            assert findings_in(words) == [], words


class TestWanted:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_full_configuration_as_a_script_leads_to_what_a_diff_said(self, version: str) -> None:
        machine = router(version)
        said = put(machine, config(**FULL))
        assert {change.action for change in said} == {"add", "set"}
        contents = contents_of(machine)
        assert changes(wanted(config(**FULL), CLIENT, contents), contents) == []
        before = machine.snapshot()
        put(machine, config(**FULL))
        assert machine.snapshot() == before

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize(
        "data", [{"hotspots": [HOTSPOT]}, {"pppoe": [PPPOE]}, FULL], ids=["hotspot", "pppoe", "full"]
    )
    def test_routeros_has_all_that_the_script_names(self, version: str, data: dict[str, Any]) -> None:
        contents = contents_of(router(version))
        for secrets in (True, False):
            script = service_script(wanted(config(**data), CLIENT, contents), ["By hand: $x"], secrets=secrets)
            assert findings_of(script) == []
            assert ("secret-of-radius" in script) is secrets

    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_hostile_names_do_nothing_else(self, hostile: str) -> None:
        machine = router()
        machine.tables.one("/interface", name="ether3")["name"] = hostile
        data = {
            "hotspots": [{**HOTSPOT, "interface": hostile}],
            "pppoe": [{**PPPOE, "service_name": hostile}],
            "expired_address_list": hostile,
        }
        put(machine, config(**data))
        assert machine.tables.one("/ip/hotspot")["interface"] == hostile
        assert machine.tables.one("/interface/pppoe-server/server")["service-name"] == hostile
        contents = contents_of(machine)
        assert changes(wanted(config(**data), CLIENT, contents), contents) == []

    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_hotspot_asks_radius_and_gives_out_addresses(self, version: str) -> None:
        machine = router(version)
        put(machine, config(hotspots=[{**HOTSPOT, "login_by": ["http-pap", "mac", "mac-cookie"]}]))
        tables = machine.tables
        profile = tables.one("/ip/hotspot/profile", name="kibali-hotspot-ether3")
        expected = {
            "hotspot-address": "10.5.50.1",
            "html-directory": "hotspot",
            "login-by": "mac,http-pap,mac-cookie",
            "use-radius": "true",
            "radius-accounting": "true",
            "radius-interim-update": "received",
            "radius-mac-format": "XX:XX:XX:XX:XX:XX",
        }
        assert {name: profile[name] for name in expected} == expected
        server = tables.one("/ip/hotspot")
        assert (server["interface"], server["profile"]) == ("ether3", "kibali-hotspot-ether3")
        assert (server["address-pool"], server["disabled"]) == ("kibali-hotspot-ether3", "false")
        assert tables.one("/ip/pool", name="kibali-hotspot-ether3")["ranges"] == "10.5.50.2-10.5.50.254"
        assert tables.one("/ip/address", interface="ether3")["address"] == "10.5.50.1/24"
        assert tables.one("/ip/dhcp-server")["address-pool"] == "kibali-hotspot-ether3"
        assert tables.one("/ip/dhcp-server/network")["gateway"] == "10.5.50.1"
        assert tables.one("/ip/firewall/nat")["src-address"] == "10.5.50.0/24"
        assert tables.one("/ip/dns")["allow-remote-requests"] == "true"
        assert tables.one("/ip/hotspot/ip-binding")["address"] == str(SERVER)
        assert tables.find("/interface/pppoe-server/server") == []
        assert tables.one("/ppp/aaa")["use-radius"] == "false"

    @pytest.mark.parametrize("version", VERSIONS)
    def test_pppoe_asks_radius(self, version: str) -> None:
        machine = router(version)
        put(machine, config(pppoe=[PPPOE], interim_update_s=90, dns_servers=["192.0.2.53"]))
        tables = machine.tables
        server = tables.one("/interface/pppoe-server/server")
        assert (server["interface"], server["default-profile"]) == ("ether2", "kibali-pppoe-ether2")
        assert (server["one-session-per-host"], server["disabled"]) == ("true", "false")
        profile = tables.one("/ppp/profile", name="kibali-pppoe-ether2")
        assert (profile["local-address"], profile["remote-address"]) == ("10.64.0.1", "kibali-pppoe-ether2")
        assert profile["dns-server"] == "192.0.2.53"
        aaa = tables.one("/ppp/aaa")
        assert (aaa["use-radius"], aaa["accounting"], aaa["interim-update"]) == ("true", "true", "1m30s")
        assert tables.find("/ip/hotspot") == []

    def test_radius_is_enabled_last(self) -> None:
        contents = contents_of(router())
        last = wanted(config(**FULL), CLIENT, contents)[-1]
        assert (last.menu, last.values) == ("/radius", {"disabled": "no"})
        machine = router()
        machine.tables.items("/radius").clear()
        said = changes(wanted(config(**FULL), CLIENT, contents_of(machine)), contents_of(machine))
        assert [change.action for change in said if change.menu == "/radius"] == ["add", "set"]
        assert (said[0].after["disabled"], said[-1].after) == ("yes", {"disabled": "no"})

    def test_radius_serves_hotspot_and_ppp_and_waits_three_seconds(self) -> None:
        machine = router()
        machine.tables.one("/radius").update({"service": "ppp", "timeout": "300ms", "secret": "old"})
        put(machine, config(**FULL))
        radius = machine.tables.one("/radius", comment=RADIUS)
        assert (radius["service"], radius["timeout"], radius["secret"]) == ("ppp,hotspot", "3s", "secret-of-radius")
        assert radius["disabled"] == "false"
        assert machine.tables.one("/radius/incoming")["accept"] == "true"

    def test_the_routers_own_addresses_stay_if_that_is_asked(self) -> None:
        machine = router(model=HAP)
        before = {path: items for path, items in machine.snapshot().items() if path in ADDRESSING}
        put(machine, config(hotspots=[{"interface": "bridge", "addressing": "router"}]))
        assert {path: machine.snapshot()[path] for path in ADDRESSING} == before
        profile = machine.tables.one("/ip/hotspot/profile", name="kibali-hotspot-bridge")
        assert profile["hotspot-address"] == "192.168.88.1"
        assert machine.tables.one("/ip/hotspot")["address-pool"] == "none"

    def test_wildcards_go_where_http_passes_and_other_hosts_where_https_does(self) -> None:
        machine = router()
        put(machine, config(**FULL))
        http = machine.tables.items("/ip/hotspot/walled-garden")
        assert [(item["dst-host"], item["action"]) for item in http] == [("*.safaricom.co.ke", "allow")]
        https = machine.tables.items("/ip/hotspot/walled-garden/ip")
        assert [(item.get("dst-host"), item.get("dst-address")) for item in https] == [
            ("wifi.example.com", None),
            ("pay.example.com", None),
            (None, "203.0.113.9"),
        ]

    @pytest.mark.parametrize("version", VERSIONS)
    def test_expired_customers_reach_the_portal_and_dns_and_nothing_else(self, version: str) -> None:
        machine = router(version)
        machine.tables.add("/ip/firewall/filter", {"chain": "forward", "action": "accept"})
        put(machine, config(**FULL))
        rules = [rule for rule in machine.tables.items("/ip/firewall/filter") if rule["chain"] == "forward"]
        assert [(rule["action"], rule.get("dst-address-list"), rule.get("dst-port")) for rule in rules] == [
            ("accept", "kibali-open", None),
            ("accept", None, "53"),
            ("accept", None, "53"),
            ("drop", None, None),
            ("accept", None, None),
        ]
        assert {rule.get("src-address-list") for rule in rules[:4]} == {"expired"}
        open_hosts = machine.tables.find("/ip/firewall/address-list", list="kibali-open")
        assert [item["address"] for item in open_hosts] == ["wifi.example.com", "pay.example.com", "203.0.113.9"]

    def test_what_is_not_wanted_any_more_is_removed_and_nothing_else(self) -> None:
        machine = router(model=HAP)
        theirs = machine.snapshot()
        machine.tables.add("/ip/pool", {"name": "kibalis", "ranges": "10.9.0.1"})
        put(machine, config(**{**FULL, "hotspots": [], "pppoe": [{**PPPOE, "interface": "bridge"}]}))
        contents = contents_of(machine)
        said = changes(wanted(config(pppoe=[{**PPPOE, "interface": "bridge"}], nat=False), CLIENT, contents), contents)
        removed = [change for change in said if change.action == "remove"]
        assert [change.action for change in said[: len(removed)]] == ["remove"] * len(removed)
        assert {change.menu for change in removed} == {
            "/ip firewall nat",
            "/ip firewall filter",
            "/ip firewall address-list",
        }
        assert all(change.found_by["comment"].startswith("kibali: service ") for change in removed)
        assert all(change.before for change in removed)
        assert theirs["/ip/firewall/filter"] != []

    def test_a_secret_is_never_shown(self) -> None:
        machine = router()
        machine.tables.one("/radius")["secret"] = "old-secret"
        contents = contents_of(machine)
        due = changes(wanted(config(**FULL), CLIENT, contents), contents)
        change = next(each for each in due if each.menu == "/radius")
        assert change.before == {"secret": "old-secret"}
        assert change.shown(change.before) == {"secret": "…"}
        assert "secret-of-radius" not in repr(CLIENT)

    @pytest.mark.parametrize(
        ("name", "one", "other", "alike"),
        [
            ("disabled", "no", "false", True),
            ("disabled", "no", "", True),
            ("disabled", "yes", "false", False),
            ("login-by", "http-chap,mac", "mac,http-chap", True),
            ("login-by", "http-chap,mac", "mac", False),
            ("ranges", "10.0.0.1-10.0.0.1", "10.0.0.1", True),
            ("ranges", "10.0.0.1", "garbage", False),
            ("address-pool", "none", "", True),
            ("comment", "a,b", "b,a", False),
        ],
    )
    def test_what_routeros_prints_otherwise_is_the_same(self, name: str, one: str, other: str, alike: bool) -> None:
        assert same(name, one, other) is alike

    @pytest.mark.parametrize(
        ("seconds", "text"), [(300, "5m"), (3600, "1h"), (90, "1m30s"), (3661, "1h1m1s"), (0, "0s")]
    )
    def test_durations_are_written_as_routeros_prints_them(self, seconds: int, text: str) -> None:
        assert duration(seconds) == text


ADDRESSING = ("/ip/address", "/ip/pool", "/ip/dhcp-server", "/ip/dhcp-server/network")


class TestPortal:
    def test_the_pages_lead_to_the_portal_without_javascript(self) -> None:
        made = pages("https://wifi.example.com/portal?site=a&b=c")
        login = made["login.html"]
        assert "http-equiv='refresh'" in login
        assert "<a href='https://wifi.example.com/portal?site=a&amp;b=c&amp;mac=$(mac-esc)&amp;ip=$(ip-esc)" in login
        assert "link-login-only=$(link-login-only-esc)" in login
        assert "<script" not in "".join(made.values())
        assert all(len(page.encode()) < 2048 for page in made.values())

    @pytest.mark.parametrize("version", VERSIONS)
    def test_they_are_on_the_router_where_it_takes_files(self, version: str) -> None:
        machine = router(version)
        machine.tables.put("/file", name="flash", type="disk")
        configuration = config(**FULL)
        put(machine, configuration)
        profile = machine.tables.one("/ip/hotspot/profile", name="kibali-hotspot-ether3")
        assert profile["html-directory"] == "flash/kibali"
        files = {item["name"] for item in machine.tables.items("/file")}
        notes = by_hand(configuration, contents_of(machine))
        if machine.version >= (7,):
            assert "flash/kibali/login.html" in files
            assert notes == []
        else:
            assert files == {"flash"}
            assert "flash/kibali" in notes[0]
