"""The header Idempotency-Key: a POST that is sent again, because its answer got lost, does nothing twice.

The answer is stored with what the request did, in one transaction, and given again for two days. Of two at once the
second waits. What was refused did nothing, so it is not stored: sent again, it is looked at again.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Caller
from api.problem import Problem
from db import idempotency_key
from isp.encryption import Keyring

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)


def sent(request: Request, content: bytes, caller: Caller, keyring: Keyring) -> idempotency_key.Request | None:
    """None for a request that carries no key, or needs none. Raises Problem 422 for a key that is none."""
    keys = request.headers.getlist(HEADER)
    if request.method != "POST" or not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise Problem(422, "invalid", "It must be 1 to 255 ASCII characters without spaces.", field=HEADER)
    if caller.tenant_id is None:
        raise Problem(422, "invalid", "What is done in no tenant takes no key.", field=HEADER)
    said = b"\0".join((request.url.path.encode(), request.url.query.encode(), content))
    digests = keyring.digests(hashlib.sha256(said).hexdigest(), "idempotency_key.request")
    return idempotency_key.Request(caller.tenant_id, caller.identity.admin_id, keys[0], digests)


def answer_once(
    session: Session,
    request: idempotency_key.Request | None,
    keyring: Keyring,
    now: datetime,
    answer: Callable[[], Response],
) -> Response:
    """What `answer` makes; to a request that was answered before, that answer. Raises Refusal, and as `answer`."""
    if request is None:
        return answer()
    before = idempotency_key.claim(session, request, keyring, now)
    if before is not None:
        return _read(before)
    response = answer()
    idempotency_key.store(session, request, _written(response), keyring)
    return response


def _written(response: Response) -> str:
    headers = {name: response.headers[name] for name in ("content-type", "location") if name in response.headers}
    return json.dumps({"status": response.status_code, "headers": headers, "body": bytes(response.body).decode()})


def _read(text: str) -> Response:
    stored = json.loads(text)
    return Response(stored["body"], stored["status"], {**stored["headers"], "Idempotent-Replayed": "true"})
