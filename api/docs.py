"""/openapi.json: what the API takes and answers."""

import json

from starlette.requests import Request
from starlette.responses import Response

from api.answers import Text
from api.endpoint import open_to_all
from api.openapi import document

_made: list[bytes] = []


@open_to_all({200: Text("application/json")})
async def openapi(request: Request) -> Response:
    """Shows this document."""
    if not _made:
        _made.append(json.dumps(document(request.app.routes), ensure_ascii=False).encode())
    return Response(_made[0], media_type="application/json")
