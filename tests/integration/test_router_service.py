"""Discovery, service configuration and deployments over the API and the command line, on a fake router."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.app import create_app
from db import admin
from settings import Settings
from tests.fakes.routeros_factory import HAP
from tests.integration.api_server import Client, Operator, served, shared_settings, token_of
from tests.integration.router_bench import RouterBench, make_router_bench
from tests.integration.test_commands import Shell
from tests.routeros_sentences import findings_of

CONFIG: dict[str, Any] = {
    "hotspots": [{"interface": "ether3", "network": "10.5.50.0/24", "portal_url": "https://wifi.example.com/"}],
    "pppoe": [{"interface": "ether2", "network": "10.64.0.0/22"}],
}


@dataclass(frozen=True, slots=True)
class Office:
    bench: RouterBench
    api: Client
    shell: Shell

    def work(self, response: Any) -> Any:
        """Does the job that was asked for; what the answer said."""
        assert response.status_code == 202, response.text
        self.bench.work(response.json()["job_id"])
        return response.json()

    def put(self, router_id: int, config: Any) -> Any:
        return self.api.request("PUT", f"/routers/{router_id}/service-config", json=config)


@pytest.fixture(scope="module")
def office(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Office]:
    with (
        shared_settings(
            server_environ, postgres_server, redis_server, template_database, private_directory
        ) as settings,
        make_router_bench(settings) as bench,
        served(create_app(settings)) as http,
    ):
        with bench.platform() as session:
            tokens = {
                role: token_of(session, tenant_id=bench.tenant_id, email=f"{role}@acme.example", role=role)
                for role in admin.ROLES
                if role != "platform"
            }
        urls = {"KIBALI_DATABASE_URL": settings.database_url, "KIBALI_REDIS_URL": settings.redis_url}
        shell = Shell({**server_environ, **urls})
        yield Office(bench, Client(http, Operator(bench.tenant_id, tokens), settings), shell)


def refused(response: Any, status: int, field: str | None = None) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error.get("field") == field
    return str(error["message"])


def test_from_discovery_to_service_over_the_api(office: Office) -> None:
    api, router_id = office.api, office.bench.router()
    path = f"/routers/{router_id}"
    assert "not discovered" in refused(api.request("GET", f"{path}/interfaces"), 409)
    assert "not discovered" in refused(office.put(router_id, CONFIG), 409)
    office.work(api.post(f"{path}/discover"))
    found = api.get(f"{path}/interfaces")
    assert [each["name"] for each in found["interfaces"]] == ["ether1", "ether2", "ether3"]
    assert found["routeros_version"] == "7.16.2"
    assert "no such" in refused(api.post(f"{path}/deploy"), 404)

    first = office.put(router_id, CONFIG).json()
    assert (first["version"], office.put(router_id, CONFIG).json()["version"]) == (1, 1)
    second = office.put(router_id, {**CONFIG, "walled_garden": ["pay.example.com"]}).json()
    assert second["version"] == 2
    assert api.get(f"{path}/service-config") == second
    assert api.get(f"{path}/service-config", version=1) == first
    assert "no such" in refused(api.request("GET", f"{path}/service-config", params={"version": 9}), 404)

    script = api.request("GET", f"{path}/service-config/script")
    assert script.headers["content-type"].startswith("text/plain")
    assert "/ip hotspot add" in script.text
    assert "secret" not in script.text
    assert findings_of(script.text) == []
    diff = api.get(f"{path}/service-config/diff")
    assert {change["action"] for change in diff["changes"]} == {"add", "set"}
    assert diff["changes"][-1] == {
        "action": "set",
        "menu": "/radius",
        "name": "kibali: RADIUS",
        "before": {"disabled": "true"},
        "after": {"disabled": "no"},
    }

    accepted = office.work(api.post(f"{path}/deploy"))
    done = api.get(f"{path}/deployments/{accepted['deployment_id']}")
    assert (done["state"], done["percent"], done["radius"]) == ("completed", 100, "waiting")
    assert {step["state"] for step in done["steps"]} == {"applied"}
    assert api.get(path)["status"] == "active"
    assert api.get(f"{path}/service-config/diff")["changes"] == []
    office.work(api.post(f"{path}/reprovision"))
    office.work(api.post(f"{path}/undo"))
    kinds = [(each["kind"], each["state"]) for each in api.get(f"{path}/deployments")["items"]]
    assert kinds == [("undo", "completed"), ("reprovision", "undone"), ("deploy", "undone")]
    assert api.get(path)["status"] == "online"
    assert "nothing" in refused(api.post(f"{path}/undo"), 409)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hotspots": [{"interface": "ether9", "network": "10.5.50.0/24"}]}, "hotspots.0.interface"),
        ({"hotspots": [{"interface": "ether3", "network": "10.5.50.1/24"}]}, "hotspots.0.network"),
        ({"hotspots": [{"interface": "ether3", "network": 7}]}, "hotspots.0.network"),
        ({"hotspots": [{"interface": "ether3", "netwrk": "10.5.50.0/24"}]}, "hotspots.0.netwrk"),
        ({"hotspots": [{"network": "10.5.50.0/24"}]}, "hotspots.0.interface"),
        ({"hotspots": [], "pppoe": []}, "hotspots"),
        ({"pppoe": [{"interface": "ether2", "network": "10.5.50.128/25"}]}, "pppoe.0.network"),
        ({"interim_update_s": 5}, "interim_update_s"),
        ({"walled_garden": ["http://x"]}, "walled_garden.0"),
        ({"wan_interface": "ether2"}, "pppoe.0.interface"),
        ({"tunnel": True}, "tunnel"),
    ],
)
def test_what_can_not_be_is_refused_with_its_field(office: Office, change: dict[str, Any], field: str) -> None:
    router_id = office.bench.router()
    office.work(office.api.post(f"/routers/{router_id}/discover"))
    refused(office.put(router_id, {**CONFIG, **change}), 422, field)
    assert office.api.request("GET", f"/routers/{router_id}/service-config").status_code == 404


def test_another_routers_deployment_is_not_found_under_this_one(office: Office) -> None:
    one, other = office.bench.router(), office.bench.router()
    done = office.bench.deploy(one, CONFIG)
    assert office.api.request("GET", f"/routers/{other}/deployments/{done.id}").status_code == 404


def test_a_removed_router_is_left_alone(office: Office) -> None:
    router_id = office.bench.router()
    office.bench.discover(router_id)
    office.put(router_id, CONFIG)
    assert office.api.delete(f"/routers/{router_id}").status_code == 204
    for what in ("discover", "deploy", "reprovision", "undo"):
        assert "removed" in refused(office.api.post(f"/routers/{router_id}/{what}"), 409)
    assert "removed" in refused(office.put(router_id, CONFIG), 409)


def test_the_same_from_the_shell(office: Office, tmp_path: Path) -> None:
    shell, bench = office.shell, office.bench
    router_id = bench.router(model=HAP)
    at = str(router_id)
    bench.discover(router_id)
    listed = shell.run("router", "interfaces", at)
    assert "dhcp-server defconf" in listed
    assert "192.168.88.1/24" in listed
    assert shell.json("router", "interfaces", at)["wan_interfaces"] == ["ether1"]
    refusal = shell.run("router", "configure", at, "--hotspot", "bridge=10.5.50.0/24", status=1)
    assert "addressing router" in refusal
    assert "--hotspot: say it as" in shell.run("router", "configure", at, "--hotspot", "bridge", status=1)
    configure = ("router", "configure", at, "--hotspot-as-is", "bridge", "--pppoe", "bridge=10.64.0.0/22")
    made = shell.json(*configure, "--dns-server", "192.0.2.53", "--walled-garden", "pay.example.com")
    assert (made["version"], made["config"]["dns_servers"]) == (1, ["192.0.2.53"])
    config = shell.run("router", "service-config", at)
    (tmp_path / "config.json").write_text(config)
    again = shell.json("router", "configure", at, "--file", str(tmp_path / "config.json"))
    assert again["version"] == 1
    assert "/ip hotspot add" in shell.run("router", "script", at)
    assert "kibali-pppoe-bridge" in shell.run("router", "diff", at)
    asked = shell.json("router", "deploy", at, "--no-wait")
    assert asked["state"] == "pending"
    bench.work(asked["job_id"])
    assert shell.json("router", "deployments", at)[0]["state"] == "completed"
    assert "applied" in shell.run("router", "deployment", at, str(asked["id"]))
    assert shell.run("router", "diff", at).strip() == "nothing to change"


def test_a_deployment_that_fails_says_so_in_one_line(office: Office) -> None:
    bench = office.bench
    router_id = bench.router()
    bench.discover(router_id)
    bench.configure(router_id, CONFIG)
    asked = bench.request(router_id)
    assert asked.job_id is not None
    bench.fakes[router_id].power_off()
    with pytest.raises(Exception, match="refuses connections"):
        bench.work(asked.job_id, last=True)
    said = office.shell.run("router", "deployments", str(router_id))
    assert "refuses connections" in said
