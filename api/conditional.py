"""ETag, If-Match and If-None-Match: who would change what somebody else changed meanwhile is told so instead.

An ETag is a hash of what GET shows. If-Match is optional. With it, what is shown is read in the transaction that
changes it, and PostgreSQL refuses the change if the row is another's by then (REPEATABLE READ).
"""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from sqlalchemy import exc
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from api.problem import Problem

T = TypeVar("T")

IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"
TRIES = 3
"""Of a change that met another one; the next try sees what that one did."""

_SERIALIZATION_FAILURE = "40001"
_TAGS = re.compile(r'\s*(?:W/)?"[!#-~\x80-\xff]*"\s*(?:,\s*(?:W/)?"[!#-~\x80-\xff]*"\s*)*')
_TAG = re.compile(r'(?:W/)?"[^"]*"')


def tagged(response: Response) -> Response:
    """The response with its ETag."""
    response.headers["ETag"] = _etag(response)
    return response


def if_match(request: Request, *, is_known: bool) -> frozenset[str] | None:
    """What the request asks to be compared with; None if it does not. Raises Problem 422 where nothing can be.

    `is_known`: whether GET shows that which the request is about.
    """
    if request.method in ("GET", "HEAD") or IF_MATCH.lower() not in request.headers:
        return None
    if not is_known:
        raise Problem(422, "invalid", "There is no ETag of this path.", field=IF_MATCH)
    return _tags(request, IF_MATCH)


def see_one_moment(session: Session) -> None:
    """Before anything else is asked in `session`."""
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def check(wanted: frozenset[str], shown: Response) -> None:
    """Raises Problem 412 unless what is shown is among what is wanted."""
    # A weak one says that two are as good as equal, which is not enough to overwrite one.
    if "*" not in wanted and _etag(shown) not in wanted:
        raise Problem(412, "stale", "It was changed meanwhile. Get it again, and see whether your change still fits.")


def until_alone(change: Callable[[], T]) -> T:
    """What `change` returns. Where it met another change it is tried again, and sees what that one did."""
    for _ in range(TRIES - 1):
        try:
            return change()
        except exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _SERIALIZATION_FAILURE:
                raise
    return change()


def unless_known(request: Request, response: Response) -> Response:
    """304 without a body if the caller has what the response shows."""
    tagged(response)
    if IF_NONE_MATCH.lower() not in request.headers:
        return response
    known = {tag.removeprefix("W/") for tag in _tags(request, IF_NONE_MATCH)}
    if "*" in known or response.headers["ETag"] in known:
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return response


def _tags(request: Request, header: str) -> frozenset[str]:
    value = ",".join(request.headers.getlist(header)).strip()
    if value == "*":
        return frozenset("*")
    if not _TAGS.fullmatch(value):
        raise Problem(422, "invalid", 'It must be * or ETags such as "686897696a7c876b".', field=header)
    return frozenset(_TAG.findall(value))


def _etag(response: Response) -> str:
    return f'"{sha256(response.body).hexdigest()[:32]}"'
