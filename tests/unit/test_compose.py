"""docker-compose.yml and the Dockerfile against the code: what they start, what they hand over, what they lock away."""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cli.app import kibali
from cli.instance.freeradius import environment as radius_environment
from cli.instance.parts import PARTS, Part
from isp.encryption import Keyring
from settings import CHECKOUT, DATABASE_ROLES, PREFIX, Settings, SettingsError
from tasks.queues import QUEUES, Queue
from tests.ports import free_port

COMPOSE: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"] == "kibali"]
STORES = ["postgres", "redis"]
ONE_SHOT = ["migrate", "cli"]
RUNNING = [name for name in SERVICES if name not in ONE_SHOT]
DOCKERFILE = (CHECKOUT / "Dockerfile").read_text("utf-8")

# Which of PostgreSQL's roles each service logs in with.
ROLES: dict[str, set[str]] = {
    "migrate": set(DATABASE_ROLES),
    "freeradius": {"radius"},
    "api": {"api"},
    "sweep": {"worker"},
    "follower": {"worker"},
    "watcher": {"worker"},
    **{f"worker-{queue.name}": {"worker"} for queue in QUEUES},
    "cli": {"api", "platform"},
}

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+)(?:(?P<operator>:-|:\?)(?P<text>[^}]*))?\})")


def interpolated(text: object, values: Mapping[str, str]) -> str:
    """`text` as Compose reads it. Raises KeyError for a variable that must be given and is not."""

    def value(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        if match["operator"] == ":-":
            return values.get(match["name"], match["text"])
        return values[match["name"]]

    return _VARIABLE.sub(value, str(text))


def required_variables() -> set[str]:
    return {match["name"] for match in _VARIABLE.finditer(str(SERVICES)) if match["operator"] == ":?"}


@pytest.fixture(scope="module")
def env_file() -> dict[str, str]:
    """What .env holds, as the top of docker-compose.yml says to make it."""
    values = {name: secrets.token_hex(8) for name in required_variables()}
    return {**values, "KIBALI_ENCRYPTION_KEYS": Keyring.generate("k1")}


def environment(service: str, env_file: Mapping[str, str]) -> dict[str, str]:
    given = SERVICES[service].get("environment", {})
    return {name: interpolated(value, env_file) for name, value in given.items()}


def settings(service: str, env_file: Mapping[str, str], directory: Path) -> Settings:
    """What the service's own process loads."""
    return Settings.load({"KIBALI_VAR": str(directory), **environment(service, env_file)}, checkout=directory)


def seconds(duration: str) -> int:
    assert duration.endswith("s"), duration
    return int(duration.removesuffix("s"))


def texts(value: object) -> Iterator[str]:
    """Every string in a YAML document, names among them."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from (str(name), *texts(below))
    elif isinstance(value, list):
        for below in value:
            yield from texts(below)
    else:
        yield str(value)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_each_part_has_its_service(part: Part) -> None:
    service = SERVICES[part.name]
    assert part.name in STORES or service["command"] == ["run", part.name]
    assert service.get("stop_signal", "SIGTERM") == f"SIG{part.stop_signal}"
    assert seconds(service["stop_grace_period"]) == part.stop_within_s


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_each_queue_has_its_workers(queue: Queue) -> None:
    assert SERVICES[f"worker-{queue.name}"]["command"] == ["run", f"worker-{queue.name}"]


def test_no_service_runs_what_is_not_there() -> None:
    assert set(RUNNING) == {part.name for part in PARTS}


def test_migrate_runs_a_command_that_exists() -> None:
    command: click.Command = kibali
    for word in SERVICES["migrate"]["command"]:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None, word
        command = found


def test_ports_are_those_of_the_settings(tmp_path: Path) -> None:
    default = Settings.load({}, checkout=tmp_path)
    published = {
        name: [interpolated(port, {}) for port in service["ports"]]
        for name, service in SERVICES.items()
        if "ports" in service
    }
    assert published == {
        "api": [f"{default.http_bind}:{default.http_port}:{default.http_port}"],
        "freeradius": [
            f"{default.radius_bind}:{default.radius_auth_port}:{default.radius_auth_port}/udp",
            f"{default.radius_bind}:{default.radius_acct_port}:{default.radius_acct_port}/udp",
        ],
    }


@pytest.mark.parametrize("service", OURS)
def test_a_service_has_the_passwords_of_its_own_roles_alone(
    service: str, env_file: dict[str, str], tmp_path: Path
) -> None:
    loaded = settings(service, env_file, tmp_path)
    for role in DATABASE_ROLES:
        if role in ROLES[service]:
            assert env_file[f"KIBALI_DATABASE_PASSWORD_{role.upper()}"] in loaded.database_dsn(role)
        else:
            with pytest.raises(SettingsError):
                loaded.database_dsn(role)


@pytest.mark.parametrize("service", SERVICES)
def test_only_migrate_and_postgresql_itself_hold_its_own_password(service: str, env_file: dict[str, str]) -> None:
    holds = any(env_file["POSTGRES_PASSWORD"] in value for value in environment(service, env_file).values())
    assert holds == (service in ("migrate", "postgres"))


@pytest.mark.parametrize("service", OURS)
def test_a_service_can_open_sealed_secrets_only_if_it_must(
    service: str, env_file: dict[str, str], tmp_path: Path
) -> None:
    must = (
        "freeradius",
        "api",
        "cli",
        "worker-payments",
        "worker-provisioning",
        "worker-sms",
        "worker-webhooks",
        "worker-imports",
        "follower",
        "watcher",
    )
    assert bool(settings(service, env_file, tmp_path).encryption_keys) == (service in must)


@pytest.mark.parametrize("service", OURS)
def test_who_asks_for_money_knows_where_callbacks_go(service: str, env_file: dict[str, str], tmp_path: Path) -> None:
    urls = {"KIBALI_PUBLIC_URL": "https://pay.example.net", "KIBALI_DARAJA_URL": "https://gateway.example.net"}
    loaded = settings(service, {**env_file, **urls}, tmp_path)
    expected = list(urls.values()) if service in ("api", "cli", "worker-payments") else ["", ""]
    assert [loaded.public_url, loaded.daraja_url] == expected


@pytest.mark.parametrize("service", OURS)
def test_who_writes_bootstrap_scripts_knows_where_we_are(
    service: str, env_file: dict[str, str], tmp_path: Path
) -> None:
    site = {
        "KIBALI_SERVER_ADDRESSES": "198.51.100.7",
        "KIBALI_TUNNEL_NETWORK": "10.9.0.0/24",
        "KIBALI_TUNNEL_ENDPOINT": "hub.example.net",
        "KIBALI_WIREGUARD_PORT": "1",
        "KIBALI_SSTP_PORT": "2",
        "KIBALI_SSTP_CERTIFICATE": "hub.pem",
    }
    loaded = settings(service, {**env_file, **site}, tmp_path).environment()
    given = {name: loaded[name] for name in site}
    assert (given == site) == (service in ("api", "cli"))


@pytest.mark.parametrize("service", OURS)
def test_no_service_starts_stores_of_its_own(service: str, env_file: dict[str, str], tmp_path: Path) -> None:
    loaded = settings(service, env_file, tmp_path)
    assert not loaded.owns_postgres
    if service not in ("migrate", "freeradius"):
        assert loaded.redis_dsn() == f"redis://:{env_file['KIBALI_REDIS_PASSWORD']}@redis:6379/0"


def test_freeradius_has_all_that_its_configuration_expands(env_file: dict[str, str], tmp_path: Path) -> None:
    expanded = radius_environment(settings("freeradius", env_file, tmp_path))
    assert expanded["RADDB_STATUS_SECRET"] == env_file["KIBALI_RADIUS_STATUS_SECRET"]


def test_the_api_listens_where_docker_reaches_it(env_file: dict[str, str], tmp_path: Path) -> None:
    assert settings("api", env_file, tmp_path).http_bind == "0.0.0.0"


def test_every_variable_is_a_setting() -> None:
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    named = set(re.findall(r"\bKIBALI_\w+", "\n".join(texts(SERVICES)) + DOCKERFILE))
    assert named - known == set()


def test_a_missing_secret_is_told_and_never_replaced_by_a_default() -> None:
    for match in _VARIABLE.finditer("\n".join(texts(SERVICES))):
        if match["name"] and re.search("PASSWORD|SECRET|KEYS", match["name"]):
            assert match["operator"] == ":?", match[0]
            assert match["text"], match[0]


def test_the_recipe_for_env_makes_all_that_is_required() -> None:
    script = "\n".join(
        line.removeprefix("#   ")
        for line in (CHECKOUT / "docker-compose.yml").read_text("utf-8").splitlines()
        if line.startswith("#   ")
    )
    script = script.replace(">.env", "").replace("openssl rand -base64 32", "head -c 32 /dev/zero | base64")
    script = script.replace("openssl rand -hex 24", "echo 00ff")
    made = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout
    values = dict(line.split("=", 1) for line in made.splitlines())
    assert set(values) == required_variables()
    Keyring.parse(values["KIBALI_ENCRYPTION_KEYS"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_may_do_nothing_it_need_not(service: str) -> None:
    described = SERVICES[service]
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert described["read_only"] is True
    assert described["logging"]["options"]["max-size"]
    assert service in OURS or described["user"] == service


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_waits_for_is_there_and_can_be_waited_for(service: str) -> None:
    for needed, how in SERVICES[service].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[needed]
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[needed]["restart"] == "no"


@pytest.mark.parametrize("service", [name for name in RUNNING if name not in STORES])
def test_a_part_is_asked_by_its_own_name(service: str) -> None:
    command, python, option, probe, name = SERVICES[service]["healthcheck"]["test"]
    assert [command, python, option, name] == ["CMD", "python", "-c", service]
    assert probe == COMPOSE["x-probe"]


def test_a_part_that_does_not_answer_is_unhealthy(tmp_path: Path) -> None:
    environ = {"PATH": "/usr/bin:/bin", "KIBALI_VAR": str(tmp_path), "KIBALI_HTTP_PORT": str(free_port())}
    asked = [sys.executable, "-c", COMPOSE["x-probe"], "api"]
    answer = subprocess.run(asked, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)
    assert answer.returncode != 0
    assert "NotReady: GET /readyz" in answer.stderr


def test_a_part_that_does_not_exist_is_unhealthy(tmp_path: Path) -> None:
    asked = [sys.executable, "-c", COMPOSE["x-probe"], "nobody"]
    environ = {"PATH": "/usr/bin:/bin", "KIBALI_VAR": str(tmp_path)}
    answer = subprocess.run(asked, cwd=CHECKOUT, env=environ, capture_output=True, text=True, check=False)
    assert answer.returncode != 0
    assert "StopIteration" in answer.stderr


def test_every_volume_is_declared_and_used() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert used == set(COMPOSE["volumes"])


def instructions(name: str) -> list[str]:
    return [line.split(" ", 1)[1] for line in DOCKERFILE.splitlines() if line.startswith(f"{name} ")]


def test_the_image_is_built_by_the_launcher_and_runs_without_root() -> None:
    assert any("./kibali install" in run for run in instructions("RUN"))
    assert instructions("USER") == ["kibali"]
    assert instructions("ENTRYPOINT") == ['["python", "-P", "-m", "cli"]']


def test_the_image_is_made_of_what_is_there() -> None:
    copied = [source for copy in instructions("COPY") for source in copy.split()[:-1]]
    compiled = re.findall(r"compileall -q (.*)", DOCKERFILE)[0].split()
    for name in copied + compiled:
        assert (CHECKOUT / name).exists(), name


def test_the_image_holds_every_package_and_none_of_what_must_stay_outside() -> None:
    lines = (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*"
    taken = {pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")}
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages <= taken
    assert taken.isdisjoint({".env", ".git", ".venv", "var", "tests", "bench"})


def test_the_compiled_packages_are_all_there_are() -> None:
    compiled = set(re.findall(r"compileall -q (.*)", DOCKERFILE)[0].split())
    sources = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} | {
        path.name for path in CHECKOUT.glob("*.py")
    }
    assert compiled == sources - {"tests", "bench"}
