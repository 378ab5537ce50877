"""Stage one: a router is made, gets its script, and behind carrier NAT its tunnel, by API and by command line."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.engine import make_engine, session_factory
from db.router_tunnel import all_far, hub_private_key
from isp import wireguard_keys
from isp.encryption import Keyring
from isp.router_tunnel import KINDS
from settings import Settings
from tests.fakes.routeros_machine import Machine
from tests.fakes.routeros_script import paste
from tests.integration.api_server import Client, api_of, make_operator, shared_settings
from tests.integration.test_commands import Shell
from tests.unit.test_router_script import findings

SERVERS = {"KIBALI_SERVER_ADDRESSES": "198.51.100.7,198.51.100.8", "KIBALI_TUNNEL_NETWORK": "10.254.0.0/29"}


@pytest.fixture(scope="module")
def api(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Client]:
    environ = {**server_environ, **SERVERS}
    with (
        shared_settings(environ, postgres_server, redis_server, template_database, private_directory) as settings,
        api_of(settings) as client,
    ):
        make_hub(settings)
        yield client


def keyring_of(settings: Settings) -> Keyring:
    return Keyring.parse(settings.encryption_keys.reveal())


def make_hub(settings: Settings) -> str:
    """Its private key."""
    engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            return hub_private_key(session, keyring_of(settings))
    finally:
        engine.dispose()


@pytest.fixture
def empty(api: Client) -> Client:
    """No router has a tunnel."""
    for router in api.get("/routers", limit=200)["items"]:
        api.delete(f"/routers/{router['id']}")
    return api


def script(api: Client, router: Mapping[str, Any], **params: Any) -> str:
    response = api.request("GET", f"/routers/{router['id']}/bootstrap.rsc", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    return response.text


def error(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["message"]


class TestBootstrap:
    @pytest.mark.parametrize(("version", "variant"), [("6.49", "v6"), ("7.16", "v7"), ("7.21", "v7")])
    def test_the_script_lets_us_into_the_router_it_is_pasted_into(
        self, empty: Client, version: str, variant: str
    ) -> None:
        made = empty.router(name="Kahawa West 3", coa_port=3800, api_ssl_port=9729)
        text = script(empty, made, variant=variant)
        assert findings(text) == []
        machine = Machine(version)
        paste(machine, text)
        assert machine.tables.one("/system/identity")["name"] == "Kahawa West 3"
        assert machine.login("kibali", "198.51.100.8") is not None
        assert machine.login("kibali", "198.51.100.9") is None
        assert machine.service("api-ssl")["port"] == "9729"
        radius = machine.tables.one("/radius")
        assert (radius["address"], radius["secret"]) == ("198.51.100.7", made["radius_secret"])
        assert machine.tables.one("/radius/incoming")["port"] == "3800"

    def test_it_is_the_same_each_time_and_different_for_each_router(self, empty: Client) -> None:
        one, other = empty.router(), empty.router()
        assert script(empty, one) == script(empty, one)
        passwords = set()
        for router in (one, other):
            machine = Machine("7.16")
            paste(machine, script(empty, router))
            login = machine.login("kibali", "198.51.100.7")
            assert login is not None
            passwords.add(login[0])
        assert len(passwords) == 2

    def test_a_router_from_before_there_were_passwords_gets_one(self, empty: Client) -> None:
        made = empty.router()
        engine = make_engine(empty.settings, "worker", pool_size=1)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE router SET api_password_sealed = NULL")
        engine.dispose()
        first = script(empty, made)
        assert script(empty, made) == first
        machine = Machine("7.16")
        paste(machine, first)
        login = machine.login("kibali", "198.51.100.7")
        assert login is not None
        assert len(login[0]) == 32

    def test_removal_undoes_it(self, empty: Client) -> None:
        made = empty.router()
        machine = Machine("7.16")
        paste(machine, script(empty, made))
        paste(machine, script(empty, made, remove=True))
        assert machine.tables.find("/user", name="kibali") == []

    def test_it_is_for_those_who_may_change_routers(self, empty: Client) -> None:
        made = empty.router()
        for role in ("read-only", "cashier", "support"):
            response = empty.request("GET", f"/routers/{made['id']}/bootstrap.rsc", role=role)
            assert response.status_code == 403

    def test_who_gets_it_is_on_record_each_time(self, empty: Client) -> None:
        made = empty.router()
        for _ in range(2):
            script(empty, made)
        noted = empty.get("/audit", what="router", what_id=str(made["id"]), operation="note")["items"]
        assert [(each["who"], each["action"]) for each in noted] == [
            ("owner@acme.example", "GET /api/v1/routers/{id:id}/bootstrap.rsc")
        ] * 2
        assert "secret" not in str(noted), "that it was seen is noted, and nothing of what it says"

    def test_it_is_nobody_elses(self, empty: Client) -> None:
        made = empty.router()
        other = replace(empty, operator=make_operator(empty.settings, "zenith-bootstrap"))
        for method, path in (("GET", "bootstrap.rsc"), ("GET", "tunnel"), ("POST", "tunnel")):
            content = {"kind": "sstp"} if method == "POST" else None
            assert other.request(method, f"/routers/{made['id']}/{path}", json=content).status_code == 404

    def test_a_removed_router_has_none(self, empty: Client) -> None:
        made = empty.router()
        empty.delete(f"/routers/{made['id']}")
        response = empty.request("GET", f"/routers/{made['id']}/bootstrap.rsc")
        assert error(response) == (409, "This router was removed.")

    def test_another_variant_is_refused(self, empty: Client) -> None:
        response = empty.request("GET", f"/routers/{empty.router()['id']}/bootstrap.rsc", params={"variant": "v8"})
        assert response.status_code == 422

    def test_without_our_address_it_says_which_setting_is_missing(self, settings: Settings) -> None:
        with api_of(settings) as client:
            made = client.router()
            response = client.request("GET", f"/routers/{made['id']}/bootstrap.rsc")
            assert error(response) == (
                409,
                "Set KIBALI_SERVER_ADDRESSES first: the router must be told where this machine is.",
            )
            refused = client.post("/routers", {"name": "x", "tunnel": "sstp"})
            assert "KIBALI_TUNNEL_ENDPOINT" in error(refused)[1]


class TestTunnel:
    @pytest.mark.parametrize(("kind", "version"), [("wireguard", "7.16"), ("sstp", "6.49"), ("l2tp", "6.49")])
    def test_a_router_behind_carrier_nat_is_known_by_its_tunnel(self, empty: Client, kind: str, version: str) -> None:
        made = empty.made("/routers", name="tower", tunnel=kind)
        assert made["nas_address"] == "10.254.0.2"
        machine = Machine(version)
        paste(machine, script(empty, made, variant=f"v{version[0]}"))
        assert machine.service("api-ssl")["address"] == "10.254.0.1/32"
        radius = machine.tables.one("/radius")
        assert (radius["address"], radius["src-address"]) == ("10.254.0.1", "10.254.0.2")
        (far,) = all_far_of(empty.settings)
        assert (far.kind, str(far.address), far.label) == (kind, "10.254.0.2", "acme: tower")
        interface = machine.tables.one("/interface", name="kibali-hub")
        if kind == "wireguard":
            assert wireguard_keys.of_private(interface["private-key"]).public == far.public_key
            (peer,) = machine.tables.items("/interface/wireguard/peers")
            hub = wireguard_keys.of_private(make_hub(empty.settings))
            assert (peer["public-key"], peer["endpoint-address"]) == (hub.public, "198.51.100.7")
        else:
            assert (interface["user"], interface["password"]) == (far.username, far.password)

    def test_addresses_are_given_once_and_taken_back(self, empty: Client) -> None:
        other = replace(empty, operator=make_operator(empty.settings, "zenith-tunnels"))
        made = [client.made("/routers", name=f"t{n}", tunnel="sstp") for n, client in enumerate((empty, other, empty))]
        assert [router["nas_address"] for router in made] == ["10.254.0.2", "10.254.0.3", "10.254.0.4"]
        other.delete(f"/routers/{made[1]['id']}")
        assert empty.made("/routers", name="again", tunnel="l2tp")["nas_address"] == "10.254.0.3"

    def test_when_all_are_taken_it_says_so(self, empty: Client) -> None:
        for number in range(5):
            empty.made("/routers", name=f"t{number}", tunnel="sstp")
        response = empty.post("/routers", {"name": "one too many", "tunnel": "sstp"})
        assert error(response) == (409, "All addresses of KIBALI_TUNNEL_NETWORK (10.254.0.0/29) are taken.")

    def test_an_address_that_a_router_has_otherwise_is_not_given(self, empty: Client) -> None:
        empty.router(nas_address="10.254.0.2")
        assert empty.made("/routers", name="t", tunnel="sstp")["nas_address"] == "10.254.0.3"

    def test_many_at_once_get_addresses_of_their_own(self, empty: Client) -> None:
        made: list[str] = []

        def one(number: int) -> None:
            made.append(empty.made("/routers", name=f"at once {number}", tunnel="sstp")["nas_address"])

        threads = [threading.Thread(target=one, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert sorted(made) == [f"10.254.0.{number}" for number in range(2, 7)]

    def test_a_router_is_given_a_tunnel_later_another_kind_and_none(self, empty: Client) -> None:
        made = empty.router(nas_address="192.0.2.77")
        path = f"/routers/{made['id']}"
        assert empty.request("GET", f"{path}/tunnel").status_code == 404
        assert empty.post(f"{path}/tunnel", {"kind": "wireguard"}).json()["address"] == "10.254.0.2"
        first = script(empty, made)
        assert empty.post(f"{path}/tunnel", {"kind": "wireguard"}).status_code == 200
        assert script(empty, made) == first, "asking again changes no key"
        changed = empty.post(f"{path}/tunnel", {"kind": "sstp"}).json()
        assert (changed["kind"], changed["address"]) == ("sstp", "10.254.0.2")
        assert empty.get(path)["nas_address"] == "10.254.0.2"
        refused = empty.patch(path, {"nas_address": "192.0.2.78"})
        assert error(refused) == (409, "It is reached through a tunnel: remove that first.")
        response = empty.request("DELETE", f"{path}/tunnel", params={"nas_address": "192.0.2.78"})
        assert response.json()["nas_address"] == "192.0.2.78"
        assert empty.patch(path, {"nas_address": "192.0.2.79"}).status_code == 200

    @pytest.mark.parametrize("body", [{}, {"nas_address": "192.0.2.9", "tunnel": "sstp"}])
    def test_either_an_address_or_a_tunnel(self, empty: Client, body: dict[str, str]) -> None:
        response = empty.post("/routers", {"name": "x", **body})
        assert error(response) == (422, "Say either its address or the kind of its tunnel.")

    def test_wireguard_is_not_for_routeros_6(self, empty: Client) -> None:
        made = empty.made("/routers", name="t", tunnel="wireguard")
        response = empty.request("GET", f"/routers/{made['id']}/bootstrap.rsc", params={"variant": "v6"})
        assert error(response)[0] == 409
        assert "sstp or l2tp" in error(response)[1]

    def test_wireguard_needs_the_hub_first(self, settings: Settings, environ: Mapping[str, str]) -> None:
        with api_of(Settings.load({**environ, **SERVERS}, checkout=settings.var)) as client:
            response = client.post("/routers", {"name": "t", "tunnel": "wireguard"})
            assert error(response) == (409, "There is no hub yet. Make it: ./kibali router tunnel hub")
            assert client.post("/routers", {"name": "t", "tunnel": "sstp"}).status_code == 201


def all_far_of(settings: Settings) -> list[Any]:
    engine = make_engine(settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            return all_far(session, keyring_of(settings))
    finally:
        engine.dispose()


def shell_of(environ: Mapping[str, str]) -> Shell:
    ours = {name: value for name, value in environ.items() if name.startswith("KIBALI_")}
    return Shell({**ours, **SERVERS, "COLUMNS": "200"})


class TestCommands:
    def test_from_a_new_router_to_the_hubs_files(self, environ: dict[str, str], settings: Settings) -> None:
        make_operator(settings, "acme")
        shell = shell_of(environ)
        said = shell.run("router", "tunnel", "hub")
        assert "0 routers, kibali0.conf, xl2tpd.conf" in said
        for kind in KINDS:
            shell.run("router", "add", "--name", kind, "--tunnel", kind)
        assert "3 routers, kibali0.conf, l2tp-secrets, sstp-secrets changed" in shell.run("router", "tunnel", "hub")
        assert "nothing changed" in shell.run("router", "tunnel", "hub")
        directory = settings.var / "tunnel"
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
        assert directory.stat().st_mode & 0o777 == 0o700
        assert "10.254.0.2/32" in (directory / "kibali0.conf").read_text()
        listed = shell.run("router", "tunnel", "list")
        assert all(kind in listed for kind in KINDS)
        assert findings(shell.run("router", "bootstrap", "1")) == []
        assert 'name="kibali-hub"' in shell.run("router", "bootstrap", "2", "--variant", "v6")
        shell.run("router", "tunnel", "set", "3", "--kind", "sstp")
        assert "192.0.2.5" in shell.run("router", "tunnel", "remove", "3", "--nas-address", "192.0.2.5")
        assert "kibali-hub" not in shell.run("router", "bootstrap", "3")
        noted = shell.run("audit", "list", "--what", "router", "--operation", "note", "--json")
        assert noted.count('"note"') == 3
        assert "kibali: removes" in shell.run("router", "bootstrap", "3", "--remove").lower()

    def test_a_directory_that_cannot_be_written_is_one_line(self, environ: dict[str, str], settings: Settings) -> None:
        make_operator(settings, "acme")
        (settings.var / "file").write_text("")
        said = shell_of(environ).run(
            "router", "tunnel", "hub", "--directory", str(settings.var / "file" / "x"), status=1
        )
        assert "cannot write into" in said
        assert said.count("\n") == 1
