"""Every route of the API with a request that succeeds: what tests that walk the whole table send.

A route that is new has no sample, and the tests that walk say so: add it here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
from starlette.routing import Route

from api.app import ROUTES
from api.endpoint import Endpoint, Resource
from tests.integration.payment_api import Shop, cash

PREFIX = "/api/v1"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Sample:
    """A path below PREFIX with the ids of things that were made for it, and the body."""

    path: str
    body: Any = None
    changes: bool = True
    """Whether the database is another afterwards; a GET never makes it so."""

    def send(self, method: str, client: Shop, **options: Any) -> httpx.Response:
        more = {} if self.body is None else {"json": self.body}
        return client.request(method, self.path, **more, **options)


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


def suspended(shop: Shop) -> int:
    made = subscription(shop)
    assert shop.post(f"/subscriptions/{made}/suspend").status_code == 200
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
    "GET /routers/{id}/tunnel": lambda shop: Sample(f"/routers/{tunnelled(shop)}/tunnel"),
    "POST /routers/{id}/tunnel": lambda shop: Sample(f"/routers/{shop.router()['id']}/tunnel", {"kind": "l2tp"}),
    "DELETE /routers/{id}/tunnel": lambda shop: Sample(
        f"/routers/{tunnelled(shop)}/tunnel?nas_address={router_body(shop)['nas_address']}"
    ),
    "DELETE /routers/{id}": lambda shop: Sample(f"/routers/{shop.router()['id']}"),
    "GET /sessions": lambda shop: Sample("/sessions"),
    "GET /sessions/{session_key}": lambda shop: Sample(f"/sessions/{session(shop)}"),
    "POST /sessions/{session_key}/disconnect": lambda shop: Sample(f"/sessions/{session(shop)}/disconnect"),
    "GET /why": lambda shop: Sample("/why?who=jane"),
    "GET /jobs/{id}": lambda shop: Sample(f"/jobs/{job(shop)}"),
    "GET /events": lambda shop: Sample("/events"),
    "POST /events/ticket": lambda shop: Sample("/events/ticket"),
    "GET /audit": lambda shop: Sample("/audit"),
    "GET /payment-accounts": lambda shop: Sample("/payment-accounts"),
    "POST /payment-accounts": lambda shop: Sample("/payment-accounts", account_body()),
    "GET /payment-accounts/{id}": lambda shop: Sample(f"/payment-accounts/{account(shop)}"),
    "PATCH /payment-accounts/{id}": lambda shop: Sample(f"/payment-accounts/{account(shop)}", {"name": name()}),
    "DELETE /payment-accounts/{id}": lambda shop: Sample(f"/payment-accounts/{account(shop)}"),
    "POST /payment-accounts/{id}/test": lambda shop: Sample(f"/payment-accounts/{account(shop)}/test"),
    "GET /payment-accounts/{id}/c2b-urls": lambda shop: Sample(f"/payment-accounts/{account(shop)}/c2b-urls"),
    "POST /payment-accounts/{id}/register-c2b": lambda shop: Sample(f"/payment-accounts/{account(shop)}/register-c2b"),
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
    "POST /vouchers/{id}/revoke": lambda shop: Sample(f"/vouchers/{batch(shop)}/revoke"),
    "POST /vouchers/redeem": lambda shop: Sample(
        "/vouchers/redeem", {"code": code(shop), "subscription_id": subscription(shop)}
    ),
}
