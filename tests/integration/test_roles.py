"""Who may what: docs/roles.md, row by row, over HTTP.

`python -m tests.integration.test_roles` writes the table anew. Read what it changed: the table is what we promise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from db import admin
from settings import CHECKOUT, Settings
from tests.integration.api_server import Client, api_of, shared_settings
from tests.integration.every_route import KNOWN, Known

PAPER = CHECKOUT / "docs" / "roles.md"
ROLES = ("owner", "manager", "cashier", "support", "read-only", "platform")
# Of things that are not there: what is refused is refused before anybody looks.
NOWHERE = {
    "id": "999999999999999",
    "deployment_id": "999999999999999",
    "import_id": "999999999999999",
    "number": "999999999999999",
    "session_key": "00000000-0000-0000-0000-000000000000",
}


@pytest.fixture(scope="module")
def api(
    server_environ: Mapping[str, str],
    postgres_server: Settings,
    redis_server: Settings,
    template_database: str,
    private_directory: Path,
) -> Iterator[Client]:
    with (
        shared_settings(
            server_environ, postgres_server, redis_server, template_database, private_directory
        ) as settings,
        api_of(settings) as client,
    ):
        yield client


def table() -> str:
    """A row for each route: its key, and ✓ or nothing for each role."""
    lines = ["| route | " + " | ".join(ROLES) + " |", "| --- |" + " --- |" * len(ROLES)]
    for key, known in sorted(KNOWN.items(), key=lambda item: (item[1].path, item[1].method)):
        marks = ["✓" if allowed(known, role) else "" for role in ROLES]
        lines.append(f"| `{key}` | " + " | ".join(marks) + " |")
    return "\n".join(lines) + "\n"


def allowed(known: Known, role: str) -> bool:
    right = known.endpoint.right
    return right.in_no_tenant if role == "platform" else role in right


def rows() -> dict[str, dict[str, bool]]:
    """Route → role → whether it may, as the paper says."""
    found = {}
    for line in PAPER.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            key, *marks = (cell.strip() for cell in line.strip("|").split("|"))
            found[key.strip("`")] = {role: mark == "✓" for role, mark in zip(ROLES, marks, strict=True)}
    return found


def test_the_paper_has_every_route() -> None:
    assert rows().keys() == KNOWN.keys(), "run python -m tests.integration.test_roles"


def test_every_role_there_is_has_its_column() -> None:
    assert set(admin.ROLES) == set(ROLES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("key", rows())
def test_a_role_may_do_what_the_paper_says_and_nothing_else(api: Client, key: str, role: str) -> None:
    method, path = key.split(" ")
    for name, value in NOWHERE.items():
        path = path.replace(f"{{{name}}}", value)
    body: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH", "PUT") else {}
    response = api.request(method, path, role=role, **body)
    if rows()[key][role]:
        # What is asked for makes no sense, on purpose.
        assert response.is_success or response.status_code in (404, 409, 422, 428), response.text
    else:
        assert response.status_code == 403, response.text
        assert response.json()["error"]["code"] == "forbidden"


@pytest.mark.parametrize(
    "key",
    [key for key, known in KNOWN.items() if "owner" in known.endpoint.right and not known.endpoint.right.of_oneself],
)
def test_in_a_tenant_of_their_choice_the_platforms_admins_may_do_what_its_owner_may(api: Client, key: str) -> None:
    method, path = key.split(" ")
    for name, value in NOWHERE.items():
        path = path.replace(f"{{{name}}}", value)
    body: dict[str, Any] = {"json": {}} if method in ("POST", "PATCH", "PUT") else {}
    headers = {"Kibali-Tenant": "acme"}
    response = api.request(method, path, role="platform", headers=headers, **body)
    assert response.is_success or response.status_code in (404, 409, 422, 428), response.text


@pytest.mark.parametrize("slug", ["nowhere", "ACME", "", "acme, zenith", "%00", "a" * 5000])
def test_a_tenant_that_is_not_there_can_not_be_chosen(api: Client, slug: str) -> None:
    response = api.request("GET", "/plans", role="platform", headers={"Kibali-Tenant": slug})
    assert response.status_code == 422
    assert response.json()["error"]["field"] == "Kibali-Tenant"


@pytest.mark.parametrize("slug", ["acme", "zenith", "nowhere"])
def test_a_tenants_admin_chooses_none(api: Client, slug: str) -> None:
    assert api.request("GET", "/plans", headers={"Kibali-Tenant": slug}).status_code == 403


def test_what_the_platforms_admins_do_in_a_tenant_stands_in_its_log_under_their_name(api: Client) -> None:
    made = api.request("POST", "/subscribers", role="platform", headers={"Kibali-Tenant": "acme"}, json={"name": "X"})
    assert made.status_code == 201, made.text
    row = api.get("/audit", what="subscriber")["items"][0]
    assert (row["who"], row["tenant_id"]) == ("root@acme.example", api.operator.tenant_id)
    seen = api.request("GET", "/audit?what=subscriber", role="platform").json()["items"]
    assert seen[0]["id"] == row["id"]


if __name__ == "__main__":
    text = PAPER.read_text("utf-8")
    PAPER.write_text(text[: text.index("-->") + 4] + "\n" + table(), "utf-8")
