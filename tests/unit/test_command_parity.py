"""What the API does, a command does, by the same functions; or there is a reason why none is."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import click
import pytest
from starlette.routing import Route, WebSocketRoute

from api.app import ROUTES
from api.endpoint import Endpoint, Open, Resource
from cli.app import kibali

V1 = "/api/v1"

# The action → the command.
COMMANDS = {
    "GET /healthz": "status",
    "GET /readyz": "status",
    "GET /plans": "plan list",
    "POST /plans": "plan add",
    "GET /plans/{id}": "plan show",
    "PATCH /plans/{id}": "plan change",
    "DELETE /plans/{id}": "plan remove",
    "GET /subscribers": "subscriber list",
    "POST /subscribers": "subscriber add",
    "GET /subscribers/{id}": "subscriber show",
    "PATCH /subscribers/{id}": "subscriber change",
    "DELETE /subscribers/{id}": "subscriber remove",
    "GET /subscribers/{id}/wallet": "subscriber wallet",
    "POST /subscribers/import": "subscriber import",
    "GET /subscribers/export": "subscriber export",
    "GET /imports": "subscriber imports",
    "GET /imports/{id}": "subscriber import-report",
    "GET /subscriptions": "subscription list",
    "POST /subscriptions": "subscription add",
    "GET /subscriptions/{id}": "subscription show",
    "PATCH /subscriptions/{id}": "subscription change",
    "DELETE /subscriptions/{id}": "subscription remove",
    "POST /subscriptions/{id}/suspend": "subscription suspend",
    "POST /subscriptions/{id}/resume": "subscription resume",
    "POST /subscriptions/{id}/renew": "subscription renew",
    "POST /subscriptions/{id}/change-plan": "subscription change-plan",
    "GET /routers": "router list",
    "POST /routers": "router add",
    "GET /routers/{id}": "router show",
    "PATCH /routers/{id}": "router change",
    "DELETE /routers/{id}": "router remove",
    "POST /routers/{id}/discover": "router discover",
    "GET /routers/{id}/interfaces": "router interfaces",
    "GET /routers/{id}/service-config": "router service-config",
    "PUT /routers/{id}/service-config": "router configure",
    "GET /routers/{id}/service-config/script": "router script",
    "GET /routers/{id}/service-config/diff": "router diff",
    "POST /routers/{id}/deploy": "router deploy",
    "POST /routers/{id}/reprovision": "router reprovision",
    "POST /routers/{id}/undo": "router undo",
    "POST /routers/{id}/import": "router import",
    "GET /routers/{id}/imports/{import_id}": "router import-report",
    "GET /routers/{id}/pools": "router pools",
    "POST /routers/{id}/accounts/disable": "router disable-accounts",
    "POST /routers/{id}/accounts/enable": "router enable-accounts",
    "GET /routers/{id}/deployments": "router deployments",
    "GET /routers/{id}/deployments/{deployment_id}": "router deployment",
    "GET /routers/{id}/bootstrap.rsc": "router bootstrap",
    "GET /routers/{id}/status": "router status",
    "POST /routers/{id}/verify": "router probe",
    "POST /routers/{id}/certificate": "router accept-certificate",
    "GET /routers/{id}/live": "router live",
    "GET /routers/{id}/history": "router history",
    "POST /routers/{id}/backup": "router backup now",
    "GET /routers/{id}/backups": "router backup list",
    "GET /routers/{id}/backups/{number}": "router backup show",
    "GET /routers/{id}/backups/{number}/diff": "router backup diff",
    "GET /routers/{id}/tunnel": "router tunnel list",
    "POST /routers/{id}/tunnel": "router tunnel set",
    "DELETE /routers/{id}/tunnel": "router tunnel remove",
    "GET /sessions": "session list",
    "GET /sessions/{session_key}": "session show",
    "POST /sessions/{session_key}/disconnect": "session kick",
    "GET /why": "why",
    "GET /queues": "queue list",
    "GET /queues/failed": "queue failed",
    "POST /queues/failed/retry": "queue retry",
    "GET /jobs": "job list",
    "GET /jobs/{id}": "job show",
    "POST /jobs/{id}/retry": "job retry",
    "POST /jobs/{id}/cancel": "job cancel",
    "GET /dashboard": "dashboard",
    "GET /audit": "audit list",
    "GET /events": "event list",
    "POST /auth/logout-all": "admin logout",
    "GET /auth/sessions": "admin sessions",
    "DELETE /auth/sessions/{id}": "admin end-session",
    "GET /tokens": "admin tokens",
    "POST /tokens": "admin token",
    "DELETE /tokens/{id}": "admin revoke-token",
    "GET /admins": "admin list",
    "POST /admins": "admin add",
    "GET /admins/{id}": "admin show",
    "PATCH /admins/{id}": "admin change",
    "DELETE /admins/{id}": "admin disable",
    "POST /admins/{id}/reset-password": "admin reset-password",
    "POST /admins/{id}/reset-totp": "admin reset-totp",
    "GET /tenants": "tenant list",
    "POST /tenants": "tenant add",
    "GET /tenants/{id}": "tenant show",
    "PATCH /tenants/{id}": "tenant change",
    "DELETE /tenants/{id}": "tenant close",
    "GET /payment-accounts": "payment-account list",
    "POST /payment-accounts": "payment-account add",
    "GET /payment-accounts/{id}": "payment-account show",
    "PATCH /payment-accounts/{id}": "payment-account change",
    "DELETE /payment-accounts/{id}": "payment-account disable",
    "POST /payment-accounts/{id}/test": "payment-account test",
    "GET /payment-accounts/{id}/c2b-urls": "payment-account c2b-urls",
    "POST /payment-accounts/{id}/register-c2b": "payment-account register-c2b",
    "POST /payment-accounts/{id}/register-pull": "payment-account register-pull",
    "POST /payment-accounts/{id}/pull": "payment-account pull",
    "GET /payments": "payment list",
    "GET /payments/{id}": "payment show",
    "POST /payments/{id}/assign": "payment assign",
    "POST /payments/{id}/refund-recorded": "payment refund-recorded",
    "POST /payments/{id}/reverse": "payment reverse",
    "POST /payments/initiate": "payment initiate",
    "GET /payments/intents": "payment intents",
    "GET /payments/intents/{id}": "payment intent",
    "POST /payments/cash": "payment cash",
    "GET /payments/report": "payment report",
    "GET /payments/inbox": "payment inbox list",
    "GET /payments/inbox/{id}": "payment inbox show",
    "GET /vouchers": "voucher list",
    "POST /vouchers": "voucher create",
    "GET /vouchers/{id}": "voucher show",
    "GET /vouchers/{id}/codes": "voucher codes",
    "GET /vouchers/{id}/sheet.pdf": "voucher sheet",
    "POST /vouchers/{id}/revoke": "voucher revoke",
    "POST /vouchers/redeem": "voucher redeem",
    "GET /webhooks": "webhook list",
    "POST /webhooks": "webhook add",
    "GET /webhooks/{id}": "webhook show",
    "PATCH /webhooks/{id}": "webhook change",
    "DELETE /webhooks/{id}": "webhook remove",
    "POST /webhooks/{id}/rotate-secret": "webhook rotate-secret",
    "POST /webhooks/{id}/test": "webhook test",
    "GET /webhooks/{id}/deliveries": "webhook deliveries",
    "POST /webhooks/{id}/deliveries/retry": "webhook retry",
}

# The action → why no command does it.
ONLY_BY_HTTP = {
    "GET /metrics": "Prometheus fetches it.",
    "GET /openapi.json": "It describes HTTP.",
    "GET /docs": "It is a page for browsers.",
    "GET /docs/rapidoc.js": "It is a script for browsers.",
    "GET /events/ws": "A program watches; `event list` shows what there was.",
    "POST /events/ticket": "It is for /events/ws.",
    "POST /auth/login": "Whoever may run commands is who the system says they are.",
    "GET /auth/me": "The same.",
    "POST /auth/logout": "The same.",
    "POST /auth/password": "It asks for the old one: `admin reset-password` is for who has the machine.",
    "POST /auth/totp": "The app that is to have the secret is the admin's own.",
    "POST /auth/totp/confirm": "The same.",
    "POST /auth/totp/disable": "It asks for the password: `admin reset-totp` is for who has the machine.",
    "POST /webhooks/daraja/stk/{token}": "M-Pesa calls it.",
    "POST /webhooks/daraja/c2b/{token}/confirmation": "M-Pesa calls it.",
    "POST /webhooks/daraja/c2b/{token}/validation": "M-Pesa calls it.",
}

# Those that share no function, and why not.
DIFFERENT = {
    "GET /healthz": "The command looks at the parts from outside.",
    "GET /readyz": "The command looks at the parts from outside.",
    "GET /admins": "The command shows those of all tenants, and those who are disabled, at once.",
    "GET /admins/{id}": "The command names them by email.",
    "GET /tenants/{id}": "The command names it by its short name.",
}


_EVERYWHERE = {"db.engine.use_tenant", "db.audit.note", "db.refusal.refusal_of", "db.tenant.all_tenants"}


def actions() -> Iterator[tuple[str, Callable[..., Any] | None]]:
    """Each method of each route, `GET /plans/{id}`, and its handler; a WebSocket's is None."""
    for route in ROUTES:
        assert isinstance(route, Route | WebSocketRoute)
        path = route.path
        for convertor in (":id}", ":uuid}"):
            path = path.replace(convertor, "}")
        path = path.removeprefix(V1)
        if not isinstance(route, Route):
            yield f"GET {path}", None
            continue
        assert isinstance(route.endpoint, Resource)
        for method, endpoint in route.endpoint.endpoints.items():
            assert isinstance(endpoint, Endpoint | Open)
            if method != "HEAD":
                yield f"{method} {path}", endpoint.source


def command(words: str) -> click.Command:
    found: click.Command | None = kibali
    for word in words.split():
        assert isinstance(found, click.Group), words
        found = found.get_command(click.Context(found), word)
        assert found is not None, f"there is no command {words}"
    assert found is not None
    return found


def functions_of(function: Callable[..., Any], seen: set[object] | None = None) -> set[str]:
    """The functions of `db` and `tasks` that it calls, itself or by what of `api` and `cli` it calls."""
    seen = set() if seen is None else seen
    function = inspect.unwrap(function)
    if function in seen or not isinstance(function, FunctionType):
        return set()
    seen.add(function)
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    names = {**function.__globals__, **inspect.getclosurevars(function).nonlocals}
    found: set[str] = set()
    for node in ast.walk(tree):
        named = _named(node, names)
        if isinstance(named, Endpoint):
            named = named.source
        if not isinstance(named, FunctionType):
            continue
        package = named.__module__.partition(".")[0]
        if package in ("db", "tasks") and f"{named.__module__}.{named.__name__}" not in _EVERYWHERE:
            found.add(f"{named.__module__}.{named.__qualname__}")
        elif package in ("api", "cli"):
            found |= functions_of(named, seen)
    return found


def _named(node: ast.AST, names: dict[str, Any]) -> object:
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        of = names.get(node.value.id)
        return getattr(of, node.attr, None) if isinstance(of, ModuleType | type) else None
    return None


ACTIONS = dict(actions())


def test_each_action_of_the_api_has_its_command_or_a_reason() -> None:
    assert set(ACTIONS) == set(COMMANDS) | set(ONLY_BY_HTTP)
    assert not set(COMMANDS) & set(ONLY_BY_HTTP)
    assert set(DIFFERENT) <= set(COMMANDS)


@pytest.mark.parametrize("action", COMMANDS)
def test_the_command_does_it_by_the_same_functions(action: str) -> None:
    handler, callback = ACTIONS[action], command(COMMANDS[action]).callback
    assert callback is not None, COMMANDS[action]
    if action in DIFFERENT:
        return
    assert handler is not None
    theirs, ours = functions_of(handler), functions_of(callback)
    assert theirs & ours, f"{action}: {sorted(theirs)}; {COMMANDS[action]}: {sorted(ours)}"
