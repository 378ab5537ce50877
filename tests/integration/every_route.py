"""Every route of the API with a request that succeeds: what tests that walk the whole table send.

A route that is new has no sample, and the tests that walk say so: add it here.
"""

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from starlette.routing import Route

from api.app import ROUTES
from api.endpoint import Endpoint, Resource
from db.webhook_endpoint import MOST as MOST_WEBHOOKS
from tests.integration.payment_api import Shop, cash
from tests.integration.router_rows import (
    CONFIG,
    backed_up,
    configured,
    deployed,
    deployment_path,
    disabled,
    discovered,
    import_path,
)

PREFIX = "/api/v1"
PASSWORD = "correct horse battery"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Sample:
    """A path below PREFIX with the ids of things that were made for it, the body, and who asks."""

    path: str
    body: Any = None
    role: str = "owner"
    person: "Person | None" = None
    """Instead of the admin of `role`."""

    def send(self, method: str, client: Shop, **options: Any) -> httpx.Response:
        more = {} if self.body is None else {"json": self.body}
        headers = dict(options.pop("headers", {}))
        if self.person is not None:
            headers["Authorization"] = f"Bearer {self.person.token}"
        return client.request(method, self.path, role=self.role, headers=headers, **{**more, **options})

    def who(self, client: Shop) -> str:
        """The email of who asks."""
        return self.person.email if self.person else f"{'root' if self.role == 'platform' else self.role}@acme.example"


@dataclass(frozen=True, slots=True)
class Person:
    """An owner who logged in."""

    admin_id: int
    email: str
    password: str
    token: str
    session_id: int


@dataclass(frozen=True, slots=True)
class Known:
    """A route as it is in the table: `/api/v1/plans/{id:id}`."""

    method: str
    path: str
    endpoint: Endpoint

    @property
    def key(self) -> str:
        return f"{self.method} {self.path.removeprefix(PREFIX).replace(':id}', '}').replace(':uuid}', '}')}"

    @property
    def changes(self) -> bool:
        return self.method != "GET"


def known_routes() -> Iterator[Known]:
    """All that ask who is there."""
    for route in ROUTES:
        resource = getattr(route, "app", None)
        if isinstance(route, Route) and isinstance(resource, Resource):
            for method, endpoint in resource.endpoints.items():
                if method != "HEAD" and isinstance(endpoint, Endpoint):
                    yield Known(method, route.path, endpoint)


KNOWN = {known.key: known for known in known_routes()}


def name() -> str:
    return f"Name {next(_numbers)}"


def subscription(shop: Shop) -> int:
    return int(shop.subscription()["id"])


def account(shop: Shop) -> int:
    return int(shop.account()["id"])


def payment(shop: Shop) -> int:
    return int(shop.made("/payments/cash", **cash(shop))["id"])


def webhook(shop: Shop) -> int:
    token = shop.c2b_token(account(shop))
    assert shop.http.post(f"/webhooks/daraja/c2b/{token}/confirmation", content=b"{}").status_code == 200
    return int(shop.get("/payments/inbox")["items"][0]["id"])


def batch(shop: Shop) -> int:
    return int(shop.made("/vouchers", plan_id=shop.plan()["id"], count=2)["id"])


def code(shop: Shop) -> str:
    return str(shop.get(f"/vouchers/{batch(shop)}/codes")["items"][0]["code"])


def job(shop: Shop) -> int:
    return int(shop.post(f"/payment-accounts/{account(shop)}/test").json()["job_id"])


def webhook_body() -> dict[str, Any]:
    return {"name": name(), "url": "https://example.net/hook", "types": ["payment.*"]}


def outgoing(shop: Shop) -> int:
    there = shop.get("/webhooks", limit=200)["items"]
    if len(there) >= MOST_WEBHOOKS:  # of the samples before
        assert shop.delete(f"/webhooks/{there[0]['id']}").status_code == 204
    return int(shop.made("/webhooks", **webhook_body())["webhook"]["id"])


def with_a_failed_delivery(shop: Shop) -> int:
    endpoint = outgoing(shop)
    shop.execute(
        "INSERT INTO webhook_delivery (tenant_id, endpoint_id, type, body, state, error)"
        " SELECT tenant_id, id, 'test', '{}', 'failed', 'no' FROM webhook_endpoint WHERE id = %s",
        endpoint,
    )
    return endpoint


def failed_job(shop: Shop) -> int:
    made = job(shop)
    shop.execute("UPDATE job SET state = 'failed', finished_at = now(), error = 'no' WHERE id = %s", made)
    return made


def session(shop: Shop) -> str:
    key = str(uuid4())
    shop.execute(
        "INSERT INTO session (session_key, tenant_id, router_id, service, username, acct_session_id,"
        " interim_interval_s, started_at, last_seen_at) VALUES (%s, %s, %s, 'hotspot', 'jane', '80000001', 300,"
        " now(), now())",
        key,
        shop.operator.tenant_id,
        shop.router()["id"],
    )
    return key


def person(shop: Shop, **changes: Any) -> Person:
    """An owner of the shop who logged in."""
    made = admin(shop, **changes)
    shop.execute("UPDATE admin SET must_change_password = false WHERE id = %s", made["id"])
    login = shop.http.post("/api/v1/auth/login", json={"email": made["email"], "password": PASSWORD})
    assert login.status_code == 200, login.text
    return Person(made["id"], made["email"], PASSWORD, login.json()["token"], login.json()["session_id"])


def admin(shop: Shop, **changes: Any) -> Any:
    email = f"admin{next(_numbers)}.{shop.operator.tenant_id}@people.example"
    return shop.made("/admins", **{"email": email, "role": "owner", "password": PASSWORD, **changes})


def enrolled(shop: Shop) -> tuple[Person, str]:
    """One who has a secret for an app, and the secret."""
    who = person(shop)
    made = Sample("/auth/totp", {"password": who.password}, person=who).send("POST", shop)
    assert made.status_code == 200, made.text
    return who, str(made.json()["secret"])


def code_of(secret: str, steps: int = 0) -> str:
    """What the app shows now, or so many steps later."""
    generator = TOTP(base64.b32decode(secret), 6, SHA1(), 30)
    return generator.generate(int(time.time()) + 30 * steps).decode()


def with_totp(shop: Shop) -> tuple[Person, str]:
    who, secret = enrolled(shop)
    done = Sample("/auth/totp/confirm", {"code": code_of(secret)}, person=who).send("POST", shop)
    assert done.status_code == 200, done.text
    return who, secret


def totp_confirm(shop: Shop) -> Sample:
    who, secret = enrolled(shop)
    return Sample("/auth/totp/confirm", {"code": code_of(secret)}, person=who)


def totp_disable(shop: Shop) -> Sample:
    who, secret = with_totp(shop)
    return Sample("/auth/totp/disable", {"password": who.password, "code": code_of(secret, 1)}, person=who)


def password_change(shop: Shop) -> Sample:
    who = person(shop)
    body = {"current_password": who.password, "new_password": "another long password"}
    return Sample("/auth/password", body, person=who)


def session_end(shop: Shop) -> Sample:
    who = person(shop)
    return Sample(f"/auth/sessions/{who.session_id}", person=who)


def api_token(shop: Shop) -> int:
    return int(shop.made("/tokens", name=name())["id"])


def tenant(shop: Shop) -> int:
    made = shop.request("POST", "/tenants", role="platform", json={"slug": f"t{next(_numbers)}", "name": name()})
    assert made.status_code == 201, made.text
    return int(made.json()["id"])


def plan_body() -> dict[str, Any]:
    return {
        "name": name(),
        "price_kes": "500.00",
        "upload_kbps": 2000,
        "download_kbps": 8000,
        "validity_unit": "days",
        "validity_count": 30,
    }


def subscription_body(shop: Shop) -> dict[str, Any]:
    return {"service": "hotspot", "plan_id": shop.plan()["id"], "subscriber_id": shop.subscriber()["id"]}


def router_body(shop: Shop) -> dict[str, Any]:
    number = next(_numbers)
    return {"name": name(), "nas_address": f"10.{shop.operator.tenant_id % 200}.{number // 250}.{number % 250 + 1}"}


def tunnelled(shop: Shop) -> int:
    return int(shop.made("/routers", name=name(), tunnel="sstp")["id"])


def with_another_certificate(shop: Shop) -> int:
    router = int(shop.router()["id"])
    shop.execute("UPDATE router SET api_certificate_offered_sha256 = repeat('ab', 32) WHERE id = %s", router)
    return router


def file_import(shop: Shop) -> int:
    answer = shop.post("/subscribers/import", [{"name": "Imported", "msisdn": f"07{next(_numbers):08}"}])
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def suspended(shop: Shop) -> int:
    made = subscription(shop)
    assert shop.post(f"/subscriptions/{made}/suspend").status_code == 200
    return made


def pulled_account(shop: Shop) -> int:
    made = account(shop)
    shop.execute("UPDATE payment_account SET pull_registered_at = now() WHERE id = %s", made)
    return made


def account_body() -> dict[str, Any]:
    credentials = {"consumer_key": "key", "consumer_secret": "secret", "passkey": "pass"}
    return {"kind": "paybill", "name": name(), "shortcode": "600000", "credentials": credentials}


SAMPLES: dict[str, Callable[[Shop], Sample]] = {
    "GET /plans": lambda shop: Sample("/plans"),
    "POST /plans": lambda shop: Sample("/plans", plan_body()),
    "GET /plans/{id}": lambda shop: Sample(f"/plans/{shop.plan()['id']}"),
    "PATCH /plans/{id}": lambda shop: Sample(f"/plans/{shop.plan()['id']}", {"name": name()}),
    "DELETE /plans/{id}": lambda shop: Sample(f"/plans/{shop.plan()['id']}"),
    "GET /subscribers": lambda shop: Sample("/subscribers"),
    "POST /subscribers": lambda shop: Sample("/subscribers", {"name": name()}),
    "GET /subscribers/{id}": lambda shop: Sample(f"/subscribers/{shop.subscriber()['id']}"),
    "PATCH /subscribers/{id}": lambda shop: Sample(f"/subscribers/{shop.subscriber()['id']}", {"name": name()}),
    "DELETE /subscribers/{id}": lambda shop: Sample(f"/subscribers/{shop.subscriber()['id']}"),
    "GET /subscribers/{id}/wallet": lambda shop: Sample(f"/subscribers/{shop.subscriber()['id']}/wallet"),
    "POST /subscribers/import": lambda shop: Sample(
        "/subscribers/import", [{"name": "Imported", "msisdn": f"07{next(_numbers):08}"}]
    ),
    "GET /subscribers/export": lambda shop: Sample("/subscribers/export?format=json"),
    "GET /imports": lambda shop: Sample("/imports"),
    "GET /imports/{id}": lambda shop: Sample(f"/imports/{file_import(shop)}"),
    "GET /subscriptions": lambda shop: Sample("/subscriptions"),
    "POST /subscriptions": lambda shop: Sample("/subscriptions", subscription_body(shop)),
    "GET /subscriptions/{id}": lambda shop: Sample(f"/subscriptions/{subscription(shop)}"),
    "PATCH /subscriptions/{id}": lambda shop: Sample(f"/subscriptions/{subscription(shop)}", {"bind_mac": True}),
    "DELETE /subscriptions/{id}": lambda shop: Sample(f"/subscriptions/{subscription(shop)}"),
    "POST /subscriptions/{id}/suspend": lambda shop: Sample(f"/subscriptions/{subscription(shop)}/suspend"),
    "POST /subscriptions/{id}/resume": lambda shop: Sample(f"/subscriptions/{suspended(shop)}/resume"),
    "POST /subscriptions/{id}/renew": lambda shop: Sample(
        f"/subscriptions/{shop.subscription(plan_id=shop.plan(price_kes='0')['id'])['id']}/renew", {}
    ),
    "POST /subscriptions/{id}/change-plan": lambda shop: Sample(
        f"/subscriptions/{subscription(shop)}/change-plan", {"plan_id": shop.plan()["id"]}
    ),
    "GET /routers": lambda shop: Sample("/routers"),
    "POST /routers": lambda shop: Sample("/routers", router_body(shop)),
    "GET /routers/{id}": lambda shop: Sample(f"/routers/{shop.router()['id']}"),
    "PATCH /routers/{id}": lambda shop: Sample(f"/routers/{shop.router()['id']}", {"name": name()}),
    "GET /routers/{id}/bootstrap.rsc": lambda shop: Sample(f"/routers/{shop.router()['id']}/bootstrap.rsc"),
    "GET /routers/{id}/status": lambda shop: Sample(f"/routers/{shop.router()['id']}/status"),
    "POST /routers/{id}/verify": lambda shop: Sample(f"/routers/{shop.router()['id']}/verify"),
    "GET /routers/{id}/live": lambda shop: Sample(f"/routers/{shop.router()['id']}/live"),
    "GET /routers/{id}/history": lambda shop: Sample(f"/routers/{shop.router()['id']}/history"),
    "POST /routers/{id}/backup": lambda shop: Sample(f"/routers/{shop.router()['id']}/backup"),
    "GET /routers/{id}/backups": lambda shop: Sample(f"/routers/{backed_up(shop)}/backups"),
    "GET /routers/{id}/backups/{number}": lambda shop: Sample(f"/routers/{backed_up(shop)}/backups/1"),
    "GET /routers/{id}/backups/{number}/diff": lambda shop: Sample(
        f"/routers/{backed_up(shop)}/backups/2/diff?against=1"
    ),
    "POST /routers/{id}/certificate": lambda shop: Sample(
        f"/routers/{with_another_certificate(shop)}/certificate", {"sha256": "ab" * 32}
    ),
    "GET /routers/{id}/tunnel": lambda shop: Sample(f"/routers/{tunnelled(shop)}/tunnel"),
    "POST /routers/{id}/tunnel": lambda shop: Sample(f"/routers/{shop.router()['id']}/tunnel", {"kind": "l2tp"}),
    "DELETE /routers/{id}/tunnel": lambda shop: Sample(
        f"/routers/{tunnelled(shop)}/tunnel?nas_address={router_body(shop)['nas_address']}"
    ),
    "POST /routers/{id}/discover": lambda shop: Sample(f"/routers/{shop.router()['id']}/discover"),
    "GET /routers/{id}/interfaces": lambda shop: Sample(f"/routers/{discovered(shop)}/interfaces"),
    "GET /routers/{id}/service-config": lambda shop: Sample(f"/routers/{configured(shop)}/service-config"),
    "PUT /routers/{id}/service-config": lambda shop: Sample(f"/routers/{discovered(shop)}/service-config", CONFIG),
    "GET /routers/{id}/service-config/script": lambda shop: Sample(
        f"/routers/{configured(shop)}/service-config/script"
    ),
    "GET /routers/{id}/service-config/diff": lambda shop: Sample(f"/routers/{configured(shop)}/service-config/diff"),
    "POST /routers/{id}/deploy": lambda shop: Sample(f"/routers/{configured(shop)}/deploy"),
    "POST /routers/{id}/reprovision": lambda shop: Sample(f"/routers/{deployed(shop)}/reprovision"),
    "POST /routers/{id}/undo": lambda shop: Sample(f"/routers/{deployed(shop)}/undo"),
    "POST /routers/{id}/import": lambda shop: Sample(f"/routers/{shop.router()['id']}/import", {}),
    "GET /routers/{id}/imports/{import_id}": lambda shop: Sample(import_path(shop)),
    "GET /routers/{id}/pools": lambda shop: Sample(f"/routers/{shop.router()['id']}/pools"),
    "POST /routers/{id}/accounts/disable": lambda shop: Sample(f"/routers/{shop.router()['id']}/accounts/disable"),
    "POST /routers/{id}/accounts/enable": lambda shop: Sample(f"/routers/{disabled(shop)}/accounts/enable"),
    "GET /routers/{id}/deployments": lambda shop: Sample(f"/routers/{deployed(shop)}/deployments"),
    "GET /routers/{id}/deployments/{deployment_id}": lambda shop: Sample(deployment_path(shop)),
    "DELETE /routers/{id}": lambda shop: Sample(f"/routers/{shop.router()['id']}"),
    "GET /sessions": lambda shop: Sample("/sessions"),
    "GET /sessions/{session_key}": lambda shop: Sample(f"/sessions/{session(shop)}"),
    "POST /sessions/{session_key}/disconnect": lambda shop: Sample(f"/sessions/{session(shop)}/disconnect"),
    "GET /why": lambda shop: Sample("/why?who=jane"),
    "GET /queues": lambda shop: Sample("/queues"),
    "GET /queues/failed": lambda shop: Sample("/queues/failed"),
    "POST /queues/failed/retry": lambda shop: Sample("/queues/failed/retry", {"job_id": failed_job(shop)}),
    "GET /jobs": lambda shop: Sample("/jobs"),
    "POST /jobs/{id}/retry": lambda shop: Sample(f"/jobs/{failed_job(shop)}/retry"),
    "POST /jobs/{id}/cancel": lambda shop: Sample(f"/jobs/{job(shop)}/cancel"),
    "GET /webhooks": lambda shop: Sample("/webhooks"),
    "POST /webhooks": lambda shop: Sample("/webhooks", webhook_body()),
    "GET /webhooks/{id}": lambda shop: Sample(f"/webhooks/{outgoing(shop)}"),
    "PATCH /webhooks/{id}": lambda shop: Sample(f"/webhooks/{outgoing(shop)}", {"name": name()}),
    "DELETE /webhooks/{id}": lambda shop: Sample(f"/webhooks/{outgoing(shop)}"),
    "POST /webhooks/{id}/rotate-secret": lambda shop: Sample(f"/webhooks/{outgoing(shop)}/rotate-secret"),
    "POST /webhooks/{id}/test": lambda shop: Sample(f"/webhooks/{outgoing(shop)}/test"),
    "GET /webhooks/{id}/deliveries": lambda shop: Sample(f"/webhooks/{outgoing(shop)}/deliveries"),
    "POST /webhooks/{id}/deliveries/retry": lambda shop: Sample(
        f"/webhooks/{with_a_failed_delivery(shop)}/deliveries/retry", {}
    ),
    "GET /dashboard": lambda shop: Sample("/dashboard"),
    "GET /jobs/{id}": lambda shop: Sample(f"/jobs/{job(shop)}"),
    "GET /events": lambda shop: Sample("/events"),
    "POST /events/ticket": lambda shop: Sample("/events/ticket"),
    "GET /audit": lambda shop: Sample("/audit"),
    "GET /auth/me": lambda shop: Sample("/auth/me"),
    "POST /auth/logout": lambda shop: Sample("/auth/logout", person=person(shop)),
    "POST /auth/logout-all": lambda shop: Sample("/auth/logout-all", person=person(shop)),
    "GET /auth/sessions": lambda shop: Sample("/auth/sessions"),
    "DELETE /auth/sessions/{id}": session_end,
    "POST /auth/password": password_change,
    "POST /auth/totp": lambda shop: Sample("/auth/totp", {"password": PASSWORD}, person=person(shop)),
    "POST /auth/totp/confirm": totp_confirm,
    "POST /auth/totp/disable": totp_disable,
    "GET /tokens": lambda shop: Sample("/tokens"),
    "POST /tokens": lambda shop: Sample("/tokens", {"name": name(), "scopes": ["*:read"]}),
    "DELETE /tokens/{id}": lambda shop: Sample(f"/tokens/{api_token(shop)}"),
    "GET /admins": lambda shop: Sample("/admins"),
    "POST /admins": lambda shop: Sample("/admins", {"email": f"{next(_numbers)}@made.example", "role": "cashier"}),
    "GET /admins/{id}": lambda shop: Sample(f"/admins/{admin(shop)['id']}"),
    "PATCH /admins/{id}": lambda shop: Sample(f"/admins/{admin(shop)['id']}", {"role": "support"}),
    "DELETE /admins/{id}": lambda shop: Sample(f"/admins/{admin(shop)['id']}"),
    "POST /admins/{id}/reset-password": lambda shop: Sample(f"/admins/{admin(shop)['id']}/reset-password", {}),
    "POST /admins/{id}/reset-totp": lambda shop: Sample(f"/admins/{with_totp(shop)[0].admin_id}/reset-totp"),
    "GET /tenants": lambda shop: Sample("/tenants", role="platform"),
    "POST /tenants": lambda shop: Sample("/tenants", {"slug": f"t{next(_numbers)}", "name": name()}, role="platform"),
    "GET /tenants/{id}": lambda shop: Sample(f"/tenants/{tenant(shop)}", role="platform"),
    "PATCH /tenants/{id}": lambda shop: Sample(f"/tenants/{tenant(shop)}", {"name": name()}, role="platform"),
    "DELETE /tenants/{id}": lambda shop: Sample(f"/tenants/{tenant(shop)}", role="platform"),
    "GET /payment-accounts": lambda shop: Sample("/payment-accounts"),
    "POST /payment-accounts": lambda shop: Sample("/payment-accounts", account_body()),
    "GET /payment-accounts/{id}": lambda shop: Sample(f"/payment-accounts/{account(shop)}"),
    "PATCH /payment-accounts/{id}": lambda shop: Sample(f"/payment-accounts/{account(shop)}", {"name": name()}),
    "DELETE /payment-accounts/{id}": lambda shop: Sample(f"/payment-accounts/{account(shop)}"),
    "POST /payment-accounts/{id}/test": lambda shop: Sample(f"/payment-accounts/{account(shop)}/test"),
    "GET /payment-accounts/{id}/c2b-urls": lambda shop: Sample(f"/payment-accounts/{account(shop)}/c2b-urls"),
    "POST /payment-accounts/{id}/register-c2b": lambda shop: Sample(f"/payment-accounts/{account(shop)}/register-c2b"),
    "POST /payment-accounts/{id}/register-pull": lambda shop: Sample(
        f"/payment-accounts/{account(shop)}/register-pull", {"nominated_phone": "0722000001"}
    ),
    "POST /payment-accounts/{id}/pull": lambda shop: Sample(f"/payment-accounts/{pulled_account(shop)}/pull"),
    "GET /payments": lambda shop: Sample("/payments"),
    "GET /payments/{id}": lambda shop: Sample(f"/payments/{payment(shop)}"),
    "POST /payments/{id}/assign": lambda shop: Sample(
        f"/payments/{shop.in_suspense()}/assign", {"subscription_id": subscription(shop)}
    ),
    "POST /payments/{id}/refund-recorded": lambda shop: Sample(
        f"/payments/{shop.in_suspense()}/refund-recorded", {"memo": "sent back"}
    ),
    "POST /payments/{id}/reverse": lambda shop: Sample(f"/payments/{shop.in_suspense()}/reverse", {"memo": "mistake"}),
    "POST /payments/initiate": lambda shop: Sample(
        "/payments/initiate", {"phone": f"0722{next(_numbers):06}", "plan_id": shop.plan()["id"]}
    ),
    "GET /payments/intents": lambda shop: Sample("/payments/intents"),
    "GET /payments/intents/{id}": lambda shop: Sample(f"/payments/intents/{shop.asked()['id']}"),
    "POST /payments/cash": lambda shop: Sample("/payments/cash", cash(shop)),
    "GET /payments/report": lambda shop: Sample("/payments/report?day=2026-11-20"),
    "GET /payments/inbox": lambda shop: Sample("/payments/inbox"),
    "GET /payments/inbox/{id}": lambda shop: Sample(f"/payments/inbox/{webhook(shop)}"),
    "GET /vouchers": lambda shop: Sample("/vouchers"),
    "POST /vouchers": lambda shop: Sample("/vouchers", {"plan_id": shop.plan()["id"], "count": 2}),
    "GET /vouchers/{id}": lambda shop: Sample(f"/vouchers/{batch(shop)}"),
    "GET /vouchers/{id}/codes": lambda shop: Sample(f"/vouchers/{batch(shop)}/codes"),
    "GET /vouchers/{id}/sheet.pdf": lambda shop: Sample(f"/vouchers/{batch(shop)}/sheet.pdf"),
    "POST /vouchers/{id}/revoke": lambda shop: Sample(f"/vouchers/{batch(shop)}/revoke"),
    "POST /vouchers/redeem": lambda shop: Sample(
        "/vouchers/redeem", {"code": code(shop), "subscription_id": subscription(shop)}
    ),
}
