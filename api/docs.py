"""/openapi.json: what the API takes and answers. /docs: the same for people, by a viewer that is shipped."""

import json
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from api.answers import Text
from api.endpoint import open_to_all
from api.openapi import document

_STATIC = Path(__file__).parent / "static"
# The viewer sets styles in its elements; nothing comes from elsewhere, and nothing is sent elsewhere.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_made: list[bytes] = []


@open_to_all({200: Text("application/json")})
async def openapi(request: Request) -> Response:
    """Shows this document."""
    if not _made:
        _made.append(json.dumps(document(request.app.routes), ensure_ascii=False).encode())
    return Response(_made[0], media_type="application/json")


@open_to_all({200: Text("text/html")})
async def page(_request: Request) -> Response:
    """Shows this document to people."""
    headers = {"Content-Security-Policy": _POLICY}
    return Response(_file("docs.html"), media_type="text/html", headers=headers)


@open_to_all({200: Text("text/javascript")})
async def viewer(_request: Request) -> Response:
    """The viewer that /docs loads."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(_file("rapidoc/rapidoc-min.js"), media_type="text/javascript", headers=headers)


@cache
def _file(name: str) -> bytes:
    return (_STATIC / name).read_bytes()
