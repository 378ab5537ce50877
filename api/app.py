"""The API: its one route table, and the application around it."""

from starlette.applications import Starlette
from starlette.convertors import CONVERTOR_TYPES, Convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, WebSocketRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api import (
    account,
    admins,
    audit,
    c2b_validation,
    dashboard,
    docs,
    event_socket,
    events,
    health,
    inbox,
    jobs,
    login,
    metrics,
    payment_accounts,
    payment_pull,
    payments,
    plans,
    queues,
    router_backups,
    router_imports,
    router_service,
    routers,
    sessions,
    subscriber_files,
    subscribers,
    subscriptions,
    tenants,
    tokens,
    vouchers,
    wallets,
    webhook_endpoints,
    webhooks,
    why,
)
from api.endpoint import at, relate
from api.http_metrics import CountRequests, HttpMetrics
from api.middleware import RequestLog
from api.problem import answer_http_exception
from api.services import lifespan
from isp.encryption import Keyring
from settings import Settings


class IdConvertor(Convertor[int]):
    """An id of at most 18 digits, which fits a bigint; a longer one is a path that no route has."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


CONVERTOR_TYPES["id"] = IdConvertor()

ROUTES: list[BaseRoute] = [
    at("/healthz", GET=health.healthz),
    at("/readyz", GET=health.readyz),
    at("/metrics", GET=metrics.read),
    at("/openapi.json", GET=docs.openapi),
    at("/docs", GET=docs.page),
    at("/docs/rapidoc.js", GET=docs.viewer),
    at("/api/v1/plans", GET=plans.index, POST=plans.create),
    at("/api/v1/plans/{id:id}", GET=plans.read, PATCH=plans.change, DELETE=plans.archive),
    at("/api/v1/subscribers", GET=subscribers.index, POST=subscribers.create),
    at("/api/v1/subscribers/{id:id}", GET=subscribers.read, PATCH=subscribers.change, DELETE=subscribers.archive),
    at("/api/v1/subscribers/import", POST=subscriber_files.start),
    at("/api/v1/subscribers/export", GET=subscriber_files.export),
    at("/api/v1/imports", GET=subscriber_files.index),
    at("/api/v1/imports/{id:id}", GET=subscriber_files.read),
    at("/api/v1/subscriptions", GET=subscriptions.index, POST=subscriptions.create),
    at(
        "/api/v1/subscriptions/{id:id}",
        GET=subscriptions.read,
        PATCH=subscriptions.change,
        DELETE=subscriptions.cancel,
    ),
    at("/api/v1/subscriptions/{id:id}/suspend", POST=subscriptions.suspend),
    at("/api/v1/subscriptions/{id:id}/resume", POST=subscriptions.resume),
    at("/api/v1/subscriptions/{id:id}/renew", POST=subscriptions.renew),
    at("/api/v1/subscriptions/{id:id}/change-plan", POST=subscriptions.change_plan),
    at("/api/v1/routers", GET=routers.index, POST=routers.create),
    at("/api/v1/routers/{id:id}", GET=routers.read, PATCH=routers.change, DELETE=routers.remove),
    at("/api/v1/routers/{id:id}/discover", POST=router_service.discover),
    at("/api/v1/routers/{id:id}/interfaces", GET=router_service.show_interfaces),
    at(
        "/api/v1/routers/{id:id}/service-config",
        GET=router_service.read_config,
        PUT=router_service.put_config,
    ),
    at("/api/v1/routers/{id:id}/service-config/script", GET=router_service.script),
    at("/api/v1/routers/{id:id}/service-config/diff", GET=router_service.diff),
    at("/api/v1/routers/{id:id}/deploy", POST=router_service.deploy),
    at("/api/v1/routers/{id:id}/reprovision", POST=router_service.reprovision),
    at("/api/v1/routers/{id:id}/undo", POST=router_service.undo),
    at("/api/v1/routers/{id:id}/import", POST=router_imports.start),
    at("/api/v1/routers/{id:id}/imports/{import_id:id}", GET=router_imports.read),
    at("/api/v1/routers/{id:id}/pools", GET=router_imports.pools),
    at("/api/v1/routers/{id:id}/backup", POST=router_backups.start),
    at("/api/v1/routers/{id:id}/backups", GET=router_backups.index),
    at("/api/v1/routers/{id:id}/backups/{number:id}", GET=router_backups.read),
    at("/api/v1/routers/{id:id}/backups/{number:id}/diff", GET=router_backups.diff),
    at("/api/v1/routers/{id:id}/accounts/disable", POST=router_imports.disable_accounts),
    at("/api/v1/routers/{id:id}/accounts/enable", POST=router_imports.enable_accounts),
    at("/api/v1/routers/{id:id}/deployments", GET=router_service.deployments),
    at("/api/v1/routers/{id:id}/deployments/{deployment_id:id}", GET=router_service.read_deployment),
    at("/api/v1/routers/{id:id}/bootstrap.rsc", GET=routers.bootstrap),
    at("/api/v1/routers/{id:id}/status", GET=routers.status),
    at("/api/v1/routers/{id:id}/verify", POST=routers.verify),
    at("/api/v1/routers/{id:id}/certificate", POST=routers.accept_certificate),
    at("/api/v1/routers/{id:id}/live", GET=routers.live),
    at("/api/v1/routers/{id:id}/history", GET=routers.history),
    at("/api/v1/routers/{id:id}/tunnel", GET=routers.tunnel, POST=routers.give_tunnel, DELETE=routers.take_tunnel),
    at("/api/v1/sessions", GET=sessions.index),
    at("/api/v1/sessions/{session_key:uuid}", GET=sessions.read),
    at("/api/v1/sessions/{session_key:uuid}/disconnect", POST=sessions.disconnect),
    at("/api/v1/why", GET=why.read),
    at("/api/v1/queues", GET=queues.index),
    at("/api/v1/queues/failed", GET=queues.failed),
    at("/api/v1/queues/failed/retry", POST=queues.retry_failed),
    at("/api/v1/jobs", GET=queues.jobs),
    at("/api/v1/jobs/{id:id}", GET=jobs.read),
    at("/api/v1/jobs/{id:id}/retry", POST=queues.retry),
    at("/api/v1/jobs/{id:id}/cancel", POST=queues.cancel),
    at("/api/v1/dashboard", GET=dashboard.read),
    at("/api/v1/audit", GET=audit.index),
    at("/api/v1/events", GET=events.index),
    at("/api/v1/events/ticket", POST=events.ticket),
    WebSocketRoute("/api/v1/events/ws", event_socket.events),
    at("/api/v1/auth/login", POST=login.create),
    at("/api/v1/auth/me", GET=account.me),
    at("/api/v1/auth/logout", POST=account.logout),
    at("/api/v1/auth/logout-all", POST=account.logout_all),
    at("/api/v1/auth/sessions", GET=account.sessions),
    at("/api/v1/auth/sessions/{id:id}", DELETE=account.end_session),
    at("/api/v1/auth/password", POST=account.change_password),
    at("/api/v1/auth/totp", POST=account.enrol_totp),
    at("/api/v1/auth/totp/confirm", POST=account.confirm_totp),
    at("/api/v1/auth/totp/disable", POST=account.disable_totp),
    at("/api/v1/tokens", GET=tokens.index, POST=tokens.create),
    at("/api/v1/tokens/{id:id}", DELETE=tokens.revoke),
    at("/api/v1/admins", GET=admins.index, POST=admins.create),
    at("/api/v1/admins/{id:id}", GET=admins.read, PATCH=admins.change, DELETE=admins.disable),
    at("/api/v1/admins/{id:id}/reset-password", POST=admins.reset_password),
    at("/api/v1/admins/{id:id}/reset-totp", POST=admins.reset_totp),
    at("/api/v1/tenants", GET=tenants.index, POST=tenants.create),
    at("/api/v1/tenants/{id:id}", GET=tenants.read, PATCH=tenants.change, DELETE=tenants.close),
    at("/api/v1/payment-accounts", GET=payment_accounts.index, POST=payment_accounts.create),
    at(
        "/api/v1/payment-accounts/{id:id}",
        GET=payment_accounts.read,
        PATCH=payment_accounts.change,
        DELETE=payment_accounts.disable,
    ),
    at("/api/v1/payment-accounts/{id:id}/test", POST=payment_accounts.test),
    at("/api/v1/payment-accounts/{id:id}/c2b-urls", GET=payment_accounts.c2b_urls),
    at("/api/v1/payment-accounts/{id:id}/register-c2b", POST=payment_accounts.register_c2b),
    at("/api/v1/payment-accounts/{id:id}/register-pull", POST=payment_pull.register),
    at("/api/v1/payment-accounts/{id:id}/pull", POST=payment_pull.pull),
    at("/api/v1/payments", GET=payments.index),
    at("/api/v1/payments/{id:id}", GET=payments.read),
    at("/api/v1/payments/{id:id}/assign", POST=payments.assign),
    at("/api/v1/payments/{id:id}/refund-recorded", POST=payments.refund_recorded),
    at("/api/v1/payments/{id:id}/reverse", POST=payments.reverse),
    at("/api/v1/payments/initiate", POST=payments.initiate),
    at("/api/v1/payments/intents", GET=payments.intents),
    at("/api/v1/payments/intents/{id:id}", GET=payments.intent),
    at("/api/v1/payments/cash", POST=payments.cash),
    at("/api/v1/payments/report", GET=payments.report),
    at("/api/v1/payments/inbox", GET=inbox.index),
    at("/api/v1/payments/inbox/{id:id}", GET=inbox.read),
    at("/api/v1/subscribers/{id:id}/wallet", GET=wallets.read),
    at("/api/v1/vouchers", GET=vouchers.index, POST=vouchers.create),
    at("/api/v1/vouchers/{id:id}", GET=vouchers.read),
    at("/api/v1/vouchers/{id:id}/codes", GET=vouchers.codes),
    at("/api/v1/vouchers/{id:id}/sheet.pdf", GET=vouchers.sheet),
    at("/api/v1/vouchers/{id:id}/revoke", POST=vouchers.revoke),
    at("/api/v1/vouchers/redeem", POST=vouchers.redeem),
    at("/api/v1/webhooks", GET=webhook_endpoints.index, POST=webhook_endpoints.create),
    at(
        "/api/v1/webhooks/{id:id}",
        GET=webhook_endpoints.read,
        PATCH=webhook_endpoints.change,
        DELETE=webhook_endpoints.remove,
    ),
    at("/api/v1/webhooks/{id:id}/rotate-secret", POST=webhook_endpoints.rotate_secret),
    at("/api/v1/webhooks/{id:id}/test", POST=webhook_endpoints.test),
    at("/api/v1/webhooks/{id:id}/deliveries", GET=webhook_endpoints.deliveries),
    at("/api/v1/webhooks/{id:id}/deliveries/retry", POST=webhook_endpoints.retry),
    at("/webhooks/daraja/stk/{token}", POST=webhooks.stk),
    at("/webhooks/daraja/c2b/{token}/confirmation", POST=webhooks.confirmation),
    at("/webhooks/daraja/c2b/{token}/validation", POST=c2b_validation.validation),
]
relate(ROUTES)


def create_app(settings: Settings) -> Starlette:
    """The ASGI application. Connects to nothing before its first request. Raises EncryptionError without keys."""
    http_metrics = HttpMetrics()
    app = Starlette(
        routes=ROUTES,
        middleware=[
            Middleware(ProxyHeadersMiddleware, trusted_hosts=[str(each) for each in settings.trusted_proxies]),
            Middleware(CountRequests, http_metrics),
            Middleware(RequestLog),
        ],
        exception_handlers={HTTPException: answer_http_exception},
        lifespan=lifespan(settings, Keyring.parse(settings.encryption_keys.reveal()), http_metrics),
    )
    app.router.redirect_slashes = False
    return app
