"""What is done to a router when somebody asks: a whole deployment, an import of many addresses and of many accounts.

Asked for by HTTP, done by workers as `./kibali up` runs them, on fake routers of the bench's own process.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench.surroundings import Surroundings, running_part
from cli.failure import Failure
from cli.instance.parts import our_parts
from db.engine import make_engine, session_factory
from tests.integration.api_server import token_of
from tests.integration.router_bench import RouterBench, make_router_bench

PARTS = ("worker-provisioning", "sweep", "api")
VERSIONS = ("6.49", "7.16")
SECRETS = 5_000
ADDRESSES = 65_534
_WITHIN_S = 120.0
_SERVICES: dict[str, Any] = {
    "hotspots": [{"interface": "ether3", "network": "10.5.50.0/24", "portal_url": "https://wifi.example.com/portal"}],
    "pppoe": [{"interface": "ether2", "network": "10.64.0.0/22"}],
    "dns_servers": ["192.0.2.53"],
    "walled_garden": ["*.safaricom.co.ke", "pay.example.com"],
    "expired_address_list": "expired",
}


@dataclass(slots=True)
class Work:
    """Each time is from the request until the job's end is committed."""

    deployment_s: float = 0.0
    """The slowest."""
    deployment_sentences: int = 0
    """To the router of the slowest, its answers each `latency_ms` later."""
    pool_import_s: float = 0.0
    secrets_import_s: float = 0.0
    asked_ms: float = 0.0
    """The slower answer to the requests for imports, by an API that was asked for one before."""
    faults: list[str] = field(default_factory=list)


def carry_out(around: Surroundings, latency_s: float) -> Work:
    """Beside PostgreSQL and Redis; empties the database."""
    parts = {part.name: part for part in our_parts(around.settings)}
    work = Work()
    with ExitStack() as stack:
        bench = stack.enter_context(make_router_bench(around.settings))
        for name in PARTS:
            stack.enter_context(running_part(around, parts[name]))
        http = stack.enter_context(
            httpx.Client(
                base_url=f"http://127.0.0.1:{around.settings.http_port}/api/v1",
                headers={"Authorization": f"Bearer {_token(bench)}"},
                timeout=30,
            )
        )
        http.get("/routers").raise_for_status()
        for version in VERSIONS:
            _deploy(work, bench, http, bench.router(version, latency_s=latency_s))
        _import(work, bench, http, latency_s)
    return work


def _deploy(work: Work, bench: RouterBench, http: httpx.Client, router_id: int) -> None:
    bench.discover(router_id)
    bench.configure(router_id, _SERVICES)
    before = len(bench.fakes[router_id].heard)
    took_s, ended = _asked(work, http, f"/routers/{router_id}/deploy", None, f"/routers/{router_id}/deployments")
    if ended["state"] != "completed":
        work.faults.append(f"a deployment is {ended['state']}: {ended['error']}")
    if took_s > work.deployment_s:
        work.deployment_s = took_s
        work.deployment_sentences = len(bench.fakes[router_id].heard) - before


def _import(work: Work, bench: RouterBench, http: httpx.Client, latency_s: float) -> None:
    pools = bench.router(latency_s=latency_s)
    bench.fakes[pools].machine.tables.put("/ip/pool", name="all", ranges="10.2.0.1-10.2.255.254")
    secrets = bench.router(latency_s=latency_s)
    tables = bench.fakes[secrets].machine.tables
    tables.add("/ppp/profile", {"name": "home", "rate-limit": "5M/10M"})
    for number in range(SECRETS):
        tables.put("/ppp/secret", name=f"c{number}", password=f"s{number}", profile="home", comment=f"C {number}")
    _asked(work, http, f"/routers/{pools}/import", {}, f"/routers/{pools}/imports")
    work.asked_ms = 0.0
    body = {"dry_run": False, "confirm_all": True}
    work.pool_import_s, ended = _asked(work, http, f"/routers/{pools}/import", body, f"/routers/{pools}/imports")
    found = http.get(f"/routers/{pools}/pools").raise_for_status().json()["items"]
    if [pool["addresses"] for pool in found] != [ADDRESSES]:
        work.faults.append(f"the pool's import came to {ended['counts']}: {ended['error']}")
    work.secrets_import_s, ended = _asked(work, http, f"/routers/{secrets}/import", body, f"/routers/{secrets}/imports")
    if ended["counts"].get("ppp") != {"imported": SECRETS}:
        work.faults.append(f"the accounts' import came to {ended['counts']}: {ended['error']}")


def _asked(work: Work, http: httpx.Client, path: str, body: Any, where: str) -> tuple[float, Mapping[str, Any]]:
    """Seconds until what was asked for ended, and how."""
    began = time.monotonic()
    answer = http.post(path, json=body)
    work.asked_ms = max(work.asked_ms, (time.monotonic() - began) * 1000)
    if answer.status_code != 202:
        raise Failure(f"{path}: {answer.status_code} {answer.text[:200]}")
    accepted = answer.json()
    url = f"{where}/{accepted.get('deployment_id') or accepted['import_id']}"
    while True:
        ended: Mapping[str, Any] = http.get(url).raise_for_status().json()
        if ended["state"] in ("completed", "failed"):
            return time.monotonic() - began, ended
        if time.monotonic() - began > _WITHIN_S:
            raise Failure(f"{path}: not done within {_WITHIN_S:g} s, but {ended['state']}: {ended['error']}")
        time.sleep(0.05)


def _token(bench: RouterBench) -> str:
    engine = make_engine(bench.settings, "platform", pool_size=1)
    try:
        with session_factory(engine).begin() as session:
            return token_of(session, tenant_id=bench.tenant_id, email="owner@bench.example", role="owner")
    finally:
        engine.dispose()
