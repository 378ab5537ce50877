"""What the API answers, held against what /openapi.json says it answers."""

import re
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
from starlette.routing import Match, Route

from api.app import ROUTES
from api.openapi import document


@cache
def described() -> dict[str, Any]:
    return document(ROUTES)


def check(response: httpx.Response) -> None:
    """Raises AssertionError for an answer that the document does not have. To be hooked into an httpx client."""
    request = response.request
    path = _template(request.method, request.url.path)
    operation = described()["paths"].get(path, {}).get(request.method.lower())
    if operation is None:  # a path or a method that is not there is refused in the same shape as all else
        assert response.status_code in (404, 405) or request.method == "HEAD", f"{request.method} {path} is undescribed"
        return
    if response.status_code >= 500 and response.status_code != 503:
        return  # what a test provokes on purpose
    where = f"{request.method} {path} {response.status_code}"
    answers = operation["responses"]
    assert str(response.status_code) in answers, f"{where} is not among {sorted(answers)}"
    answer = _resolved(answers[str(response.status_code)])
    for name in response.headers.keys() & {"location", "retry-after", "idempotent-replayed", "etag"}:
        assert name in {known.lower() for known in answer["headers"]}, f"{where} has a header {name}"
    response.read()
    if "content" not in answer:
        assert response.content == b"", f"{where} has a body"
        return
    media_type = response.headers["content-type"].partition(";")[0]
    assert media_type in answer["content"], f"{where} is {media_type}"
    schema = answer["content"][media_type].get("schema", {})
    if "$ref" in schema:
        problems = [
            f"{list(each.instance_path)}: {each.message}"
            for each in _validator(schema["$ref"]).iter_errors(response.json())
        ]
        assert not problems, f"{where}: {problems}"


def _template(method: str, path: str) -> str:
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
    for route in ROUTES:
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE:
            return re.sub(r":\w+}", "}", route.path)
    return path


def _resolved(answer: dict[str, Any]) -> dict[str, Any]:
    if reference := answer.get("$ref"):
        found: dict[str, Any] = described()["components"]["responses"][reference.rpartition("/")[2]]
        return found
    return answer


@cache
def _validator(reference: str) -> Any:
    schemas = {name: _closed(schema) for name, schema in described()["components"]["schemas"].items()}
    whole = {"$ref": reference, "components": {"schemas": schemas}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """That takes no field which is not described."""
    if "properties" in schema:
        return {**schema, "additionalProperties": False}
    return schema
