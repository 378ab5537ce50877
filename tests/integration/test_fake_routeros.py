"""The fake router, asked by a client that is neither ours nor of our library: what it holds, refuses and does wrong."""

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import routeros_api  # type: ignore[import-untyped]
from routeros_api import exceptions, query
from routeros_lsp.analyze import bundled_schema

from settings import CHECKOUT
from tests.fakes.routeros import PASSWORD, USERNAME, FakeRouter, RunningRouter, fake_router
from tests.fakes.routeros_factory import CHR, VERSIONS
from tests.fakes.routeros_machine import INACTIVE, Machine
from tests.fakes.routeros_menus import MENUS
from tests.fakes.routeros_protocol import encode_sentence, encode_word
from tests.fakes.routeros_values import Trap

ALL = list(VERSIONS)
INTERFACE = "input does not match any value of interface"

# The command tree that routeros-lsp has was read from a CHR.
NOT_OF_A_CHR = {"/system/routerboard"}


@contextmanager
def client(
    router: FakeRouter, *, encrypted: bool = False, username: str = USERNAME, password: str = PASSWORD
) -> Iterator[Any]:
    pool = routeros_api.RouterOsApiPool(
        "127.0.0.1",
        username,
        password,
        port=router.ports["api-ssl" if encrypted else "api"],
        plaintext_login=True,
        use_ssl=encrypted,
        ssl_verify=False,
        ssl_verify_hostname=False,
    )
    pool.set_timeout(5)
    try:
        yield pool.get_api()
    finally:
        pool.disconnect()


@contextmanager
def asked(version: str = "7.16", **options: Any) -> Iterator[tuple[RunningRouter, Any]]:
    with fake_router(version, **options) as router, client(router) as api:
        yield router, api


def refusal(machine: Machine, *words: str) -> tuple[str, ...]:
    with pytest.raises(Trap) as trap:
        machine.menus.execute(words, {"read", "write", "policy", "ftp", "sensitive", "test"})
    return trap.value.messages


def rows(machine: Machine, *words: str) -> list[dict[str, str]]:
    return machine.menus.execute(words, {"read", "sensitive"}).rows


class TestAgainstAnotherClient:
    @pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
    @pytest.mark.parametrize("version", ALL)
    def test_it_logs_in_and_reads(self, version: str, encrypted: bool) -> None:
        with fake_router(version) as router, client(router, encrypted=encrypted) as api:
            (resource,) = api.get_resource("/system/resource").get()
            assert resource["version"].startswith(".".join(map(str, VERSIONS[version])))
            assert router.heard[-1].encrypted is encrypted
            assert router.heard[-1].username == USERNAME

    @pytest.mark.parametrize("version", ALL)
    def test_it_adds_changes_finds_and_removes(self, version: str) -> None:
        with asked(version) as (router, api):
            pools = api.get_resource("/ip/pool")
            added = pools.add(name="dyn", ranges="10.5.0.0/24,10.6.0.5").done_message["ret"]
            held = router.machine.tables.one("/ip/pool", name="dyn")
            assert held == {".id": added, "name": "dyn", "ranges": "10.5.0.0-10.5.0.255,10.6.0.5"}
            pools.set(id=added, name="dynamic")
            assert [row["name"] for row in pools.get()] == ["default-dhcp", "dynamic"]
            assert pools.get(name="dynamic")[0]["id"] == added
            assert pools.get(name="dyn") == []
            pools.remove(id=added)
            assert router.machine.tables.find("/ip/pool", name="dynamic") == []

    def test_queries_are_a_stack_of_truths(self) -> None:
        with asked() as (router, api):
            for name, profile, disabled in (("ann", "a", "no"), ("bob", "b", "yes"), ("cy", "a", "yes")):
                router.machine.tables.put("/ppp/profile", name=name)
                router.machine.tables.add("/ppp/secret", {"name": name, "password": profile, "disabled": disabled})
            secrets = api.get_resource("/ppp/secret")
            either = query.OrQuery(query.IsEqualQuery("name", "ann"), query.IsEqualQuery("name", "bob"))
            assert names(secrets.call("print", additional_queries=[either])) == ["ann", "bob"]
            both = query.AndQuery(query.IsEqualQuery("disabled", "true"), query.IsEqualQuery("password", "a"))
            assert names(secrets.call("print", additional_queries=[both])) == ["cy"]
            assert names(secrets.call("print", additional_queries=[query.IsGreaterQuery("name", "ann")])) == [
                "bob",
                "cy",
            ]
            assert names(secrets.call("print", additional_queries=[query.HasValueQuery("comment")])) == []

    def test_bytes_come_back_as_they_were_sent(self) -> None:
        text = "Café ☕ =,?#! " + "x" * 20_000
        with asked() as (router, api):
            api.get_resource("/ip/pool").add(name="p", ranges="10.0.0.1", comment=text)
            assert router.machine.tables.one("/ip/pool", name="p")["comment"] == text
            assert api.get_resource("/ip/pool").get(name="p")[0]["comment"] == text

    @pytest.mark.parametrize(
        ("version", "words"), [("6.42", b"cannot log in"), ("6.49", b"invalid user name or password (6)")]
    )
    def test_a_wrong_password_is_refused_in_the_words_of_the_time(self, version: str, words: bytes) -> None:
        with (
            fake_router(version) as router,
            pytest.raises(exceptions.RouterOsApiCommunicationError) as refused,
            client(router, password="wrong"),
        ):
            pass
        assert refused.value.original_message == words

    def test_who_is_not_logged_in_is_hung_up_on(self) -> None:
        with fake_router() as router, socket.create_connection(("127.0.0.1", router.ports["api"]), 5) as sock:
            sock.sendall(encode_sentence(["/ip/pool/print"]))
            assert everything(sock) == encode_sentence(["!fatal", "not logged in"])


def names(found: Sequence[dict[str, str]]) -> list[str]:
    return [row["name"] for row in found]


def everything(sock: socket.socket) -> bytes:
    octets = b""
    while got := sock.recv(65536):
        octets += got
    return octets


class TestVersions:
    def test_it_names_nothing_that_routeros_7_21_has_not(self) -> None:
        schema = bundled_schema()
        assert schema is not None
        wrong = []
        for path, menu in MENUS.items():
            if path in NOT_OF_A_CHR:
                continue
            node: Any = schema.root
            for name in path.strip("/").split("/"):
                node = node["c"][name]
            commands = node["c"]
            wrong += [f"{path}/{one}" for one in menu.commands | menu.own_commands if one not in commands]
            settable = {name for one in ("add", "set") for name in commands.get(one, {}).get("a", {})}
            printed = set(commands["print"].get("a", {}).get("proplist", {}).get("e", ()))
            for name, known in menu.properties.items():
                if known.before <= (7, 21) or (known.read_only and not printed):
                    continue
                if name not in (printed if known.read_only else settable):
                    wrong.append(f"{path} {name}")
        assert wrong == []

    @pytest.mark.parametrize(
        ("version", "messages"),
        [
            ("6.49", ("no such command prefix",)),
            ("7.16", ("no such command or directory (wireguarde)", "no such command prefix")),
        ],
    )
    def test_a_menu_it_has_not_is_refused_as_that_version_does(self, version: str, messages: tuple[str, ...]) -> None:
        assert refusal(Machine(version), "/interface/wireguarde/print") == messages

    @pytest.mark.parametrize(
        ("words", "old", "new"),
        [
            (("/interface/wireguard/print",), "6.49", "7.12"),
            (("/system/device-mode/print",), "6.49", "7.12"),
            (("/file/add", "=name=a", "=contents=b"), "6.49", "7.12"),
            (("/radius/add", "=address=10.0.0.1", "=require-message-auth=no"), "7.12", "7.16"),
            (("/ip/pool/add", "=ranges=10.0.0.1", "=comment=x"), "6.49", "7.12"),
        ],
    )
    def test_what_came_later_is_refused_before(self, words: tuple[str, ...], old: str, new: str) -> None:
        assert refusal(Machine(old), *words)
        Machine(new).menus.execute(words, {"read", "write", "ftp"})

    def test_a_disabled_package_takes_its_menus_along_after_a_reboot(self) -> None:
        machine = Machine("6.49")
        machine.menus.execute(("/system/package/disable", "=numbers=hotspot"), {"write"})
        assert rows(machine, "/ip/hotspot/print") == []
        machine.restart()
        assert refusal(machine, "/ip/hotspot/print") == ("no such command prefix",)

    def test_device_mode_lets_a_hotspot_stand_there_and_do_nothing(self) -> None:
        machine = Machine("7.21", device_mode="home")
        machine.menus.execute(("/ip/hotspot/add", "=interface=bridge"), {"write"})
        (hotspot,) = rows(machine, "/ip/hotspot/print")
        assert (hotspot["invalid"], hotspot[".about"]) == ("true", INACTIVE)
        scheduler = ("/system/scheduler/add", "=name=x")
        assert refusal(machine, *scheduler) == ("failure: not allowed by device-mode",)
        Machine("7.21").menus.execute(scheduler, {"write"})

    @pytest.mark.parametrize(("version", "empty"), [("7.16", False), ("7.21", True)])
    def test_from_7_18_nothing_is_said_in_a_word(self, version: str, empty: bool) -> None:
        with fake_router(version) as router, socket.create_connection(("127.0.0.1", router.ports["api"]), 5) as sock:
            sock.sendall(encode_sentence(["/login", f"=name={USERNAME}", f"=password={PASSWORD}"]))
            sock.sendall(encode_sentence(["/ppp/secret/print"]) + encode_sentence(["/quit"]))
            said = everything(sock)
        assert (encode_sentence(["!empty"]) in said) is empty
        assert said.endswith(encode_sentence(["!fatal", "session terminated on request"]))

    def test_a_chr_has_no_nameplate(self) -> None:
        assert refusal(Machine("7.16", model=CHR), "/system/routerboard/print")
        assert rows(Machine("6.49", model=CHR), "/system/routerboard/print")[0]["routerboard"] == "false"


class TestMenus:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("/ip/pool/add", "=name=x"), "missing value(s) of argument(s) ranges"),
            (("/ip/pool/add", "=ranges=10.0.0.9-10.0.0.1"), "invalid value for argument ranges"),
            (("/ip/pool/add", "=name=default-dhcp", "=ranges=10.0.0.1"), "failure: pool with such name exists"),
            (("/ip/pool/add", "=nmae=x", "=ranges=10.0.0.1"), "unknown parameter nmae"),
            (("/ip/pool/set", "=.id=*99", "=name=x"), "no such item"),
            (("/ip/pool/set", "=name=x"), "missing value(s) of argument(s) numbers"),
            (("/ip/pool/frobnicate",), "no such command"),
            (("/ip/address/add", "=address=10.0.0.1/24", "=interface=ether9"), INTERFACE),
            (("/ip/address/add", "=address=10.0.0.300", "=interface=ether1"), "invalid value for argument address"),
            (
                ("/ip/address/add", "=address=192.168.88.1/24", "=interface=ether1"),
                "failure: already have such address",
            ),
            (
                ("/radius/add", "=address=10.0.0.1", "=service=hotspot,pppoe"),
                "input does not match any value of service",
            ),
            (("/interface/vlan/add", "=interface=ether1", "=vlan-id=5000"), "value of vlan-id out of range (1..4094)"),
            (("/interface/bridge/add", "=name=ether1"), "failure: already have interface with such name"),
            (("/ppp/profile/remove", "=.id=default"), "failure: can not remove default item"),
            (("/file/add", "=name=a", f"=contents={'x' * 61441}"), "failure: contents too long"),
        ],
    )
    def test_what_makes_no_sense_is_refused_and_changes_nothing(self, words: tuple[str, ...], message: str) -> None:
        machine = Machine("7.16")
        before = machine.snapshot()
        assert refusal(machine, *words) == (message,)
        assert machine.snapshot() == before

    def test_rights_are_of_the_group(self) -> None:
        machine = Machine("7.16")
        words = ("/ip/pool/add", "=ranges=10.0.0.1")
        for policies in ({"read"}, set[str]()):
            with pytest.raises(Trap, match="not enough permissions"):
                machine.menus.execute(words, policies)
        with pytest.raises(Trap, match="not enough permissions"):
            machine.menus.execute(("/user/add", "=name=x", "=password=y", "=group=full"), {"read", "write"})
        with pytest.raises(Trap, match="not enough permissions"):
            machine.menus.execute(("/ip/pool/print",), {"write"})

    def test_without_the_policy_sensitive_secrets_are_stars(self) -> None:
        machine = Machine("7.16")
        machine.tables.add("/ppp/secret", {"name": "ann", "password": "real"})
        for policies, shown in (({"read"}, "*****"), ({"read", "sensitive"}, "real")):
            (row,) = machine.menus.execute(("/ppp/secret/print",), policies).rows
            assert row["password"] == shown

    def test_a_group_without_api_does_not_log_in(self) -> None:
        machine = Machine("7.16")
        machine.give_user("web", "x", "read,web")
        assert machine.login("web", "127.0.0.1") is None

    def test_order_is_kept_and_can_be_changed(self) -> None:
        machine = Machine("7.16", configured=False)
        path = "/ip/firewall/nat"
        for comment in ("a", "b", "c"):
            machine.tables.add(path, {"chain": "srcnat", "comment": comment})
        a, _, c = (item[".id"] for item in machine.tables.items(path))
        machine.tables.add(path, {"chain": "srcnat", "comment": "first", "place-before": a})
        machine.menus.execute((f"{path}/move", f"=numbers={c}", f"=destination={a}"), {"write"})
        assert [item["comment"] for item in machine.tables.items(path)] == ["first", "c", "a", "b"]

    def test_names_that_change_change_where_they_are_meant_and_removed_ones_show_as_ids(self) -> None:
        machine = Machine("7.16")
        machine.menus.execute(("/interface/bridge/set", "=.id=bridge", "=name=lan"), {"write"})
        assert {port["bridge"] for port in machine.tables.items("/interface/bridge/port")} == {"lan"}
        pool = machine.tables.one("/ip/pool", name="default-dhcp")
        machine.menus.execute(("/ip/pool/remove", f"=.id={pool['.id']}"), {"write"})
        assert machine.tables.one("/ip/dhcp-server")["address-pool"] == pool[".id"]

    def test_ids_are_never_given_twice(self) -> None:
        machine = Machine("7.16", configured=False)
        given = set()
        for _ in range(40):
            added = machine.menus.execute(("/ip/pool/add", "=ranges=10.0.0.1"), {"write"}).ret
            assert added is not None
            assert added not in given
            given.add(added)
            machine.menus.execute(("/ip/pool/remove", f"=.id={added}"), {"write"})

    def test_a_print_is_what_was_asked_for(self) -> None:
        machine = Machine("7.16")
        assert rows(machine, "/interface/print", "=.proplist=name", "?type=ether")[0] == {"name": "ether1"}
        count = machine.menus.execute(("/interface/print", "=count-only=", "?type=ether"), {"read"})
        assert count.ret == "5"
        assert {"type", "rx-byte", ".id"} <= set(rows(machine, "/interface/print")[0])
        assert "vlan-id" not in rows(machine, "/interface/print", "?type=bridge")[0]


class TestFaults:
    def test_a_service_that_is_disabled_is_not_there_and_comes_back_where_it_was(self) -> None:
        with asked() as (router, api):
            services = api.get_resource("/ip/service")
            services.set(numbers="api-ssl", disabled="yes")
            api.get_resource("/ip/service").get()
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(("127.0.0.1", router.ports["api-ssl"]), 5)
            services.set(numbers="api-ssl", disabled="no")
            api.get_resource("/ip/service").get()
            socket.create_connection(("127.0.0.1", router.ports["api-ssl"]), 5).close()

    def test_a_reboot_ends_connections_and_what_lives(self) -> None:
        with asked() as (router, api):
            router.machine.tables.put("/ppp/active", name="ann")
            router.restart()
            assert router.machine.tables.items("/ppp/active") == []
            with pytest.raises(exceptions.RouterOsApiConnectionError):
                api.get_resource("/ip/pool").get()
            with client(router) as again:
                assert again.get_resource("/ip/pool").get()

    def test_without_a_certificate_api_ssl_speaks_to_nobody(self) -> None:
        with fake_router(certificate=False) as router:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with (
                socket.create_connection(("127.0.0.1", router.ports["api-ssl"]), 5) as sock,
                pytest.raises(ssl.SSLError),
            ):
                context.wrap_socket(sock)

    def test_a_word_of_any_length_is_framed_as_the_manual_says(self) -> None:
        assert [encode_word(b"x" * length)[: -length or None].hex() for length in (0, 0x7F, 0x80, 0x3FFF, 0x4000)] == [
            "00",
            "7f",
            "8080",
            "bfff",
            "c04000",
        ]
        assert encode_word(b"x" * 0x20_0000)[:4].hex() == "e0200000"

    def test_it_runs_by_hand(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "tests.fakes.routeros", "--version", "7.21", "--port", "0", "--chr"],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                assert "7.21.4" in process.stdout.readline()
                port = int(process.stdout.readline().split()[1].rpartition(":")[2])
                with socket.create_connection(("127.0.0.1", port), 5) as sock:
                    sock.sendall(encode_sentence(["/login", f"=name={USERNAME}", f"=password={PASSWORD}"]))
                    assert sock.recv(100) == encode_sentence(["!done"])
            finally:
                process.terminate()
