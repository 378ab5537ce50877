"""Around every request: an id, one line in the log, and headers that let a browser do nothing with the answer."""

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problem import Problem, problem_of

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# As ASGI has them: names in lower case.
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
# Over https alone: a browser that saw it comes back over nothing else.
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_QUIET = ("/healthz", "/readyz")
# Whoever knows the token in a webhook's path can claim to be the provider.
_WEBHOOK_TOKEN = re.compile(r"(/(?:stk|c2b)/+)[^/]+", re.IGNORECASE)


class RequestLog:
    """Takes the caller's X-Request-Id if it is a plain one. What nobody else caught ends here as a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        came = Headers(scope=scope)
        given = came.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began, status = time.monotonic(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                headers.append((b"x-request-id", request_id.encode()))
                there = {name for name, _ in headers}
                # A server may leave the scheme out.
                more = (*_HEADERS, _HSTS) if scope.get("scheme") == "https" else _HEADERS
                headers += [header for header in more if header[0] not in there]
                message["headers"] = headers
            await send(message)

        try:
            _check_length(came)
            await self.app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - problem_of logs it
            response = problem_of(error).response()
            if not status:
                await response(scope, receive, send_with_headers)
        finally:
            write = log.debug if scope["path"] in _QUIET and status < 400 else log.info
            write(
                "request",
                method=scope["method"],
                path=_WEBHOOK_TOKEN.sub(r"\1…", scope["path"]),
                status=status,
                duration_ms=round((time.monotonic() - began) * 1000, 1),
                client=scope["client"][0] if scope.get("client") else None,
            )


def _check_length(came: Headers) -> None:
    """Raises Problem 400 for a body of two lengths, and hangs up (RFC 9112, 6.1): a proxy in front of us may have
    taken the other one, and what follows for another's request.
    """
    if "transfer-encoding" in came and "content-length" in came:
        message = "A request has Content-Length or Transfer-Encoding, not both."
        raise Problem(400, "malformed", message, headers={"Connection": "close"})
