"""Routers that were discovered, configured or deployed to, as rows: for tests of the API that need no router."""

import json
from datetime import UTC, datetime
from typing import Any

from db import router_backup
from db.engine import make_engine, session_factory
from db.router_state import RouterState
from isp.encryption import Keyring
from tasks.routeros_contents import read_contents
from tasks.routeros_facts import read_facts
from tests.fakes.routeros_ask import ask
from tests.fakes.routeros_factory import CHR
from tests.fakes.routeros_machine import Machine
from tests.integration.payment_api import Shop

CONFIG: dict[str, Any] = {"hotspots": [{"interface": "ether3", "network": "10.5.50.0/24"}]}


def discovered(shop: Shop) -> int:
    machine = Machine("7.16", model=CHR, configured=False)
    contents = ask(machine, read_contents(ask(machine, read_facts("router")))).to_json()
    router_id = int(shop.router()["id"])
    shop.execute(
        "INSERT INTO router_discovery (tenant_id, router_id, discovered_at, contents) VALUES (%s, %s, now(), %s)",
        shop.operator.tenant_id,
        router_id,
        json.dumps(contents),
    )
    return router_id


def configured(shop: Shop) -> int:
    router_id = discovered(shop)
    response = shop.request("PUT", f"/routers/{router_id}/service-config", json=CONFIG)
    assert response.status_code == 200, response.text
    return router_id


def deployed(shop: Shop) -> int:
    router_id = configured(shop)
    shop.execute(
        "INSERT INTO router_deployment (tenant_id, router_id, kind, service_config_id, state, finished_at)"
        " SELECT tenant_id, router_id, 'deploy', id, 'completed', now() FROM router_service_config"
        " WHERE router_id = %s",
        router_id,
    )
    shop.execute(
        "INSERT INTO router_deployment_step (tenant_id, deployment_id, number, menu, action, state, values_sealed)"
        " SELECT tenant_id, id, 1, '/ip pool', 'add', 'applied', 'x' FROM router_deployment WHERE router_id = %s",
        router_id,
    )
    return router_id


def deployment_path(shop: Shop) -> str:
    router_id = deployed(shop)
    (found,) = shop.get(f"/routers/{router_id}/deployments")["items"]
    return f"/routers/{router_id}/deployments/{found['id']}"


def backed_up(shop: Shop) -> int:
    """Two versions of its configuration are kept."""
    router_id = int(shop.router()["id"])
    keyring = Keyring.parse(shop.settings.encryption_keys.reveal())
    engine = make_engine(shop.settings, "worker", pool_size=1)
    with session_factory(engine).begin() as session:
        state = session.get_one(RouterState, router_id)
        for text in ("# RouterOS 7.16\n", "# RouterOS 7.16\n/system identity set name=gate\n"):
            router_backup.store(session, state, text, "7.16", keyring, datetime.now(UTC))
    engine.dispose()
    return router_id


def disabled(shop: Shop) -> int:
    """Its own accounts are."""
    router_id = int(shop.router()["id"])
    shop.execute(
        "INSERT INTO router_deployment (tenant_id, router_id, kind, state, finished_at)"
        " VALUES (%s, %s, 'disable-accounts', 'completed', now())",
        shop.operator.tenant_id,
        router_id,
    )
    shop.execute(
        "INSERT INTO router_deployment_step (tenant_id, deployment_id, number, menu, action, state, values_sealed)"
        " SELECT tenant_id, id, 1, '/ppp secret', 'set', 'applied', 'x' FROM router_deployment WHERE router_id = %s",
        router_id,
    )
    return router_id


def import_path(shop: Shop) -> str:
    router_id = int(shop.router()["id"])
    response = shop.post(f"/routers/{router_id}/import", {})
    assert response.status_code == 202, response.text
    return f"/routers/{router_id}/imports/{response.json()['import_id']}"
