"""The cookie of a session, for web pages, and what keeps other sites from using it (CSRF).

No script reads the cookie (HttpOnly), no other site sends it with a form (SameSite). A request that it authenticates
and that changes something must also carry the header X-CSRF-Token, which `GET /api/v1/auth/me` tells: another site can
neither read that answer nor set that header.
"""

import hmac

from starlette.requests import HTTPConnection
from starlette.responses import Response

from api.problem import Problem
from isp import credentials

CSRF_HEADER = "X-CSRF-Token"
_SAFE = ("GET", "HEAD", "OPTIONS")
# Browsers take a cookie called __Host-… only over https, for this host and no other.
_SECURE, _PLAIN = "__Host-kibali_session", "kibali_session"


def token_in(request: HTTPConnection) -> str | None:
    return request.cookies.get(_name(request))


def set_on(response: Response, request: HTTPConnection, token: str) -> None:
    """Until the browser is closed; the session's own limits are kept by the database."""
    response.set_cookie(_name(request), token, path="/", secure=_is_secure(request), httponly=True, samesite="lax")


def cleared(request: HTTPConnection) -> str:
    """The header Set-Cookie that takes it away."""
    response = Response()
    response.delete_cookie(_name(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax")
    return response.headers["set-cookie"]


def csrf_token_of(request: HTTPConnection) -> str | None:
    """None where it is not the cookie that authenticates."""
    token = token_in(request)
    if token is None or "authorization" in request.headers:
        return None
    return credentials.csrf_token(token)


def check(request: HTTPConnection, token: str) -> None:
    """Raises Problem 403 for a request that another site may have sent."""
    if request.scope.get("method", "GET") in _SAFE:
        return
    sent = request.headers.get(CSRF_HEADER, "")
    if not hmac.compare_digest(sent.encode(), credentials.csrf_token(token).encode()):
        raise Problem(403, "csrf", f"With the cookie, send {CSRF_HEADER}, as GET /api/v1/auth/me tells it.")
    # Browsers say who sends; what is no browser says nothing.
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Problem(403, "csrf", "Another site sent this.")


def _name(request: HTTPConnection) -> str:
    return _SECURE if _is_secure(request) else _PLAIN


def _is_secure(request: HTTPConnection) -> bool:
    return request.url.scheme in ("https", "wss")
