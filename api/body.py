"""Request bodies: bounded, and JSON that means one thing only."""

import asyncio
import json
from decimal import Decimal
from typing import Any

from starlette.requests import Request

from api.problem import Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
READ_WITHIN_S = 30
# A client that sends before it reads gets its answer only if somebody takes what it sends.
_DRAIN_BYTES = 10 * MAX_BYTES


def is_empty(request: Request) -> bool:
    """Whether the headers say that nothing follows (RFC 9112, 6.3)."""
    return "transfer-encoding" not in request.headers and request.headers.get("content-length", "0") == "0"


async def read(request: Request, most_bytes: int = MAX_BYTES) -> bytes:
    """The whole body. Raises Problem 413 if it is too large, 408 if it does not come in time, 415 if it is packed."""
    _check_encoding(request)
    within_s = READ_WITHIN_S * max(1, most_bytes // MAX_BYTES)
    try:
        async with asyncio.timeout(within_s):
            return await _read(request, most_bytes)
    except TimeoutError:
        message = f"The body did not come within {within_s} seconds."
        raise Problem(408, "too_slow", message, headers={"Connection": "close"}) from None


async def _read(request: Request, most_bytes: int) -> bytes:
    drain_bytes = max(_DRAIN_BYTES, most_bytes)
    declared = request.headers.get("content-length", "")
    chunks, size = [], 0
    if not (declared.isdigit() and int(declared[:18]) > drain_bytes):
        async for chunk in request.stream():
            size += len(chunk)
            if size <= most_bytes:
                chunks.append(chunk)
            elif size > drain_bytes:
                break
        if size <= most_bytes:
            return b"".join(chunks)
    raise Problem(413, "too_large", f"The body is larger than {most_bytes} bytes.", headers={"Connection": "close"})


def _check_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", ""):
        message = "Send the body as it is, without Content-Encoding: packed bodies are not read."
        # RFC 9110, 12.5.3: that is how a client learns what it may send.
        headers = {"Accept-Encoding": "identity", "Connection": "close"}
        raise Problem(415, "unsupported_media_type", message, headers=headers)


def media_type(request: Request, known: tuple[str, ...]) -> str:
    """Of the body. Raises Problem 415 for one that is not known."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in known:
        raise Problem(415, "unsupported_media_type", f"The body must be {' or '.join(known)}.")
    return found


def parse(content: bytes, content_type: str) -> Any:
    """The JSON value. Raises Problem 415 for another type, 400 for what is not JSON or not unambiguous."""
    media_type, _, parameters = content_type.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if media_type.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Problem(415, "unsupported_media_type", "The body must be application/json in UTF-8.")
    try:
        value = json.loads(
            content.decode(), object_pairs_hook=_object, parse_float=Decimal, parse_constant=_no_constant
        )
    except RecursionError:
        raise _too_deep() from None
    except UnicodeDecodeError:
        raise Problem(400, "malformed", "The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise Problem(400, "malformed", f"The body is not JSON: {error}.") from None
    except ValueError:  # an integer of more digits than Python converts
        raise Problem(400, "malformed", "The body holds a number that is too large.") from None
    _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Problem(400, "malformed", "The body holds an object with the same field twice.")
    return members


def _no_constant(name: str) -> Any:
    raise Problem(400, "malformed", f"{name} is not JSON.")


def _check(value: Any) -> None:
    """Raises Problem for deep nesting, and for text that PostgreSQL can not store."""
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                for name in item:
                    _check_text(name)
                deeper += item.values()
            elif isinstance(item, list):
                deeper += item
        if not deeper:
            return
        level = deeper
    raise _too_deep()


def _check_text(text: str) -> None:
    if "\0" in text:
        raise Problem(400, "malformed", "The body holds a NUL character.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Problem(400, "malformed", "The body holds half of a surrogate pair.")


def _too_deep() -> Problem:
    return Problem(400, "malformed", f"The body is nested more than {MAX_DEPTH} levels deep.")
