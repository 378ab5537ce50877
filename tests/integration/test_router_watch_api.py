"""What operators see and ask of the watching, by API and by command line; and housekeeping of the history."""

import json
from collections.abc import Iterator, Mapping

import pytest

from settings import Settings
from tests.fakes.routeros import fake_router
from tests.integration.api_server import Client, api_of
from tests.integration.test_commands import Shell
from tests.integration.watching import Site, site_of, wait_until, watching


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    with site_of(settings, "zenith") as site:
        yield site


@pytest.fixture
def api(settings: Settings) -> Iterator[Client]:
    with api_of(settings) as client:
        yield client


def beside(site: Site, api: Client) -> Site:
    """The API's own tenant."""
    return Site(api.operator.tenant_id, site.keyring, site.engine, site.sessions, site.settings)


def test_a_router_that_was_made_is_probed_without_being_asked(site: Site, api: Client) -> None:
    with fake_router() as fake, watching(site):
        made = api.router(
            nas_address="10.8.0.1", api_address="127.0.0.1", api_ssl_port=fake.ports["api-ssl"], api_username="kibali"
        )
        assert made["status"] == "pending"
        path = f"/routers/{made['id']}"
        wait_until(lambda: "refuses the password" in (api.get(f"{path}/status")["status_reason"] or ""), "the words")
        status = api.get(f"{path}/status")
        assert status["status"] == "probing"
        assert status["probe_tries"] >= 1
        assert status["probe_due_at"] is not None


def test_status_live_and_history_are_read_by_the_api(site: Site, api: Client) -> None:
    with fake_router() as fake, watching(site):
        made = beside(site, api).know(fake)
        path = f"/routers/{made}"
        assert api.get(f"{path}/live")["read_at"] is None
        assert api.get(f"{path}/history")["items"] == []
        wait_until(lambda: api.get(f"{path}/status")["status"] == "online", "it is online")
        wait_until(lambda: api.get(f"{path}/live")["read_at"] is not None, "it is read")
        live = api.get(f"{path}/live")
        assert live["total_memory_bytes"] > live["free_memory_bytes"] > 0
        assert {"name", "type", "running", "slave", "rx_bytes", "tx_bytes"} == live["interfaces"][0].keys()
        (five,) = api.get(f"{path}/history")["items"]
        assert five["period_s"] == 300
        assert five["readings"] >= 1
        assert five["cpu_load_percent"] == 3
        (hour,) = api.get(f"{path}/history", period="3600", hours=48)["items"]
        assert hour["period_s"] == 3600
        shown = api.get(path)
        assert (shown["board"], shown["status"]) == ("hAP ac^2", "online")


def test_verify_begins_anew_and_is_refused_while_it_is_deployed_to(site: Site, api: Client) -> None:
    made = api.router()
    path = f"/routers/{made['id']}"
    site.execute("UPDATE router SET status = 'connection_failed', status_reason = 'x'")
    site.execute("UPDATE router_state SET probe_due_at = NULL, probe_tries = 60")
    response = api.post(f"{path}/verify")
    assert response.status_code == 202
    assert response.headers["location"] == f"/api/v1{path}/status"
    assert (response.json()["status"], response.json()["probe_tries"]) == ("probing", 0)
    assert response.json()["probe_due_at"] is not None
    site.execute("UPDATE router SET status = 'provisioning'")
    response = api.post(f"{path}/verify")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "provisioning")
    api.delete(path)
    assert api.post(f"{path}/verify").status_code == 409


def test_verifying_an_active_router_does_not_make_it_forget_that_it_is(site: Site, api: Client) -> None:
    with fake_router() as fake, watching(site):
        made = beside(site, api).know(fake)
        site.wait_for(made, "online")
        site.execute("UPDATE router SET status = 'active'")
        assert api.post(f"/routers/{made}/verify").json()["status"] == "probing"
        site.wait_for(made, "active")


def test_only_the_certificate_that_is_offered_can_be_accepted(site: Site, api: Client) -> None:
    made = api.router()
    path = f"/routers/{made['id']}/certificate"
    assert api.post(path, {"sha256": "cd" * 32}).status_code == 409
    site.execute("UPDATE router SET api_certificate_offered_sha256 = repeat('cd', 32)")
    assert api.post(path, {"sha256": "ab" * 32}).status_code == 409
    changed = api.post(path, {"sha256": ":".join(["CD"] * 32)}).json()
    assert (changed["api_certificate_sha256"], changed["api_certificate_offered_sha256"]) == ("cd" * 32, None)


@pytest.mark.parametrize("params", [{"period": "60"}, {"hours": "0"}, {"hours": "10000"}, {"x": "1"}])
def test_a_history_that_there_is_not_is_refused(api: Client, params: dict[str, str]) -> None:
    made = api.router()
    assert api.request("GET", f"/routers/{made['id']}/history", params=params).status_code == 422


class TestCommands:
    @pytest.fixture
    def shell(self, environ: Mapping[str, str]) -> Shell:
        ours = {name: value for name, value in environ.items() if name.startswith("KIBALI_")}
        return Shell({**ours, "COLUMNS": "200"})

    def test_probe_shows_each_try_and_what_came_of_it(self, site: Site, shell: Shell) -> None:
        with fake_router() as fake, watching(site):
            made = site.know(fake, probe=False)
            assert "online" in shell.run("router", "probe", str(made))
            assert "hAP" in shell.run("router", "show", str(made))
            wait_until(lambda: site.state(made).read_at is not None, "it is read")
            said = shell.run("router", "live", str(made))
            assert "ether1" in said
            assert shell.json("router", "live", str(made))["cpu_load_percent"] == 3

    def test_a_probe_in_vain_ends_with_the_words_and_status_1(
        self, site: Site, shell: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("db.router_life.PROBE_TRIES", 2)
        monkeypatch.setattr("db.router_life.PROBE_EVERY_S", 0.5)
        with fake_router() as fake, watching(site):
            made = site.know(fake, probe=False, api_ssl_port=1)
            said = shell.run("router", "probe", str(made), status=1)
            assert "/ip service enable api-ssl" in said

    def test_nothing_read_yet_is_one_line(self, site: Site, shell: Shell) -> None:
        with fake_router() as fake:
            made = site.know(fake, probe=False)
        assert "Nothing was read" in shell.run("router", "live", str(made), status=1)
        assert json.loads(shell.run("router", "status", str(made), "--json"))["status"] == "pending"
        assert shell.json("router", "probe", str(made), "--no-wait")["status"] == "pending"

    def test_a_certificate_is_accepted_and_the_router_probed(self, site: Site, shell: Shell) -> None:
        with fake_router() as fake:
            made = site.know(fake, probe=False)
        site.execute("UPDATE router SET api_certificate_offered_sha256 = repeat('cd', 32)")
        changed = shell.json("router", "accept-certificate", str(made), "CD" * 32)
        assert changed["api_certificate_sha256"] == "cd" * 32
        assert site.state(made).probe_due_at is not None
