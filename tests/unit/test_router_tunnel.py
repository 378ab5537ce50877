"""Tunnels: what a router is told and what the hub is, checked by RouterOS's command tree and WireGuard's parser."""

from configparser import ConfigParser
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from isp.router_script import Major, bootstrap_script, removal_script
from isp.router_tunnel import KINDS, Kind, Tunnel, hub_address
from isp.tunnel_hub import Far, Hub, chap_secrets, files, wireguard
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_script import ScriptError, paste
from tests.fakes.routeros_values import Trap
from tests.unit.test_router_script import BOOTSTRAP, HOSTILE, VERSIONS, findings

HUB = IPv4Address("10.254.0.1")
TUNNEL = Tunnel(
    kind="wireguard",
    address=IPv4Address("10.254.0.7"),
    hub_address=HUB,
    endpoint="hub.example.net",
    port=51820,
    username="kibali-7",
    secret="6Mw9EHTzuxgT5mYqdN8XlIHBY5LTLp9JZtsXN0ZNzHw=",
    hub_public_key="HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=",
)
THE_HUB = Hub(
    address=HUB,
    wireguard_port=51820,
    wireguard_private_key="6Mw9EHTzuxgT5mYqdN8XlIHBY5LTLp9JZtsXN0ZNzHw=",
    sstp_port=4443,
    certificate_file="/etc/ssl/private/kibali-hub.pem",
    secrets_directory="/etc/kibali",
)
# Kinds that each major version of RouterOS has.
CASES: list[tuple[str, Major, Kind]] = [
    (version, major, kind) for version, major in VERSIONS for kind in KINDS if major == 7 or kind != "wireguard"
]


def script(kind: Kind, major: Major, **changes: str) -> str:
    tunnelled = replace(TUNNEL, kind=kind, **changes)  # type: ignore[arg-type]
    bootstrap = replace(
        BOOTSTRAP,
        server_addresses=(HUB,),
        radius_address=HUB,
        radius_src_address=tunnelled.address,
        tunnel=tunnelled,
        identity=None,
    )
    return bootstrap_script(bootstrap, major)


class TestRouter:
    @pytest.mark.parametrize("hostile", ["plain", *HOSTILE])
    @pytest.mark.parametrize(("major", "kind"), [(6, "sstp"), (6, "l2tp"), (7, "wireguard"), (7, "sstp"), (7, "l2tp")])
    def test_routeros_has_all_that_it_names(self, major: Major, kind: Kind, hostile: str) -> None:
        assert findings(script(kind, major, endpoint=hostile, username=hostile, secret=hostile)) == []
        assert findings(removal_script("kibali", major, kind)) == []

    @pytest.mark.parametrize(("version", "major", "kind"), CASES)
    def test_it_dials_the_hub_and_is_pasted_twice_for_nothing(self, version: str, major: Major, kind: Kind) -> None:
        machine = Machine(version)
        paste(machine, script(kind, major))
        before = machine.snapshot()
        interface = machine.tables.one("/interface", name="kibali-hub")
        assert interface["disabled"] == "false"
        if kind == "wireguard":
            (peer,) = machine.tables.items("/interface/wireguard/peers")
            assert (peer["endpoint-address"], peer["endpoint-port"]) == ("hub.example.net", "51820")
            assert (peer["allowed-address"], peer["persistent-keepalive"]) == ("10.254.0.1/32", "25s")
            address = machine.tables.one("/ip/address", interface="kibali-hub")
            assert (address["address"], address["network"]) == ("10.254.0.7/32", "10.254.0.1")
        else:
            expected = "hub.example.net:51820" if kind == "sstp" else "hub.example.net"
            assert interface["connect-to"] == expected
            assert (interface["user"], interface["add-default-route"]) == ("kibali-7", "false")
        assert machine.tables.one("/radius")["src-address"] == "10.254.0.7"
        assert machine.service("api-ssl")["address"] == "10.254.0.1/32"
        paste(machine, script(kind, major))
        assert machine.snapshot() == before

    @pytest.mark.parametrize(("version", "major", "kind"), CASES)
    def test_removal_takes_the_tunnel_away(self, version: str, major: Major, kind: Kind) -> None:
        machine = Machine(version)
        before = machine.snapshot()
        paste(machine, script(kind, major))
        paste(machine, removal_script("kibali", major, kind))
        before["/radius/incoming"][0]["accept"] = "true"
        assert machine.snapshot() == before

    @pytest.mark.parametrize(("first", "then"), [(a, b) for a in KINDS for b in KINDS if a != b])
    def test_another_kind_takes_its_place(self, first: Kind, then: Kind) -> None:
        changed, fresh = Machine("7.16"), Machine("7.16")
        paste(changed, script(first, 7))
        paste(changed, script(then, 7))
        paste(fresh, script(then, 7))
        assert len(changed.tables.find("/interface", name="kibali-hub")) == 1
        shown = [[len(items) for items in machine.snapshot().values()] for machine in (changed, fresh)]
        assert shown[0] == shown[1]

    def test_what_the_admin_made_himself_stays(self) -> None:
        machine = Machine("7.16")
        machine.tables.add("/interface/wireguard", {"name": "office", "private-key": "x"})
        machine.tables.add("/interface/l2tp-client", {"name": "l2tp1", "connect-to": "192.0.2.1", "user": "x"})
        for kind in KINDS:
            paste(machine, script(kind, 7))
        assert machine.tables.one("/interface", name="office")
        assert machine.tables.one("/interface", name="l2tp1")

    def test_routeros_6_has_no_wireguard(self) -> None:
        with pytest.raises(ValueError, match="no WireGuard"):
            script("wireguard", 6)

    def test_without_the_ppp_package_the_script_does_nothing_at_all(self) -> None:
        machine = Machine("6.49")
        machine.tables.one("/system/package", name="ppp")["disabled"] = "true"
        before = machine.tables.items("/user").copy()
        with pytest.raises((ScriptError, Trap)):
            paste(machine, script("sstp", 6))
        assert machine.tables.items("/user") == before

    def test_its_secret_does_not_show(self) -> None:
        assert TUNNEL.secret not in repr(TUNNEL)
        assert THE_HUB.wireguard_private_key not in repr(THE_HUB)


FAR = [
    Far("wireguard", "acme: roof\n[Peer]", IPv4Address("10.254.0.9"), public_key=TUNNEL.hub_public_key),
    Far("wireguard", "acme: gate", IPv4Address("10.254.0.7"), public_key=TUNNEL.secret),
    Far("sstp", "acme: café", IPv4Address("10.254.0.8"), "kibali-8", "secretS"),
    Far("l2tp", "zenith: tower", IPv4Address("10.254.0.10"), "kibali-10", "secretL"),
]


class TestHub:
    def test_its_address_is_the_first(self) -> None:
        assert hub_address(IPv4Network("10.254.0.0/16")) == HUB

    def test_each_router_is_in_the_file_of_its_kind_and_no_other(self) -> None:
        made = files(THE_HUB, FAR)
        assert {name for name, content in made.items() if "10.254.0.7/32" in content} == {"kibali0.conf"}
        assert {name for name, content in made.items() if "secretS" in content} == {"sstp-secrets"}
        assert {name for name, content in made.items() if "secretL" in content} == {"l2tp-secrets"}

    def test_the_same_routers_make_the_same_files(self) -> None:
        assert files(THE_HUB, FAR) == files(THE_HUB, reversed(FAR))

    def test_a_label_cannot_become_a_line_of_its_own(self) -> None:
        assert wireguard(THE_HUB, FAR[:1]).count("\n[Peer]") == 1

    def test_passwords_are_tied_to_addresses(self) -> None:
        assert '"kibali-8" * "secretS" 10.254.0.8' in chap_secrets(FAR[2:3])

    @pytest.mark.parametrize("name", ["xl2tpd.conf", "accel-ppp.conf"])
    def test_its_sections_can_be_read(self, name: str) -> None:
        parser = ConfigParser(allow_no_value=True, strict=True, comment_prefixes=(";", "#"))
        parser.read_string(files(THE_HUB, FAR)[name])
        sections = set(parser.sections())
        if name == "xl2tpd.conf":
            assert sections == {"global", "lns default"}
            assert parser["lns default"]["local ip"] == "10.254.0.1"
        else:
            assert {"modules", "sstp", "chap-secrets", "ppp"} <= sections
            assert parser["sstp"]["port"] == "4443"
            assert parser["chap-secrets"]["chap-secrets"] == "/etc/kibali/sstp-secrets"
